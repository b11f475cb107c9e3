/**
 * A store that is away when Holdfast starts: what can do without it is served, the rest is 503, and
 * it joins when it comes.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { drawn } from '../crash/load.ts';
import type { Flow } from '../crash/recorder.ts';
import { SEED, settle } from './ordeal.ts';
import { STORES, Town, type StoreName } from './town.ts';
import { Traffic } from './traffic.ts';

/** With a flow that needs none of the three. */
const WITHOUT = {
  stashes: '  own: { kind: sqlite }',
  accounts: `
  default: { flows: { default: { write: [history], read: [cache, history] } } }
  shop:
    flows:
      orders:
        map: { keys: "\${{ record.keys }}" }
        write: [history, second]
        read: [cache, history]
      counters: { write: [history, second], read: [cache, history] }
      views: { read: [own] }
`,
};

/** How a write into the flow ends, and whether the key can be read then. */
async function served({ http }: Town, { recorder }: Traffic, flow: Flow, key: string) {
  const wish = { flow, kind: 'set', keys: [key], record: false, headers: {} } as const;
  const { end } = await recorder.send(http, wish);
  const { status } = await http.ask(`/v1/data/${flow}/${key}`);
  return `${end} ${status}`;
}

/** How the flows are served while `away` are away. */
function wanted(away: readonly StoreName[]): Readonly<Partial<Record<Flow, string>>> {
  const none = 'turned-away 503';
  const onlySecond = away.length === 1 && away[0] === 'second';
  return {
    // It does not write to the second; who has never heard of a key asks the history too.
    'default/default': onlySecond ? 'committed 200' : none,
    'shop/orders': onlySecond ? 'turned-away 404' : none,
  };
}

const AWAY: readonly (readonly StoreName[])[] = [['cache'], ['second'], STORES];

for (const away of AWAY) {
  describe(`Holdfast starts while ${away.join(', ')} is away`, () => {
    it('serves what can do without, and the rest when it comes', async (t) => {
      const town = await Town.build(t, WITHOUT);
      if (town === null) return;
      await town.start();
      await town.joined();
      // What a store refuses for good and nobody can prove to be nowhere would wait for a person.
      const traffic = new Traffic(drawn(SEED), { refusals: false });
      traffic.begin(town.http);
      await traffic.committed(100);
      // Killed, so that there is something to send forward at the start.
      await town.program.kill();
      await traffic.stop();
      const isAway = (store: StoreName): boolean => away.includes(store);
      for (const store of STORES) if (isAway(store)) await town.servers[store].kill();
      await town.start();
      assert.deepEqual(
        await town.apart(),
        Object.fromEntries([['own', 0], ...STORES.map((store) => [store, isAway(store) ? 1 : 0])]),
      );
      assert.equal((await town.http.put('/v1/data/shop/views/k', 1)).status, 200, 'needs none');
      for (const [flow, how] of Object.entries(wanted(away))) {
        assert.equal(await served(town, traffic, flow as Flow, 'new'), how, flow);
      }
      assert.equal(await town.ready(), isAway('cache') ? 'error' : 'warning');
      for (const store of STORES) if (isAway(store)) await town.servers[store].restart();
      await town.joined();
      traffic.begin(town.http);
      await traffic.committed(50);
      await traffic.stop();
      await settle(t, town, traffic);
    });
  });
}
