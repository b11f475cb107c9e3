/** The statements of pruning; what goes and what stays is decided in `trim`. */
import type { Statement } from './connection.ts';
import { DELETE, TOMBSTONE, type Tables } from './tables.ts';

const WALKED = 'account, flow, key, uow, kind, held_at, expires_at';
const OF_KEY = 'v.account = k.account AND v.flow = k.flow AND v.key = k.key';

export function pruningOf({ version, mark }: Tables) {
  const named = (name: string, text: string): Statement => ({ name: `holdfast_${name}`, text });
  return {
    places: named('places', `SELECT settled_to, aged_to, expired_to, expired_uow FROM ${mark}`),
    move: named(
      'move',
      `UPDATE ${mark} SET settled_to = $1::bigint, aged_to = $2::bigint, expired_to = $3::bigint,
         expired_uow = $4::bigint
       WHERE settled_to = $5::bigint AND aged_to = $6::bigint`,
    ),
    walk: named(
      'walk',
      `SELECT ${WALKED} FROM ${version} WHERE uow > $1::bigint AND uow <= $2::bigint
       ORDER BY uow LIMIT $3::bigint`,
    ),
    expired: named(
      'expired',
      `SELECT ${WALKED} FROM ${version}
       WHERE expires_at IS NOT NULL AND expires_at <= $1::bigint
         AND (expires_at, uow) > ($2::bigint, $3::bigint)
       ORDER BY expires_at, uow LIMIT $4::bigint`,
    ),
    bury: named(
      'bury',
      `WITH gone AS (
         DELETE FROM ${version}
         WHERE uow BETWEEN $1::bigint AND $2::bigint AND kind = ${TOMBSTONE} RETURNING uow, attempt
       ) SELECT count(DISTINCT (uow, attempt)) FROM gone`,
    ),
    trim: named('trim', trimOf(version)),
  };
}

/**
 * Of each key `$1` to `$3` at most `$8` versions, oldest first up to the first that stays. One with
 * a newer one behind it goes when it is not among the `$7` newest, or its successor was held at or
 * before `$6`; the newest goes when it is a delete or expired at `$5`. Only what lies below `$4`
 * counts. Answers with the places of the keys and how many of each went.
 */
function trimOf(version: string): string {
  const live = `FROM ${version} v WHERE ${OF_KEY} AND v.kind <> ${TOMBSTONE} AND v.uow < $4`;
  return `WITH k AS (
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
       WITH ORDINALITY AS k (account, flow, key, at)
   ), oldest AS (
     SELECT k.at, v.*, lead(v.held_at) OVER nth AS newer_held,
       row_number() OVER nth AS nth, count(*) OVER (PARTITION BY k.at) AS found
     FROM k CROSS JOIN LATERAL (
       SELECT v.account, v.flow, v.key, v.uow, v.attempt, v.kind, v.held_at, v.expires_at
       ${live} ORDER BY v.uow, v.attempt LIMIT $8::bigint + 1
     ) v
     WINDOW nth AS (PARTITION BY k.at ORDER BY v.uow, v.attempt)
   ), owed AS (
     SELECT k.at, v.* FROM k CROSS JOIN LATERAL (
       SELECT v.uow, v.attempt ${live}
       ORDER BY v.uow DESC, v.attempt DESC OFFSET $7::bigint - 1 LIMIT 1
     ) v
   ), judged AS (
     SELECT o.*, CASE
         WHEN o.newer_held IS NULL THEN o.kind = ${DELETE} OR coalesce(o.expires_at <= $5, false)
         ELSE o.newer_held <= $6 OR coalesce((o.uow, o.attempt) < (w.uow, w.attempt), false)
       END AS goes
     FROM oldest o LEFT JOIN owed w ON w.at = o.at
     WHERE o.nth <= $8::bigint
   ), going AS (
     SELECT j.*, bool_and(goes) OVER (PARTITION BY at ORDER BY uow, attempt) AS all_go
     FROM judged j
   ), gone AS (
     DELETE FROM ${version} v USING going g
     WHERE g.all_go AND v.account = g.account AND v.flow = g.flow AND v.key = g.key
       AND v.uow = g.uow AND v.attempt = g.attempt
     RETURNING g.at
   ) SELECT at, count(*) FROM gone GROUP BY at`;
}
