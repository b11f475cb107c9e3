/**
 * The driver of one stash: batches what the fan-out hands over, keeps one call in flight (a few
 * where the store takes them in order), fences before anything is sent again, and pauses between
 * tries. It reports and never decides.
 */
import type { Mark, Stash, StashReply, UndoReply } from '../contracts/stash.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { Clock } from '../kernel/world.ts';
import type { HeldWrite } from '../intake/write.ts';
import { Breaker } from './breaker.ts';

export interface DriverEvents {
  applied(driver: StashDriver, writes: readonly HeldWrite[], replies: Replies, ms: number): void;
  undone(driver: StashDriver, write: HeldWrite, reply: UndoReply): void;
  /** Whether nothing of `write` was ever sent to this stash, and nothing forbids that it fails. */
  unsent(driver: StashDriver, write: HeldWrite): boolean;
  /** A batch of replies has been told; the fan-out may act on all of them at once. */
  batchTold(): void;
}

export type Replies = readonly StashReply[];

/** The pause before try number `tries` (1 is the second sending), in milliseconds. */
export function settlePauseMs(tries: number): number {
  const ms = LIMITS.settleRetryFirstMs * 2 ** Math.min(tries - 1, 20);
  return Math.min(ms, LIMITS.settleRetryMsMax);
}

/**
 * Calls in flight at most, where a store takes several; and writes of one call, so that the first
 * of many are answered while the store still works on the others.
 */
const PIPELINE_CALLS = 4;
const PIPELINE_WRITES_MIN = 16;

export class StashDriver {
  readonly stash: Stash;
  readonly breaker: Breaker;
  readonly #clock: Clock;
  readonly #events: DriverEvents;
  readonly #mark: () => Mark;
  readonly #applies: HeldWrite[] = [];
  readonly #undos: HeldWrite[] = [];
  #inFlight = 0;
  /** A fence is being set: nothing else is sent. */
  #fencing = false;
  readonly #callsMax: number;
  #fenceFirst = false;
  #failuresInRow = 0;
  #stopped = false;
  #apart: string | null = null;
  readonly #idle: (() => void)[] = [];

  constructor(stash: Stash, clock: Clock, mark: () => Mark, events: DriverEvents) {
    this.stash = stash;
    this.#callsMax = stash.traits.pipelined === true ? PIPELINE_CALLS : 1;
    this.#clock = clock;
    this.#mark = mark;
    this.#events = events;
    this.breaker = new Breaker(clock);
  }

  get depth(): number {
    return this.#applies.length + this.#undos.length;
  }

  /** Sends with the next batch; call `kick` after the last one. */
  apply(write: HeldWrite): void {
    this.#applies.push(write);
  }

  undo(write: HeldWrite): void {
    this.#undos.push(write);
  }

  /** Sends again after a pause that grows, behind a fence. */
  applyAgain(write: HeldWrite): void {
    this.#fenceFirst = true;
    this.#later(() => this.apply(write));
  }

  undoAgain(write: HeldWrite): void {
    this.#later(() => this.undo(write));
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Why nothing may be sent to the store or read from it now; null: it takes part. */
  get apart(): string | null {
    return this.#apart;
  }

  /** The store is apart: what was not sent yet fails, the rest waits until it takes part again. */
  part(why: string): void {
    this.#apart = why;
    const failing = this.#applies.filter((write) => this.#events.unsent(this, write));
    if (failing.length === 0) return;
    const gone = new Set(failing);
    const left = this.#applies.filter((write) => !gone.has(write));
    this.#applies.splice(0, this.#applies.length, ...left);
    const detail = `not sent: ${why}`;
    const reply: StashReply = { reply: 'failed', sent: false, apart: true, detail };
    const replies = failing.map(() => reply);
    this.#events.applied(this, failing, replies, 0);
    this.#events.batchTold();
  }

  /** It is whole, and whatever was sent to it before is fenced. */
  join(): void {
    this.#apart = null;
    this.#fenceFirst = false;
    this.#failuresInRow = 0;
    this.breaker.succeeded();
    this.kick();
  }

  /** Resolves when no call is in flight. */
  idle(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((done) => this.#idle.push(done));
  }

  kick(): void {
    while (this.depth > 0 && this.#maySend()) {
      this.#inFlight += 1;
      const turn = this.#undos.length > 0 ? this.#undoBatch() : this.#applyBatch();
      turn.then(this.#next, this.#next);
    }
  }

  #maySend(): boolean {
    if (this.#stopped || this.#apart !== null || this.#fencing) return false;
    // Before a fence all that is under way comes to its end.
    return this.#inFlight < (this.#fenceFirst ? 1 : this.#callsMax);
  }

  readonly #next = (): void => {
    this.#inFlight -= 1;
    this.#events.batchTold();
    if (this.#inFlight === 0) for (const done of this.#idle.splice(0)) done();
    this.kick();
  };

  #later(task: () => void): void {
    this.#failuresInRow += 1;
    this.#clock.after(settlePauseMs(this.#failuresInRow), () => {
      task();
      this.kick();
    });
  }

