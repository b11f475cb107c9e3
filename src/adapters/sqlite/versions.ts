/**
 * The versions of a SQLite stash, for its two halves: what applies and undoes, and what reads. It
 * knows the tables (tables.ts) and the tail of versions that are not in the index yet (tail.ts).
 */
import type { Visible } from '../../contracts/reader.ts';
import type { Attempt, Mark } from '../../contracts/stash.ts';
import { Fault } from '../../kernel/errors.ts';
import type { Uow } from '../../kernel/words.ts';
import type { World } from '../../kernel/world.ts';
import { ReadCache } from './cache.ts';
import { Connection } from './connection.ts';
import {
  ATTEMPTS_MAX,
  DELETE,
  SET,
  SHAPE,
  TOMBSTONE,
  foundRow,
  isOlder,
  keysOf,
  keysText,
  statementsOf,
  type FoundRow,
  type HeadRow,
  type Row,
  type VersionRow,
} from './tables.ts';
import { TAIL_SIZES, Tail, type TailSizes } from './tail.ts';

/**
 * The tables behind a stash and its reader. Every method is synchronous and may throw as SQLite
 * does.
 */
export class Versions {
  readonly #stash: string;
  readonly #path: string;
  readonly #world: World;
  readonly #tailSizes: TailSizes;
  #connection: Connection;
  #statements: ReturnType<typeof statementsOf>;
  #spaces = new Map<string, number>();
  /** Null after a transaction failed: it then knows of versions that were not kept. */
  #tail: Tail | null = null;
  /** Uows at or below are in the index, all of them; none above `#indexMax` is. */
  #indexedTo: Uow = 0;
  #indexMax: Uow = 0;
  readonly #cache = new ReadCache();
  #markedAt = Number.NEGATIVE_INFINITY;
  #added = 0;
  /**
   * Whether everything ever committed to this file is in it: it was closed well when last used, or
   * only the process died, and what SQLite committed outlives that (not a power cut).
   */
  #whole: boolean;

  private constructor(
    stash: string,
    path: string,
    world: World,
    sizes: TailSizes,
    connection: Connection,
  ) {
    this.#tailSizes = sizes;
    this.#stash = stash;
    this.#path = path;
    this.#world = world;
    this.#connection = connection;
    this.#statements = statementsOf(connection);
    this.#whole = this.#claim(world.bootId ?? null);
  }

