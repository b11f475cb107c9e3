/**
 * The bytes of a journal on disk. Little endian, everything aligned to 512-byte sectors, which are
 * taken to be written whole or not at all.
 *
 * Segment `NNNNNNNN.seg`: one header sector, then frames, then zeros up to its full length.
 *
 *     segment header   0 magic "HOLDFAST"   8 version   12 number   16 journal id   32 length
 *                    508 crc32 of the 508 bytes before
 *     frame            0 magic   4 length (whole sectors)   8 first position (u64)   16 records
 *                     20 kind   21 version   22 sectors of only zeros   24 durable (u64)
 *                     32 chain of the frame before   36 chain of this frame   40 crc32 of 0..39
 *                     44 zero   47 0x5a
 *                     48 records, each a u32 length and its bytes; zeros; 0xa5 in the last byte
 *
 * The chain of a frame is the crc32 over its first 36 bytes and its body, seeded with the chain
 * of the frame before it and the journal's salt: a frame fits in one place of one history only,
 * and bytes that a client chose cannot pose as one. `durable` is what was known to be synced when
 * the frame was written. The two constant bytes and the count of zero sectors tell a write that
 * was cut short from one that was changed afterwards, down to the byte.
 */
import { crc32 } from 'node:zlib';
import type { Position } from '../kernel/words.ts';

export const SECTOR = 512;
export const FRAME_HEAD = 48;
export const FORMAT_VERSION = 1;
const SEGMENT_MAGIC = Buffer.from('HOLDFAST', 'latin1');
const FRAME_MAGIC = 0x31464648; // "HFF1"
const HEAD_END = 0x5a;
const FRAME_END = 0xa5;
const TWO_32 = 2 ** 32;

export const KIND = { batch: 1, idle: 2, end: 3 } as const;

export interface SegmentHead {
  readonly id: string;
  readonly number: number;
  readonly bytes: number;
}

/** What a frame's head says. */
export interface FrameHead {
  readonly bytes: number;
  readonly first: Position;
  readonly count: number;
  readonly kind: number;
  readonly zeroSectors: number;
  readonly durable: Position;
  readonly previous: number;
  readonly chain: number;
}

/** What a new frame's head shall say; length, zero sectors and chain follow from its body. */
export interface FrameWords {
  readonly first: Position;
  readonly count: number;
  readonly kind: number;
  readonly durable: Position;
  readonly previous: number;
}

/** The file name of a segment. */
export function segmentName(number: number): string {
  return `${String(number).padStart(8, '0')}.seg`;
}

/** The number in a segment's file name, or null when it is the name of something else. */
export function segmentNumber(name: string): number | null {
  return /^\d{8,15}\.seg$/.test(name) ? Number(name.slice(0, -4)) : null;
}

/** Bytes of a frame with that much body, in whole sectors, head and closing byte included. */
export function frameBytes(bodyBytes: number): number {
  return Math.ceil((FRAME_HEAD + bodyBytes + 1) / SECTOR) * SECTOR;
}

/** The secret that seeds every chain of this journal, and the chain its first frame follows. */
export function saltOf(id: string): number {
  return crc32(id) >>> 0;
}

export function encodeSegmentHead(head: SegmentHead): Uint8Array {
  const sector = Buffer.alloc(SECTOR);
  SEGMENT_MAGIC.copy(sector, 0);
  sector.writeUInt32LE(FORMAT_VERSION, 8);
  sector.writeUInt32LE(head.number, 12);
  sector.write(head.id, 16, 'hex');
  sector.writeUIntLE(head.bytes, 32, 6);
  sector.writeUInt32LE(crc32(sector.subarray(0, 508)), 508);
  return sector;
}

/** Null unless the sector is a whole segment header of this format version. */
export function decodeSegmentHead(bytes: Uint8Array): SegmentHead | null {
  const sector = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (sector.byteLength < SECTOR) return null;
  if (crc32(sector.subarray(0, 508)) !== sector.readUInt32LE(508)) return null;
  if (!sector.subarray(0, 8).equals(SEGMENT_MAGIC)) return null;
  if (sector.readUInt32LE(8) !== FORMAT_VERSION) return null;
  return {
    id: sector.toString('hex', 16, 32),
    number: sector.readUInt32LE(12),
    bytes: sector.readUIntLE(32, 6),
  };
}

/**
 * Finishes the frame at the start of `buffer`, whose body (up to `bodyBytes`) stands already behind
 * the room for the head: pads, counts, writes the head. Returns its length and chain.
 */
