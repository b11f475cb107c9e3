/**
 * A value as BSON, for users who query by content. The bytes stay the truth: what BSON or a server
 * would not take exactly as it is, or would take for something else, has no such field.
 */
import { BSON } from 'mongodb';
import { BESIDES_VALUE_BYTES_MAX } from './documents.ts';

/** As deep as requests may be; servers take some hundred levels. */
const DEPTH_MAX = 64;

/** The value, parsed; undefined when it is no JSON or cannot stand in a document beside itself. */
export function contentOf(value: Uint8Array, documentBytesMax: number): unknown {
  const roomBytes = documentBytesMax - BESIDES_VALUE_BYTES_MAX - value.length;
  if (value.length === 0 || roomBytes <= 0) return undefined;
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value));
    if (!isPlain(parsed, DEPTH_MAX)) return undefined;
    return BSON.calculateObjectSize({ document: parsed }) <= roomBytes ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/**
 * No names that a server gives a meaning (`$...`), that the driver does (`_bsontype`), or that BSON
 * cannot write (NUL).
 */
function isPlain(value: unknown, depth: number): boolean {
  if (value === null || typeof value !== 'object') return true;
  if (depth === 0) return false;
  if (Array.isArray(value)) return value.every((one) => isPlain(one, depth - 1));
  return Object.entries(value).every(
    ([name, one]) =>
      !name.startsWith('$') &&
      !name.includes('\0') &&
      name !== '_bsontype' &&
      name !== '__proto__' &&
      isPlain(one, depth - 1),
  );
}
