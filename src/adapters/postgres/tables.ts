/**
 * The tables of a PostgreSQL stash and the statements that write to them.
 *
 * `version` holds one row per key and attempt, live or undone. Its primary key makes a second
 * sending of an attempt meet the first, and orders the versions of a key; all texts compare by
 * their bytes. `mark` is one row: whose data this is, and which connection may write. Every
 * statement that writes takes that row first, and does nothing when another connection has taken
 * it over, so a server that runs a statement of ours long after we gave up on it changes nothing.
 */
import type { Statement } from './connection.ts';

export const SET = 0;
export const DELETE = 1;
export const TOMBSTONE = 2;

/** What follows from `schema` and `table`: names with quotes, and the statements. */
export type Tables = ReturnType<typeof tablesOf>;

/** Serializes the making of tables by several starts: `hf` and a number of ours. */
const MAKING_LOCK = 0x6866_0001;

const IDENTITY = 'account, flow, key, uow, attempt';
const COLUMNS = `${IDENTITY}, kind, held_at, expires_at, digest, value`;

/** Columns in order, with their types as the catalogue spells them. */
export const VERSION_COLUMNS: readonly (readonly [name: string, type: string])[] = [
  ['account', 'text'],
  ['flow', 'text'],
  ['key', 'text'],
  ['uow', 'bigint'],
  ['attempt', 'integer'],
  ['kind', 'smallint'],
  ['held_at', 'bigint'],
  ['expires_at', 'bigint'],
  ['digest', 'text'],
  ['value', 'bytea'],
];

export function tablesOf(schema: string, table: string) {
  const version = `"${schema}"."${table}"`;
  const mark = `"${schema}"."${table}_mark"`;
  return {
    version,
    mark,
    make: makeOf(schema, table),
    writes: writesOf(version, mark),
    books: booksOf(version, mark),
  };
}

function makeOf(schema: string, table: string): string {
  const version = `"${schema}"."${table}"`;
  return `BEGIN;
    SELECT pg_advisory_xact_lock(${MAKING_LOCK});
    DO $$ BEGIN
      IF to_regnamespace('"${schema}"') IS NULL THEN CREATE SCHEMA "${schema}"; END IF;
    END $$;
    CREATE TABLE IF NOT EXISTS ${version} (
      account text COLLATE "C" NOT NULL,
      flow text COLLATE "C" NOT NULL,
      key text COLLATE "C" NOT NULL,
      uow bigint NOT NULL,
      attempt integer NOT NULL,
      kind smallint NOT NULL,
      held_at bigint NOT NULL,
      expires_at bigint,
      digest text COLLATE "C" NOT NULL,
      value bytea NOT NULL,
      PRIMARY KEY (${IDENTITY})
    );
    CREATE INDEX IF NOT EXISTS "${table}_uow" ON ${version} (uow, attempt);
    CREATE INDEX IF NOT EXISTS "${table}_expiry" ON ${version} (expires_at, uow)
      WHERE expires_at IS NOT NULL;
    CREATE TABLE IF NOT EXISTS "${schema}"."${table}_mark" (
      one boolean PRIMARY KEY DEFAULT true CHECK (one),
      stash text COLLATE "C" NOT NULL,
      fence bigint NOT NULL,
      journal_id text COLLATE "C",
      position bigint,
      read_from bigint,
      settled_to bigint NOT NULL DEFAULT 0,
      aged_to bigint NOT NULL DEFAULT 0,
      expired_to bigint NOT NULL DEFAULT 0,
      expired_uow bigint NOT NULL DEFAULT 0
    );
    COMMIT;`;
}

/**
 * Takes the row of the mark and stores the mark in it: `$1` to `$4`. Within one journal a mark
 * never goes back. `$5`: the lowest uow of the call, so that pruning looks again at what came
 * late.
 */
function takeMark(mark: string): string {
  const forward = '(journal_id IS DISTINCT FROM $2 OR position IS NULL OR position <= $3::bigint)';
  return `UPDATE ${mark} SET journal_id = $2,
      position = CASE WHEN ${forward} THEN $3::bigint ELSE position END,
      read_from = CASE WHEN ${forward} THEN $4::bigint ELSE read_from END,
      settled_to = least(settled_to, $5::bigint - 1), aged_to = least(aged_to, $5::bigint - 1)
    WHERE fence = $1::bigint RETURNING 1`;
}

