/** Reads of a MongoDB stash: the current value, listings in key order, history. */
import type {
  Found,
  Moment,
  Reader,
  ScanItem,
  ScanPage,
  Version,
  Visible,
} from '../../contracts/reader.ts';
import { Fault } from '../../kernel/errors.ts';
import type { EpochMs, Uow } from '../../kernel/words.ts';
import type { Clock } from '../../kernel/world.ts';
import { keyCursor, keyOfCursor } from '../cursor.ts';
import type { Connection } from './connection.ts';
import { type Bson, attemptId, isThere, ttlOf, type Head } from './documents.ts';
import { Space, isVisible } from './rows.ts';
import { Trouble } from './trouble.ts';

/** Keys looked at in one `scan`, so that a long run of deleted ones cannot hold everything up. */
const SCAN_KEYS_MAX = 2000;
const SCAN_ROWS_MIN = 200;
const SCAN_ROWS_MAX = 4000;
const VALUES_AT_ONCE = 200;
/** A version that was chosen may be gone before its value is read; then it is chosen anew. */
const CHOICES_MAX = 5;

const WHOLE = { key: 1, uow: 1, attempt: 1, kind: 1, expiresAt: 1, digest: 1, value: 1 };
const STORY = {
  _id: 0,
  key: 1,
  uow: 1,
  attempt: 1,
  kind: 1,
  heldAt: 1,
  expiresAt: 1,
  digest: 1,
  bytes: 1,
};

interface Whole extends Head {
  readonly _id: string;
  readonly value: Uint8Array;
  readonly digest: string;
}

interface Story extends Head {
  readonly heldAt: Date;
  readonly digest: string;
  readonly bytes: number;
}

export interface ReaderParts {
  readonly id: string;
  readonly connection: Connection;
  readonly collection: string;
  readonly clock: Clock;
}

