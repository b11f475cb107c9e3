/** Pages and their opaque cursors: what a page ended with, in base64url, checked on return. */
import type { StatePage } from '../contracts/state.ts';
import { Fault } from '../kernel/errors.ts';
import { keyFault } from '../kernel/keys.ts';

/** The cursor that goes on behind `parts`. */
export function cursorOf(...parts: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(parts), 'utf8').toString('base64url');
}

/**
 * The parts of a cursor that `cursorOf` made, of the given types; throws Fault `bad-cursor` for
 * anything else, also for one that was merely written differently.
 */
export function partsOf(cursor: string, types: readonly ('string' | 'number')[]): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(parts) && parts.length === types.length) {
      const fits = types.every((type, at) => typeof parts[at] === type);
      if (fits && cursorOf(...(parts as (string | number)[])) === cursor) return parts;
    }
  } catch {
    // Not JSON: one answer for every cursor that is not ours.
  }
  throw new Fault('bad-cursor', 'this cursor was not made here');
}

/** What to throw for a cursor that is well-formed and belongs elsewhere. */
export function foreignCursor(): Fault {
  return new Fault('bad-cursor', 'this cursor belongs to another listing');
}

/** Time and uow that a cursor of the listing `of` stands behind. */
export function timeOfCursor(cursor: string, of: string): [number, number] {
  const types = ['string', 'number', 'number'] as const;
  const [name, at, uow] = partsOf(cursor, types) as [string, number, number];
  if (name !== of) throw foreignCursor();
  return [at, uow];
}

/** The id that a cursor of the documents of `kind` stands behind. */
export function documentOfCursor(cursor: string, kind: string): string {
  const types = ['string', 'string', 'string'] as const;
  const [of, cursorKind, id] = partsOf(cursor, types) as [string, string, string];
  if (of !== 'documents' || cursorKind !== kind) throw foreignCursor();
  return id;
}

/** The cursor of a scan by keys: goes on behind `key`. */
export function keyCursor(key: string): string {
  return cursorOf(key);
}

/** The key a scan's cursor stands behind; throws Fault `bad-cursor` unless it fits the prefix. */
export function keyOfCursor(cursor: string, prefix: string): string {
  const [key] = partsOf(cursor, ['string']) as [string];
  if (keyFault(key) !== null || !key.startsWith(prefix)) {
    throw foreignCursor();
  }
  return key;
}

/**
 * The first `limit` of the rows. Read one row more than that: it tells whether there is a next
 * page.
 */
export function pageOf<T>(
  rows: readonly T[],
  limit: number,
  cursorBehind: (last: T) => string,
): StatePage<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { items, cursor: more ? cursorBehind(last) : null };
}
