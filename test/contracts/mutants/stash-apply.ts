/** Stashes that break a promise about applying or undoing. */
import type { Attempt } from '../../../src/contracts/stash.ts';
import { attemptOf, uowsOf } from '../bench.ts';
import {
  applyEach,
  applyOne,
  applying,
  eachApply,
  eachUndo,
  undoEach,
  undoOne,
  type StoreRow,
} from './mutate.ts';

const id = ({ uow, attempt }: Attempt): string => `${uow}.${attempt}`;

const APPLY: readonly StoreRow[] = [
  [
    'answers in another order',
    ({ stash }) => ({
      stash: { apply: async (all, mark) => [...(await stash.apply(all, mark))].reverse() },
    }),
    'apply answers once per attempt',
  ],
  [
    'stops at the first attempt that is turned away',
    ({ stash }) => ({
      stash: {
        apply(all, mark) {
          let stopped = false;
          return applyEach(all, async (attempt) => {
            if (stopped) return undefined;
            const reply = await applyOne(stash, attempt, mark);
            stopped = reply?.reply !== 'stored';
            return reply;
          });
        },
      },
    }),
    'harms no other',
  ],
  [
    'loses the thousandth key',
    applying((attempt) => ({ ...attempt, keys: attempt.keys.slice(0, 999) })),
    'under all keys',
  ],
  [
    'keeps the array of the caller',
    ({ stash, reader }) => {
      const arrays = new Map<string, Uint8Array>();
      return {
        stash: {
          apply(all, mark) {
            for (const { digest, value } of all) arrays.set(digest, value);
            return stash.apply(all, mark);
          },
        },
        reader: {
          async get(...asked) {
            const found = await reader.get(...asked);
            return found.map((one) => {
              return one && { ...one, value: arrays.get(one.digest ?? '') ?? one.value };
            });
          },
        },
      };
    },
    'whatever becomes of the array',
  ],
  [
    'takes five hundred at once',
    ({ stash }) => ({
      stash: {
        async apply(all, mark) {
          const replies = await stash.apply(all.slice(0, 500), mark);
          return all.map((_, at) => replies[at] ?? { reply: 'stored' });
        },
      },
    }),
    'a thousand attempts',
  ],
  [
    'keeps the first of several attempts of a key',
    ({ stash }) => ({
      stash: {
        apply(all, mark) {
          const seen = new Set<string>();
          return applyEach(all, async (attempt) => {
            const keys = attempt.keys.filter((key) => !seen.has(key));
            for (const key of keys) seen.add(key);
            return keys.length === 0 ? undefined : applyOne(stash, { ...attempt, keys }, mark);
          });
        },
      },
    }),
    'of several attempts of one key',
  ],
  [
    'fails what it has already',
    eachApply(async (attempt, { stash }, mark) => {
      const [holds] = await stash.holds([attempt]);
      if (holds !== 'live') return applyOne(stash, attempt, mark);
      return { reply: 'failed', detail: 'duplicate', sent: true };
    }),
    'twice is as good as once',
  ],
  [
    'takes every duplicate for stored',
    eachApply(async (attempt, { stash }, mark) => {
      const [holds] = await stash.holds([attempt]);
      const reply = await applyOne(stash, attempt, mark);
      return holds === 'live' ? undefined : reply;
    }),
    'a different value under a number in use',
  ],
  [
    'ignores deletes',
    eachApply(async (attempt, { stash }, mark) => {
      return attempt.kind === 'delete' ? undefined : applyOne(stash, attempt, mark);
    }),
    'a delete makes the key absent',
    'a delete goes after',
    'a delete with nothing behind',
  ],
  [
    'refuses what has expired',
    eachApply(async (attempt, { stash, wall }, mark) => {
      if ((attempt.expiresAt ?? Infinity) > wall.ms) return applyOne(stash, attempt, mark);
      return { reply: 'refused', detail: 'expired' };
    }),
    'already expired',
  ],
  [
    'rounds large numbers',
    applying((attempt) => ({ ...attempt, uow: Math.min(attempt.uow, 2 ** 53 - 2) })),
    'largest exact integer',
  ],
];

