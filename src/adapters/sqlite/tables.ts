/**
 * The tables of a SQLite stash and the statements over them.
 *
 * `attempt` is appended to in the order of uows, so a batch touches few pages, and a value shared
 * by a thousand keys stands there once. Its id is uow x 1,024 + attempt, made and taken apart
 * inside SQL, since it may exceed 2^53. `version` lists live attempts only: an undone one keeps its
 * row in `attempt`, as a tombstone, so that a late apply meets it. The newest attempts are not in
 * `version` yet (tail.ts); those with a uow at or below `meta.indexed_to` all are.
 */
import type { StatementSync } from 'node:sqlite';
import type { EpochMs, Uow } from '../../kernel/words.ts';
import type { Connection, DatabaseShape } from './connection.ts';

export const SET = 0;
export const DELETE = 1;
export const TOMBSTONE = 2;

/** Attempts one uow may have: their number takes ten bits of the id. */
export const ATTEMPTS_MAX = 1023;

export const SHAPE: DatabaseShape = {
  applicationId: 0x48664461,
  version: 1,
  cacheKiB: 64 * 1024,
  tables: `
    CREATE TABLE attempt (
      id INTEGER PRIMARY KEY,
      kind INTEGER NOT NULL,
      space INTEGER NOT NULL,
      keys TEXT NOT NULL,
      held_at INTEGER NOT NULL,
      expires_at INTEGER,
      digest TEXT NOT NULL,
      value BLOB NOT NULL
    ) STRICT;
    CREATE INDEX attempt_expiry ON attempt (expires_at) WHERE expires_at IS NOT NULL;
    CREATE TABLE version (
      space INTEGER NOT NULL,
      key TEXT NOT NULL,
      id INTEGER NOT NULL,
      PRIMARY KEY (space, key, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE space (
      id INTEGER PRIMARY KEY,
      account TEXT NOT NULL,
      flow TEXT NOT NULL,
      UNIQUE (account, flow)
    ) STRICT;
    CREATE TABLE meta (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      stash TEXT NOT NULL,
      clean INTEGER NOT NULL,
      boot TEXT,
      journal_id TEXT,
      position INTEGER,
      read_from INTEGER,
      settled_to INTEGER NOT NULL DEFAULT 0,
      aged_to INTEGER NOT NULL DEFAULT 0,
      expired_to INTEGER NOT NULL DEFAULT 0,
      expired_id INTEGER NOT NULL DEFAULT 0,
      indexed_to INTEGER NOT NULL DEFAULT 0
    ) STRICT`,
};

/** A version as the index finds it, without its value. */
export interface VersionRow {
  readonly uow: Uow;
  readonly attempt: number;
  readonly kind: number;
  readonly heldAt: EpochMs;
  readonly expiresAt: EpochMs | null;
  readonly digest: string;
  readonly bytes: number;
}

export type HeadRow = [Uow, number, number, EpochMs, EpochMs | null, string, number];
export type Row = [Uow, number, number, EpochMs, EpochMs | null, string, Uint8Array];

/**
 * The keys of an attempt as one text: alone as it is, several as NUL (no key holds one) and JSON.
 */
export function keysText(keys: readonly string[]): string {
  const [only] = keys;
  return keys.length === 1 && only !== undefined ? only : `\0${JSON.stringify(keys)}`;
}

export function keysOf(text: string): readonly string[] {
  return text.startsWith('\0') ? (JSON.parse(text.slice(1)) as string[]) : [text];
}

const ID = '((? << 10) | ?)';
const OF_KEY = 'FROM version v JOIN attempt a ON a.id = v.id WHERE v.space = ? AND v.key = ?';
const HEAD = 'a.id >> 10, a.id & 1023, a.kind, a.held_at, a.expires_at, a.digest';

/** Prepared once per opened file. */
export function statementsOf(connection: Connection) {
  const write = (sql: string): StatementSync => {
    const statement = connection.prepare(sql);
    // The row id in the result of `run` may exceed 2^53, and would throw as a number.
    statement.setReadBigInts(true);
    return statement;
  };
  return {
    insert: write(`INSERT INTO attempt VALUES (${ID}, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`),
    link: write(`INSERT INTO version VALUES (?, ?, ${ID}) ON CONFLICT DO NOTHING`),
    unlink: write(`DELETE FROM version WHERE space = ? AND key = ? AND id = ${ID}`),
    bury: write(
      `UPDATE attempt SET kind = ${TOMBSTONE}, digest = '', value = x'', expires_at = NULL
       WHERE id = ${ID}`,
    ),
    mark: write('UPDATE meta SET journal_id = ?, position = ?, read_from = ?'),
    clean: write('UPDATE meta SET clean = ?, boot = ?'),
    addSpace: write('INSERT INTO space (account, flow) VALUES (?, ?)'),
    space: connection.rows('SELECT id FROM space WHERE account = ? AND flow = ?'),
    meta: connection.prepare('SELECT * FROM meta'),
    held: connection.rows(`SELECT kind, digest FROM attempt WHERE id = ${ID}`),
    newest: connection.rows(`SELECT ${HEAD}, a.value ${OF_KEY} ORDER BY v.id DESC LIMIT 1`),
    next: connection.rows(
      `SELECT ${HEAD}, a.value ${OF_KEY} AND v.id < ${ID} ORDER BY v.id DESC LIMIT 1`,
    ),
    list: connection.rows(
      `SELECT ${HEAD}, length(a.value) ${OF_KEY} AND v.id < ${ID} ORDER BY v.id DESC LIMIT ?`,
    ),
    indexed: write('UPDATE meta SET indexed_to = ?'),
    indexedTo: connection.rows('SELECT indexed_to, (SELECT max(id) >> 10 FROM attempt) FROM meta'),
    unindexed: connection.rows(
      `SELECT id >> 10, id & 1023, space, keys FROM attempt
       WHERE id > ${ID} AND kind <> ${TOMBSTONE}`,
    ),
    keysOf: connection.rows(`SELECT keys FROM attempt WHERE id = ${ID}`),
    one: connection.rows(`SELECT ${HEAD}, a.value FROM attempt a WHERE a.id = ${ID}`),
    value: connection.rows(`SELECT value FROM attempt WHERE id = ${ID}`),
    keyFrom: connection.rows(
      'SELECT key FROM version WHERE space = ? AND key >= ? ORDER BY key LIMIT 1',
    ),
    keyAfter: connection.rows(
      'SELECT key FROM version WHERE space = ? AND key > ? ORDER BY key LIMIT 1',
    ),
  };
}

export type Place = Pick<VersionRow, 'uow' | 'attempt'>;

export function isOlder(one: Place, other: Place): boolean {
  return one.uow < other.uow || (one.uow === other.uow && one.attempt < other.attempt);
}

export interface FoundRow extends VersionRow {
  readonly value: Uint8Array;
}

export function foundRow(row: Row | undefined): FoundRow | null {
  if (row === undefined) return null;
  const [uow, attempt, kind, heldAt, expiresAt, digest, value] = row;
  return { uow, attempt, kind, heldAt, expiresAt, digest, value, bytes: value.length };
}
