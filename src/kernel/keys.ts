/** Names and keys: what is allowed, checked in one place. */
import { LIMITS } from './limits.ts';

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** Account, flow and store names: lower-case letters, digits, `_` and `-`, at most 63. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** Why `key` cannot be used, or null when it can. */
export function keyFault(key: string): string | null {
  if (key.length === 0) return 'a key must not be empty';
  if (key === '.' || key === '..') return `"${key}" cannot be a key: URLs cannot carry it`;
  if (key.includes('\0')) return 'a key must not hold NUL';
  if (!key.isWellFormed()) return 'a key must be well-formed Unicode: it holds a lone surrogate';
  if (key.length * 3 > LIMITS.keyBytesMax) {
    const bytes = Buffer.byteLength(key, 'utf8');
    if (bytes > LIMITS.keyBytesMax) {
      return `a key has at most ${LIMITS.keyBytesMax} bytes of UTF-8; this one has ${bytes}`;
    }
  }
  return null;
}