export function sealFrame(
  buffer: Buffer,
  bodyBytes: number,
  words: FrameWords,
  salt: number,
): { bytes: number; chain: number } {
  const bytes = frameBytes(bodyBytes);
  buffer.fill(0, FRAME_HEAD + bodyBytes, bytes);
  buffer[bytes - 1] = FRAME_END;
  buffer.writeUInt32LE(FRAME_MAGIC, 0);
  buffer.writeUInt32LE(bytes, 4);
  buffer.writeUInt32LE(words.first % TWO_32, 8);
  buffer.writeUInt32LE(Math.floor(words.first / TWO_32), 12);
  buffer.writeUInt32LE(words.count, 16);
  buffer[20] = words.kind;
  buffer[21] = FORMAT_VERSION;
  buffer.writeUInt16LE(zeroSectors(buffer, SECTOR, bytes), 22);
  buffer.writeUInt32LE(words.durable % TWO_32, 24);
  buffer.writeUInt32LE(Math.floor(words.durable / TWO_32), 28);
  buffer.writeUInt32LE(words.previous, 32);
  const chain = chainOf(buffer, 0, bytes, words.previous, salt);
  buffer.writeUInt32LE(chain, 36);
  buffer.writeUInt32LE(crc32(buffer.subarray(0, 40)), 40);
  buffer.writeUInt32LE(HEAD_END * 2 ** 24, 44);
  return { bytes, chain };
}

/**
 * The head at `at`, or null unless its own checksum and constants hold. Allocates only when
 * whole.
 */
export function readHead(buffer: Buffer, at: number): FrameHead | null {
  if (buffer.readUInt32LE(at) !== FRAME_MAGIC) return null;
  if (buffer.readUInt32LE(at + 44) !== HEAD_END * 2 ** 24) return null;
  if (crc32(buffer.subarray(at, at + 40)) !== buffer.readUInt32LE(at + 40)) return null;
  const bytes = buffer.readUInt32LE(at + 4);
  if (buffer[at + 21] !== FORMAT_VERSION || bytes === 0 || bytes % SECTOR !== 0) return null;
  return {
    bytes,
    first: buffer.readUInt32LE(at + 8) + buffer.readUInt32LE(at + 12) * TWO_32,
    count: buffer.readUInt32LE(at + 16),
    kind: buffer[at + 20] ?? 0,
    zeroSectors: buffer.readUInt16LE(at + 22),
    durable: buffer.readUInt32LE(at + 24) + buffer.readUInt32LE(at + 28) * TWO_32,
    previous: buffer.readUInt32LE(at + 32),
    chain: buffer.readUInt32LE(at + 36),
  };
}

/** The chain that the frame of `bytes` bytes at `at` has by its content. */
export function chainOf(
  buffer: Buffer,
  at: number,
  bytes: number,
  previous: number,
  salt: number,
): number {
  const seed = crc32(buffer.subarray(at, at + 36), (previous ^ salt) >>> 0);
  return crc32(buffer.subarray(at + FRAME_HEAD, at + bytes), seed) >>> 0;
}

/** Whether the frame at `at` has what a write cut short leaves: see the top of this file. */
export function isCutShort(buffer: Buffer, at: number, head: FrameHead | null): boolean {
  if (head === null) {
    const cutInHead = buffer[at + 47] === 0 && isZero(buffer, at + 47, at + SECTOR);
    return cutInHead || isZero(buffer, at, at + SECTOR);
  }
  if (buffer[at + head.bytes - 1] === 0) return true;
  return zeroSectors(buffer, at + SECTOR, at + head.bytes) > head.zeroSectors;
}

/**
 * Appends records [skip, until) of the whole, checked frame at `at` to `into`, as views of
 * `buffer`.
 */
export function readRecords(
  buffer: Buffer,
  at: number,
  until: number,
  skip: number,
  into: Uint8Array[],
): void {
  let offset = at + FRAME_HEAD;
  for (let index = 0; index < until; index += 1) {
    const length = buffer.readUInt32LE(offset);
    if (index >= skip) into.push(buffer.subarray(offset + 4, offset + 4 + length));
    offset += 4 + length;
  }
}

function zeroSectors(buffer: Buffer, from: number, to: number): number {
  let count = 0;
  for (let at = from; at < to; at += SECTOR) {
    if (buffer[at] === 0 && isZero(buffer, at, at + SECTOR)) count += 1;
  }
  return count;
}

const ZEROS = Buffer.alloc(256 * 1024);

/** A stretch of zeros, to be written from and compared with; never written to. */
export function zeros(bytes: number): Buffer {
  return ZEROS.subarray(0, Math.min(bytes, ZEROS.byteLength));
}

export function isZero(buffer: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at += ZEROS.byteLength) {
    const end = Math.min(to, at + ZEROS.byteLength);
    if (buffer.compare(ZEROS, 0, end - at, at, end) !== 0) return false;
  }
  return true;
}
