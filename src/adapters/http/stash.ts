/**
 * The HTTP stash: a store of the user's own. Each call of the contract becomes requests that are
 * sent once; the server's words become replies. What earlier connections may still deliver is
 * fenced by sessions: the server takes calls of the newest one only.
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
import { Fault } from '../../kernel/errors.ts';
import type { Clock } from '../../kernel/world.ts';
import type { Connection } from './connection.ts';
import { lotsOf, sendLots, type Lot } from './lots.ts';
import { probeServer, type ProbeParts } from './probe.ts';
import { holdsReplies, stashReplies, undoReplies, verdictOf, type Verdict } from './replies.ts';
import { bodyOf, CHECK_JOURNAL, toldOf, type CallType, type Told } from './wire.ts';

export interface HttpStashParts extends ProbeParts {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly insertOnly: boolean;
  /** Attempts in one request. */
  readonly batch: number;
  /** Requests in flight. */
  readonly concurrency: number;
  readonly valueBytesMax: number;
}

const ANOTHER_SESSION =
  'the server has another session: it was restarted, or somebody else opened one';

export class HttpStash implements Stash {
  readonly id: string;
  readonly kind = 'http';
  readonly traits: StashTraits;
  readonly #parts: HttpStashParts;
  readonly #watching: ((why: string) => void)[] = [];
  #apart: string | null = 'its mark was not asked yet';
  #closed = false;
  /** As the server gave it; null: it has no sessions. */
  #session: string | null = null;
  /** Something was sent in this session whose end nobody knows. */
  #unsure = false;

  constructor(parts: HttpStashParts) {
    this.id = parts.id;
    this.traits = { insertOnly: parts.insertOnly, oneAttemptPerKey: !parts.insertOnly };
    this.#parts = parts;
  }

