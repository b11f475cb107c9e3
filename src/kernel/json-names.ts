/**
 * Names of the JSON scanner: no two alike in one object. The first of an object are compared by
 * hash in fixed scratch. Where there are more, or where different names share a hash more often
 * than chance has it, a Set takes over, whose hashing nobody outside can predict: a body full of
 * names with one hash costs no more than any other.
 */
import { PLAIN, stringEnd, stringFault } from './json-string.ts';
import type { JsonFaultKind } from './json-string.ts';

const SLOTS = 64;
/** Different names of one hash in one object before the hash is no longer trusted. */
const COLLISIONS_MAX = 3;
const DEPTHS = 1025;
const hashes = new Int32Array(SLOTS * DEPTHS);
const starts = new Int32Array(SLOTS * DEPTHS);
const ends = new Int32Array(SLOTS * DEPTHS);
const collisions = new Uint8Array(DEPTHS);
const sets: (Set<string> | null)[] = Array.from({ length: DEPTHS }, () => null);

let kind: JsonFaultKind = 'syntax';
let detail = '';

/** What the last negative answer of `nameBegins` meant. */
export function nameFault(): [JsonFaultKind, string] {
  return [kind, detail];
}

function fail(why: JsonFaultKind, text: string, at: number): number {
  kind = why;
  detail = text;
  return -at - 1;
}

/** A new object opens at this depth. */
export function prepareNames(depth: number): void {
  collisions[depth] = 0;
  if (wide) sets[depth] = null;
}

let wide = false;

/** After a check: lets go of what wide objects took. */
export function releaseNames(): void {
  if (wide) sets.fill(null);
  wide = false;
}

const SEED = 0x811c9dc5 | 0;

function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = SEED;
  for (let at = from; at < to; at += 1) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  return hash;
}

/** The name between two offsets, unescaped. */
function textOf(bytes: Uint8Array, from: number, to: number): string {
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8');
  return raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
}

/** Index after the closing quote of the `count`-th name of an object; negative: a fault. */
export function nameBegins(bytes: Uint8Array, from: number, depth: number, count: number): number {
  const length = bytes.length;
  let at = from;
  let hash = SEED;
  while (at < length && PLAIN[bytes[at] as number] === 1) {
    hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
    at += 1;
  }
  if (bytes[at] !== 0x22) {
    at = stringEnd(bytes, at) - 1;
    if (at < 0) {
      [kind, detail] = stringFault();
      return at + 1;
    }
    hash = hashOf(bytes, from, at);
    if (bytes.subarray(from, at).includes(0x5c)) {
      const name = textOf(bytes, from, at);
      if (name.includes('\0')) return fail('reserved-name', 'a name must not hold NUL', from);
      const plain = Buffer.from(name);
      hash = hashOf(plain, 0, plain.length);
    }
  }
  if (hash === PROTO_HASH && textOf(bytes, from, at) === '__proto__') {
    return fail('reserved-name', 'the name __proto__ is reserved', from);
  }
  const narrow = count < SLOTS && (collisions[depth] as number) <= COLLISIONS_MAX;
  const known = narrow
    ? isKnown(bytes, from, at, depth, count, hash)
    : isIn(bytes, from, at, depth, count);
  if (known)
    return fail('duplicate-name', `the name ${quoted(bytes, from, at)} stands twice`, from);
  return at + 1;
}

const PROTO = Buffer.from('__proto__');
const PROTO_HASH = hashOf(PROTO, 0, PROTO.length);

/** Among the first: by hash, and the text only where hashes are equal. */
function isKnown(
  bytes: Uint8Array,
  from: number,
  to: number,
  depth: number,
  count: number,
  hash: number,
): boolean {
  const base = depth * SLOTS;
  for (let slot = base; slot < base + count; slot += 1) {
    if (hashes[slot] !== hash) continue;
    const other = textOf(bytes, starts[slot] as number, ends[slot] as number);
    if (other === textOf(bytes, from, to)) return true;
    const met = (collisions[depth] as number) + 1;
    collisions[depth] = met;
    if (met > COLLISIONS_MAX) return isIn(bytes, from, to, depth, count);
  }
  hashes[base + count] = hash;
  starts[base + count] = from;
  ends[base + count] = to;
  return false;
}

function isIn(bytes: Uint8Array, from: number, to: number, depth: number, count: number): boolean {
  let set = sets[depth] ?? null;
  if (set === null) {
    set = new Set();
    const base = depth * SLOTS;
    for (let slot = base; slot < base + count; slot += 1) {
      set.add(textOf(bytes, starts[slot] as number, ends[slot] as number));
    }
    sets[depth] = set;
    wide = true;
  }
  const size = set.size;
  return set.add(textOf(bytes, from, to)).size === size;
}

function quoted(bytes: Uint8Array, from: number, to: number): string {
  return JSON.stringify(textOf(bytes, from, to).slice(0, 80));
}
