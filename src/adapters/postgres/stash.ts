/**
 * The PostgreSQL stash: versions are only ever added, a batch is one statement and hence one
 * transaction, and undoing puts a tombstone under the identity of every key. What meets a row that
 * is there already is looked up afterwards; what a row's own fault makes the server refuse is sent
 * again by itself, so that no neighbour suffers.
 */
import type {
  Attempt,
  HoldsReply,
  Mark,
  ProbeFinding,
  Stash,
  StashReply,
  StashTraits,
  UndoReply,
} from '../../contracts/stash.ts';
import type { Uow } from '../../kernel/words.ts';
import { heldArrays, lotsOf, rowArrays, tombstoneArrays, type Lot } from './lots.ts';
import { probe } from './probe.ts';
import { Pruning } from './prune.ts';
import { Session, type SessionSetup } from './session.ts';
import { DELETE, SET, TOMBSTONE } from './tables.ts';
import { troubleOf, type Trouble } from './trouble.ts';

export interface PostgresSetup extends SessionSetup {
  readonly keepVersions: number;
  readonly keepForMs: number;
  readonly valueBytesMax: number;
}

const STORED: StashReply = { reply: 'stored' };
const UNDONE: UndoReply = { reply: 'undone' };
const ATTEMPT_MAX = 2 ** 31 - 1;

export class PostgresStash implements Stash {
  readonly id: string;
  readonly kind = 'postgres';
  readonly traits: StashTraits = { insertOnly: true, oneAttemptPerKey: false };
  readonly session: Session;
  readonly #setup: PostgresSetup;
  readonly #pruning: Pruning;

  constructor(setup: PostgresSetup) {
    this.id = setup.id;
    this.#setup = setup;
    this.session = new Session(setup);
    this.#pruning = new Pruning(this.session, setup);
  }

