/** Reads of a PostgreSQL stash: the current value, listings in key order, history. */
import type {
  Found,
  Moment,
  Reader,
  ScanItem,
  ScanPage,
  Version,
  Visible,
} from '../../contracts/reader.ts';
import type { EpochMs, Uow } from '../../kernel/words.ts';
import type { Clock } from '../../kernel/world.ts';
import { keyCursor, keyOfCursor } from '../cursor.ts';
import { bigintArray, integerArray, textArray } from './binary.ts';
import type { Row, Statement } from './connection.ts';
import { Gather } from './gather.ts';
import { readsOf } from './reads.ts';
import type { Session } from './session.ts';
import { DELETE } from './tables.ts';
import { troubleOf } from './trouble.ts';

/** Keys looked at in one `scan`, so that a long run of deleted ones cannot hold everything up. */
const SCAN_KEYS_MAX = 2000;
const HISTORY_STEP = 100;
/** Versions of a key that are looked at beyond one that is not visible: so many, then more. */
const BEHIND_STEP = 16;
const BEHIND_STEP_MAX = 1000;
/**
 * Values up to this are handed out with the versions of many keys; larger ones are fetched after.
 */
const INLINE_BYTES_MAX = 64 * 1024;
const FETCH_BYTES_MAX = 16 * 1024 * 1024;
/** Queries for gathered reads; the other connections are left to listings and to many keys. */
const GATHERED_AT_ONCE = 4;
const LAST_UOW = Number.MAX_SAFE_INTEGER;
const LAST_ATTEMPT = 2 ** 31 - 1;

/** A version without its value. */
interface Head {
  readonly key: string;
  readonly uow: Uow;
  readonly attempt: number;
  readonly kind: number;
  readonly heldAt: EpochMs;
  readonly expiresAt: EpochMs | null;
  readonly digest: string;
  readonly bytes: number;
  /** Null where it was not handed out. */
  readonly value: Uint8Array | null;
}

export class PostgresReader implements Reader {
  readonly #session: Session;
  readonly #clock: Clock;
  readonly #reads: ReturnType<typeof readsOf>;
  readonly #gather: Gather<Head | null>;

