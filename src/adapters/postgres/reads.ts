/** The statements that read versions: each finds its rows through the primary key. */
import type { Statement } from './connection.ts';
import { TOMBSTONE } from './tables.ts';

const HEAD = 'v.uow, v.attempt, v.kind, v.held_at, v.expires_at, v.digest, octet_length(v.value)';
const NEWEST_FIRST = 'ORDER BY v.uow DESC, v.attempt DESC';

export function readsOf(version: string) {
  const named = (name: string, text: string): Statement => ({ name: `holdfast_${name}`, text });
  const ofKey = `FROM ${version} v
    WHERE v.account = $1 AND v.flow = $2 AND v.key = k.key AND v.kind <> ${TOMBSTONE}`;
  return {
    /** The newest version of each key of `$3`, with its value when that has at most `$4` bytes. */
    newest: named(
      'newest',
      `SELECT k.at, v.* FROM unnest($3::text[]) WITH ORDINALITY AS k (key, at)
       CROSS JOIN LATERAL (
         SELECT ${HEAD}, CASE WHEN octet_length(v.value) <= $4::bigint THEN v.value END
         ${ofKey} ${NEWEST_FIRST} LIMIT 1
       ) v`,
    ),
    /** At most `$6` versions of each key of `$3`, older than (`$4`, `$5`), newest first. */
    older: named(
      'older',
      `SELECT k.at, v.*
       FROM unnest($3::text[], $4::bigint[], $5::integer[])
         WITH ORDINALITY AS k (key, uow, attempt, at)
       CROSS JOIN LATERAL (
         SELECT ${HEAD} ${ofKey} AND (v.uow, v.attempt) < (k.uow, k.attempt)
         ${NEWEST_FIRST} LIMIT $6::bigint
       ) v
       ORDER BY k.at, v.uow DESC, v.attempt DESC`,
    ),
    /** The values of the versions named by `$3` to `$5`, in their order. */
    values: named(
      'values',
      `SELECT (
         SELECT v.value ${ofKey} AND v.uow = k.uow AND v.attempt = k.attempt
       )
       FROM unnest($3::text[], $4::bigint[], $5::integer[])
         WITH ORDINALITY AS k (key, uow, attempt, at)
       ORDER BY k.at`,
    ),
    scanFrom: named('scan_from', scanOf(version, '>=')),
    scanBehind: named('scan_behind', scanOf(version, '>')),
  };
}

/**
 * Up to `$5` keys with the prefix `$3`, from `$4` on, each with its newest version: goes from key
 * to key, whatever number of versions lies between them.
 */
function scanOf(version: string, from: '>=' | '>'): string {
  const next = (where: string): string => `SELECT key FROM ${version}
    WHERE account = $1 AND flow = $2 AND key ${where} ORDER BY key LIMIT 1`;
  return `WITH RECURSIVE k (key, nth) AS (
      (SELECT key, 1::bigint FROM (${next(`${from} $4::text`)}) AS first)
      UNION ALL
      SELECT (${next('> k.key')}), k.nth + 1 FROM k
      WHERE k.nth < $5::bigint AND starts_with(k.key, $3::text)
    )
    SELECT NULL, v.*, k.key FROM k
    LEFT JOIN LATERAL (${newestOf(version)}) v ON true
    WHERE starts_with(k.key, $3::text)
    ORDER BY k.nth`;
}

function newestOf(version: string): string {
  return `SELECT ${HEAD} FROM ${version} v
    WHERE v.account = $1 AND v.flow = $2 AND v.key = k.key AND v.kind <> ${TOMBSTONE}
    ${NEWEST_FIRST} LIMIT 1`;
}