  /** The next writes, bounded by count and bytes. */
  #take(from: HeldWrite[]): HeldWrite[] {
    const most = this.#writesMax(from.length);
    let bytes = 0;
    let count = 0;
    for (const write of from) {
      bytes += write.value.length;
      if (count > 0 && (count >= most || bytes > LIMITS.batchBytesMax)) break;
      count += 1;
    }
    return from.splice(0, count);
  }

  /** An even share of what is waiting for each call that may go out now. */
  #writesMax(waiting: number): number {
    if (this.#callsMax === 1) return LIMITS.batchWritesMax;
    const share = Math.ceil(waiting / (this.#callsMax - this.#inFlight + 1));
    return Math.min(Math.max(share, PIPELINE_WRITES_MIN), LIMITS.batchWritesMax);
  }

  async #applyBatch(): Promise<void> {
    if (this.#fenceFirst && !(await this.#fence())) return;
    const writes = this.#take(this.#applies);
    if (writes.length === 0) return;
    const started = this.#clock.monotonicMs();
    const replies = await this.#call(writes, () => this.stash.apply(writes, this.#mark()));
    const ms = this.#clock.monotonicMs() - started;
    this.#count(replies);
    this.#events.applied(this, writes, replies, ms);
  }

  /**
   * False when the fence could not be set: everything waits, since nothing may be sent before it.
   */
  async #fence(): Promise<boolean> {
    this.#fencing = true;
    try {
      await this.stash.fence();
      this.#fenceFirst = false;
      return true;
    } catch {
      await new Promise<void>((done) => {
        this.#failuresInRow += 1;
        this.#clock.after(settlePauseMs(this.#failuresInRow), done);
      });
      return false;
    } finally {
      this.#fencing = false;
    }
  }

  async #call(writes: readonly HeldWrite[], send: () => Promise<Replies>): Promise<Replies> {
    try {
      const replies = await send();
      if (replies.length === writes.length) return replies;
      return allUnknown(writes, `the store answered ${replies.length} of ${writes.length} times`);
    } catch (error) {
      return allUnknown(writes, error instanceof Error ? error.message : String(error));
    }
  }

  #count(replies: Replies): void {
    let well = false;
    for (const reply of replies) {
      const outage = reply.reply === 'unknown' || (reply.reply === 'failed' && reply.outage);
      if (outage === true) this.breaker.failed();
      else well = true;
    }
    if (well) this.breaker.succeeded();
    // A store that is up but goes on failing is not to be asked every few milliseconds.
    const taken = replies.some(({ reply }) => reply === 'stored' || reply === 'declined');
    if (taken) this.#failuresInRow = 0;
  }

  async #undoBatch(): Promise<void> {
    const writes = this.#take(this.#undos);
    let replies: readonly UndoReply[];
    try {
      replies = await this.stash.undo(writes, this.#mark());
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      replies = writes.map(() => ({ reply: 'failed', detail }));
    }
    let well = false;
    for (const [at, write] of writes.entries()) {
      const reply = replies[at] ?? { reply: 'failed', detail: 'the store did not answer' };
      if (reply.reply === 'undone') well = true;
      this.#events.undone(this, write, reply);
    }
    if (well) this.#failuresInRow = 0;
  }
}

function allUnknown(writes: readonly HeldWrite[], detail: string): Replies {
  const reply: StashReply = { reply: 'unknown', detail };
  return writes.map(() => reply);
}
