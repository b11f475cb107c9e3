/**
 * A small world for tests of the journal alone: a simulated disk, a clock that stands still until
 * it is moved, seeded randomness; and the few moves those tests share.
 */
import { openJournal } from '../../src/journal/journal.ts';
import type { JournalOptions, OpenedJournal } from '../../src/journal/journal.ts';
import type { Journal } from '../../src/contracts/journal.ts';
import type { Clock, World } from '../../src/kernel/world.ts';
import { SimDisk } from './disk.ts';

export const FOLDER = '/data/journal';

/** Fractions from a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Moves only when told; `soon` runs with the machine's next turn. */
export class StillClock implements Clock {
  #now = 0;
  #timers: { at: number; task: () => void }[] = [];

  wallMs(): number {
    return this.#now;
  }

  monotonicMs(): number {
    return this.#now;
  }

  after(ms: number, task: () => void): { cancel(): void } {
    const timer = { at: this.#now + ms, task };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  soon(task: () => void): void {
    setImmediate(task);
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = this.#timers.filter((timer) => timer.at <= this.#now);
    this.#timers = this.#timers.filter((timer) => timer.at > this.#now);
    for (const timer of due) timer.task();
  }
}

export interface Bed {
  readonly disk: SimDisk;
  readonly clock: StillClock;
  readonly random: () => number;
  readonly world: World;
}

export function bedOn(disk: SimDisk, random: () => number, clock = new StillClock()): Bed {
  const source = {
    bytes: (count: number) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)),
    fraction: random,
  };
  return { disk, clock, random, world: { clock, random: source, disk } };
}

/** A bed with an empty disk whose calls end with the machine's next turn. */
export function bed(seed: number): Bed {
  const random = seeded(seed);
  return bedOn(new SimDisk({ schedule: (done) => setImmediate(done), random }), random);
}

/** Small segments, so that a few records fill several. */
export const SMALL = { segmentBytes: 4096, reserveBytes: 0, recordBytesMax: 1024 } as const;

export function openOn(on: Bed, options: Partial<JournalOptions> = {}): Promise<OpenedJournal> {
  return openJournal({ directory: FOLDER, world: on.world, ...SMALL, ...options });
}

export async function readAll(journal: Journal, from = journal.first): Promise<string[]> {
  const all: string[] = [];
  let position = from;
  for await (const batch of journal.read(from)) {
    if (batch.first !== position) throw new Error(`batch at ${batch.first}, expected ${position}`);
    position += batch.records.length;
    for (const bytes of batch.records) all.push(text(bytes));
  }
  return all;
}

/** Gives other work turns until the condition holds; throws when it does not after very many. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000; turn += 1) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never came true: ${what}`);
}

export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A record that differs from all others and is `bytes` long. */
export function record(number: number, bytes = 100): Uint8Array {
  return Buffer.from(`record ${number} `.padEnd(bytes, 'abcdefghijklmnopqrstuvwxyz'), 'latin1');
}

export function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
