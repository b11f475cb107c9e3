/** A cluster of three in the place of one Redis, and one of its nodes goes: its slots with it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { undergo } from './ordeal.ts';
import { Town } from './town.ts';

const MET = 30;

for (const store of ['cache', 'second'] as const) {
  const what = store === 'cache' ? 'the cluster that is read from' : 'the cluster in the set';
  describe(what, () => {
    it(`loses a node, which comes back ${store === 'cache' ? 'empty' : 'as it was'}`, async (t) => {
      const town = await Town.open(t, { servers: { [store]: 'redis-cluster' } });
      if (town === null) return;
      const [, node] = town.servers[store].nodes;
      assert.ok(node !== undefined);
      await undergo(t, town, {
        async strike(_, traffic) {
          await node.kill();
          await traffic.more(MET, ({ end }) => end === 'failed' || end === 'turned-away');
        },
        mend: () => node.restart({ empty: store === 'cache' }),
      });
    });

    it('has a node that stands still for longer than every time-out', async (t) => {
      const town = await Town.open(t, { servers: { [store]: 'redis-cluster' } });
      if (town === null) return;
      const [, node] = town.servers[store].nodes;
      await undergo(t, town, {
        async strike(_, traffic) {
          node?.stop();
          await traffic.more(MET, ({ end }) => end === 'failed' || end === 'turned-away');
        },
        mend: async () => node?.cont(),
      });
    });
  });
}
