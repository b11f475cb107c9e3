/** The lines of the stash suite on pruning. They apply to stores that keep versions. */
import assert from 'node:assert/strict';
import {
  START_MS,
  apply,
  attemptOf,
  deleteOf,
  look,
  pruneAll,
  undo,
  uowsOf,
  type StoreBench,
} from './bench.ts';
import type { Line } from './suite.ts';

const keepsVersions = (bench: StoreBench): boolean => bench.reader.history !== undefined;

/** Applies writes `from` to `to` (inclusive) of one key. */
async function writes(bench: StoreBench, key: string, from: number, to: number): Promise<void> {
  for (let uow = from; uow <= to; uow += 1) await apply(bench, attemptOf(uow, key));
}

const LINES: readonly Line<StoreBench>[] = [
  {
    promise: 'prune takes the oldest versions beyond those that are kept, and counts them',
    async check(bench) {
      await writes(bench, 'a', 1, bench.keepVersions + 4);
      assert.equal(await pruneAll(bench, 1000), 4);
      const left = Array.from({ length: bench.keepVersions }, (_, at) => at + 5).reverse();
      assert.deepEqual(await uowsOf(bench, 'a'), left);
    },
  },
  {
    promise: 'prune leaves alone what lies at or above the number given, and does not count it',
    async check(bench) {
      const { keepVersions } = bench;
      await writes(bench, 'a', 1, keepVersions + 5);
      assert.equal(await pruneAll(bench, keepVersions + 1), 0);
      assert.equal((await uowsOf(bench, 'a')).length, keepVersions + 5);
    },
  },
  {
    promise: 'prune does not count versions that were undone',
    async check(bench) {
      const { keepVersions } = bench;
      await writes(bench, 'a', 1, keepVersions + 2);
      const undone = [attemptOf(keepVersions + 1, 'a'), attemptOf(keepVersions + 2, 'a')];
      await undo(bench, ...undone);
      await pruneAll(bench, 1000);
      assert.equal((await uowsOf(bench, 'a')).length, keepVersions);
    },
  },
  {
    promise: 'prune never takes the newest value',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      await pruneAll(bench, 1000);
      assert.equal(await look(bench, 'a'), 'value of 1');
    },
  },
  {
    promise: 'prune never raises the dead: a delete goes after everything older',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'), attemptOf(2, 'a'));
      await apply(bench, deleteOf(3, 'a'));
      for (let round = 0; round < 5; round += 1) {
        await bench.stash.prune(1000);
        assert.equal(await look(bench, 'a'), null);
      }
    },
  },
  {
    promise: 'prune never raises the dead: an expired value goes after everything older',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      await apply(bench, attemptOf(2, 'a', 'short', { expiresAt: START_MS + 10 }));
      bench.wall.ms = START_MS + 11;
      for (let round = 0; round < 5; round += 1) {
        await bench.stash.prune(1000);
        assert.equal(await look(bench, 'a'), null);
      }
    },
  },
  {
    promise: 'prune lets a delete with nothing behind it go',
    async check(bench) {
      await apply(bench, deleteOf(1, 'a'));
      assert.equal(await pruneAll(bench, 1000), 1);
      assert.deepEqual(await uowsOf(bench, 'a'), []);
    },
  },
  {
    promise: 'prune lets an expired value with nothing behind it go, also when it expires later',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a', 'short', { expiresAt: START_MS + 10 }));
      assert.equal(await pruneAll(bench, 1000), 0);
      bench.wall.ms = START_MS + 11;
      assert.equal(await pruneAll(bench, 1000), 1);
      assert.deepEqual(await uowsOf(bench, 'a'), []);
    },
  },
  {
    promise: 'prune keeps a value that one of its keys still owes',
    async check(bench) {
      await apply(bench, attemptOf(1, ['a', 'b']));
      await writes(bench, 'a', 2, bench.keepVersions + 3);
      await pruneAll(bench, 1000);
      assert.equal(await look(bench, 'b'), 'value of 1');
      assert.equal((await uowsOf(bench, 'a')).length, bench.keepVersions);
    },
  },
  {
    promise: 'prune keeps the tombstone of an attempt at or above the number given',
    async check(bench) {
      await undo(bench, attemptOf(5, 'a'));
      await pruneAll(bench, 5);
      assert.deepEqual(await apply(bench, attemptOf(5, 'a')), ['failed']);
    },
  },
  {
    promise: 'prune lets tombstones below the number given go',
    async check(bench) {
      await undo(bench, attemptOf(5, 'a'));
      assert.equal(await pruneAll(bench, 6), 1);
      const [reply] = await bench.stash.holds([attemptOf(5, 'a')]);
      assert.notEqual(reply, 'tombstone');
    },
  },
  {
    promise: 'prune finds a write with a lower number that came later',
    async check(bench) {
      const { keepVersions } = bench;
      await writes(bench, 'a', 10, 9 + keepVersions);
      await pruneAll(bench, 1000);
      await apply(bench, attemptOf(5, 'a'));
      assert.equal(await pruneAll(bench, 1000), 1);
      assert.equal((await uowsOf(bench, 'a')).at(-1), 10);
    },
  },
];

export const PRUNE_LINES: readonly Line<StoreBench>[] = LINES.map((line) => {
  return { ...line, appliesTo: keepsVersions };
});
