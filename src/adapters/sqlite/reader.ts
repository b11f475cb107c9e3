/** Reads of a SQLite stash: the current value, listings in key order, history. */
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
import { DELETE, type FoundRow, type VersionRow } from './tables.ts';
import type { Versions } from './versions.ts';

/** Keys looked at in one `scan`, so that a long run of deleted ones cannot hold everything up. */
const SCAN_KEYS_MAX = 2000;
const HISTORY_STEP = 100;
const INDEX_STEP = 500;

export class SqliteReader implements Reader {
  readonly #versions: Versions;
  readonly #clock: Clock;

  constructor(versions: Versions, clock: Clock) {
    this.#versions = versions;
    this.#clock = clock;
  }

  async get(
    account: string,
    flow: string,
    keys: readonly string[],
    visible: Visible,
  ): Promise<readonly (Found | null)[]> {
    const space = this.#versions.space(account, flow);
    if (space === null) return keys.map(() => null);
    const now = this.#clock.wallMs();
    return keys.map((key) => foundAt(this.#versions.current(space, key, visible), now));
  }

  async scan(
    account: string,
    flow: string,
    prefix: string,
    cursor: string | null,
    limit: number,
    visible: Visible,
  ): Promise<ScanPage> {
    let key = cursor === null ? prefix : keyOfCursor(cursor, prefix);
    const space = this.#versions.space(account, flow);
    if (space === null) return { items: [], cursor: null };
    await indexAll(this.#versions, this.#clock);
    const now = this.#clock.wallMs();
    const items: ScanItem[] = [];
    let behind = cursor !== null;
    for (let looked = 0; looked < SCAN_KEYS_MAX && items.length < limit; looked += 1) {
      const next = this.#versions.nextKey(space, key, behind);
      if (next === null || !next.startsWith(prefix)) return { items, cursor: null };
      key = next;
      behind = true;
      const row = this.#visible(space, key, null, visible);
      if (row !== null && isThere(row, now)) items.push({ key, ttlMs: ttlOf(row, now) });
    }
    return { items, cursor: keyCursor(key) };
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
    for (const row of this.#walk(account, flow, key, before)) {
      if (found.length === limit) break;
      if (!visible(row.uow, row.attempt)) continue;
      const { uow, heldAt, expiresAt, digest, bytes } = row;
      const kind = row.kind === DELETE ? 'delete' : 'set';
      found.push({ uow, kind, heldAt, expiresAt, digest, bytes });
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
    for (const row of this.#walk(account, flow, key, before)) {
      if ('time' in moment && row.heldAt > moment.time) continue;
      if (!visible(row.uow, row.attempt)) continue;
      const value = this.#versions.value(row.uow, row.attempt);
      return foundAt({ ...row, value }, 'time' in moment ? moment.time : row.heldAt);
    }
    return null;
  }

  #visible(space: number, key: string, before: Uow | null, visible: Visible): VersionRow | null {
    for (const row of this.#rows(space, key, before, 1)) {
      if (visible(row.uow, row.attempt)) return row;
    }
    return null;
  }

  #walk(account: string, flow: string, key: string, before: Uow | null): Iterable<VersionRow> {
    const space = this.#versions.space(account, flow);
    return space === null ? [] : this.#rows(space, key, before, HISTORY_STEP);
  }

  *#rows(space: number, key: string, before: Uow | null, step: number): Generator<VersionRow> {
    let uow = before ?? Number.MAX_SAFE_INTEGER;
    let attempt = before === null ? 1023 : 0;
    for (;;) {
      const rows = this.#versions.list(space, key, uow, attempt, step);
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined || rows.length < step) return;
      uow = last.uow;
      attempt = last.attempt;
    }
  }
}

/** Puts what was written before the call into the index, letting others run in between. */
export async function indexAll(versions: Versions, clock: Clock): Promise<void> {
  while (versions.connection.isOpen && versions.index(INDEX_STEP)) {
    await new Promise<void>((resolve) => clock.soon(resolve));
  }
}

function isThere(row: VersionRow, now: EpochMs): boolean {
  return row.kind !== DELETE && (row.expiresAt === null || row.expiresAt > now);
}

function ttlOf(row: VersionRow, now: EpochMs): number | null {
  return row.expiresAt === null ? null : row.expiresAt - now;
}

function foundAt(row: FoundRow | null, now: EpochMs): Found | null {
  if (row === null || !isThere(row, now)) return null;
  return { value: row.value, ttlMs: ttlOf(row, now), uow: row.uow, digest: row.digest };
}
