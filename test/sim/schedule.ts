/**
 * Simulated time: one queue of events, drawn in the order of their moments and, among equals, of
 * their making. Everything that happens in a simulated world happens as one of them, so a seed
 * replays exactly.
 */
import { seeded } from './bed.ts';

/** A seeded source of chance. */
export class Chance {
  /** In [0, 1). */
  readonly fraction: () => number;

  constructor(seed: number) {
    this.fraction = seeded(seed);
  }

  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  hits(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(from: readonly T[]): T {
    const one = from[this.below(from.length)];
    if (one === undefined) throw new RangeError('nothing to pick from');
    return one;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly task: () => void;
  /** False once whoever made it has died. */
  readonly alive: () => boolean;
}

const ALWAYS = (): boolean => true;

export class Schedule {
  readonly #events: Event[] = [];
  #order = 0;
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Runs `task` after `ms`, if `alive` still says so then. Returns how to take it back. */
  after(ms: number, task: () => void, alive: () => boolean = ALWAYS): () => void {
    const event = { atMs: this.#nowMs + Math.max(0, ms), order: this.#order, task, alive };
    this.#order += 1;
    // A binary heap would be faster; worlds hold a few hundred events, and the order must be plain.
    let at = this.#events.length;
    while (at > 0 && before(event, this.#events[at - 1] as Event)) at -= 1;
    this.#events.splice(at, 0, event);
    return () => {
      const index = this.#events.indexOf(event);
      if (index >= 0) this.#events.splice(index, 1);
    };
  }

  /** Runs the next event and every promise that follows from it. False when there is none. */
  async step(): Promise<boolean> {
    for (;;) {
      const event = this.#events.shift();
      if (event === undefined) return false;
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      if (!event.alive()) continue;
      event.task();
      await settleMicrotasks();
      return true;
    }
  }

  /** Steps until `done` says so, or nothing is left, or `stepsMax` is reached. */
  async until(done: () => boolean, stepsMax: number): Promise<boolean> {
    for (let step = 0; step < stepsMax; step += 1) {
      if (done()) return true;
      if (!(await this.step())) return done();
    }
    return done();
  }
}

function before(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** Everything that promises can do without an event has been done when this resolves. */
export function settleMicrotasks(): Promise<void> {
  return new Promise((done) => {
    setImmediate(done);
  });
}