  constructor(session: Session) {
    this.#session = session;
    this.#clock = session.setup.world.clock;
    this.#reads = readsOf(session.tables.version);
    const { readers } = session.setup;
    this.#gather = new Gather(Math.min(readers, GATHERED_AT_ONCE), this.#clock, (...asked) =>
      this.#newest(...asked),
    );
  }

  async get(
    account: string,
    flow: string,
    keys: readonly string[],
    visible: Visible,
  ): Promise<readonly (Found | null)[]> {
    const [only] = keys;
    const newest =
      keys.length === 1 && only !== undefined
        ? [await this.#gather.one(account, flow, only)]
        : await this.#newest(account, flow, keys);
    const heads = await this.#seen(account, flow, newest, visible);
    const now = this.#clock.wallMs();
    const there = heads.map((head) => (head !== null && isThere(head, now) ? head : null));
    const values = await this.#values(account, flow, there);
    const found = there.map((head, at) => (head === null ? null : foundOf(head, values[at], now)));
    for (const [at, head] of there.entries()) {
      // Pruned between the look at it and at its value: something newer has taken its place.
      if (head === null || found[at] !== null) continue;
      const [again] = await this.get(account, flow, [head.key], visible);
      found[at] = again ?? null;
    }
    return found;
  }

  async #newest(
    account: string,
    flow: string,
    keys: readonly string[],
  ): Promise<readonly (Head | null)[]> {
    const inline = keys.length === 1 ? LAST_ATTEMPT : INLINE_BYTES_MAX;
    const values = [account, flow, textArray(keys), inline];
    return headsOf(keys, await this.#ask(this.#reads.newest, values));
  }

  /** Each head, or the newest older one of its key that `visible` lets through. */
  async #seen(
    account: string,
    flow: string,
    heads: readonly (Head | null)[],
    visible: Visible,
  ): Promise<(Head | null)[]> {
    const seen: (Head | null)[] = [...heads];
    let step = BEHIND_STEP;
    for (;;) {
      const hidden: number[] = [];
      const behind: Head[] = [];
      for (const [at, head] of seen.entries()) {
        if (head === null || visible(head.uow, head.attempt)) continue;
        hidden.push(at);
        behind.push(head);
      }
      if (hidden.length === 0) return seen;
      const rows = await this.#behind(account, flow, behind, step);
      const older = new Map<number, Head[]>();
      for (const row of rows) {
        const at = Number(row[0]) - 1;
        const list = older.get(at) ?? [];
        list.push(headOf(behind[at]?.key ?? '', row));
        older.set(at, list);
      }
      for (const [nth, at] of hidden.entries()) {
        const list = older.get(nth) ?? [];
        const first = list.find((head) => visible(head.uow, head.attempt));
        seen[at] = first ?? (list.length < step ? null : (list.at(-1) ?? null));
      }
      step = Math.min(step * 4, BEHIND_STEP_MAX);
    }
  }

  #behind(
    account: string,
    flow: string,
    heads: readonly Head[],
    limit: number,
  ): Promise<readonly Row[]> {
    const keys = textArray(heads.map((head) => head.key));
    const uows = bigintArray(heads.map((head) => head.uow));
    const attempts = integerArray(heads.map((head) => head.attempt));
    return this.#ask(this.#reads.older, [account, flow, keys, uows, attempts, limit]);
  }

  /** The values of the heads that came without, in groups of bounded size. */
  async #values(
    account: string,
    flow: string,
    heads: readonly (Head | null)[],
  ): Promise<(Uint8Array | null)[]> {
    const values = heads.map((head) => head?.value ?? null);
    const wanted = [...heads.keys()].filter((at) => heads[at]?.value === null);
    while (wanted.length > 0) {
      const group: number[] = [];
      let bytes = 0;
      for (let at = wanted[0]; at !== undefined; at = wanted[0]) {
        bytes += heads[at]?.bytes ?? 0;
        if (group.length > 0 && bytes > FETCH_BYTES_MAX) break;
        group.push(at);
        wanted.shift();
      }
      const asked = group.flatMap((at) => heads[at] ?? []);
      const rows = await this.#ask(this.#reads.values, [
        account,
        flow,
        textArray(asked.map((head) => head.key)),
        bigintArray(asked.map((head) => head.uow)),
        integerArray(asked.map((head) => head.attempt)),
      ]);
      for (const [nth, at] of group.entries()) values[at] = bytesOf(rows[nth]?.[0]);
    }
    return values;
  }

  async scan(
    account: string,
    flow: string,
    prefix: string,
    cursor: string | null,
    limit: number,
    visible: Visible,
  ): Promise<ScanPage> {
    let from = cursor === null ? prefix : keyOfCursor(cursor, prefix);
    let behind = cursor !== null;
    const items: ScanItem[] = [];
    for (let looked = 0; looked < SCAN_KEYS_MAX && items.length < limit;) {
      const wanted = Math.min(Math.max(limit - items.length, 16), SCAN_KEYS_MAX - looked);
      const { scanBehind, scanFrom } = this.#reads;
      const values = [account, flow, prefix, from, wanted];
      const rows = await this.#ask(behind ? scanBehind : scanFrom, values);
      const keys = rows.map((row) => String(row.at(-1)));
      const heads = await this.#seen(account, flow, keys.map(headAt(rows)), visible);
      const now = this.#clock.wallMs();
      for (const [at, key] of keys.entries()) {
        if (items.length === limit) return { items, cursor: keyCursor(from) };
        from = key;
        behind = true;
        const head = heads[at];
        if (head && isThere(head, now)) items.push({ key, ttlMs: ttlOf(head, now) });
      }
      if (rows.length < wanted) return { items, cursor: null };
      looked += rows.length;
    }
    return { items, cursor: keyCursor(from) };
  }

  async history(
    account: string,
    flow: string,
    key: string,
    before: Uow | null,
    limit: number,
    visible: Visible,
  ): Promise<readonly Version[]> {
    const found: Version[] = [];
    for await (const head of this.#walk(account, flow, key, before)) {
      if (!visible(head.uow, head.attempt)) continue;
      const { uow, heldAt, expiresAt, digest, bytes } = head;
      const kind = head.kind === DELETE ? 'delete' : 'set';
      found.push({ uow, kind, heldAt, expiresAt, digest, bytes });
      if (found.length === limit) break;
    }
    return found;
  }

  /** At a uow, the value as that write left it: its TTL counts from when it was held. */
  async at(
    account: string,
    flow: string,
    key: string,
    moment: Moment,
    visible: Visible,
  ): Promise<Found | null> {
    const before = 'uow' in moment ? moment.uow + 1 : null;
    for await (const head of this.#walk(account, flow, key, before)) {
      if ('time' in moment && head.heldAt > moment.time) continue;
      if (!visible(head.uow, head.attempt)) continue;
      const then = 'time' in moment ? moment.time : head.heldAt;
      if (!isThere(head, then)) return null;
      const [value] = await this.#values(account, flow, [head]);
      return foundOf(head, value, then);
    }
    return null;
  }

  /** Versions of a key before a uow, newest first. */
  async *#walk(
    account: string,
    flow: string,
    key: string,
    before: Uow | null,
  ): AsyncGenerator<Head> {
    let place = { key, uow: before ?? LAST_UOW, attempt: before === null ? LAST_ATTEMPT : 0 };
    for (;;) {
      const rows = await this.#behind(account, flow, [place as Head], HISTORY_STEP);
      const heads = rows.map((row) => headOf(key, row));
      yield* heads;
      const last = heads.at(-1);
      if (last === undefined || heads.length < HISTORY_STEP) return;
      place = last;
    }
  }

  /** Rejects with a Fault `unavailable` when no answer came. */
  async #ask(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    try {
      return await this.#session.read(statement, values);
    } catch (error) {
      throw this.#session.fault(troubleOf(error).message);
    }
  }
}

