/**
 * The caller of a stash check: speaks to a user's server as the HTTP stash would, and remembers
 * what it sent and what came back, to be shown where a promise is broken.
 */
import { Connection } from '../../adapters/http/connection.ts';
import { Exchange, type Ended } from '../../adapters/http/exchange.ts';
import {
  holdsReplies,
  stashReplies,
  undoReplies,
  verdictOf,
  type Verdict,
} from '../../adapters/http/replies.ts';
import { signed, type Keys } from '../../adapters/http/signature.ts';
import {
  bodyOf,
  CHECK_JOURNAL,
  isObject,
  jsonOf,
  toldOf,
  type CallType,
  type Told,
} from '../../adapters/http/wire.ts';
import type { Attempt, Mark } from '../../contracts/stash.ts';
import { digestOf } from '../../kernel/digest.ts';
import type { World } from '../../kernel/world.ts';
import type { Callbacks } from '../callbacks.ts';

/** The account of everything a check stores. */
export const CHECK_ACCOUNT = 'holdfast-stash-check';

export interface CallerParts {
  readonly url: string;
  readonly keys: Keys;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  /** Attempts in one request. */
  readonly batch: number;
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  readonly world: World;
  readonly callbacks: Callbacks;
}

/** One request, as it is shown. */
export interface Shown {
  readonly sent: string;
  readonly came: string;
}

const SHOWN_CHARS = 400;
/** Above any number that Holdfast gives out, with room for many runs. */
const UOW_BASE = 2 ** 52;

export class Caller {
  readonly world: World;
  readonly #parts: CallerParts;
  readonly #connection: Connection;
  readonly #exchange: Exchange;
  #session: string | null = null;
  #mark: Mark = { journalId: CHECK_JOURNAL, position: 0, from: 0 };
  /** The server holds somebody's real mark, which must stay as it is. */
  #foreignMark = false;
  #uow: number;
  readonly firstUow: number;
  attempts = 0;
  /** Calls that were answered 202. */
  later = 0;
  shown: Shown[] = [];

  constructor(parts: CallerParts) {
    const { url, world, keys, headers, callbacks, timeoutMs, deadlineMs } = parts;
    this.#parts = parts;
    this.world = world;
    const { clock } = world;
    const connectTimeoutMs = timeoutMs;
    this.#connection = new Connection({ url, sockets: 16, connectTimeoutMs, timeoutMs, clock });
    const connection = this.#connection;
    this.#exchange = new Exchange({ connection, world, callbacks, keys, headers, deadlineMs });
    this.#uow = UOW_BASE + Math.floor(world.random.fraction() * 2 ** 40) * 1024;
    this.firstUow = this.#uow + 1;
  }

  get lastUow(): number {
    return this.#uow;
  }

  get hasSessions(): boolean {
    return this.#session !== null;
  }

  /** What the check signs with. */
  get keys(): Keys {
    return this.#parts.keys;
  }

  get session(): string | null {
    return this.#session;
  }

  /** Where the server's mark is not ours to change. */
  get foreignMark(): boolean {
    return this.#foreignMark;
  }

  close(): void {
    this.#exchange.close();
    this.#connection.close();
  }

