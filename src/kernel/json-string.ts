/** Strings of the JSON scanner: UTF-8, escapes, surrogates. */

export type JsonFaultKind =
  | 'syntax'
  | 'encoding'
  | 'depth'
  | 'duplicate-name'
  | 'reserved-name'
  | 'lone-surrogate'
  | 'inexact-number';

/** 1: a byte that stands for itself in a string; 0: quote, backslash, control, multi-byte. */
export const PLAIN = new Uint8Array(256);
for (let byte = 0x20; byte < 0x80; byte += 1) PLAIN[byte] = 1;
PLAIN[0x22] = 0;
PLAIN[0x5c] = 0;

let kind: JsonFaultKind = 'syntax';
let detail = '';

/** What the last negative answer of `stringEnd` meant. */
export function stringFault(): [JsonFaultKind, string] {
  return [kind, detail];
}

function fail(why: JsonFaultKind, text: string, at: number): number {
  kind = why;
  detail = text;
  return -at - 1;
}

/**
 * Index after the closing quote of a string whose text starts at `from`; -(offset + 1): a fault.
 */
export function stringEnd(bytes: Uint8Array, from: number): number {
  const length = bytes.length;
  let at = from;
  for (;;) {
    while (at < length && PLAIN[bytes[at] as number] === 1) at += 1;
    if (at >= length) return fail('syntax', 'a string never ends', from - 1);
    const byte = bytes[at] as number;
    if (byte === 0x22) return at + 1;
    if (byte === 0x5c) at = escapeEnd(bytes, at);
    else if (byte >= 0x80) at = sequenceEnd(bytes, at);
    else return fail('syntax', `control character 0x${byte.toString(16)} in a string`, at);
    if (at < 0) return at;
  }
}

/** Bytes that may follow a backslash: " \ / b f n r t u. */
const ESCAPES = new Uint8Array(256);
for (const byte of Buffer.from('"\\/bfnrtu')) ESCAPES[byte] = 1;

function escapeEnd(bytes: Uint8Array, from: number): number {
  const byte = bytes[from + 1];
  if (byte === undefined || ESCAPES[byte] !== 1) {
    return fail('syntax', 'an escape that JSON does not have', from);
  }
  if (byte !== 0x75) return from + 2;
  const unit = hex4(bytes, from + 2);
  if (unit < 0) return fail('syntax', '\\u wants four hexadecimal digits', from);
  if (unit < 0xd800 || unit > 0xdfff) return from + 6;
  const pair = unit < 0xdc00 && bytes[from + 6] === 0x5c && bytes[from + 7] === 0x75;
  const low = pair ? hex4(bytes, from + 8) : -1;
  if (low < 0xdc00 || low > 0xdfff) return fail('lone-surrogate', 'a lone surrogate', from);
  return from + 12;
}

function hex4(bytes: Uint8Array, from: number): number {
  let unit = 0;
  for (let at = from; at < from + 4; at += 1) {
    const byte = bytes[at] ?? 0;
    const letter = byte | 0x20;
    if (byte >= 0x30 && byte <= 0x39) unit = unit * 16 + byte - 0x30;
    else if (letter >= 0x61 && letter <= 0x66) unit = unit * 16 + letter - 0x57;
    else return -1;
  }
  return unit;
}

/** Well-formed sequences by the table of RFC 3629, section 4. */
function sequenceEnd(bytes: Uint8Array, from: number): number {
  const first = bytes[from] as number;
  const second = bytes[from + 1] ?? 0;
  let more = 0;
  let low = 0x80;
  let high = 0xbf;
  if (first >= 0xc2 && first <= 0xdf) more = 1;
  else if (first >= 0xe0 && first <= 0xef) more = 2;
  else if (first >= 0xf0 && first <= 0xf4) more = 3;
  if (first === 0xe0) low = 0xa0;
  else if (first === 0xf0) low = 0x90;
  else if (first === 0xf4) high = 0x8f;
  else if (first === 0xed) high = 0x9f;
  if (first === 0xed && second > 0x9f && second <= 0xbf) {
    return fail('lone-surrogate', 'a surrogate written as UTF-8', from);
  }
  let good = more > 0 && second >= low && second <= high;
  for (let at = 2; good && at <= more; at += 1) good = ((bytes[from + at] ?? 0) & 0xc0) === 0x80;
  return good ? from + more + 1 : fail('encoding', 'bytes that are not UTF-8', from);
}
