/** Stashes that break a promise about pruning. */
import type { Attempt } from '../../../src/contracts/stash.ts';
import { MARK, attemptOf, everything, uowsOf, type StoreBench } from '../bench.ts';
import { applyOne, undoOne, type Spoil, type StoreRow } from './mutate.ts';

/** A mutant that remembers what was applied and undone, and prunes in its own way. */
function pruning(
  prune: (
    below: number,
    bench: StoreBench,
    applied: Attempt[],
    undone: Attempt[],
  ) => Promise<number>,
) {
  return ({ ...bench }: StoreBench): Spoil => {
    const applied: Attempt[] = [];
    const undone: Attempt[] = [];
    return {
      stash: {
        apply(all, mark) {
          applied.push(...all);
          return bench.stash.apply(all, mark);
        },
        undo(all, mark) {
          undone.push(...all);
          return bench.stash.undo(all, mark);
        },
        prune: (below) => prune(below, bench, applied, undone),
      },
    };
  };
}

/** A mutant that takes the newest version first when it has ended and older ones are left. */
function newestFirst(kind: 'delete' | 'set') {
  return pruning(async (below, { stash, reader }) => {
    const versions = await reader.history?.('acme', 'orders', 'a', null, 9, everything);
    const [newest] = versions ?? [];
    if (newest?.kind !== kind || versions?.length === 1) return stash.prune(below);
    if (kind === 'set' && newest.expiresAt === null) return stash.prune(below);
    await undoOne(stash, attemptOf(newest.uow, 'a'), MARK);
    return 1;
  });
}

export const STASH_PRUNE_MUTANTS: readonly StoreRow[] = [
  [
    'keeps one version too few',
    pruning(async (below, bench, applied, undone) => {
      const gone = await bench.stash.prune(below);
      const left = (await uowsOf(bench, 'a')).filter((uow) => uow < below);
      const plain = applied.every(({ uow, keys }, at) => uow === at + 1 && keys.length === 1);
      if (!plain || undone.length > 0 || left.length < bench.keepVersions) return gone;
      await undoOne(bench.stash, attemptOf(left.at(-1) ?? 0, 'a'), MARK);
      return gone + 1;
    }),
    'the oldest versions beyond',
    'at or above the number given, and',
  ],
  [
    'does not look at the number given',
    pruning((_, { stash }, applied) => {
      return applied.length === 0 ? Promise.resolve(0) : stash.prune(2 ** 53 - 1);
    }),
    'at or above the number given, and',
    'lets tombstones below',
  ],
  [
    'counts versions that were undone',
    pruning(async (below, bench, _applied, undone) => {
      const gone = await bench.stash.prune(below);
      if (undone.length < 2) return gone;
      const oldest = (await uowsOf(bench, 'a')).at(-1) ?? 0;
      await undoOne(bench.stash, attemptOf(oldest, 'a'), MARK);
      undone.length = 0;
      return gone;
    }),
    'does not count versions that were undone',
  ],
  [
    'takes the only value of a key',
    pruning(async (below, { stash }, applied) => {
      const [only] = applied;
      if (applied.length !== 1 || only?.kind !== 'set' || only.expiresAt !== null) {
        return stash.prune(below);
      }
      await undoOne(stash, only, MARK);
      return 0;
    }),
    'never takes the newest value',
  ],
  ['takes a delete before what it deleted', newestFirst('delete'), 'a delete goes after'],
  ['takes an expired value before older ones', newestFirst('set'), 'an expired value goes after'],
  [
    'keeps deletes for ever',
    pruning(async (below, { stash }, applied) => {
      return applied.some(({ kind }) => kind === 'delete') ? 0 : stash.prune(below);
    }),
    'a delete with nothing behind',
  ],
  [
    'keeps expired values for ever',
    pruning(async (below, { stash }, applied) => {
      return applied.some(({ expiresAt }) => expiresAt !== null) ? 0 : stash.prune(below);
    }),
    'an expired value with nothing behind',
  ],
  [
    'takes a shared value with the first key that lets go of it',
    pruning(async (below, bench, applied) => {
      const gone = await bench.stash.prune(below);
      for (const attempt of applied.filter(({ keys }) => keys.length > 1)) {
        const left = await uowsOf(bench, attempt.keys[0] ?? '');
        if (!left.includes(attempt.uow)) await undoOne(bench.stash, attempt, MARK);
      }
      return gone;
    }),
    'one of its keys still owes',
  ],
  [
    'drops every tombstone',
    pruning(async (below, { stash }, applied) => {
      return stash.prune(applied.length === 0 ? 2 ** 53 - 1 : below);
    }),
    'keeps the tombstone',
  ],
  [
    'keeps tombstones for ever',
    pruning(async (below, { stash }, applied) => (applied.length === 0 ? 0 : stash.prune(below))),
    'lets tombstones below',
  ],
  [
    'never looks again below where it has been',
    ({ stash }) => {
      let highest = 0;
      let late = false;
      return {
        stash: {
          async apply(all, mark) {
            const replies = [];
            for (const attempt of all) {
              late ||= attempt.uow < highest;
              highest = Math.max(highest, attempt.uow);
              const reply = await applyOne(stash, attempt, mark);
              if (reply !== undefined) replies.push(reply);
            }
            return replies;
          },
          prune: async (below) => (late && highest < 100 ? 0 : stash.prune(below)),
        },
      };
    },
    'a lower number that came later',
  ],
];