const UNDO: readonly StoreRow[] = [
  [
    'undoes the first key only',
    eachUndo(async (attempt, { stash }, mark) => {
      const [holds] = await stash.holds([attempt]);
      await undoOne(stash, attempt, mark);
      const keys = attempt.keys.slice(1);
      const rest = { ...attempt, attempt: attempt.attempt + 100, keys };
      if (holds === 'live' && keys.length > 0) await applyOne(stash, rest, mark);
    }),
    'undo leaves nothing',
  ],
  [
    'undoes the second older version too',
    eachUndo(async (attempt, bench, mark) => {
      await undoOne(bench.stash, attempt, mark);
      const older = await uowsOf(bench, attempt.keys[0] ?? '');
      if (older.length !== 2) return;
      for (const uow of older) await undoOne(bench.stash, attemptOf(uow, attempt.keys), mark);
    }),
    'undo gives back what stood',
  ],
  [
    'undoes later versions too',
    eachUndo(async (attempt, bench, mark) => {
      await undoOne(bench.stash, attempt, mark);
      for (const uow of await uowsOf(bench, attempt.keys[0] ?? '')) {
        if (uow > attempt.uow) await undoOne(bench.stash, attemptOf(uow, attempt.keys), mark);
      }
    }),
    'leaves a later write of the key alone',
  ],
  [
    'cannot undo a delete',
    eachUndo(async (attempt, { stash }, mark) => {
      if (attempt.kind !== 'delete') await undoOne(stash, attempt, mark);
    }),
    'an undone delete',
  ],
  [
    'undoes the first two of a call',
    ({ stash }) => ({
      stash: {
        async undo(all, mark) {
          await stash.undo(all.slice(0, 2), mark);
          return all.map(() => ({ reply: 'undone' }));
        },
      },
    }),
    'every one is done',
    'undoes hostile keys',
  ],
  [
    'finds a conflict in its own tombstone',
    ({ stash }) => ({
      stash: {
        undo: (all, mark) =>
          undoEach(all, async (attempt) => {
            const [holds] = await stash.holds([attempt]);
            if (holds === 'tombstone') return { reply: 'undo-conflict', detail: 'changed' };
            return undoOne(stash, attempt, mark);
          }),
      },
    }),
    'undoing twice',
  ],
  [
    'fails to undo what it does not know',
    ({ stash }) => ({
      stash: {
        undo: (all, mark) =>
          undoEach(all, async (attempt) => {
            const [holds] = await stash.holds([attempt]);
            const reply = await undoOne(stash, attempt, mark);
            return holds === 'cannot-tell' ? { reply: 'failed', detail: 'unknown' } : reply;
          }),
      },
    }),
    'undoing what was never applied',
  ],
  [
    'leaves no tombstone for several keys it does not know',
    eachUndo(async (attempt, { stash }, mark) => {
      const [holds] = await stash.holds([attempt]);
      if (holds === 'live' || attempt.keys.length === 1) await undoOne(stash, attempt, mark);
    }),
    'after the undo of a never applied attempt',
  ],
  [
    'applies again what it had and undid',
    ({ stash }) => {
      const had = new Set<string>();
      return {
        stash: {
          apply: (all, mark) =>
            applyEach(all, async (attempt) => {
              const [holds] = await stash.holds([attempt]);
              const late = holds === 'tombstone' && had.has(id(attempt));
              had.add(id(attempt));
              const number = attempt.attempt + (late ? 50 : 0);
              return applyOne(stash, { ...attempt, attempt: number }, mark);
            }),
        },
      };
    },
    'arrives again after the undo',
  ],
  [
    'buries a write with its first attempt',
    eachApply(async (attempt, { stash }, mark) => {
      const [first] = await stash.holds([{ ...attempt, attempt: 1 }]);
      if (first !== 'tombstone') return applyOne(stash, attempt, mark);
      return { reply: 'failed', detail: 'undone', sent: true };
    }),
    'the next attempt of a write',
  ],
];

export const STASH_APPLY_MUTANTS: readonly StoreRow[] = [...APPLY, ...UNDO];
