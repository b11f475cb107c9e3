/**
 * The intake log: appends records to the journal and carries what they change into State, in the
 * order of the journal. State lags by a few milliseconds; `applied` waits where that matters.
 */
import { DiskFull, JournalBroken, type AppendPurpose, type Journal } from '../contracts/journal.ts';
import type { State, StateChange } from '../contracts/state.ts';
import type { Clock, Timer } from '../kernel/world.ts';
import type { Position, Uow } from '../kernel/words.ts';

/** A record to append, with what it will change in State once it is durable. */
export interface LogEntry {
  readonly record: Uint8Array;
  readonly changes: readonly StateChange[];
}

export const NO_CHANGES: readonly StateChange[] = [];

/**
 * Records that nobody waits for ride with the next append; when none comes they go after this long.
 * A sync of their own would only make the next write wait for it.
 */
const RIDE_MS = 10;
/** State takes its changes in lots: at most this many wait, for at most this long. */
const LOT_CHANGES = 2000;
const LOT_MS = 20;
/** A State without room is asked again after this long. */
const FULL_RETRY_MS = 500;
/** More than this unapplied, and new work is turned away. */
const LAG_CHANGES_MAX = 100_000;

export interface LogEvents {
  /** The receipt of this write is in State now. */
  receiptKept(uow: Uow): void;
  /** Below it every write is settled and in State: where the next start begins to read. */
  lowWater(): Position;
  /** Journal or State broke: nothing more may be acknowledged, the process must end. */
  broken(cause: JournalBroken): void;
}

/** The document that says from where a start must read the intake. */
export const LOW_WATER_DOCUMENT = { kind: 'start', id: 'low-water' } as const;

function lowWaterChange(position: Position): StateChange {
  const row = { ...LOW_WATER_DOCUMENT, account: null, body: { position }, until: null };
  return { change: 'document', row };
}

interface Waiter {
  readonly position: Position;
  readonly done: () => void;
  readonly failed: (cause: Error) => void;
}

export class IntakeLog {
  readonly journal: Journal;
  readonly #state: State;
  readonly #clock: Clock;
  readonly #events: LogEvents;
  #pending: StateChange[] = [];
  #pendingTo: Position;
  #appliedTo: Position;
  #timer: Timer | null = null;
  #committing = false;
  #full = false;
  #riders: LogEntry[] = [];
  #afterRide: (() => void)[] = [];
  #ride: Timer | null = null;
  #waiters: Waiter[] = [];
  #broken: JournalBroken | null = null;

  constructor(journal: Journal, state: State, clock: Clock, events: LogEvents) {
    this.journal = journal;
    this.#state = state;
    this.#clock = clock;
    this.#events = events;
    this.#pendingTo = journal.next;
    this.#appliedTo = journal.next;
  }

  /** Every record below is in State. */
  get appliedTo(): Position {
    return this.#appliedTo;
  }

  /** True while State has no room on its disk. */
  get full(): boolean {
    return this.#full;
  }

  /** True while State is so far behind that new work would only make it worse. */
  get lagging(): boolean {
    return this.#pending.length > LAG_CHANGES_MAX;
  }

  /** Durable records whose changes State does not hold yet. */
  get lag(): number {
    return this.#pendingTo - this.#appliedTo;
  }

  get broken(): JournalBroken | null {
    return this.#broken;
  }

  /**
   * Resolves with the position of the first entry once all are on disk. Rejects with DiskFull
   * (nothing kept) or JournalBroken (outcome unknown).
   */
  async append(entries: readonly LogEntry[], purpose: AppendPurpose): Promise<Position> {
    this.#sendRiders();
    let first: Position;
    try {
      first = await this.journal.append(
        entries.map((entry) => entry.record),
        purpose,
      );
    } catch (error) {
      if (error instanceof JournalBroken) this.#break(error);
      throw error;
    }
    this.#take(first, entries);
    return first;
  }

  /**
   * Appends records that nobody waits for: they stand before everything that is appended later, and
   * share its sync; `then` is called once they are on disk. A broken journal is told by the event.
   */
  appendRiding(entries: readonly LogEntry[], then?: () => void): void {
    for (const entry of entries) this.#riders.push(entry);
    if (then !== undefined) this.#afterRide.push(then);
    this.#ride ??= this.#clock.after(RIDE_MS, () => this.#sendRiders());
  }

