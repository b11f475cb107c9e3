/** Stashes that break a promise about keys and bytes, marks, holds, restarts. */
import type { Mark } from '../../../src/contracts/stash.ts';
import { MARK, attemptOf, everything } from '../bench.ts';
import { memoryBench } from '../benches.ts';
import { applying, eachUndo, undoOne, type StoreRow } from './mutate.ts';

const KEYS: readonly StoreRow[] = [
  [
    'stores text',
    applying((attempt) => {
      const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(attempt.value);
      return { ...attempt, value: new TextEncoder().encode(text) };
    }),
    'stores bytes exactly',
  ],
  [
    'cuts values at 8 MiB',
    applying((attempt) => ({ ...attempt, value: attempt.value.slice(0, 8 * 1024 * 1024) })),
    '16 MiB',
  ],
  [
    'normalizes keys',
    ({ stash, reader }) => {
      const fold = (keys: readonly string[]): string[] => keys.map((key) => key.normalize('NFC'));
      return {
        stash: {
          apply(all, mark) {
            const folded = all.map((attempt) => ({ ...attempt, keys: fold(attempt.keys) }));
            return stash.apply(folded, mark);
          },
        },
        reader: {
          get: (account, flow, keys, visible) => reader.get(account, flow, fold(keys), visible),
        },
      };
    },
    'keeps hostile keys apart',
    'undoes hostile keys',
  ],
  [
    'takes a key with a star for a pattern when it undoes',
    eachUndo(async (attempt, { stash, reader }, mark) => {
      const [key = ''] = attempt.keys;
      await undoOne(stash, attempt, mark);
      if (!key.endsWith('*')) return;
      const start = key.slice(0, -1);
      const page = await reader.scan('acme', 'orders', start, null, 100, everything);
      const keys = page.items.map((item) => item.key);
      for (const found of await reader.get('acme', 'orders', keys, everything)) {
        await undoOne(stash, attemptOf(found?.uow ?? 0, 'any'), mark);
      }
    }),
    'undoes hostile keys',
  ],
  [
    'mixes up flows',
    ({ stash, reader }) => ({
      stash: {
        apply(all, mark) {
          const mixed = all.map((attempt) => ({ ...attempt, flow: 'orders' }));
          return stash.apply(mixed, mark);
        },
      },
      reader: {
        get: (account, _flow, keys, visible) => reader.get(account, 'orders', keys, visible),
      },
    }),
    'keeps accounts and flows apart',
  ],
];

const BOOKS: readonly StoreRow[] = [
  [
    'makes up a mark',
    ({ stash }) => ({
      stash: { mark: async () => (await stash.mark()) ?? { ...MARK, position: 0 } },
    }),
    'a new store has no mark',
  ],
  [
    'keeps the mark for the next call with attempts',
    ({ stash }) => {
      let kept: Mark | null = null;
      return {
        stash: {
          apply(all, mark) {
            if (all.length > 0) kept = mark;
            return stash.apply(all, mark);
          },
          mark: async () => kept,
        },
      };
    },
    'a call without attempts',
  ],
  [
    'marks what comes next as well',
    ({ stash }) => ({
      stash: {
        async undo(all, mark) {
          const replies = await stash.undo(all, mark);
          await stash.apply([], { ...mark, position: mark.position + 1 });
          return replies;
        },
      },
    }),
    'the mark is none, or one',
  ],
  [
    'takes a tombstone for a live attempt',
    ({ stash }) => ({
      stash: {
        async holds(all) {
          const replies = await stash.holds(all);
          return replies.map((reply) => (reply === 'tombstone' ? 'live' : reply));
        },
      },
    }),
    'holds tells a live attempt',
  ],
  [
    'takes an unknown attempt for one it has',
    ({ stash }) => ({
      stash: {
        async holds(all) {
          const replies = await stash.holds(all);
          return replies.map((reply) => (reply === 'cannot-tell' ? 'live' : reply));
        },
      },
    }),
    'holds never takes',
  ],
  [
    'loses all at a fence',
    ({ stash, reader }) => {
      let lost = false;
      return {
        stash: {
          async fence() {
            lost = true;
            await stash.fence();
          },
        },
        reader: {
          async get(...asked) {
            const found = await reader.get(...asked);
            return lost ? found.map(() => null) : found;
          },
        },
      };
    },
    'a fence and a flush',
  ],
  [
    'finds errors in a store that is well',
    () => ({ stash: { probe: async () => [{ level: 'error', check: 'x', detail: 'y' }] } }),
    'a probe of a store',
  ],
  [
    'comes back from a restart with a mark and nothing below it',
    () => ({
      async reopen() {
        const again = await memoryBench();
        await again.stash.apply([], MARK);
        return again;
      },
    }),
    'a restart keeps',
  ],
];

export const STASH_BOOK_MUTANTS: readonly StoreRow[] = [...KEYS, ...BOOKS];
