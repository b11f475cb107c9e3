/** Pruning in PostgreSQL leaves what pruning in SQLite leaves, whatever was written before. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { sqliteAdapter } from '../../src/adapters/sqlite/spec.ts';
import type { Attempt } from '../../src/contracts/stash.ts';
import {
  MARK,
  START_MS,
  apply,
  attemptOf,
  deleteOf,
  look,
  pruneAll,
  undo,
  uowsOf,
  worldOn,
  type StoreBench,
} from '../contracts/bench.ts';
import { setupOf } from '../contracts/setup.ts';
import { KEEP_VERSIONS, postgresBench } from './postgres-bench.ts';
import { withServer } from './servers/servers.ts';

const KEYS = ['a', 'b', 'c', 'd'];
const KEEP_FOR_MS = 500;
const RUNS = 12;
const STEPS = 60;

/** Numbers in [0, below) that a seed gives again. */
function dice(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** One made-up life of both stores; compares what is left of every key after each pruning. */
async function live(seed: number, stores: readonly StoreBench[]): Promise<number> {
  const roll = dice(seed);
  const applied: Attempt[] = [];
  let next = 10;
  let below = 1;
  let gone = 0;
  for (let step = 0; step < STEPS; step += 1) {
    const now = START_MS + step * 40;
    for (const store of stores) store.wall.ms = now;
    const kind = roll(10);
    if (kind < 6) {
      const count = roll(8) === 0 ? 3 : 1;
      const keys = [...new Set(Array.from({ length: count }, () => KEYS[roll(4)] ?? 'a'))];
      if (roll(10) > 0) next += 1;
      const uow = roll(10) === 0 ? 1 + roll(next) : next;
      const attempt = applied.some((each) => each.uow === uow) ? 2 + roll(1000) : 1;
      // Writes are held in the order of their numbers, also those that come late.
      const heldAt = Math.max(
        START_MS,
        ...applied.filter((each) => each.uow <= uow).map((each) => each.heldAt),
        ...(uow === next && attempt === 1 ? [now] : []),
      );
      const expiresAt = roll(4) === 0 ? now + roll(600) : null;
      const more = { attempt, heldAt };
      const write =
        roll(6) === 0
          ? { ...deleteOf(uow, 'x', more), keys }
          : attemptOf(uow, keys, `value of ${uow}/${attempt}`, { ...more, expiresAt });
      applied.push(write);
      for (const store of stores) await apply(store, write);
    } else if (kind < 8) {
      // What is undone lies above what is settled, as in a running program.
      const open = applied.filter(({ uow }) => uow >= below);
      const victim = open[roll(Math.max(open.length, 1))];
      if (victim !== undefined) for (const store of stores) await undo(store, victim);
    } else {
      below = Math.max(below, next - roll(6));
      const counts = [];
      for (const store of stores) counts.push(await pruneAll(store, below));
      gone += counts[0] ?? 0;
      for (const key of KEYS) {
        const left = [];
        for (const store of stores) left.push([await uowsOf(store, key), await look(store, key)]);
        assert.deepEqual(left[1], left[0], `seed ${seed}, step ${step}, key ${key}`);
      }
    }
  }
  return gone;
}

await withServer('postgres', (server) => {
  it('leaves the same versions as SQLite, over many made-up lives', async (t) => {
    const first = Number(process.env['HOLDFAST_SEED'] ?? Date.now() % 1_000_000);
    t.diagnostic(`seeds ${first} to ${first + RUNS - 1}`);
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-prune-'));
    let gone = 0;
    try {
      for (let seed = first; seed < first + RUNS; seed += 1) {
        const postgres = await postgresBench(server().url, { keepFor: KEEP_FOR_MS });
        const world = worldOn(postgres.wall);
        const options = { keepVersions: KEEP_VERSIONS, keepFor: KEEP_FOR_MS, file: `${seed}.db` };
        const { stash, reader } = await sqliteAdapter.open(
          setupOf({ id: 'history', options, dataDirectory: folder, world }),
        );
        assert.ok(reader !== undefined);
        const sqlite = { ...postgres, stash, reader };
        try {
          gone += await live(seed, [sqlite, postgres]);
        } finally {
          await stash.close();
          await postgres.dispose();
        }
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    t.diagnostic(`${gone} versions went`);
    assert.ok(gone > RUNS, `only ${gone} went: nothing was compared`);
  });

  it('takes a long history of one key down to what is owed, in bounded calls', async () => {
    const bench = await postgresBench(server().url);
    try {
      const versions = 3000;
      const all = Array.from({ length: versions }, (_, at) => attemptOf(at + 1, ['a', `k${at}`]));
      for (let at = 0; at < versions; at += 1000) {
        await bench.stash.apply(all.slice(at, at + 1000), MARK);
      }
      assert.equal(await pruneAll(bench, versions + 1), versions - KEEP_VERSIONS);
      assert.deepEqual(await uowsOf(bench, 'a'), [versions, versions - 1, versions - 2]);
      assert.equal(await look(bench, 'k0'), 'value of 1');
      assert.equal(await bench.stash.prune(versions + 1), 0);
    } finally {
      await bench.dispose();
    }
  });
});
