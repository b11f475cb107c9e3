/** Request headers with a grammar of their own: conditions, preferences, idempotency, ids. */
import { Fault } from '../../kernel/errors.ts';
import { LIMITS } from '../../kernel/limits.ts';
import type { Condition } from '../../intake/request.ts';
import type { Uow } from '../../kernel/words.ts';

const NONE: readonly Condition[] = [];

/** One entity tag of a list (RFC 9110 section 8.8.3): quotes around all but controls and quotes. */
const ETAG = /\s*(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)/y;

export interface Etags {
  /** `*`: whatever is there. */
  readonly any: boolean;
  readonly strong: readonly string[];
  readonly weak: readonly string[];
}

/** Reads a list of entity tags. Throws `bad-parameter` naming the header. */
export function etagsOf(header: string, value: string): Etags {
  if (value.trim() === '*') return { any: true, strong: [], weak: [] };
  const strong: string[] = [];
  const weak: string[] = [];
  ETAG.lastIndex = 0;
  let at = 0;
  while (at < value.length) {
    ETAG.lastIndex = at;
    const match = ETAG.exec(value);
    if (match === null) {
      throw new Fault('bad-parameter', `${header}: expected "*" or entity tags in double quotes`);
    }
    (match[1] === undefined ? strong : weak).push(match[2] ?? '');
    at = ETAG.lastIndex;
  }
  if (strong.length + weak.length === 0) {
    throw new Fault('bad-parameter', `${header}: expected "*" or entity tags in double quotes`);
  }
  return { any: false, strong, weak };
}

/**
 * The conditions of a write. A weak tag in If-Match never matches, in If-None-Match it compares
 * like a strong one (RFC 9110 section 13.1).
 */
export function conditionsOf(
  ifMatch: string | undefined,
  ifNoneMatch: string | undefined,
): readonly Condition[] {
  if (ifMatch === undefined && ifNoneMatch === undefined) return NONE;
  const conditions: Condition[] = [];
  if (ifMatch !== undefined) {
    const tags = etagsOf('If-Match', ifMatch);
    conditions.push(tags.any ? { if: 'exists' } : { if: 'match', etags: tags.strong });
  }
  if (ifNoneMatch !== undefined) {
    const tags = etagsOf('If-None-Match', ifNoneMatch);
    const etags = [...tags.strong, ...tags.weak];
    conditions.push(tags.any ? { if: 'absent' } : { if: 'none-match', etags });
  }
  return conditions;
}

export interface Preference {
  readonly respond: 'settled' | 'held' | null;
  readonly waitMs: number;
  /** For Preference-Applied; null when nothing of ours was preferred. */
  readonly applied: string | null;
}

const DEFAULT_PREFERENCE: Preference = { respond: null, waitMs: LIMITS.writeWaitMs, applied: null };

/**
 * Prefer (RFC 7240): `respond-async`, `wait=SECONDS`, or both (wait that long, then 202). The
 * first of several counts; what is unknown or malformed is passed over, as the RFC asks. A wait
 * beyond the longest is cut to it.
 */
export function preferenceOf(header: string | undefined): Preference {
  if (header === undefined) return DEFAULT_PREFERENCE;
  let async = false;
  let waitS: number | null = null;
  for (const part of header.split(',')) {
    const [token = '', ...rest] = (part.split(';', 1)[0] ?? '').split('=');
    const name = token.trim().toLowerCase();
    const value = rest
      .join('=')
      .trim()
      .replace(/^"(.*)"$/, '$1');
    if (name === 'respond-async') async = true;
    if (name === 'wait' && waitS === null && /^\d{1,9}$/.test(value)) waitS = Number(value);
  }
  if (waitS !== null) {
    const cut = Math.min(waitS, LIMITS.writeWaitMsMax / 1000);
    const applied = `${async ? 'respond-async, ' : ''}wait=${cut}`;
    return { respond: cut === 0 ? 'held' : 'settled', waitMs: cut * 1000, applied };
  }
  if (async) return { respond: 'held', waitMs: LIMITS.writeWaitMs, applied: 'respond-async' };
  return DEFAULT_PREFERENCE;
}

/** Idempotency-Key: bare, or a quoted string of RFC 8941. Throws `bad-parameter`. */
export function idempotencyKeyOf(header: string | undefined): string | null {
  if (header === undefined) return null;
  let key: string | null = null;
  if (/^[\x21\x23-\x7e]+$/.test(header)) key = header;
  else if (/^"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"$/.test(header)) {
    key = header.slice(1, -1).replaceAll(/\\(["\\])/g, '$1');
  }
  if (key === null || key.length === 0 || key.length > LIMITS.idempotencyKeyCharsMax) {
    throw new Fault(
      'bad-parameter',
      'Idempotency-Key: expected 1 to 255 printable ASCII characters, bare or in double quotes',
    );
  }
  return key;
}

/** Holdfast-After: the number of a write. Throws `bad-parameter`. */
export function afterOf(header: string | undefined): Uow | null {
  if (header === undefined) return null;
  const uow = uowOf(header);
  if (uow === null) throw new Fault('bad-parameter', 'Holdfast-After: expected the uow of a write');
  return uow;
}

/** A uow as it stands in paths, parameters and headers; null when it is none. */
export function uowOf(text: string): Uow | null {
  if (!/^\d{1,16}$/.test(text)) return null;
  const uow = Number(text);
  return Number.isSafeInteger(uow) ? uow : null;
}

const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;

/** The caller's request id where it can be echoed and logged as it is; null otherwise. */
export function requestIdOf(header: string | string[] | undefined): string | null {
  return typeof header === 'string' && REQUEST_ID.test(header) ? header : null;
}
