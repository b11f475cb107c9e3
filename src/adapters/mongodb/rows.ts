/** The queries behind reading and pruning, each one round trip bounded by its number of rows. */
import type { Visible } from '../../contracts/reader.ts';
import type { Uow } from '../../kernel/words.ts';
import type { Connection } from './connection.ts';
import type { Bson, Head } from './documents.ts';

/** Everything that the index has, and nothing that it has not: no document is looked at. */
const HEAD = { _id: 0, key: 1, uow: 1, attempt: 1, kind: 1, expiresAt: 1 };
const NEWEST_FIRST = { account: 1, flow: 1, key: 1, uow: -1, attempt: -1 };

const KEYS_AT_ONCE = 200;
const ROWS_MAX = 4000;
const WALK_ROWS = 100;

export interface Query {
  readonly filter: Bson;
  readonly projection?: Bson;
  readonly sort: Bson;
  readonly limit: number;
}

/** The first `limit` rows; for rows that are small together (16 MiB end an answer). */
export async function rowsOf(
  connection: Connection,
  collection: string,
  { filter, projection, sort, limit }: Query,
): Promise<Bson[]> {
  const reply = await connection.command({
    find: collection,
    filter,
    sort,
    limit,
    batchSize: limit,
    singleBatch: true,
    ...(projection === undefined ? {} : { projection }),
  });
  return (reply['cursor'] as { firstBatch: Bson[] }).firstBatch;
}

/**
 * One account's flow in the collection of a stash. Tombstones are few: they are passed over here,
 * so that every query names the fields of the index from its first on, and no other.
 */
export class Space {
  readonly #connection: Connection;
  readonly #collection: string;
  readonly #account: string;
  readonly #flow: string;

  constructor(connection: Connection, collection: string, account: string, flow: string) {
    this.#connection = connection;
    this.#collection = collection;
    this.#account = account;
    this.#flow = flow;
  }

  #rows(more: Bson, limit: number, projection: Bson = HEAD): Promise<Bson[]> {
    const filter = { account: this.#account, flow: this.#flow, ...more };
    const query: Query = { filter, projection, sort: NEWEST_FIRST, limit };
    return rowsOf(this.#connection, this.#collection, query);
  }

  /** The newest version of a key, a tombstone included, with its value. */
  async newest(key: string, projection: Bson): Promise<Bson | null> {
    return (await this.#rows({ key }, 1, projection))[0] ?? null;
  }

  /** Rows of the keys at or (`behind`) after `from`, in the order of keys, newest first in each. */
  async headsFrom(from: string, behind: boolean, limit: number): Promise<Head[]> {
    const key = behind ? { $gt: from } : { $gte: from };
    return (await this.#rows({ key }, limit)) as unknown as Head[];
  }

  /** The newest version of each key that `visible` lets through. */
  async newestOf(keys: readonly string[], visible: Visible): Promise<Map<string, Head>> {
    const found = new Map<string, Head>();
    const lots: Promise<void>[] = [];
    for (let from = 0; from < keys.length; from += KEYS_AT_ONCE) {
      lots.push(this.#newestInto(found, keys.slice(from, from + KEYS_AT_ONCE), visible));
    }
    await Promise.all(lots);
    return found;
  }

  async #newestInto(
    found: Map<string, Head>,
    keys: readonly string[],
    visible: Visible,
  ): Promise<void> {
    let key: Bson = { $in: keys };
    for (;;) {
      const rows = (await this.#rows({ key }, ROWS_MAX)) as unknown as Head[];
      for (const head of rows) {
        if (!found.has(head.key) && isVisible(head, visible)) found.set(head.key, head);
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < ROWS_MAX) return;
      if (!found.has(last.key)) {
        const older = await this.firstVisible(last.key, last, visible);
        if (older !== null) found.set(last.key, older);
      }
      key = { $in: keys, $gt: last.key };
    }
  }

  /** The newest version of a key that `visible` lets through, of those older than `before`. */
  async firstVisible(
    key: string,
    before: { readonly uow: Uow; readonly attempt: number },
    visible: Visible,
  ): Promise<Head | null> {
    const walk = this.walk(key, before.uow + 1, HEAD);
    for await (const row of walk) {
      const head = row as unknown as Head;
      if (head.uow === before.uow && head.attempt >= before.attempt) continue;
      if (isVisible(head, visible)) return head;
    }
    return null;
  }

  /** Live versions of a key with a uow below `before` (null: all), newest first. */
  async *walk(
    key: string,
    before: Uow | null,
    projection: Bson,
    more: Bson = {},
  ): AsyncGenerator<Bson> {
    let uow: Bson | null = before === null ? null : { $lt: before };
    let last: Bson | undefined;
    for (;;) {
      const rows = await this.#rows({ key, ...more, ...(uow && { uow }) }, WALK_ROWS, projection);
      for (const row of rows) {
        const seen = last !== undefined && row['uow'] === last['uow'];
        if (seen && Number(row['attempt']) >= Number(last?.['attempt'])) continue;
        if (row['kind'] !== 'undone') yield row;
      }
      if (rows.length < WALK_ROWS) return;
      // Attempts of one uow are few, far fewer than the rows of one step.
      const end = rows.at(-1);
      if (end === undefined || (last !== undefined && end['uow'] === last['uow'])) return;
      last = end;
      uow = { $lte: end['uow'] };
    }
  }
}

export function isVisible({ kind, uow, attempt }: Head, visible: Visible): boolean {
  return kind !== 'undone' && visible(uow, attempt);
}