  /** Without attempts it rejects with a Fault `unavailable` when the mark was not stored. */
  async apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]> {
    if (attempts.length === 0) return await this.#markOnly(mark);
    const { apart } = this.session;
    if (apart !== null) return attempts.map(() => notSent(apart));
    const replies: StashReply[] = Array.from({ length: attempts.length });
    const fit: number[] = [];
    for (const [at, attempt] of attempts.entries()) {
      const refusal = this.#refusal(attempt);
      if (refusal === null) fit.push(at);
      else replies[at] = refusal;
    }
    for (const lot of lotsOf(attempts, fit)) await this.#applyLot(lot, mark, replies);
    return replies;
  }

  /** What the store will never take, known without asking it. */
  #refusal({ value, keys, attempt }: Attempt): StashReply | null {
    const { valueBytesMax } = this.#setup;
    const bytes = value.length * keys.length;
    if (bytes > valueBytesMax) {
      const each = keys.length === 1 ? '' : ` (${value.length} under each of ${keys.length} keys)`;
      const detail = `${bytes} bytes${each}; ${this.id} takes ${valueBytesMax}`;
      return { reply: 'refused', status: 'too-large', detail };
    }
    if (attempt <= ATTEMPT_MAX) return null;
    return { reply: 'refused', status: 'attempts', detail: 'send it as a new write' };
  }

  /** Who trims the intake by this mark must know when the store does not have it. */
  async #markOnly(mark: Mark): Promise<never[]> {
    try {
      await this.session.write(this.session.tables.writes.mark, mark, null, [], 0);
      return [];
    } catch (error) {
      throw this.session.fault(troubleOf(error).message);
    }
  }

  async #applyLot(lot: Lot, mark: Mark, replies: StashReply[]): Promise<void> {
    const { session } = this;
    try {
      const { apply } = session.tables.writes;
      const row = await session.write(apply, mark, lot.lowest, rowArrays(lot), lot.bytes);
      if (row[1] !== lot.rows) return await this.#judgeLot(lot, replies);
      for (const at of lot.places) replies[at] = STORED;
    } catch (error) {
      const trouble = troubleOf(error);
      if (trouble.meaning === 'refused' && lot.places.length > 1) {
        for (const one of lot.single()) await this.#applyLot(one, mark, replies);
        return;
      }
      for (const at of lot.places) replies[at] = replyTo(trouble);
    }
  }

  /** Some rows were there before: what stands there now tells how it went. */
  async #judgeLot(lot: Lot, replies: StashReply[]): Promise<void> {
    try {
      const held = await this.#held(lot);
      for (const [nth, at] of lot.places.entries()) {
        const attempt = lot.attempts[nth];
        if (attempt !== undefined) replies[at] = judged(attempt, held[nth] ?? []);
      }
    } catch (error) {
      const { message, status } = troubleOf(error);
      const detail = `sent, and not found out how it went: ${status}: ${message}`;
      for (const at of lot.places) replies[at] = { reply: 'unknown', detail };
    }
  }

  /** For each attempt what stands under each of its keys. */
  async #held(lot: Lot): Promise<readonly Held[][]> {
    const { tables } = this.session;
    const rows = await this.session.look(tables.writes.held, heldArrays(lot));
    let next = 0;
    return lot.attempts.map(({ keys }) => {
      return rows.slice(next, (next += keys.length)).map(([kind, digest]) => {
        return typeof kind === 'number' ? { kind, digest: String(digest) } : null;
      });
    });
  }

  async undo(attempts: readonly Attempt[], mark: Mark): Promise<readonly UndoReply[]> {
    if (attempts.length === 0) return await this.#markOnly(mark);
    const { apart } = this.session;
    if (apart !== null) {
      return attempts.map(() => ({ reply: 'failed', detail: apart, apart: true }));
    }
    const replies: UndoReply[] = Array.from({ length: attempts.length });
    const fit: number[] = [];
    for (const [at, { attempt }] of attempts.entries()) {
      if (attempt <= ATTEMPT_MAX) fit.push(at);
      else replies[at] = UNDONE;
    }
    for (const lot of lotsOf(attempts, fit)) await this.#undoLot(lot, mark, replies);
    return replies;
  }

  async #undoLot(lot: Lot, mark: Mark, replies: UndoReply[]): Promise<void> {
    const { session } = this;
    try {
      await session.write(session.tables.writes.undo, mark, lot.lowest, tombstoneArrays(lot), 0);
      for (const at of lot.places) replies[at] = UNDONE;
    } catch (error) {
      const { meaning, message, status, sent } = troubleOf(error);
      if (meaning === 'refused' && lot.places.length > 1) {
        for (const one of lot.single()) await this.#undoLot(one, mark, replies);
        return;
      }
      const detail = `${status}: ${message}`;
      const reply: UndoReply = { reply: 'failed', detail, ...(sent ? {} : { apart: true }) };
      for (const at of lot.places) replies[at] = reply;
    }
  }

  /** Rejects with a Fault `unavailable` while the store is apart or cannot be asked. */
  async holds(attempts: readonly Attempt[]): Promise<readonly HoldsReply[]> {
    const replies: HoldsReply[] = Array.from({ length: attempts.length }, () => 'cannot-tell');
    const asked = [...attempts.keys()];
    try {
      for (const lot of lotsOf(attempts, asked)) {
        const held = await this.#held(lot);
        const nothing = this.session.isWhole ? 'never' : 'cannot-tell';
        for (const [nth, at] of lot.places.entries()) {
          const kinds = (held[nth] ?? []).map((row) => row?.kind ?? null);
          if (kinds.includes(TOMBSTONE)) replies[at] = 'tombstone';
          else if (kinds.includes(SET) || kinds.includes(DELETE)) replies[at] = 'live';
          else replies[at] = nothing;
        }
      }
    } catch (error) {
      throw this.session.fault(troubleOf(error).message);
    }
    return replies;
  }

  /**
   * What an earlier connection sent cannot take effect any more since `mark()` took the row of the
   * mark from it (tables.ts); what this one sent has an answer. Rejects while the store is apart.
   */
  async fence(): Promise<void> {
    const { apart } = this.session;
    if (apart !== null) throw this.session.fault(apart);
    await this.session.idle();
  }

  mark(): Promise<Mark | null> {
    return this.session.mark();
  }

  watch(told: (why: string) => void): void {
    this.session.watch(told);
  }

  /** Each reply was given behind a commit that waited for the disk; the probe says where not. */
  flush(): Promise<void> {
    return Promise.resolve();
  }

  probe(): Promise<readonly ProbeFinding[]> {
    return probe(this.#setup, this.session.tables);
  }

  prune(belowUow: Uow): Promise<number> {
    return this.#pruning.prune(belowUow);
  }

  close(): Promise<void> {
    this.session.close();
    return Promise.resolve();
  }
}

type Held = { readonly kind: number; readonly digest: string } | null;

function notSent(why: string): StashReply {
  return { reply: 'failed', status: 'apart', detail: why, sent: false, outage: true, apart: true };
}

function replyTo({ meaning, status, message: detail, sent }: Trouble): StashReply {
  if (meaning === 'refused') return { reply: 'refused', status, detail };
  if (meaning === 'unknown') return { reply: 'unknown', detail: `${status}: ${detail}` };
  if (!sent) return notSent(detail);
  if (meaning === 'failed') return { reply: 'failed', status, detail, sent };
  return { reply: 'failed', status, detail, sent, outage: true };
}

function judged(attempt: Attempt, held: readonly Held[]): StashReply {
  const failed = (status: string, detail: string): StashReply => {
    return { reply: 'failed', status, detail, sent: true };
  };
  const kind = attempt.kind === 'delete' ? DELETE : SET;
  if (held.some((row) => row?.kind === TOMBSTONE)) {
    return failed('undone', 'this attempt was undone');
  }
  if (held.some((row) => row === null) || held.length < attempt.keys.length) {
    return failed('not-kept', 'the table did not keep the row: look for triggers and rules on it');
  }
  const same = held.every((row) => row?.kind === kind && row.digest === attempt.digest);
  return same
    ? STORED
    : failed('mismatch', 'another value stands under the number of this attempt');
}