  /** Opens the file for the stash of this name; throws a Fault when it belongs to another. */
  static async open(
    stash: string,
    path: string,
    world: World,
    sizes: TailSizes = TAIL_SIZES,
  ): Promise<Versions> {
    const connection = await Connection.open(path, SHAPE, world);
    try {
      return new Versions(stash, path, world, sizes, connection);
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** Opens the file again, so that nothing of an earlier transaction is under way any more. */
  async reopen(): Promise<void> {
    await this.#connection.close();
    this.#connection = await Connection.open(this.#path, SHAPE, this.#world);
    this.#statements = statementsOf(this.#connection);
    this.#forget();
    // After trouble nobody vouches for what it held.
    this.#whole &&= this.#claim(null);
  }

  #forget(): void {
    this.#spaces = new Map();
    this.#tail = null;
    this.#cache.clear();
  }

  /** The tail, read again from the attempts where it is not known. */
  get #waiting(): Tail {
    if (this.#tail !== null) return this.#tail;
    const { indexedTo, unindexed } = this.#statements;
    const [to, max] = indexedTo.get() as unknown as [Uow, Uow | null];
    const tail = new Tail(this.#tailSizes);
    for (const row of unindexed.all(to, ATTEMPTS_MAX)) {
      const [uow, attempt, space, text] = row as unknown as [Uow, number, number, string];
      for (const key of keysOf(text)) tail.add(space, key, uow, attempt);
    }
    this.#indexedTo = to;
    this.#indexMax = max ?? 0;
    this.#added = 0;
    this.#tail = tail;
    return tail;
  }

  /** Takes the file and returns whether it is whole. */
  #claim(bootId: string | null): boolean {
    const meta = this.#statements.meta.get();
    if (meta === undefined) {
      const sql = 'INSERT INTO meta (one, stash, clean, boot) VALUES (1, ?, 0, ?)';
      this.#connection.transact(() => this.#connection.prepare(sql).run(this.#stash, bootId));
      return true;
    }
    if (meta['stash'] !== this.#stash) {
      throw new Fault('conflict', `${this.#path} holds the stash "${String(meta['stash'])}"`, {
        hint: 'Give every stash a file of its own.',
      });
    }
    const whole = meta['clean'] === 1 || (bootId !== null && meta['boot'] === bootId);
    // Of a file that lost something, the next process must not believe that it did not.
    this.#connection.transact(() => this.#statements.clean.run(0, whole ? bootId : null));
    return whole;
  }

  get connection(): Connection {
    return this.#connection;
  }

  get whole(): boolean {
    return this.#whole;
  }

  /**
   * Runs `work` in one transaction, with the mark where it is due or `marks`; throws StoreTrouble.
   */
  write<T>(mark: Mark, marks: boolean, work: () => T): T {
    const now = this.#world.clock.monotonicMs();
    const due = marks || now - this.#markedAt >= MARK_MS;
    // Known before anything is added, or what is added would be in it twice.
    const tail = this.#waiting;
    return this.#transact(() => {
      const result = work();
      if (due) this.#statements.mark.run(mark.journalId, mark.position, mark.from);
      // Half as much again as came in, so that the tail stays bounded and no call stands still.
      if (tail.isDue) this.#moveOver(Math.ceil(this.#added * 1.5));
      this.#added = 0;
      if (due) this.#markedAt = now;
      return result;
    });
  }

  #transact<T>(work: () => T): T {
    try {
      return this.#connection.transact(work);
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  /** Puts the next versions of the tail into the index; false when there was none left. */
  #moveOver(count: number): boolean {
    const tail = this.#waiting;
    const entries = tail.take(count);
    for (const { space, key, uow, attempt } of entries) this.#link(space, key, uow, attempt);
    for (const entry of entries) tail.settle(entry);
    if (entries.length === count) return true;
    this.#indexedTo = Math.max(this.#indexedTo, tail.settledTo);
    this.#statements.indexed.run(this.#indexedTo);
    return false;
  }

  /** Puts up to `count` versions of the tail into the index; false when all of them are there. */
  index(count: number): boolean {
    if (this.#waiting.isEmpty) return false;
    return this.#transact(() => this.#moveOver(count)) || !this.#waiting.isEmpty;
  }

  /** Puts the versions of one key into the index. */
  #indexKey(space: number, key: string): void {
    const entries = [...this.#waiting.of(space, key)];
    if (entries.length === 0) return;
    this.#transact(() => {
      for (const entry of entries) this.#link(space, key, entry.uow, entry.attempt);
    });
    for (const entry of entries) this.#waiting.settle(entry);
  }

  #link(space: number, key: string, uow: Uow, attempt: number): void {
    this.#statements.link.run(space, key, uow, attempt);
    if (uow > this.#indexMax) this.#indexMax = uow;
  }

  mark(): Mark | null {
    const meta = this.#statements.meta.get();
    const journalId = meta?.['journal_id'];
    const position = meta?.['position'];
    const from = meta?.['read_from'];
    if (typeof journalId !== 'string' || typeof position !== 'number') return null;
    return { journalId, position, from: typeof from === 'number' ? from : 0 };
  }

  /** Inside `write`: adds the attempt with all its keys; false when its id is there already. */
  insert(attempt: Attempt): boolean {
    const { uow, attempt: number, keys } = attempt;
    const space = this.#spaceToWrite(attempt.account, attempt.flow);
    const { changes } = this.#statements.insert.run(
      uow,
      number,
      attempt.kind === 'delete' ? DELETE : SET,
      space,
      keysText(keys),
      attempt.heldAt,
      attempt.expiresAt,
      attempt.digest,
      attempt.value,
    );
    if (changes !== 1n) return false;
    const tail = this.#waiting;
    this.#added += keys.length;
    for (const key of keys) {
      this.#cache.forget(space, key);
      if (uow > this.#indexedTo) tail.add(space, key, uow, number);
      else this.#link(space, key, uow, number);
    }
    return true;
  }

  /** Inside `write`: leaves a tombstone under the attempt's id, whatever stood there. */
  bury(attempt: Attempt): void {
    const { uow, attempt: number, keys } = attempt;
    const space = this.#spaceToWrite(attempt.account, attempt.flow);
    const { insert, unlink, bury } = this.#statements;
    const { heldAt } = attempt;
    const text = keysText(keys);
    const added = insert.run(uow, number, TOMBSTONE, space, text, heldAt, null, '', NOTHING);
    if (added.changes === 1n) return;
    // The keys it was stored under: should the caller name others, none of them is left behind.
    const stored = this.#statements.keysOf.get(uow, number) as unknown as [string] | undefined;
    const tail = this.#waiting;
    for (const key of keysOf(stored?.[0] ?? text)) {
      this.#cache.forget(space, key);
      for (const entry of tail.of(space, key)) {
        if (entry.uow === uow && entry.attempt === number) tail.settle(entry);
      }
      unlink.run(space, key, uow, number);
    }
    bury.run(uow, number);
  }

  held(uow: Uow, attempt: number): { kind: number; digest: string } | null {
    const row = this.#statements.held.get(uow, attempt) as unknown as [number, string] | undefined;
    return row === undefined ? null : { kind: row[0], digest: row[1] };
  }

  #spaceToWrite(account: string, flow: string): number {
    const known = this.space(account, flow);
    if (known !== null) return known;
    this.#statements.addSpace.run(account, flow);
    return this.space(account, flow) ?? 0;
  }

  /** The number that stands for account and flow; null when nothing of them was ever written. */
  space(account: string, flow: string): number | null {
    const name = `${account}/${flow}`;
    const known = this.#spaces.get(name);
    if (known !== undefined) return known;
    const row = this.#statements.space.get(account, flow) as unknown as [number] | undefined;
    if (row === undefined) return null;
    this.#spaces.set(name, row[0]);
    return row[0];
  }

  /** The newest version that `visible` lets through, a delete marker or an expired one included. */
  current(space: number, key: string, visible: Visible): FoundRow | null {
    const cached = this.#cache.get(space, key);
    if (cached !== null && visible(cached.uow, cached.attempt)) return cached;
    let hidden = false;
    const found = this.#current(space, key, (uow, attempt) => {
      const seen = visible(uow, attempt);
      if (!seen) hidden = true;
      return seen;
    });
    // Only the newest of all may be kept, not the newest that this caller may see.
    if (found !== null && !hidden) this.#cache.put(space, key, found);
    return found;
  }

  #current(space: number, key: string, visible: Visible): FoundRow | null {
    const waiting = this.#newestWaiting(space, key, visible);
    if (waiting !== null && waiting.uow > this.#indexMax) return waiting;
    const { newest, next } = this.#statements;
    let found = foundRow(newest.get(space, key) as unknown as Row | undefined);
    while (found !== null && !visible(found.uow, found.attempt)) {
      const older = next.get(space, key, found.uow, found.attempt) as unknown as Row | undefined;
      found = foundRow(older);
    }
    return waiting !== null && (found === null || isOlder(found, waiting)) ? waiting : found;
  }

  #newestWaiting(space: number, key: string, visible: Visible): FoundRow | null {
    const newest = this.#waiting.newest(space, key, visible);
    if (newest === undefined) return null;
    const row = this.#statements.one.get(newest.uow, newest.attempt);
    return foundRow(row as unknown as Row | undefined);
  }

  /** At most `limit` versions older than (`uow`, `attempt`), newest first. */
  list(space: number, key: string, uow: Uow, attempt: number, limit: number): VersionRow[] {
    this.#indexKey(space, key);
    const rows = this.#statements.list.all(space, key, uow, attempt, limit) as unknown as HeadRow[];
    return rows.map(([u, number, kind, heldAt, expiresAt, digest, bytes]) => {
      return { uow: u, attempt: number, kind, heldAt, expiresAt, digest, bytes };
    });
  }

  value(uow: Uow, attempt: number): Uint8Array {
    const row = this.#statements.value.get(uow, attempt) as unknown as [Uint8Array] | undefined;
    return row?.[0] ?? NOTHING;
  }

  /**
   * The first key at or (`behind`) after `from` in the order of UTF-8 bytes, of those that are in
   * the index: call `index` until it is done first.
   */
  nextKey(space: number, from: string, behind: boolean): string | null {
    const { keyAfter, keyFrom } = this.#statements;
    const row = (behind ? keyAfter : keyFrom).get(space, from) as unknown as [string] | undefined;
    return row?.[0] ?? null;
  }

  /** Closes the file so that the next start knows it is whole. */
  async close(): Promise<void> {
    if (!this.#connection.isOpen) return;
    // One that lost something is not made whole by a clean stop: what it lost may still be open.
    if (this.#whole) this.#connection.transact(() => this.#statements.clean.run(1, null));
    this.#connection.checkpoint();
    await this.#connection.close();
  }
}

const NOTHING = new Uint8Array(0);
/** The page that holds the mark is written this often, not with every batch. */
const MARK_MS = 250;
