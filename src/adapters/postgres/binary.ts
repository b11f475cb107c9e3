/**
 * Arrays as PostgreSQL takes them in binary (the format of its `array_send`): the driver would send
 * them as text, and bytes as text are twice as long and have to be taken apart again.
 */

/** Numbers of the element types in the catalogue of every PostgreSQL (`pg_type.oid`). */
const BYTEA = 17;
const INT8 = 20;
const INT4 = 23;
const TEXT = 25;

/**
 * Dimensions, a flag for nulls, the element type; then length and lower bound of the one there is.
 */
const HEAD_BYTES = 20;
const NULL_LENGTH = -1;
const TWO_TO_32 = 2 ** 32;

function headOf(type: number, count: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(HEAD_BYTES + bytes);
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(1, 4);
  buffer.writeInt32BE(type, 8);
  buffer.writeInt32BE(count, 12);
  buffer.writeInt32BE(1, 16);
  return buffer;
}

/** An array without elements has no dimension either. */
function emptyOf(type: number): Buffer {
  const buffer = Buffer.alloc(12);
  buffer.writeInt32BE(type, 8);
  return buffer;
}

/** `bigint[]` of exact integers. */
export function bigintArray(values: readonly (number | null)[]): Buffer {
  if (values.length === 0) return emptyOf(INT8);
  const buffer = headOf(INT8, values.length, values.length * 12);
  let at = HEAD_BYTES;
  for (const value of values) {
    if (value === null) {
      at = buffer.writeInt32BE(NULL_LENGTH, at);
      continue;
    }
    const high = Math.floor(value / TWO_TO_32);
    at = buffer.writeInt32BE(8, at);
    at = buffer.writeInt32BE(high, at);
    at = buffer.writeUInt32BE(value - high * TWO_TO_32, at);
  }
  return buffer.subarray(0, at);
}

/** `integer[]`. */
export function integerArray(values: readonly number[]): Buffer {
  if (values.length === 0) return emptyOf(INT4);
  const buffer = headOf(INT4, values.length, values.length * 8);
  let at = HEAD_BYTES;
  for (const value of values) {
    at = buffer.writeInt32BE(4, at);
    at = buffer.writeInt32BE(value, at);
  }
  return buffer;
}

/** `text[]` of well-formed texts without NUL, for a connection whose encoding is UTF-8. */
export function textArray(values: readonly string[]): Buffer {
  if (values.length === 0) return emptyOf(TEXT);
  let bytes = 0;
  for (const value of values) bytes += 4 + Buffer.byteLength(value);
  const buffer = headOf(TEXT, values.length, bytes);
  let at = HEAD_BYTES;
  for (const value of values) {
    const length = buffer.write(value, at + 4);
    buffer.writeInt32BE(length, at);
    at += 4 + length;
  }
  return buffer;
}

/** `bytea[]`; the bytes are copied. */
export function byteaArray(values: readonly Uint8Array[]): Buffer {
  if (values.length === 0) return emptyOf(BYTEA);
  let bytes = 0;
  for (const value of values) bytes += 4 + value.length;
  const buffer = headOf(BYTEA, values.length, bytes);
  let at = HEAD_BYTES;
  for (const value of values) {
    at = buffer.writeInt32BE(value.length, at);
    buffer.set(value, at);
    at += value.length;
  }
  return buffer;
}
