/**
 * Slots of a Redis Cluster: which of the 16,384 a name belongs to, and a short tag for each of
 * them, by which a name of ours is put beside a name that somebody else chose (P29).
 */

export const SLOTS = 16_384;

/** CRC16 as XMODEM has it, polynomial 0x1021: what the cluster specification names. */
const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
  return crc & 0xffff;
});

/** Checksum of the bytes from `from` up to `to`. */
export function crc16(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let crc = 0;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    crc = ((crc << 8) ^ (TABLE[((crc >> 8) ^ byte) & 0xff] ?? 0)) & 0xffff;
  }
  return crc;
}

const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * The slot of a name. Only what stands between the first `{` and the first `}` behind it counts,
 * if anything does.
 */
export function slotOf(name: string): number {
  const bytes = Buffer.from(name, 'utf8');
  const open = bytes.indexOf(OPEN);
  if (open >= 0) {
    const close = bytes.indexOf(CLOSE, open + 1);
    if (close > open + 1) return crc16(bytes, open + 1, close) % SLOTS;
  }
  return crc16(bytes) % SLOTS;
}

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz';
let tags: readonly string[] | null = null;

/** A tag of at most four letters whose slot is `slot`. The table is made once, at first use. */
export function tagOf(slot: number): string {
  tags ??= makeTags();
  const tag = tags[slot];
  if (tag === undefined) throw new RangeError(`there is no slot ${slot}`);
  return tag;
}

/** Counts upwards in base 36 until every slot was met: the shortest tags win. */
function makeTags(): string[] {
  const made: string[] = [];
  let missing = SLOTS;
  for (let number = 0; missing > 0; number += 1) {
    let text = '';
    for (let rest = number; text === '' || rest > 0; rest = Math.floor(rest / LETTERS.length)) {
      text = LETTERS.charAt(rest % LETTERS.length) + text;
    }
    const slot = slotOf(text);
    if (made[slot] !== undefined) continue;
    made[slot] = text;
    missing -= 1;
  }
  return made;
}
