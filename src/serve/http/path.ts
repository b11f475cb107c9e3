/**
 * Paths of the data resource, taken apart by hand: a key may hold anything once it is
 * percent-encoded, `%2F` included, which a router that decodes first cannot tell from a slash.
 */
import { Fault } from '../../kernel/errors.ts';
import { keyFault } from '../../kernel/keys.ts';

export const DATA_PREFIX = '/v1/data/';

/** Where a data URL points; `tail` is what stands behind the key (`history`). */
export interface DataPath {
  readonly account: string;
  readonly flow: string;
  readonly key: string | null;
  readonly tail: string | null;
  /** Without the question mark; null when there is none. */
  readonly query: string | null;
}

/**
 * Takes a request target that starts with DATA_PREFIX apart. Null when there are too few segments
 * for any resource. Throws `bad-key`.
 */
export function dataPath(url: string): DataPath | null {
  const mark = url.indexOf('?');
  const end = mark === -1 ? url.length : mark;
  const query = mark === -1 ? null : url.slice(mark + 1);
  const afterAccount = url.indexOf('/', DATA_PREFIX.length);
  if (afterAccount === -1 || afterAccount >= end) return null;
  const account = name(url.slice(DATA_PREFIX.length, afterAccount));
  const next = url.indexOf('/', afterAccount + 1);
  const afterFlow = next === -1 || next > end ? end : next;
  const flow = name(url.slice(afterAccount + 1, afterFlow));
  if (afterFlow === end) return { account, flow, key: null, tail: null, query };
  const slash = url.indexOf('/', afterFlow + 1);
  const afterKey = slash === -1 || slash > end ? end : slash;
  const key = keyOf(url.slice(afterFlow + 1, afterKey));
  const tail = afterKey === end ? null : url.slice(afterKey + 1, end);
  return { account, flow, key, tail, query };
}

/** A name that cannot be decoded is one that does not exist. */
function name(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return '';
  }
}

// oxlint-disable-next-line no-control-regex
const OUTSIDE_URLS = /[^\x21-\x7e]|#/;

/** The key that a path segment stands for. Throws `bad-key`. */
export function keyOf(segment: string): string {
  if (OUTSIDE_URLS.test(segment)) {
    throw new Fault('bad-key', 'the key must be percent-encoded UTF-8 in the path');
  }
  let key = segment;
  if (segment.includes('%')) {
    try {
      key = decodeURIComponent(segment);
    } catch {
      throw new Fault('bad-key', 'the percent-encoding of the key is not UTF-8');
    }
  }
  const fault = keyFault(key);
  if (fault !== null) throw new Fault('bad-key', fault);
  return key;
}
