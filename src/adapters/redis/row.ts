/** Rows: what stands under a name in Redis, what is known about it, and what it shows to whom. */
import type { Found, Visible } from '../../contracts/reader.ts';
import { digestOf } from '../../kernel/digest.ts';
import type { EpochMs, Uow } from '../../kernel/words.ts';
import type { Answer } from './connection.ts';

/** What stands under a name, and what is known about it. */
export interface Row {
  /** Null: nothing, or nothing any more. */
  readonly value: Buffer | null;
  readonly ttlMs: number | null;
  readonly uow?: Uow;
  readonly attempt?: number;
  readonly digest?: string;
  /** What stood there before this attempt, where that is kept. */
  readonly before?: {
    readonly value: Buffer | null;
    readonly ttlMs: number | null;
    readonly uow?: Uow;
  };
}

export const NOTHING: Row = { value: null, ttlMs: null };

/** Told only if it is about these bytes: another program may have changed them. */
export function withAbout(row: Row, about: Buffer): Row {
  const [uow, attempt, digest] = about.toString('latin1').split(' ');
  if (row.value === null || digest === undefined || digestOf(row.value) !== digest) return row;
  return { ...row, uow: Number(uow), attempt: Number(attempt), digest };
}

const LINE_END = 10;

/**
 * The words of what src/adapters/redis/script.ts keeps beside a value, and where its image begins.
 */
export function wordsBeside(side: Buffer): { words: readonly string[]; imageAt: number } {
  const end = side.indexOf(LINE_END);
  return { words: side.toString('latin1', 0, end).split(' '), imageAt: end + 1 };
}

/** `time`: that of the server, as TIME gives it. */
export function withBeside(row: Row, side: Buffer, time: Answer): Row {
  const { words, imageAt } = wordsBeside(side);
  const [u = '-', a, d = '-'] = words;
  if (u === '-') return row;
  const own = row.value !== null && digestOf(row.value) === d ? { digest: d } : {};
  const known = { ...row, uow: Number(u), attempt: Number(a), ...own };
  const [mark, ip = '-'] = words.slice(16);
  if (mark === '-') return known;
  const before = mark === '1' ? endingAt(side.subarray(imageAt), ip, serverMs(time)) : NOTHING;
  return { ...known, before: words[7] === '-' ? before : { ...before, uow: Number(words[7]) } };
}

/** Milliseconds, from what TIME gives. */
export function serverMs(time: Answer): EpochMs {
  const [seconds, micros] = Array.isArray(time) ? (time as readonly unknown[]) : [];
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

/** `ends`: a moment, or `-`. */
function endingAt(value: Buffer, ends: string, now: EpochMs): Row {
  if (ends === '-') return { value, ttlMs: null };
  return Number(ends) > now ? { value, ttlMs: Number(ends) - now } : NOTHING;
}

/** What a row shows; of a key whose write is not committed yet, what stood there before. */
export function foundIn(row: Row | undefined, visible: Visible): Found | null {
  if (row === undefined) return null;
  const { uow, attempt, before } = row;
  if (uow !== undefined && attempt !== undefined && !visible(uow, attempt)) {
    if (before === undefined || before.value === null) return null;
    const { value, ttlMs } = before;
    return { value, ttlMs, ...(before.uow === undefined ? {} : { uow: before.uow }) };
  }
  if (row.value === null) return null;
  const { value, ttlMs, digest } = row;
  if (uow === undefined) return { value, ttlMs };
  return digest === undefined ? { value, ttlMs, uow } : { value, ttlMs, uow, digest };
}