/** Of rows that begin with the place (from 1) of their key. */
function headsOf(keys: readonly string[], rows: readonly Row[]): (Head | null)[] {
  const heads: (Head | null)[] = keys.map(() => null);
  for (const row of rows) {
    const at = Number(row[0]) - 1;
    heads[at] = headOf(keys[at] ?? '', row);
  }
  return heads;
}

/** Of rows in the order of the keys, empty where a key has no version. */
function headAt(rows: readonly Row[]): (key: string, at: number) => Head | null {
  return (key, at) => (typeof rows[at]?.[1] === 'number' ? headOf(key, rows[at]) : null);
}

function headOf(key: string, row: Row): Head {
  const [, uow, attempt, kind, heldAt, expiresAt, digest, bytes, value] = row as [
    unknown,
    Uow,
    number,
    number,
    EpochMs,
    EpochMs | null,
    string,
    number,
    Uint8Array | null | undefined,
  ];
  const known = value instanceof Uint8Array ? value : null;
  return { key, uow, attempt, kind, heldAt, expiresAt, digest, bytes, value: known };
}

function bytesOf(value: unknown): Uint8Array | null {
  return value instanceof Uint8Array ? value : null;
}

function isThere(head: Head, now: EpochMs): boolean {
  return head.kind !== DELETE && (head.expiresAt === null || head.expiresAt > now);
}

function ttlOf(head: Head, now: EpochMs): number | null {
  return head.expiresAt === null ? null : head.expiresAt - now;
}

function foundOf(head: Head, value: Uint8Array | null | undefined, now: EpochMs): Found | null {
  if (value === null || value === undefined) return null;
  return { value, ttlMs: ttlOf(head, now), uow: head.uow, digest: head.digest };
}