/**
 * One statement each, hence one transaction: all rows, or none. Rows are taken in the order of
 * their identity, so that two statements that meet wait for one another and never deadlock.
 */
function writesOf(version: string, mark: string) {
  const named = (name: string, text: string): Statement => ({ name: `holdfast_${name}`, text });
  const mine = `mine AS (${takeMark(mark)})`;
  const counts = 'SELECT (SELECT count(*) FROM mine), (SELECT count(*) FROM done)';
  return {
    mark: named('mark', takeMark(mark)),
    /** `$6` to `$14` by attempt, `$15` and `$16` by key: the place of its attempt, the key. */
    apply: named(
      'apply',
      `WITH ${mine}, attempt AS (
        SELECT * FROM unnest($6::text[], $7::text[], $8::bigint[], $9::integer[], $10::integer[],
          $11::bigint[], $12::bigint[], $13::text[], $14::bytea[]) WITH ORDINALITY
          AS a (account, flow, uow, attempt, kind, held_at, expires_at, digest, value, at)
      ), done AS (
        INSERT INTO ${version} (${COLUMNS})
        SELECT a.account, a.flow, k.key, a.uow, a.attempt, a.kind, a.held_at, a.expires_at,
          a.digest, a.value
        FROM unnest($15::bigint[], $16::text[]) AS k (at, key) JOIN attempt a ON a.at = k.at, mine
        ORDER BY a.account COLLATE "C", a.flow COLLATE "C", k.key COLLATE "C", a.uow, a.attempt
        ON CONFLICT (${IDENTITY}) DO NOTHING
        RETURNING 1
      ) ${counts}`,
    ),
    /** By key: `$6` to `$11`. */
    undo: named(
      'undo',
      `WITH ${mine}, done AS (
        INSERT INTO ${version} (${COLUMNS})
        SELECT DISTINCT ON (account COLLATE "C", flow COLLATE "C", key COLLATE "C", uow, attempt)
          account, flow, key, uow, attempt, ${TOMBSTONE}, held_at, NULL::bigint, '', ''::bytea
        FROM unnest($6::text[], $7::text[], $8::text[], $9::bigint[], $10::integer[],
          $11::bigint[]) AS k (account, flow, key, uow, attempt, held_at), mine
        ORDER BY account COLLATE "C", flow COLLATE "C", key COLLATE "C", uow, attempt
        ON CONFLICT (${IDENTITY}) DO UPDATE
          SET kind = ${TOMBSTONE}, expires_at = NULL, digest = '', value = ''
        RETURNING 1
      ) ${counts}`,
    ),
    /** What stands under the identities `$1` to `$5`, in their order; nulls where nothing does. */
    held: named(
      'held',
      `SELECT v.kind, v.digest
       FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::integer[])
         WITH ORDINALITY AS k (account, flow, key, uow, attempt, at)
       LEFT JOIN LATERAL (
         SELECT kind, digest FROM ${version} v
         WHERE v.account = k.account AND v.flow = k.flow AND v.key = k.key AND v.uow = k.uow
           AND v.attempt = k.attempt
       ) v ON true
       ORDER BY k.at`,
    ),
  };
}

/** What `mark()` runs, in this order. */
function booksOf(version: string, mark: string) {
  const named = (name: string, text: string): Statement => ({ name: `holdfast_${name}`, text });
  return {
    read: named('read_mark', `SELECT journal_id, position, read_from FROM ${mark}`),
    first: named(
      'first_mark',
      `INSERT INTO ${mark} (stash, fence) VALUES ($1, 0) ON CONFLICT DO NOTHING`,
    ),
    owner: named('owner', `SELECT stash FROM ${mark}`),
    /**
     * Waits for a statement of an earlier connection that holds the row: none is under way then.
     */
    take: named(
      'take',
      `UPDATE ${mark} SET fence = $1::bigint RETURNING journal_id, position, read_from`,
    ),
    columns: named(
      'columns',
      `SELECT a.attname, format_type(a.atttypid, a.atttypmod), coalesce(c.collname, '')
       FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation
       WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
       ORDER BY a.attnum`,
    ),
    primary: named(
      'primary_key',
      `SELECT string_agg(a.attname, ', ' ORDER BY k.at)
       FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, at)
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
       WHERE i.indrelid = to_regclass('${version}') AND i.indisprimary`,
    ),
    indexes: named(
      'indexes',
      `SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
       WHERE i.indrelid = to_regclass('${version}')`,
    ),
  };
}

export const PRIMARY_KEY = IDENTITY;
