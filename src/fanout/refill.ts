/**
 * Refill: makes a store whole that lost what it had acknowledged (P24, G15). Everything the intake
 * holds above the store's own mark is applied again, and what was aborted is undone again, before
 * anything else is sent to it or read from it. A store that overwrites is sent only the newest
 * write of each key, so that it never shows an older one on the way.
 */
import type { Journal } from '../contracts/journal.ts';
import type { Attempt, Mark, Stash } from '../contracts/stash.ts';
import { Fault } from '../kernel/errors.ts';
import { laneKey, type Position } from '../kernel/words.ts';
import type { Clock } from '../kernel/world.ts';
import { commitOf, decode, type IntakeRecord } from '../intake/records.ts';
import type { HeldWrite } from '../intake/write.ts';
import { settlePauseMs } from './driver.ts';

export interface RefillParts {
  readonly journal: Journal;
  readonly stash: Stash;
  /** What was settled below `position` is in it; what is settled above was held above `from`. */
  readonly mark: Pick<Mark, 'position' | 'from'>;
  /** The mark to leave behind: what the store has once it is whole. */
  readonly whole: Mark;
  /**
   * Open writes that this store had answered well, or that can only go forward in it, in the
   * order of their lanes: they come after all that is settled, and who saw them sees them again.
   */
  readonly open: readonly HeldWrite[];
  readonly epoch: number;
  readonly clock: Clock;
  /** After this (monotonic) it is given up for now; null: it goes on for as long as it takes. */
  readonly untilMs: number | null;
  /** Told when a store keeps the others waiting. */
  readonly warned: (what: string) => void;
}

/** It could not be made whole this time: its mark must be asked anew. */
export class NotWhole extends Error {}

const APART_AGAIN = 'the store was lost again while it was refilled';

/** How an attempt ended. */
type Fate = 'commit' | 'abort';

/** Tries for one lot before a store is called unable; an outage is waited out. */
const REFUSALS_MAX = 5;
/** Tries after which the waiting is told: about two seconds. */
const TRIES_QUIET = 7;
/** Refills are granted from here upwards, and never reach zero. */
const FIRST_COUNTER = -1_000_000_000_000;
/** Attempts of one call: as many as a fan-out would send. */
const LOT_MAX = 1000;

/**
 * Returns how many attempts were sent. Throws a Fault when the store refuses them, NotWhole when it
 * was lost on the way or did not take them in time.
 */
export async function refill(parts: RefillParts): Promise<number> {
  const { journal, stash, mark } = parts;
  const fates = mark.position < journal.durable ? await fatesOf(parts) : new Map<string, Fate>();
  const newest = stash.traits.insertOnly ? null : await newestOf(parts, fates);
  const sending = new Sending(parts, newest);
  if (fates.size > 0) {
    for await (const batch of eachSettled(parts, fates)) {
      for (const { write, fate } of batch) {
        sending.take(write, fate);
        if (sending.size >= LOT_MAX) await sending.send();
      }
      await sending.send();
    }
  }
  for (const write of parts.open) sending.take(write, 'commit');
  await sending.send();
  if (sending.sent > 0) await stash.apply([], parts.whole);
  return sending.sent;
}

interface Settled {
  readonly write: HeldWrite;
  readonly fate: Fate;
}

function nameOf(uow: number, attempt: number): string {
  return `${uow}.${attempt}`;
}

async function* records(
  journal: Journal,
  from: Position,
): AsyncGenerator<readonly [Position, IntakeRecord]> {
  for await (const batch of journal.read(Math.max(from, journal.first))) {
    for (const [at, bytes] of batch.records.entries()) {
      yield [batch.first + at, decode(bytes, batch.first + at)];
    }
  }
}

/** The attempts that were settled at or above the mark, by `uow.attempt`. */
async function fatesOf({ journal, mark }: RefillParts): Promise<Map<string, Fate>> {
  const fates = new Map<string, Fate>();
  for await (const [position, record] of records(journal, mark.from)) {
    if (position < mark.position) continue;
    if (record.type === 'commits') {
      for (const uow of record.uows) {
        const one = commitOf(record, uow);
        fates.set(nameOf(one.u, one.a), 'commit');
      }
    } else if (record.type === 'outcome') {
      fates.set(nameOf(record.u, record.a), record.out === 'committed' ? 'commit' : 'abort');
    } else if (record.type === 'parked') {
      fates.set(nameOf(record.u, record.a), 'abort');
    }
  }
  return fates;
}

/** Batch by batch, the settled attempts that the store has a part in. */
async function* eachSettled(
  { journal, mark, stash }: RefillParts,
  fates: ReadonlyMap<string, Fate>,
): AsyncGenerator<Settled[]> {
  for await (const batch of journal.read(Math.max(mark.from, journal.first))) {
    const found: Settled[] = [];
    for (const [at, bytes] of batch.records.entries()) {
      const record = decode(bytes, batch.first + at);
      if (record.type !== 'hold' && record.type !== 'attempt' && record.type !== 'carried') {
        continue;
      }
      const { write } = record;
      const fate = fates.get(nameOf(write.uow, write.attempt));
      if (fate !== undefined && namesIt(write, stash.id)) found.push({ write, fate });
    }
    if (found.length > 0) yield found;
  }
}

function namesIt({ plan }: HeldWrite, stash: string): boolean {
  return plan.reader === stash || plan.stashes.includes(stash);
}

