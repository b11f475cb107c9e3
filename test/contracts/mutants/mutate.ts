/** How mutants are made: an adapter that keeps its contract, with one method spoilt. */
import assert from 'node:assert/strict';
import type { Reader } from '../../../src/contracts/reader.ts';
import type { Attempt, Mark, Stash, StashReply, UndoReply } from '../../../src/contracts/stash.ts';
import { memoryBench } from '../benches.ts';
import type { StoreBench } from '../bench.ts';
import type { Line, Mutant } from '../suite.ts';

/** `target` with some of its methods replaced. */
export function spoilt<T extends object>(target: T, over: Partial<T>): T {
  return new Proxy(target, {
    get(object, name) {
      const from = Object.hasOwn(over, name) ? over : object;
      const value: unknown = Reflect.get(from, name, from);
      return typeof value === 'function' ? (value.bind(from) as unknown) : value;
    },
  });
}

export interface Spoil {
  readonly stash?: Partial<Stash>;
  readonly reader?: Partial<Reader>;
  readonly reopen?: StoreBench['reopen'];
}

/** A memory store with what `spoil` returns put in place of its own. */
export function spoiltStore(spoil: (bench: StoreBench) => Spoil): () => Promise<StoreBench> {
  return async () => {
    const bench = await memoryBench();
    const { stash = {}, reader = {}, reopen = bench.reopen } = spoil(bench);
    return {
      ...bench,
      stash: spoilt(bench.stash, { ...stash, ...marking(bench.stash, stash.apply) }),
      reader: spoilt(bench.reader, reader),
      reopen,
    };
  };
}

/** A call without attempts brings a mark: it reaches the store whatever is done to attempts. */
function marking(stash: Stash, apply: Stash['apply'] | undefined): Partial<Stash> {
  if (apply === undefined) return {};
  return { apply: (all, mark) => (all.length === 0 ? stash.apply(all, mark) : apply(all, mark)) };
}

/** The promises that hold these words, each found exactly once, in the order of the suite. */
export function promisesWith<B>(lines: readonly Line<B>[], ...words: string[]): string[] {
  const found = words.map((word) => {
    const matching = lines.filter((line) => line.promise.includes(word));
    assert.equal(matching.length, 1, `"${word}" names ${matching.length} lines`);
    return matching[0]?.promise ?? '';
  });
  return lines.map((line) => line.promise).filter((promise) => found.includes(promise));
}

/** What a mutant does wrong, how, and words of the lines that notice. */
export type StoreRow = readonly [string, (bench: StoreBench) => Spoil, ...string[]];

/** The mutants of a table. */
export function storeMutants(
  lines: readonly Line<StoreBench>[],
  table: readonly StoreRow[],
): Mutant<StoreBench>[] {
  return table.map(([bug, spoil, ...words]) => {
    return { bug, make: spoiltStore(spoil), caughtBy: promisesWith(lines, ...words) };
  });
}

/** Attempts changed on their way into the store. */
export function applying(change: (attempt: Attempt) => Attempt) {
  return (bench: StoreBench): Spoil => ({
    stash: { apply: (attempts, mark) => bench.stash.apply(attempts.map(change), mark) },
  });
}

/** Attempts handed over one by one. */
export async function applyEach(
  attempts: readonly Attempt[],
  one: (attempt: Attempt) => Promise<StashReply | undefined>,
): Promise<StashReply[]> {
  const replies: StashReply[] = [];
  for (const attempt of attempts) {
    replies.push((await one(attempt)) ?? { reply: 'stored' });
  }
  return replies;
}

export async function undoEach(
  attempts: readonly Attempt[],
  one: (attempt: Attempt) => Promise<UndoReply | undefined>,
): Promise<UndoReply[]> {
  const replies: UndoReply[] = [];
  for (const attempt of attempts) {
    replies.push((await one(attempt)) ?? { reply: 'undone' });
  }
  return replies;
}

/** Applies one attempt behind the mutant's back. */
export async function applyOne(
  stash: Stash,
  attempt: Attempt,
  mark: Mark,
): Promise<StashReply | undefined> {
  return (await stash.apply([attempt], mark))[0];
}

export async function undoOne(
  stash: Stash,
  attempt: Attempt,
  mark: Mark,
): Promise<UndoReply | undefined> {
  return (await stash.undo([attempt], mark))[0];
}

/** A mutant that treats each attempt of an apply for itself. */
export function eachApply(
  one: (attempt: Attempt, bench: StoreBench, mark: Mark) => Promise<StashReply | undefined>,
) {
  return ({ ...bench }: StoreBench): Spoil => ({
    stash: {
      apply: (attempts, mark) => applyEach(attempts, (attempt) => one(attempt, bench, mark)),
    },
  });
}

/** A mutant that treats each attempt of an undo for itself. */
export function eachUndo(one: (attempt: Attempt, bench: StoreBench, mark: Mark) => Promise<void>) {
  return ({ ...bench }: StoreBench): Spoil => ({
    stash: {
      undo: (attempts, mark) =>
        undoEach(attempts, async (attempt) => {
          await one(attempt, bench, mark);
          return undefined;
        }),
    },
  });
}
