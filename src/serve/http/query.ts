/**
 * Query parameters, read by the same rows that document them: what a row does not name is refused,
 * and so is what stands there twice.
 */
import { Fault } from '../../kernel/errors.ts';
import { LIMITS } from '../../kernel/limits.ts';
import { durationMs } from '../../kernel/units.ts';
import { isName } from '../../kernel/keys.ts';
import { uowOf } from './headers.ts';

/** How a parameter is read; each kind has one reader below. */
export type QueryKind = 'text' | 'prefix' | 'name' | 'time' | 'uow' | 'ttl' | 'limit' | 'cursor';

export interface QueryRow {
  readonly name: string;
  readonly kind: QueryKind;
  readonly doc: string;
}

/** Values by name, already read: a number for time (epoch ms), uow, limit and ttl (ms). */
export type Query = Readonly<Record<string, string | number | null>>;

const NOTHING: Query = Object.freeze(Object.create(null) as Query);

/** Throws `unknown-parameter` or `bad-parameter`. `text` comes without the question mark. */
export function queryOf(rows: readonly QueryRow[], text: string | null): Query {
  if (text === null || text === '') return NOTHING;
  const query = Object.create(null) as Record<string, string | number | null>;
  for (const part of text.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = decode(equals === -1 ? part : part.slice(0, equals));
    const row = rows.find((candidate) => candidate.name === name);
    if (row === undefined) {
      const known = rows.map((candidate) => candidate.name).join(', ');
      throw new Fault(
        'unknown-parameter',
        `${JSON.stringify(name.slice(0, 80))} is no parameter of this call; ` +
          (known === '' ? 'it takes none' : `it takes ${known}`),
      );
    }
    if (name in query) throw new Fault('bad-parameter', `${name} is given more than once`);
    query[name] = READERS[row.kind](name, decode(equals === -1 ? '' : part.slice(equals + 1)));
  }
  return query;
}

function decode(part: string): string {
  if (!part.includes('%') && !part.includes('+')) return part;
  try {
    return decodeURIComponent(part.replaceAll('+', ' '));
  } catch {
    throw new Fault('bad-parameter', 'the percent-encoding of the query is not UTF-8');
  }
}

function expected(name: string, what: string): Fault {
  return new Fault('bad-parameter', `${name}: expected ${what}`);
}

const READERS: Readonly<Record<QueryKind, (name: string, text: string) => string | number | null>> =
  {
    text: (name, text) => {
      if (text === '' || text.length > 512) throw expected(name, '1 to 512 characters');
      return text;
    },
    prefix: (name, text) => {
      if (Buffer.byteLength(text) > LIMITS.keyBytesMax || text.includes('\0')) {
        throw expected(name, `at most ${LIMITS.keyBytesMax} bytes without NUL`);
      }
      return text;
    },
    name: (name, text) => {
      if (!isName(text)) throw expected(name, 'a name: lower-case letters, digits, "_" and "-"');
      return text;
    },
    time: (name, text) => {
      const ms = timeMs(text);
      if (ms === null) throw expected(name, 'a time of RFC 3339, such as 2026-01-31T12:00:00Z');
      return ms;
    },
    uow: (name, text) => {
      const uow = uowOf(text);
      if (uow === null) throw expected(name, 'the uow of a write');
      return uow;
    },
    ttl: (name, text) => ttlOf(name, text),
    limit: (name, text) => {
      const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
      if (limit < 1 || limit > LIMITS.pageItemsMax) {
        throw expected(name, `a whole number from 1 to ${LIMITS.pageItemsMax}`);
      }
      return limit;
    },
    cursor: (_name, text) => {
      if (!/^[\w.~:=+/-]{1,2048}$/.test(text)) {
        throw new Fault('bad-cursor', 'the cursor is not one that a page gave');
      }
      return text;
    },
  };

const RFC3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/;

/** Epoch milliseconds of an RFC 3339 time; null for anything else, such as February 30. */
export function timeMs(text: string): number | null {
  const match = RFC3339.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  if (month < 1 || month > 12 || day < 1 || day > days) return null;
  if (hour > 23 || minute > 59 || second > 60) return null;
  const millis = Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  const zone = match[8] as string;
  const sign = zone.startsWith('-') ? -1 : 1;
  const offset =
    zone.length === 1 ? 0 : sign * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6)));
  return Date.UTC(year, month - 1, day, hour, minute, second, millis) - offset * 60_000;
}

/**
 * Milliseconds of a TTL as callers write it: whole seconds, a duration (`15s 5m 24h 30d`), or
 * `none` (null: it stays). Throws `bad-parameter`.
 */
export function ttlOf(name: string, text: string): number | null {
  if (text === 'none') return null;
  const ms = /^\d{1,12}$/.test(text) ? Number(text) * 1000 : durationMs(text);
  if (ms === null || ms < 1) {
    throw expected(name, 'whole seconds from 1, a duration such as 15s, 5m, 24h, 30d, or none');
  }
  if (ms > LIMITS.ttlMsMax) throw expected(name, `at most ${LIMITS.ttlMsMax / 1000} seconds`);
  return ms;
}