  #sendRiders(): void {
    const riders = this.#riders;
    if (riders.length === 0) return;
    this.#riders = [];
    const told = this.#afterRide;
    this.#afterRide = [];
    this.#ride?.cancel();
    this.#ride = null;
    this.appendThen(riders, () => {
      for (const then of told) then();
    });
  }

  /**
   * As `append`, for what nothing can go on without: when the disk has no room even for that, the
   * log is broken, and the next start decides anew.
   */
  async appendSurely(entries: readonly LogEntry[]): Promise<Position> {
    try {
      return await this.append(entries, 'settle');
    } catch (error) {
      this.#break(new JournalBroken('a decision could not be appended', error));
      throw error;
    }
  }

  /** As `appendSurely`, and calls `then` once all are on disk. */
  appendThen(entries: readonly LogEntry[], then: () => void): void {
    this.appendSurely(entries).then(then, () => {});
  }

  /** Resolves when State holds everything up to and including the record at `position`. */
  applied(position: Position): Promise<void> {
    if (position < this.#appliedTo) return Promise.resolve();
    if (this.#broken !== null) return Promise.reject(this.#broken);
    return new Promise((done, failed) => {
      this.#waiters.push({ position, done, failed });
      this.#commitSoon(0);
    });
  }

  /** Resolves when State holds everything that is durable now, and survives a power cut. */
  async flush(): Promise<void> {
    this.#sendRiders();
    // Whatever was appended before is durable when this is.
    while (this.journal.durable < this.journal.next) await this.#nextSync();
    if (this.#pendingTo > this.#appliedTo) await this.applied(this.#pendingTo - 1);
    await this.#state.flush();
  }

  /** One more record would be one more sync; a moment is enough for those under way. */
  #nextSync(): Promise<void> {
    if (this.#broken !== null) return Promise.reject(this.#broken);
    return new Promise((done) => {
      this.#clock.after(1, done);
    });
  }

  #take(first: Position, entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      for (const change of entry.changes) this.#pending.push(change);
    }
    this.#pendingTo = first + entries.length;
    this.#commitSoon(this.#pending.length >= LOT_CHANGES ? 0 : LOT_MS);
  }

  #commitSoon(ms: number): void {
    if (this.#committing || this.#broken !== null) return;
    if (ms === 0) {
      this.#timer?.cancel();
      this.#timer = null;
      this.#commit();
    } else {
      this.#timer ??= this.#clock.after(ms, () => {
        this.#timer = null;
        this.#commit();
      });
    }
  }

  #commit(): void {
    if (this.#committing || this.#broken !== null || this.#pendingTo === this.#appliedTo) return;
    const changes = this.#pending;
    const to = this.#pendingTo;
    this.#pending = [];
    changes.push(lowWaterChange(this.#events.lowWater()));
    this.#committing = true;
    this.#state.commit(this.journal.id, to, changes).then(
      () => this.#committed(to, changes),
      (error: unknown) => {
        if (error instanceof DiskFull) this.#commitLater(changes);
        // A State that cannot keep what the intake says counts as a journal that cannot (P22).
        else this.#break(new JournalBroken('State could not be written', error));
      },
    );
  }

  /** Nothing of it was kept for want of room: it stays in front of what came since. */
  #commitLater(changes: readonly StateChange[]): void {
    this.#full = true;
    this.#pending = [...changes, ...this.#pending];
    this.#clock.after(FULL_RETRY_MS, () => {
      this.#committing = false;
      this.#commit();
    });
  }

  #committed(to: Position, changes: readonly StateChange[]): void {
    this.#committing = false;
    this.#full = false;
    this.#appliedTo = to;
    for (const change of changes) {
      if (change.change === 'receipt') this.#events.receiptKept(change.row.uow);
    }
    const ready = this.#waiters.filter((waiter) => waiter.position < to);
    this.#waiters = this.#waiters.filter((waiter) => waiter.position >= to);
    for (const waiter of ready) waiter.done();
    if (this.#pendingTo === this.#appliedTo) return;
    const hurry = this.#waiters.length > 0 || this.#pending.length >= LOT_CHANGES;
    this.#commitSoon(hurry ? 0 : LOT_MS);
  }

  #break(cause: JournalBroken): void {
    if (this.#broken !== null) return;
    this.#broken = cause;
    this.#timer?.cancel();
    for (const waiter of this.#waiters) waiter.failed(cause);
    this.#waiters = [];
    this.#events.broken(cause);
  }
}
