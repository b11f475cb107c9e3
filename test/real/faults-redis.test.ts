/**
 * What happens to a Redis in real life, in the middle of traffic: to the one that is read from, and
 * to the one that is a member of the set.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until } from '../process/http.ts';
import { undergo, type Ordeal } from './ordeal.ts';
import { freePort } from './servers/ports.ts';
import { ask } from './servers/redis-wire.ts';
import { serverOrSkip } from './servers/servers.ts';
import { Town, type StoreName } from './town.ts';
import type { Traffic } from './traffic.ts';

/** Writes that end while the fault lasts. */
const MET = 40;

/** It is found out, /ready says so where reads depend on it, and writes meet it. */
async function apart(town: Town, store: StoreName, traffic: Traffic): Promise<void> {
  await town.parted(store);
  await town.saysReady(store === 'cache' ? 'error' : 'warning');
  await traffic.more(MET, () => true);
}

/** It answers, and takes no writes. */
async function unable(town: Town, store: StoreName, traffic: Traffic): Promise<void> {
  await traffic.more(MET, ({ end }) => end === 'failed' || end === 'turned-away');
  await town.saysReady(store === 'cache' ? 'error' : 'warning');
}

function killed(store: StoreName, empty: boolean): Ordeal {
  return {
    async strike(town, traffic) {
      await town.servers[store].kill();
      await apart(town, store, traffic);
    },
    mend: (town) => town.servers[store].restart({ empty }),
  };
}

/** Commands that take the ability to write, and those that give it back. */
function crippled(store: StoreName, take: readonly string[], give: readonly string[]): Ordeal {
  return {
    async strike(town, traffic) {
      await town.redis(store, [...take]);
      await unable(town, store, traffic);
    },
    mend: async (town) => void (await town.redis(store, [...give])),
  };
}

/** How many attempts a store was given again, over all its returns. */
function refilled(town: Town, store: StoreName): number {
  return town.program.log().reduce((sum, { msg }) => {
    if (typeof msg !== 'string') return sum;
    const found = /stash "(\w+)" takes part again; (\d+) attempts/.exec(msg);
    return found?.[1] === store ? sum + Number(found[2]) : sum;
  }, 0);
}

for (const store of ['cache', 'second'] as const) {
  const what = store === 'cache' ? 'the Redis that is read from' : 'the Redis in the set';
  describe(what, () => {
    it('is killed and comes back with what it had on disk', async (t) => {
      const town = await Town.open(t);
      if (town === null) return;
      const { traffic } = await undergo(t, town, killed(store, false));
      if (store === 'second') return;
      assert.ok(traffic.readings.unavailable > 0, 'nobody heard that nothing can be read');
    });

    it('is killed, comes back empty, and is made whole before it serves', async (t) => {
      const town = await Town.open(t);
      if (town === null) return;
      const { traffic } = await undergo(t, town, killed(store, true));
      const count = refilled(town, store);
      t.diagnostic(`${count} attempts were refilled`);
      assert.ok(count > 0, 'nothing was refilled');
      if (store === 'second') return;
      assert.ok(traffic.readings.unavailable > 0, 'nobody heard that nothing can be read');
    });

    it('stands still for longer than every time-out, and goes on', async (t) => {
      const town = await Town.open(t);
      if (town === null) return;
      await undergo(t, town, {
        async strike(_, traffic) {
          town.servers[store].stop();
          await apart(town, store, traffic);
        },
        mend: async () => town.servers[store].cont(),
      });
    });

    it('becomes a replica of a master that is away, and a master again', async (t) => {
      const town = await Town.open(t);
      if (town === null) return;
      const take = ['REPLICAOF', '127.0.0.1', String(await freePort())];
      await undergo(t, town, crippled(store, take, ['REPLICAOF', 'NO', 'ONE']));
    });

    it('becomes a replica of an empty master, loses all, and is made whole again', async (t) => {
      const town = await Town.open(t);
      const other = town === null ? null : await serverOrSkip(t, 'redis');
      if (town === null || other === null) return;
      await ask(other.port, undefined, ['CONFIG', 'SET', 'repl-diskless-sync-delay', '0']);
      const take = ['REPLICAOF', '127.0.0.1', String(other.port)];
      const ordeal = crippled(store, take, ['REPLICAOF', 'NO', 'ONE']);
      await undergo(t, town, {
        ...ordeal,
        async mend(_, traffic) {
          await until('it has what its master has: nothing', async () => {
            const [info] = await town.redis(store, ['INFO', 'replication']);
            return String(info).includes('master_link_status:up');
          });
          await ordeal.mend(town, traffic);
        },
      });
    });

    it('wants replicas that it does not have', async (t) => {
      const town = await Town.open(t);
      if (town === null) return;
      const config = ['CONFIG', 'SET', 'min-replicas-to-write'];
      await undergo(t, town, crippled(store, [...config, '1'], [...config, '0']));
    });

    it('is out of memory, and is given more', async (t) => {
      const town = await Town.open(t);
      if (town === null) return;
      const config = ['CONFIG', 'SET', 'maxmemory'];
      await undergo(t, town, crippled(store, [...config, '1'], [...config, '0']));
    });
  });
}
