/**
 * Lanes: the order of each key. A write is enqueued on all its keys in one step, in intake order,
 * and runs when it is head of all (P5), so no two writes of a key are ever in the stashes at once
 * out of order, and no set of writes can wait for one another in a circle.
 *
 * Plain writes of one key that stand next to each other may run together (P8): their stashes take
 * any number of attempts of a key, handed over in order.
 */
import { laneKey } from '../kernel/words.ts';
import type { HeldWrite, Lane, Run } from '../intake/write.ts';

/** Writes of one key that run together at most; the rest stay queued, so a hot key stays fair. */
const RUN_MAX = 256;
/** Granted entries at the front of a queue are dropped in lots of this many. */
const COMPACT_AT = 512;

export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  readonly #runsTogether: (write: HeldWrite) => boolean;
  readonly #collapses: (write: HeldWrite) => boolean;
  #granted: HeldWrite[] = [];

  /**
   * `runsTogether`: whether the write may share its lane with its neighbours; `collapses`: whether
   * only the newest of those may go to its reader.
   */
  constructor(
    runsTogether: (write: HeldWrite) => boolean,
    collapses: (write: HeldWrite) => boolean,
  ) {
    this.#runsTogether = runsTogether;
    this.#collapses = collapses;
  }

  /** Enqueues in the order given. None is granted before all stand in their lanes. */
  enqueue(writes: readonly HeldWrite[]): void {
    for (const write of writes) this.#stand(write);
    for (const write of writes) {
      for (const lane of write.lanes) if (lane.active === 0) this.#advance(lane);
    }
  }

  #stand(write: HeldWrite): void {
    const { keys } = write;
    write.lanes = [];
    write.blockers = keys.length;
    for (const key of keys) {
      const name = laneKey(write.account, write.flow, key);
      let lane = this.#lanes.get(name);
      if (lane === undefined) {
        lane = { name, queue: [], head: 0, active: 0, committed: -1 };
        this.#lanes.set(name, lane);
      }
      lane.queue.push(write);
      write.lanes.push(lane);
    }
  }

  /** Lets go of every lane of `write`, which must have been granted. */
  release(write: HeldWrite): void {
    const { lanes } = write;
    write.lanes = [];
    for (const lane of lanes) {
      lane.active -= 1;
      if (lane.active > 0) continue;
      if (lane.head === lane.queue.length) this.#lanes.delete(lane.name);
      else this.#advance(lane);
    }
  }

  /** Somebody stands behind `write` (or behind its run) in one of its lanes. */
  isAwaited({ lanes }: HeldWrite): boolean {
    return lanes.some((lane) => lane.head < lane.queue.length);
  }

  /** Notes a commit for those that run beside it: an older one that fails now is superseded. */
  committed(write: HeldWrite): void {
    for (const lane of write.lanes) lane.committed = Math.max(lane.committed, write.order);
  }

  /**
   * Puts a member of a run back before those that have not been granted, in its order: it failed
   * and will be tried again, and only one write of a key may be tried at a time. False when it
   * runs alone.
   */
  requeue(write: HeldWrite): boolean {
    const [lane] = write.lanes;
    if (write.lanes.length !== 1 || lane === undefined || lane.active <= 1) return false;
    let at = lane.head;
    while (at < lane.queue.length && (lane.queue[at] as HeldWrite).order < write.order) at += 1;
    lane.queue.splice(at, 0, write);
    lane.active -= 1;
    write.blockers = 1;
    return true;
  }

  /** The writes that became head of all their lanes since the last call, in order. */
  takeGranted(): HeldWrite[] {
    const granted = this.#granted;
    if (granted.length > 0) this.#granted = [];
    return granted;
  }

  /** How many writes stand in this lane, the granted ones included. */
  depth(account: string, flow: string, key: string): number {
    const lane = this.#lanes.get(laneKey(account, flow, key));
    return lane === undefined ? 0 : lane.queue.length - lane.head + lane.active;
  }

  get size(): number {
    return this.#lanes.size;
  }

  /**
   * Of `writes`, in the order of their lanes: those that would be granted at once if they were all
   * there are. Nothing behind them can ever have been sent to a store.
   */
  firstGranted(writes: readonly HeldWrite[]): HeldWrite[] {
    const running = new Map<string, boolean>();
    return writes.filter((write) => {
      const { account, flow, keys } = write;
      const together = keys.length === 1 && this.#runsTogether(write);
      let granted = true;
      for (const key of keys) {
        const name = laneKey(account, flow, key);
        const before = running.get(name);
        if (before === false || (before === true && !together)) granted = false;
        running.set(name, together && before !== false);
      }
      return granted;
    });
  }

  #advance(lane: Lane): void {
    const { queue } = lane;
    let run: Run | null = null;
    while (lane.head < queue.length && lane.active < RUN_MAX) {
      const write = queue[lane.head];
      if (write === undefined) break;
      const together = write.lanes.length === 1 && this.#runsTogether(write);
      if (!together && lane.active > 0) break;
      lane.head += 1;
      lane.active += 1;
      write.blockers -= 1;
      if (together && this.#collapses(write)) {
        run ??= { undecided: 0, ready: [] };
        run.undecided += 1;
        write.run = run;
      }
      if (write.blockers === 0) this.#granted.push(write);
      if (!together) break;
    }
    if (lane.head >= COMPACT_AT) {
      lane.queue = queue.slice(lane.head);
      lane.head = 0;
    } else if (lane.head === queue.length) {
      lane.queue = [];
      lane.head = 0;
    }
  }
}