  async apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]> {
    const replies: StashReply[] = [];
    const small = attempts.every((attempt) => this.#fits(attempt));
    const fitting = small ? attempts : attempts.filter((attempt) => this.#fits(attempt));
    if (fitting.length === 0 && attempts.length > 0)
      return attempts.map((each) => this.#large(each));
    await this.#each('apply', fitting, mark, (from, count, verdict) => {
      const found = verdict === null ? this.#unsent(count) : stashReplies(verdict, count);
      for (const [at, reply] of found.entries()) {
        if (reply.reply === 'unknown') this.#unsure = true;
        replies[from + at] = reply;
      }
    });
    if (small) return replies;
    const own = replies.values();
    return attempts.map((each) => (this.#fits(each) ? nextOf(own) : this.#large(each)));
  }

  #fits({ value }: Attempt): boolean {
    return value.length <= this.#parts.valueBytesMax;
  }

  #large({ value }: Attempt): StashReply {
    const detail = `${value.length} bytes; ${this.id} takes ${this.#parts.valueBytesMax}`;
    return { reply: 'refused', status: 'too-large', detail };
  }

  #unsent(count: number): StashReply[] {
    const detail = `not sent: ${this.#apart ?? 'apart'}`;
    const reply: StashReply = { reply: 'failed', detail, sent: false, apart: true };
    return Array.from({ length: count }, () => reply);
  }

  async undo(attempts: readonly Attempt[], mark: Mark): Promise<readonly UndoReply[]> {
    const replies: UndoReply[] = [];
    await this.#each('undo', attempts, mark, (from, count, verdict) => {
      const detail = `not sent: ${this.#apart ?? 'apart'}`;
      const unsent: UndoReply = { reply: 'failed', detail, apart: true };
      const found = verdict === null ? Array.from({ length: count }, () => unsent) : null;
      for (const [at, reply] of (found ?? undoReplies(verdict as Verdict, count)).entries()) {
        replies[from + at] = reply;
      }
    });
    return replies;
  }

  /** Sends in lots and tells what became of each; null: it was not sent, since we are apart. */
  async #each(
    type: 'apply' | 'undo',
    attempts: readonly Attempt[],
    mark: Mark,
    tell: (from: number, count: number, verdict: Verdict | null) => void,
  ): Promise<void> {
    const { batch, concurrency } = this.#parts;
    const one = async ({ from, to }: Omit<Lot, 'behind'>, free: () => void): Promise<void> => {
      const count = to - from;
      if (this.#apart !== null) return tell(from, count, null);
      const verdict = await this.#call(type, attempts.slice(from, to), mark, free);
      if (verdict.is !== 'refused' || count < 2) return tell(from, count, verdict);
      // Refused as a whole: no attempt shall suffer for its neighbour.
      for (let at = from; at < to; at += 1) await one({ from: at, to: at + 1 }, free);
    };
    await sendLots(lotsOf(attempts, batch), concurrency, one);
  }

  async #call(
    type: CallType,
    attempts: readonly Attempt[],
    mark: Mark,
    free: () => void,
  ): Promise<Verdict> {
    const { exchange, clock } = this.#parts;
    const head = { stash: this.id, session: this.#session, mark };
    const bodyFor = (callback: string | null) => bodyOf(type, { ...head, callback }, attempts);
    const ended = await exchange.askEither(type, bodyFor, free);
    if (ended.got === 'late') return { is: 'late', detail: ended.why };
    return this.#judged(verdictOf(ended, attempts.length, clock.wallMs()));
  }

  /** Sees whether the answer ends the time in which calls are taken. */
  #judged(verdict: Verdict): Verdict {
    if (verdict.is === 'lost' || verdict.is === 'not-sent') this.#part(verdict.detail);
    if (verdict.is !== 'session') return verdict;
    if (this.#session === null) return { ...verdict, is: 'refused' };
    this.#part(ANOTHER_SESSION);
    return { ...verdict, detail: ANOTHER_SESSION };
  }

  #part(why: string): void {
    if (this.#apart !== null) return;
    this.#apart = why;
    if (this.#closed) return;
    for (const told of this.#watching) told(why);
  }

  async holds(attempts: readonly Attempt[]): Promise<readonly HoldsReply[]> {
    const { exchange, clock, batch } = this.#parts;
    const replies: HoldsReply[] = [];
    for (let from = 0; from < attempts.length; from += batch) {
      const some = attempts.slice(from, from + batch);
      const { length } = some;
      if (this.#apart !== null) {
        replies.push(...some.map((): HoldsReply => 'cannot-tell'));
        continue;
      }
      const head = { stash: this.id, session: this.#session };
      const answer = await exchange.ask('holds', bodyOf('holds', head, some));
      const verdict = this.#judged(verdictOf(answer, length, clock.wallMs()));
      const fenced = this.#session !== null && !this.#unsure;
      replies.push(...holdsReplies(verdict, length, fenced));
    }
    return replies;
  }

  /** A new session ends whatever is still on its way, late callbacks included. */
  async fence(): Promise<void> {
    if (this.#apart !== null) throw new Fault('unavailable', `"${this.id}" is apart.`);
    if (!this.#unsure || this.#session === null) return;
    await this.#open();
  }

  async mark(): Promise<Mark | null> {
    const { connection } = this.#parts;
    if (this.#apart === null) {
      const told = await this.#ask(false);
      if (told.session === this.#session) return told.mark;
      this.#part(ANOTHER_SESSION);
    }
    connection.renew();
    return (await this.#open()).mark;
  }

  async #open(): Promise<Told> {
    const told = await this.#ask(true);
    this.#session = told.session;
    this.#unsure = false;
    if (!this.#closed) this.#apart = null;
    return told;
  }

  /** Rejects with a Fault unless the server says what its mark is, or that it keeps none. */
  async #ask(open: boolean): Promise<Told> {
    const { exchange, url } = this.#parts;
    const head = { stash: this.id, session: this.#session };
    const answer = await exchange.ask('mark', bodyOf('mark', head, [], { open }));
    if (answer.got !== 'answer') throw this.#unreached(`${url}/mark: ${answer.why}`);
    const { status, text } = answer;
    const told = status === 200 ? toldOf(text) : null;
    if (told !== null)
      return told.mark?.journalId === CHECK_JOURNAL ? { ...told, mark: null } : told;
    if (status !== 404 && status !== 405 && status !== 501) {
      throw this.#unreached(`${url}/mark answered ${status}: ${text.slice(0, 200)}`);
    }
    // No mark is fine; no server there is not.
    const probe = await exchange.ask('probe', bodyOf('probe', head, []));
    if (probe.got === 'answer' && probe.status >= 200 && probe.status < 300) {
      return { mark: null, session: null };
    }
    const why = probe.got === 'answer' ? `answered ${probe.status}` : probe.why;
    throw this.#unreached(`${url}/probe: ${why}`);
  }

  #unreached(detail: string): Fault {
    return new Fault('unavailable', detail, {
      hint: 'holdfast stash-check URL says what the server does not do.',
    });
  }

  watch(told: (why: string) => void): void {
    this.#watching.push(told);
  }

  /** What the server answers is on its disk: that is its promise, and the probe says so. */
  async flush(): Promise<void> {}

  probe(): Promise<readonly ProbeFinding[]> {
    return probeServer(this.#parts);
  }

  /** What the server keeps of old versions is its own affair. */
  async prune(): Promise<number> {
    return 0;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#part('the stash was closed');
    this.#parts.exchange.close();
    this.#parts.connection.close();
  }
}

function nextOf(replies: Iterator<StashReply>): StashReply {
  const next = replies.next();
  return next.done === true ? { reply: 'unknown', detail: 'no reply was kept' } : next.value;
}
