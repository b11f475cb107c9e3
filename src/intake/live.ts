/**
 * The writes that live: every write from its hold until its receipt is in State. Answers where a
 * write is, up to where everything is settled, who still waits, and how much memory it all takes.
 */
import { LIMITS } from '../kernel/limits.ts';
import type { Position, Uow } from '../kernel/words.ts';
import type { Clock, Timer } from '../kernel/world.ts';
import { ByUow } from './by-uow.ts';
import type { HeldWrite, Phase } from './write.ts';

/** Deadlines of waiting callers are looked at this often: one timer instead of one per write. */
const DEADLINE_TICK_MS = 25;

/** Where the record of a write stands, or stood before it was written anew. */
interface Place {
  readonly write: HeldWrite;
  readonly position: Position;
}

export class Live {
  readonly #clock: Clock;
  readonly #writesMax: number;
  readonly #byUow = new ByUow();
  /** Writes by position, for the low-water mark; those that are kept leave from the front. */
  #order: (Place | null)[] = [];
  #orderHead = 0;
  /** How many wait for their outcome, with a deadline. */
  #waiting = 0;
  #tick: Timer | null = null;
  #unsettled = 0;
  #bytes = 0;

  /** `writesMax` bounds the unsettled ones. */
  constructor(clock: Clock, writesMax: number) {
    this.#clock = clock;
    this.#writesMax = writesMax;
  }

  get(uow: Uow): HeldWrite | undefined {
    return this.#byUow.get(uow);
  }

  get unsettled(): number {
    return this.#unsettled;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts an admitted write in before it is durable. */
  admit(write: HeldWrite): void {
    this.#unsettled += 1;
    this.#bytes += write.weight;
    this.#byUow.set(write);
  }

  /** Takes back `admit`: it could not be held. */
  dropUnheld(write: HeldWrite): void {
    this.#unsettled -= 1;
    this.#bytes -= write.weight;
    this.#byUow.delete(write.uow);
  }

  /** The write's record stands at `position` (again, when it was carried forward or tried anew). */
  placed(write: HeldWrite, position: Position): void {
    write.position = position;
    if (write.order < 0) write.order = position;
    this.#order.push({ write, position });
  }

  settled(write: HeldWrite): void {
    this.#unsettled -= 1;
    this.#bytes -= write.weight;
    this.#leave(write);
    const watchers = write.watchers;
    write.watchers = null;
    for (const watcher of watchers ?? []) watcher(write);
  }

  /** Its receipt is in State: nothing of it needs memory any more. */
  forget(uow: Uow): void {
    const write = this.#byUow.get(uow);
    if (write === undefined || write.phase !== 'settled') return;
    write.kept = true;
    this.#byUow.delete(uow);
  }

  /**
   * Every write held below this position is settled, and its receipt is in State; `next` is the
   * journal's end. A mark that ran ahead of State would let a start pass over outcomes it needs.
   */
  lowWater(next: Position): Position {
    const order = this.#order;
    let head = this.#orderHead;
    for (; head < order.length; head += 1) {
      const entry = order[head];
      if (entry === undefined || entry === null) break;
      const stale = entry.write.position !== entry.position;
      if (!stale && !entry.write.kept) break;
      // Let go of at once: what is held on to for a while more is dear to collect.
      order[head] = null;
    }
    this.#orderHead = head;
    if (head > 1024 && head * 2 > order.length) {
      this.#order = order.slice(head);
      this.#orderHead = 0;
    }
    return this.#order[this.#orderHead]?.position ?? next;
  }

  /** Every uow below is settled, or will only ever come back as a later attempt of its own. */
  oldestUow(): Uow {
    let oldest = Number.MAX_SAFE_INTEGER;
    for (const write of this.#byUow.values()) {
      if (write.phase !== 'settled' && write.uow < oldest) oldest = write.uow;
    }
    return oldest;
  }

  /** Unsettled writes whose record lies below `position`, oldest first. */
  below(position: Position): HeldWrite[] {
    const found: HeldWrite[] = [];
    for (let at = this.#orderHead; at < this.#order.length; at += 1) {
      const entry = this.#order[at];
      if (entry === undefined || entry === null || entry.position >= position) break;
      if (entry.write.position === entry.position && entry.write.phase !== 'settled') {
        found.push(entry.write);
      }
    }
    return found;
  }

  /** How many live writes are in each phase. */
  phases(): Partial<Record<Phase, number>> {
    const counts: Partial<Record<Phase, number>> = {};
    for (const write of this.#byUow.values()) counts[write.phase] = (counts[write.phase] ?? 0) + 1;
    return counts;
  }

  all(): Iterable<HeldWrite> {
    return this.#byUow.values();
  }

  /** Calls `expired` if the write has not been settled when its `waitUntil` has passed. */
  wait(write: HeldWrite, expired: (write: HeldWrite) => void): void {
    write.waits = true;
    this.#waiting += 1;
    this.#expired = expired;
    if (this.#tick === null) this.#setTick();
  }

  #expired: (write: HeldWrite) => void = () => {};

  #leave(write: HeldWrite): void {
    if (!write.waits) return;
    write.waits = false;
    this.#waiting -= 1;
  }

  #look(): void {
    this.#tick = null;
    const now = this.#clock.monotonicMs();
    for (const write of this.#byUow.values()) {
      if (!write.waits || write.waitUntil > now) continue;
      this.#leave(write);
      this.#expired(write);
    }
    if (this.#waiting > 0) this.#setTick();
  }

  #setTick(): void {
    this.#tick = this.#clock.after(DEADLINE_TICK_MS, () => this.#look());
  }

  /** True when one more write of this weight fits. */
  fits(weight: number): boolean {
    return this.#unsettled < this.#writesMax && this.#bytes + weight <= LIMITS.inFlightBytesMax;
  }
}
