/**
 * A strict JSON scanner: RFC 8259 in the profile of I-JSON (RFC 7493). It builds nothing; it says
 * whether the bytes are one JSON text that every reader understands alike, and if not, where it
 * goes wrong. Refused beyond RFC 8259: duplicate names, the name `__proto__`, NUL in names, lone
 * surrogates, a byte order mark, nesting beyond a bound. Noncharacters (U+FFFE) are let through,
 * unlike RFC 7493: they are valid UTF-8 and come back as they were.
 *
 * It stands on the path of every write, hence: one pass over bytes, no recursion, and no allocation
 * as long as objects have at most sixty-four names without escapes.
 */
import { inexactNumber } from './json-number.ts';
import { nameBegins, nameFault, prepareNames, releaseNames } from './json-names.ts';
import { stringEnd, stringFault } from './json-string.ts';
import type { JsonFaultKind } from './json-string.ts';

export type { JsonFaultKind } from './json-string.ts';

export interface JsonFault {
  readonly kind: JsonFaultKind;
  readonly detail: string;
  /** JSON Pointer (RFC 6901) to the value or name that is wrong, as far as it was read. */
  readonly pointer: string;
  /** Byte offset; line and column count from 1, columns in characters. */
  readonly offset: number;
  readonly line: number;
  readonly col: number;
}

export interface JsonChecks {
  /** Deepest nesting of objects and arrays that is let through; at most 1,024. */
  readonly depthMax: number;
  /**
   * Refuse numbers that a double cannot carry exactly: what is parsed and written again changes.
   */
  readonly exactNumbers?: boolean;
}

const DEPTH_MAX = 1024;

/** Scratch of one check; a check runs to its end before the next begins. */
const isObject = new Uint8Array(DEPTH_MAX + 1);
/** Arrays: the index of the present element. Objects: names seen so far. */
const counts = new Int32Array(DEPTH_MAX + 1);
const nameStarts = new Int32Array(DEPTH_MAX + 1);
const nameEnds = new Int32Array(DEPTH_MAX + 1);

interface Trouble {
  kind: JsonFaultKind;
  detail: string;
  depth: number;
}
const trouble: Trouble = { kind: 'syntax', detail: '', depth: 0 };

/** Null when `bytes` are one acceptable JSON text; the first fault otherwise. Never throws. */
export function checkJson(bytes: Uint8Array, checks: JsonChecks): JsonFault | null {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    fail('encoding', 'it starts with a byte order mark; send UTF-8 without one', 0);
    return faultAt(bytes, 0);
  }
  const depthMax = Math.min(checks.depthMax, DEPTH_MAX);
  const end = scan(bytes, depthMax, checks.exactNumbers === true);
  releaseNames();
  return end < 0 ? faultAt(bytes, -end - 1) : null;
}

/** Notes what is wrong at `at` and gives the negative number that says so. */
function fail(kind: JsonFaultKind, detail: string, at: number, depth = 0): number {
  trouble.kind = kind;
  trouble.detail = detail;
  trouble.depth = depth;
  return -at - 1;
}

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte === undefined || byte > 0x20) return at;
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at += 1;
  }
}

/** The end of the text, or a negative fault. Each turn reads one value and what follows it. */
function scan(bytes: Uint8Array, depthMax: number, exact: boolean): number {
  let depth = 0;
  let at = skipSpace(bytes, 0);
  for (;;) {
    const byte = bytes[at];
    let open = false;
    if (byte === 0x22) {
      at = stringEnd(bytes, at + 1);
      if (at < 0) return fail(...stringFault(), -at - 1, depth);
    } else if (byte === 0x7b || byte === 0x5b) {
      if (depth >= depthMax) {
        return fail('depth', `it is nested more than ${depthMax} deep`, at, depth);
      }
      depth += 1;
      isObject[depth] = byte === 0x7b ? 1 : 0;
      counts[depth] = 0;
      at = skipSpace(bytes, at + 1);
      open = bytes[at] !== (byte === 0x7b ? 0x7d : 0x5d);
      if (open && byte === 0x7b) prepareNames(depth);
    } else {
      at = scalarEnd(bytes, at, depth, exact);
      if (at < 0) return at;
    }
    if (!open) {
      at = afterValue(bytes, at, depth);
      if (at < 0) return at;
      depth = depthLeft;
      if (depth === 0) return at;
    }
    if (isObject[depth] === 1) {
      at = nameEnd(bytes, at, depth);
      if (at < 0) return at;
    }
  }
}

/** The depth that `afterValue` left off at; 0: the text has ended. */
let depthLeft = 0;

/** Closes what is to be closed after a value and steps over the comma. */
function afterValue(bytes: Uint8Array, from: number, from_depth: number): number {
  let depth = from_depth;
  let at = skipSpace(bytes, from);
  while (depth > 0) {
    const byte = bytes[at];
    if (byte === 0x2c) {
      counts[depth] = (counts[depth] as number) + 1;
      depthLeft = depth;
      return skipSpace(bytes, at + 1);
    }
    if (byte !== (isObject[depth] === 1 ? 0x7d : 0x5d)) {
      const wanted = isObject[depth] === 1 ? '"," or "}"' : '"," or "]"';
      return fail('syntax', `${wanted} is wanted here, not ${shown(bytes, at)}`, at, depth);
    }
    depth -= 1;
    at = skipSpace(bytes, at + 1);
  }
  depthLeft = 0;
  if (at === bytes.length) return at;
  return fail('syntax', `nothing may follow the JSON text, and ${shown(bytes, at)} does`, at);
}