export class MongoReader implements Reader {
  readonly #parts: ReaderParts;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  get(
    account: string,
    flow: string,
    keys: readonly string[],
    visible: Visible,
  ): Promise<readonly (Found | null)[]> {
    const [only] = keys;
    return this.#reading(async () => {
      const space = this.#space(account, flow);
      if (keys.length === 1 && only !== undefined) {
        const one = (await space.newest(only, WHOLE)) as unknown as Whole | null;
        // In nearly every case: one key, whose newest version may be seen, in one round trip.
        if (one === null) return [null];
        if (isVisible(one, visible)) return [this.#found(one, this.#now)];
      }
      const found = await this.#many(space, [...new Set(keys)], visible);
      return keys.map((key) => found.get(key) ?? null);
    });
  }

  async #many(
    space: Space,
    keys: readonly string[],
    visible: Visible,
  ): Promise<Map<string, Found>> {
    const found = new Map<string, Found>();
    let left = keys;
    for (let tries = 0; left.length > 0; tries += 1) {
      if (tries === CHOICES_MAX)
        throw new Trouble('answered', 'versions change while they are read');
      const heads = await space.newestOf(left, visible);
      const there = [...heads.values()].filter((head) => isThere(head, this.#now));
      const values = await this.#values(there);
      left = [];
      for (const { key, uow, attempt } of there) {
        const whole = values.get(attemptId(uow, attempt) + key);
        if (whole === undefined) left = [...left, key];
        else found.set(key, this.#found(whole, this.#now) ?? ABSENT);
      }
    }
    for (const [key, one] of found) if (one === ABSENT) found.delete(key);
    return found;
  }

  async #values(heads: readonly Head[]): Promise<Map<string, Whole>> {
    if (heads.length === 0) return new Map();
    const { connection, collection } = this.#parts;
    const ids = heads.map(({ key, uow, attempt }) => attemptId(uow, attempt) + key);
    const lots: Promise<Bson[]>[] = [];
    for (let from = 0; from < ids.length; from += VALUES_AT_ONCE) {
      const _id = { $in: ids.slice(from, from + VALUES_AT_ONCE) };
      lots.push(connection.all(collection, { _id }, WHOLE));
    }
    const rows = (await Promise.all(lots)).flat() as unknown as Whole[];
    return new Map(rows.filter(({ kind }) => kind === 'set').map((row) => [row._id, row]));
  }

  async scan(
    account: string,
    flow: string,
    prefix: string,
    cursor: string | null,
    limit: number,
    visible: Visible,
  ): Promise<ScanPage> {
    const from = cursor === null ? prefix : keyOfCursor(cursor, prefix);
    return this.#reading(() => {
      return this.#scanFrom(this.#space(account, flow), prefix, from, cursor !== null, {
        limit,
        visible,
      });
    });
  }

  async #scanFrom(
    space: Space,
    prefix: string,
    start: string,
    startBehind: boolean,
    { limit, visible }: { readonly limit: number; readonly visible: Visible },
  ): Promise<ScanPage> {
    const now = this.#now;
    const items: ScanItem[] = [];
    const rowsAtOnce = Math.min(Math.max(2 * limit, SCAN_ROWS_MIN), SCAN_ROWS_MAX);
    let from = start;
    let behind = startBehind;
    for (let looked = 0; looked < SCAN_KEYS_MAX;) {
      const rows = await space.headsFrom(from, behind, rowsAtOnce);
      for (const versions of keysOf(rows)) {
        const [{ key }] = versions;
        if (!key.startsWith(prefix)) return { items, cursor: null };
        let head = versions.find((one) => isVisible(one, visible)) ?? null;
        const last = versions.at(-1);
        if (head === null && last !== undefined && last === rows.at(-1)) {
          head = await space.firstVisible(key, last, visible);
        }
        if (head !== null && isThere(head, now)) items.push({ key, ttlMs: ttlOf(head, now) });
        from = key;
        behind = true;
        looked += 1;
        if (items.length === limit) return { items, cursor: keyCursor(key) };
      }
      if (rows.length < rowsAtOnce) return { items, cursor: null };
    }
    return { items, cursor: keyCursor(from) };
  }

  history(
    account: string,
    flow: string,
    key: string,
    before: Uow | null,
    limit: number,
    visible: Visible,
  ): Promise<readonly Version[]> {
    return this.#reading(async () => {
      const found: Version[] = [];
      for await (const row of this.#space(account, flow).walk(key, before, STORY)) {
        const { uow, attempt, kind, heldAt, expiresAt, digest, bytes } = row as unknown as Story;
        if (found.length === limit) break;
        if (!visible(uow, attempt)) continue;
        found.push({
          uow,
          kind: kind === 'delete' ? 'delete' : 'set',
          heldAt: heldAt.getTime(),
          expiresAt: expiresAt === null ? null : expiresAt.getTime(),
          digest,
          bytes,
        });
      }
      return found;
    });
  }

  /** At a uow, the value as that write left it: its TTL counts from when it was held. */
  at(
    account: string,
    flow: string,
    key: string,
    moment: Moment,
    visible: Visible,
  ): Promise<Found | null> {
    return this.#reading(async () => {
      const before = 'uow' in moment ? moment.uow + 1 : null;
      const more: Bson = 'time' in moment ? { heldAt: { $lte: new Date(moment.time) } } : {};
      for await (const row of this.#space(account, flow).walk(key, before, STORY, more)) {
        const story = row as unknown as Story;
        if (!visible(story.uow, story.attempt)) continue;
        const now = 'time' in moment ? moment.time : story.heldAt.getTime();
        if (!isThere(story, now)) return null;
        const [whole] = (await this.#values([story])).values();
        if (whole !== undefined) return this.#found(whole, now);
      }
      return null;
    });
  }

  get #now(): EpochMs {
    return this.#parts.clock.wallMs();
  }

  #space(account: string, flow: string): Space {
    return new Space(this.#parts.connection, this.#parts.collection, account, flow);
  }

  #found(whole: Whole, now: EpochMs): Found | null {
    if (!isThere(whole, now)) return null;
    const { value, uow, digest } = whole;
    return { value, ttlMs: ttlOf(whole, now), uow, digest };
  }

  async #reading<T>(work: () => Promise<T>): Promise<T> {
    const { id, connection } = this.#parts;
    if (connection.apart) throw unavailable(id, 'it is apart');
    try {
      return await work();
    } catch (error) {
      if (error instanceof Fault) throw error;
      throw unavailable(id, error instanceof Error ? error.message : String(error), error);
    }
  }
}

/** Stands for a value that expired between being chosen and being read. */
const ABSENT: Found = { value: new Uint8Array(0), ttlMs: 0 };

export function unavailable(id: string, why: string, cause?: unknown): Fault {
  return new Fault('unavailable', `stash "${id}": ${why}`, { cause });
}

/** Rows in the order of keys, cut where the key changes. */
function keysOf(rows: readonly Head[]): [Head, ...Head[]][] {
  const cut: [Head, ...Head[]][] = [];
  for (const row of rows) {
    const last = cut.at(-1);
    if (last !== undefined && last[0].key === row.key) last.push(row);
    else cut.push([row]);
  }
  return cut;
}