/** By lane, the newest write that goes out, as `uow.attempt`. */
async function newestOf(
  parts: RefillParts,
  fates: ReadonlyMap<string, Fate>,
): Promise<ReadonlyMap<string, string>> {
  const newest = new Newest();
  if (fates.size > 0) {
    for await (const batch of eachSettled(parts, fates)) {
      for (const { write, fate } of batch) if (fate === 'commit') newest.take(write);
    }
  }
  // Open writes of a key come after all that is settled.
  for (const write of parts.open) newest.take(write, true);
  return newest.names;
}

class Newest {
  readonly names = new Map<string, string>();
  readonly #uows = new Map<string, number>();

  /** Commits of a key rise in uow, whatever the order in which the intake holds them. */
  take(write: HeldWrite, surely = false): void {
    for (const lane of lanesOf(write)) {
      if (!surely && (this.#uows.get(lane) ?? 0) > write.uow) continue;
      this.#uows.set(lane, write.uow);
      this.names.set(lane, nameOf(write.uow, write.attempt));
    }
  }
}

function lanesOf({ account, flow, keys }: HeldWrite): string[] {
  return keys.map((key) => laneKey(account, flow, key));
}

class Sending {
  sent = 0;
  readonly #parts: RefillParts;
  /** Null: the store keeps versions, so everything goes out. */
  readonly #newest: ReadonlyMap<string, string> | null;
  #apply: Attempt[] = [];
  #undo: Attempt[] = [];
  #counter = FIRST_COUNTER;

  constructor(parts: RefillParts, newest: ReadonlyMap<string, string> | null) {
    this.#parts = parts;
    this.#newest = newest;
  }

  get size(): number {
    return this.#apply.length + this.#undo.length;
  }

  take(write: HeldWrite, fate: Fate): void {
    const { stash } = this.#parts;
    if (fate === 'abort') {
      if (write.plan.reader !== stash.id) this.#undo.push(this.#attempt(write, write.keys));
      return;
    }
    const newest = this.#newest;
    const name = nameOf(write.uow, write.attempt);
    const keys =
      newest === null
        ? write.keys
        : write.keys.filter((key) => newest.get(laneKey(write.account, write.flow, key)) === name);
    if (keys.length > 0) this.#apply.push(this.#attempt(write, keys));
  }

  /** On some of its keys, granted below every write of this start: no fence of those is touched. */
  #attempt(write: HeldWrite, keys: readonly string[]): Attempt {
    const { uow, attempt, account, flow, kind, value, digest, expiresAt, heldAt } = write;
    const grant = { epoch: this.#parts.epoch, counter: this.#counter };
    this.#counter += 1;
    return { uow, attempt, grant, account, flow, kind, keys, value, digest, expiresAt, heldAt };
  }

  /** Sends until everything is in; waits out an outage for as long as it lasts. */
  async send(): Promise<void> {
    const { stash, warned } = this.#parts;
    this.sent += this.size;
    let refusals = 0;
    for (let tries = 1; this.#apply.length > 0; tries += 1) {
      const before = this.#apply.length;
      const refusal = await this.#applyOnce();
      if (this.#apply.length === 0) break;
      refusals = refusal === null || this.#apply.length < before ? 0 : refusals + 1;
      if (refusal !== null && refusals >= REFUSALS_MAX) {
        throw new Fault('unavailable', `Stash "${stash.id}" cannot be refilled: ${refusal}.`);
      }
      if (tries === TRIES_QUIET) {
        warned(`stash "${stash.id}" must be refilled before it serves, and does not take it`);
      }
      await this.#pause(tries);
    }
    for (let tries = 1; !(await this.#undoOnce()); tries += 1) await this.#pause(tries);
    this.#undo = [];
  }

  #pause(tries: number): Promise<void> {
    const { clock, untilMs, stash } = this.#parts;
    if (untilMs !== null && clock.monotonicMs() >= untilMs) {
      throw new NotWhole(`stash "${stash.id}" does not take what it must be refilled with`);
    }
    return new Promise((done) => {
      clock.after(settlePauseMs(tries), done);
    });
  }

  /** The mark stays where it was until all is in: if it is lost again, that must be found again. */
  get #behind(): Mark {
    const { journal, mark } = this.#parts;
    return { journalId: journal.id, position: mark.position, from: mark.from };
  }

  /** Leaves in the lot what was not taken; the last refusal, if there was one. */
  async #applyOnce(): Promise<string | null> {
    const { stash } = this.#parts;
    const replies = await settled(stash.apply(this.#apply, this.#behind));
    if (replies === null) return null;
    let refusal: string | null = null;
    let unknown = false;
    this.#apply = this.#apply.filter((_, at) => {
      const reply = replies[at];
      if (reply?.reply === 'failed' && reply.apart === true) throw new NotWhole(APART_AGAIN);
      if (reply?.reply === 'refused') refusal = reply.detail;
      if (reply?.reply === 'unknown') unknown = true;
      return reply?.reply !== 'stored' && reply?.reply !== 'declined';
    });
    if (unknown) await settled(stash.fence());
    return refusal;
  }

  async #undoOnce(): Promise<boolean> {
    if (this.#undo.length === 0) return true;
    const replies = await settled(this.#parts.stash.undo(this.#undo, this.#behind));
    if (replies === null) return false;
    for (const reply of replies) {
      if (reply.reply === 'failed' && reply.apart === true) throw new NotWhole(APART_AGAIN);
    }
    return replies.every((reply) => reply.reply !== 'failed');
  }
}

/** Null when it rejects: nothing can be said, so it is tried again. */
function settled<T>(promise: Promise<T>): Promise<T | null> {
  return promise.catch(() => null);
}