/** Reads a name and its colon; gives the start of the value. */
function nameEnd(bytes: Uint8Array, from: number, depth: number): number {
  if (bytes[from] !== 0x22) {
    return fail(
      'syntax',
      `a name in quotes is wanted here, not ${shown(bytes, from)}`,
      from,
      depth - 1,
    );
  }
  let at = nameBegins(bytes, from + 1, depth, counts[depth] as number);
  if (at < 0) {
    const [kind, detail] = nameFault();
    const place = -at - 1;
    if (kind === 'duplicate-name' || kind === 'reserved-name') {
      nameStarts[depth] = from + 1;
      nameEnds[depth] = stringEnd(bytes, from + 1) - 1;
      return fail(kind, detail, from, depth);
    }
    return fail(kind, detail, place, depth - 1);
  }
  nameStarts[depth] = from + 1;
  nameEnds[depth] = at - 1;
  at = skipSpace(bytes, at);
  if (bytes[at] !== 0x3a) {
    return fail('syntax', `":" is wanted here, not ${shown(bytes, at)}`, at, depth);
  }
  return skipSpace(bytes, at + 1);
}

const WORDS: Readonly<Record<number, string>> = { 0x74: 'true', 0x66: 'false', 0x6e: 'null' };

function scalarEnd(bytes: Uint8Array, from: number, depth: number, exact: boolean): number {
  const first = bytes[from];
  if (first === 0x2d || (first !== undefined && first >= 0x30 && first <= 0x39)) {
    return numberEnd(bytes, from, depth, exact);
  }
  const word = WORDS[first ?? 0];
  if (word !== undefined) {
    let same = 1;
    while (same < word.length && bytes[from + same] === word.charCodeAt(same)) same += 1;
    if (same === word.length) return from + same;
  }
  return fail('syntax', `a value is wanted here, not ${shown(bytes, from)}`, from, depth);
}

function digitsEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte === undefined || byte < 0x30 || byte > 0x39) return at;
    at += 1;
  }
}

/** Tokens up to this length without exponent have at most 15 digits: a double carries them. */
const SURELY_EXACT_CHARS = 15;

function numberEnd(bytes: Uint8Array, from: number, depth: number, exact: boolean): number {
  let at = bytes[from] === 0x2d ? from + 1 : from;
  const whole = at;
  at = digitsEnd(bytes, at);
  if (at === whole) return fail('syntax', 'a digit is wanted after "-"', at, depth);
  if (bytes[whole] === 0x30 && at > whole + 1) {
    return fail('syntax', 'a number has no leading zeros', from, depth);
  }
  let exponent = false;
  if (bytes[at] === 0x2e) {
    const fraction = at + 1;
    at = digitsEnd(bytes, fraction);
    if (at === fraction) return fail('syntax', 'a digit is wanted after "."', at, depth);
  }
  if (bytes[at] === 0x65 || bytes[at] === 0x45) {
    exponent = true;
    at += bytes[at + 1] === 0x2b || bytes[at + 1] === 0x2d ? 2 : 1;
    const power = at;
    at = digitsEnd(bytes, power);
    if (at === power) return fail('syntax', 'a digit is wanted in the exponent', at, depth);
  }
  if (exact && (exponent || at - from > SURELY_EXACT_CHARS)) {
    const why = inexactNumber(bytes, from, at);
    if (why !== null) return fail('inexact-number', why, from, depth);
  }
  return at;
}

function shown(bytes: Uint8Array, at: number): string {
  const byte = bytes[at];
  if (byte === undefined) return 'the end';
  if (byte > 0x20 && byte < 0x7f) return `"${String.fromCharCode(byte)}"`;
  return `byte 0x${byte.toString(16).padStart(2, '0')}`;
}

function faultAt(bytes: Uint8Array, offset: number): JsonFault {
  let line = 1;
  let lineStart = 0;
  for (let at = 0; at < offset && at < bytes.length; at += 1) {
    if (bytes[at] === 0x0a) {
      line += 1;
      lineStart = at + 1;
    }
  }
  let col = 1;
  for (let at = lineStart; at < offset && at < bytes.length; at += 1) {
    if (((bytes[at] as number) & 0xc0) !== 0x80) col += 1;
  }
  const { kind, detail } = trouble;
  return { kind, detail, pointer: pointerTo(bytes, trouble.depth), offset, line, col };
}

/** The pointer that the open containers down to `depth` spell. */
function pointerTo(bytes: Uint8Array, depth: number): string {
  let pointer = '';
  for (let level = 1; level <= depth; level += 1) {
    if (isObject[level] === 1) {
      const raw = Buffer.from(bytes.subarray(nameStarts[level], nameEnds[level])).toString();
      const name = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
      pointer += `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    } else {
      pointer += `/${counts[level]}`;
    }
  }
  return pointer;
}