  /** Sends a call as it stands, signed by us unless told otherwise. */
  async raw(type: CallType, body: string, headers?: readonly string[]): Promise<Ended> {
    const id = Buffer.from(this.world.random.bytes(12)).toString('base64url');
    const own = signed(this.#parts.keys, id, this.world.clock.wallMs(), body);
    const all = [...(headers ?? own), ...this.#parts.headers];
    return this.#show(type, body, await this.#connection.post(type, body, all));
  }

  async #ask(type: CallType, attempts: readonly Attempt[], more = {}): Promise<Ended> {
    const head = { stash: 'stash-check', session: this.#session };
    const isWrite = type === 'apply' || type === 'undo';
    let body = '';
    const bodyFor = (callback: string | null): string => {
      const marked = isWrite ? { ...head, mark: this.#mark, callback } : head;
      body = bodyOf(type, marked, attempts, more);
      return body;
    };
    const accepted = (): void => {
      this.later += 1;
    };
    const ended = isWrite
      ? await this.#exchange.askEither(type, bodyFor, accepted)
      : await this.#exchange.ask(type, bodyFor(null));
    return this.#show(type, body, ended);
  }

  #show(type: string, body: string, ended: Ended): Ended {
    const came = ended.got === 'answer' ? `${ended.status} ${ended.text}` : ended.why;
    this.shown.push({ sent: `${type} ${cut(body)}`, came: cut(came) });
    return ended;
  }

  async #verdicts(
    type: 'apply' | 'undo' | 'holds',
    attempts: readonly Attempt[],
  ): Promise<[Verdict, number][]> {
    this.attempts += type === 'holds' ? 0 : attempts.length;
    const found: [Verdict, number][] = [];
    for (let from = 0; from < attempts.length; from += this.#parts.batch) {
      const some = attempts.slice(from, from + this.#parts.batch);
      const ended = await this.#ask(type, some);
      const now = this.world.clock.wallMs();
      const late = ended.got === 'late' ? ({ is: 'late', detail: ended.why } as const) : null;
      found.push([late ?? verdictOf(ended as never, some.length, now), some.length]);
    }
    return found;
  }

  /** The words that Holdfast would go by. */
  async apply(...attempts: readonly Attempt[]): Promise<string[]> {
    const found = await this.#verdicts('apply', attempts);
    return found.flatMap(([verdict, count]) =>
      stashReplies(verdict, count).map((one) => one.reply),
    );
  }

  async undo(...attempts: readonly Attempt[]): Promise<string[]> {
    const found = await this.#verdicts('undo', attempts);
    return found.flatMap(([verdict, count]) => undoReplies(verdict, count).map((one) => one.reply));
  }

  async holds(...attempts: readonly Attempt[]): Promise<string[]> {
    const found = await this.#verdicts('holds', attempts);
    return found.flatMap(([verdict, count]) => holdsReplies(verdict, count, true));
  }

  probe(): Promise<Ended> {
    return this.#ask('probe', []);
  }

  /** Null where the server keeps none. */
  async told(open: boolean): Promise<Told | null> {
    const ended = await this.#ask('mark', [], { open });
    return ended.got === 'answer' && ended.status === 200 ? toldOf(ended.text) : null;
  }

  /** Opens a session, and takes care of a mark that is not ours. */
  async open(): Promise<Told | null> {
    const told = await this.told(true);
    this.#session = told?.session ?? null;
    if (told?.mark && told.mark.journalId !== CHECK_JOURNAL) {
      this.#foreignMark = true;
      this.#mark = told.mark;
    }
    return told;
  }

  /** The mark that goes along from now on. */
  nextMark(): Mark {
    const { journalId, position, from } = this.#mark;
    if (!this.#foreignMark) this.#mark = { journalId, position: position + 7, from: from + 3 };
    return this.#mark;
  }

  async markOnly(): Promise<void> {
    await this.#ask('apply', []);
  }

  /** The value under a key, null where there is none, undefined where the server reads nothing. */
  async read(key: string, place: Partial<Attempt> = {}): Promise<Buffer | null | undefined> {
    const { account = CHECK_ACCOUNT, flow = 'check' } = place;
    const ended = await this.#ask('read', [], { account, flow, key });
    const body = ended.got === 'answer' && ended.status === 200 ? jsonOf(ended.text) : undefined;
    if (!isObject(body) || !('found' in body)) return undefined;
    const { found } = body;
    if (found === null) return null;
    if (!isObject(found) || typeof found['value'] !== 'string') return undefined;
    return Buffer.from(found['value'], found['encoding'] === 'base64' ? 'base64' : 'utf8');
  }

  /** As text; for what is no value, the word for it. */
  async look(key: string, place: Partial<Attempt> = {}): Promise<string | null> {
    const found = await this.read(key, place);
    return found === undefined ? '(not readable)' : (found?.toString('utf8') ?? null);
  }

  /** A new attempt; keys are made its own by the number of the run. */
  attempt(
    keys: string | readonly string[],
    value: string | Uint8Array = 'a value',
    more: Partial<Attempt> = {},
  ): Attempt {
    this.#uow += 1;
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    return {
      uow: this.#uow,
      attempt: 1,
      grant: { epoch: 1, counter: this.#uow - UOW_BASE },
      account: CHECK_ACCOUNT,
      flow: 'check',
      kind: 'set',
      keys: typeof keys === 'string' ? [keys] : keys,
      value: bytes,
      digest: digestOf(bytes),
      expiresAt: null,
      heldAt: Math.floor(this.world.clock.wallMs()),
      ...more,
    };
  }

  /** A key that no other line and no other run has. */
  key(name = 'key'): string {
    this.#uow += 1;
    return `${name} ${this.#uow}`;
  }

  /** The body that `apply` would send. */
  bodyOf(type: CallType, attempts: readonly Attempt[], more = {}): string {
    const head = { stash: 'stash-check', session: this.#session, mark: this.#mark, callback: null };
    this.attempts += attempts.length;
    return bodyOf(type, head, attempts, more);
  }

  /** What one attempt of a raw call came to. */
  word(ended: Ended): string {
    if (ended.got === 'late') return 'unknown';
    const verdict = verdictOf(ended, 1, this.world.clock.wallMs());
    return stashReplies(verdict, 1)[0]?.reply ?? 'nothing';
  }
}

function cut(text: string): string {
  return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS)}...`;
}
