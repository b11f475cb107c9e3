/**
 * The newest versions, not yet in the index by key. Keys come in no order, so putting each into the
 * index at once touches a page per version, which then goes through the log: four times the work of
 * all the rest. Instead they wait here and go over sorted, many to a page. The table of attempts
 * has them all, so what is lost here with the process is read again from there.
 */
import type { Visible } from '../../contracts/reader.ts';
import type { Uow } from '../../kernel/words.ts';

export interface Waiting {
  readonly space: number;
  readonly key: string;
  readonly uow: Uow;
  readonly attempt: number;
  /** No longer wanted in the index: it is there already, or was undone. */
  done: boolean;
  /** The next older one of its key that came in the same generation. */
  older: Waiting | undefined;
}

export interface TailSizes {
  /** Versions sorted at a time: bounds the pause. */
  readonly run: number;
  /**
   * Sorted runs that go over together: the more, the fewer pages are touched, and the more memory.
   */
  readonly runs: number;
}

/** At most about twice 131,072 versions wait, of some 150 bytes and their key each. */
export const TAIL_SIZES: TailSizes = { run: 1024, runs: 128 };

/**
 * Space, then key, then age: of a key the newest goes over last, and is found at once till then.
 */
function compare(one: Waiting, other: Waiting): number {
  if (one.space !== other.space) return one.space - other.space;
  if (one.key !== other.key) return one.key < other.key ? -1 : 1;
  return one.uow - other.uow || one.attempt - other.attempt;
}

function isOlder(one: Waiting, other: Waiting): boolean {
  return one.uow < other.uow || (one.uow === other.uow && one.attempt < other.attempt);
}

/** By space, then by key: the newest version of the key. No text is put together for a look-up. */
type ByKey = Map<number, Map<string, Waiting>>;

export class Tail {
  readonly #sizes: TailSizes;
  #coming: ByKey = new Map();
  #run: Waiting[] = [];
  #runs: Waiting[][] = [];
  /** The generation that is going over, as a heap of runs by their last (smallest) entry. */
  #going: ByKey = new Map();
  #heap: Waiting[][] = [];
  #uowMax = 0;
  #left = 0;

  constructor(sizes: TailSizes) {
    this.#sizes = sizes;
  }

  add(space: number, key: string, uow: Uow, attempt: number): void {
    const entry: Waiting = { space, key, uow, attempt, done: false, older: undefined };
    const keys = this.#coming.get(space) ?? new Map<string, Waiting>();
    if (keys.size === 0) this.#coming.set(space, keys);
    const newest = keys.get(key);
    if (newest === undefined || isOlder(newest, entry)) {
      entry.older = newest;
      keys.set(key, entry);
    } else {
      let newer = newest;
      while (newer.older !== undefined && isOlder(entry, newer.older)) newer = newer.older;
      entry.older = newer.older;
      newer.older = entry;
    }
    if (uow > this.#uowMax) this.#uowMax = uow;
    this.#left += 1;
    this.#run.push(entry);
    if (this.#run.length >= this.#sizes.run) this.#closeRun();
  }

  #closeRun(): void {
    if (this.#run.length === 0) return;
    // Largest first, so that the smallest is taken off the end.
    this.#runs.push(this.#run.sort((one, other) => compare(other, one)));
    this.#run = [];
  }

  /** Versions of a key that wait: those of each generation newest first. */
  *of(space: number, key: string): Generator<Waiting> {
    for (const generation of [this.#coming, this.#going]) {
      let entry = generation.get(space)?.get(key);
      for (; entry !== undefined; entry = entry.older) if (!entry.done) yield entry;
    }
  }

  /** The newest version of a key that waits and that `visible` lets through. */
  newest(space: number, key: string, visible: Visible): Waiting | undefined {
    const one = newestIn(this.#coming.get(space)?.get(key), visible);
    const other = newestIn(this.#going.get(space)?.get(key), visible);
    if (one === undefined || other === undefined) return one ?? other;
    return isOlder(one, other) ? other : one;
  }

  get isEmpty(): boolean {
    return this.#left === 0;
  }

  /** Takes an entry out: it is in the index now, or must not come there. */
  settle(entry: Waiting): void {
    if (entry.done) return;
    this.#left -= 1;
    entry.done = true;
  }

  /** Whether entries should go over now. */
  get isDue(): boolean {
    return this.#heap.length > 0 || this.#runs.length >= this.#sizes.runs;
  }

  /** Up to `count` entries, the next in key order; fewer end the generation. */
  take(count: number): Waiting[] {
    if (this.#heap.length === 0) this.#startGeneration();
    const taken: Waiting[] = [];
    while (taken.length < count) {
      const entry = this.#next();
      if (entry === undefined) break;
      if (!entry.done) taken.push(entry);
    }
    if (this.#heap.length === 0) this.#going = new Map();
    return taken;
  }

  /** Every uow at or below is in the index once no generation is going over. */
  get settledTo(): Uow {
    let least = this.#uowMax + 1;
    for (const run of [this.#run, ...this.#runs, ...this.#heap]) {
      for (const { uow, done } of run) if (!done && uow < least) least = uow;
    }
    return least - 1;
  }

  #startGeneration(): void {
    this.#closeRun();
    this.#heap = this.#runs;
    this.#runs = [];
    this.#going = this.#coming;
    this.#coming = new Map();
    for (let at = this.#heap.length >> 1; at >= 0; at -= 1) this.#sink(at);
  }

  #next(): Waiting | undefined {
    const [run] = this.#heap;
    const entry = run?.pop();
    if (run?.length === 0) {
      const last = this.#heap.pop();
      if (last !== undefined && this.#heap.length > 0) this.#heap[0] = last;
    }
    this.#sink(0);
    return entry;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    for (let at = from; ;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && this.#isLess(child, least)) least = child;
      }
      if (least === at) return;
      const run = heap[at];
      const other = heap[least];
      if (run === undefined || other === undefined) return;
      heap[at] = other;
      heap[least] = run;
      at = least;
    }
  }

  #isLess(one: number, other: number): boolean {
    const a = this.#heap[one]?.at(-1);
    const b = this.#heap[other]?.at(-1);
    return a !== undefined && b !== undefined && compare(a, b) < 0;
  }
}

function newestIn(entry: Waiting | undefined, visible: Visible): Waiting | undefined {
  let found = entry;
  while (found !== undefined && (found.done || !visible(found.uow, found.attempt))) {
    found = found.older;
  }
  return found;
}
