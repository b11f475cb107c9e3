/**
 * Journal: a durable, ordered, replayable sequence of records with positions. The intake is one;
 * every stream will be one. Engine today: `files` (src/journal).
 *
 * Promised by the journal
 * - `append` resolves only after the records, and every record before them, are on disk.
 * - Positions count records: 0, 1, 2, ... in append order, no gaps, the same after every restart.
 * - Records of one `append` call stand together and in order. A crash keeps a prefix of the
 *   appended records; nothing acknowledged is missing from it, and what is damaged is never
 *   skipped.
 * - After a failed sync nothing is acknowledged any more: the pending appends and all later ones
 *   reject with JournalBroken.
 *
 * Promised by the caller
 * - `append` is called with at least one record, each at most `recordBytesMax` long, and the arrays
 *   are not changed until it has settled.
 * - `trim(before)` is called only when no record below `before` will be needed again.
 */
import type { Position } from '../kernel/words.ts';

/**
 * `admit`: new work, turned away when space runs short. `settle`: work that ends what was
 * admitted.
 */
export type AppendPurpose = 'admit' | 'settle';

export interface JournalBatch {
  readonly first: Position;
  readonly records: readonly Uint8Array[];
}

export interface Journal {
  /** Random identity, drawn when the journal was made: 32 hex digits. It stands in every stash. */
  readonly id: string;
  /** The position the next appended record will get. */
  readonly next: Position;
  /** Position of the oldest record still kept. */
  readonly first: Position;
  /** Everything below is known to be on disk. */
  readonly durable: Position;
  /**
   * Appends records and resolves with the position of the first once all are durable. Calls made
   * while a sync is under way share the next one (group commit); a call that finds none goes at
   * once. Rejects with DiskFull (nothing of it was kept) or JournalBroken (outcome unknown).
   */
  append(records: readonly Uint8Array[], purpose: AppendPurpose): Promise<Position>;
  /** Whether `bytes` more would be admitted now, and, if not, why. */
  admits(bytes: number): boolean;
  /** Records from `from` (at least `first`) up to what is durable now, oldest first. */
  read(from: Position): AsyncIterable<JournalBatch>;
  /** Removes whole segments that lie below `before`; returns the new `first`. */
  trim(before: Position): Promise<Position>;
  /** Bytes on disk and segments, for metrics. */
  figures(): { bytes: number; segments: number; syncs: number; pending: number };
  /** Syncs what is pending, seals the tail, lets the lock go. */
  close(): Promise<void>;
}

/** Not admitted: the disk (or the journal's bound) has no room. Nothing was kept. */
export class DiskFull extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'DiskFull';
  }
}

/** A write or sync failed: what was pending may or may not be on disk. The process must restart. */
export class JournalBroken extends Error {
  constructor(detail: string, cause?: unknown) {
    super(detail, { cause });
    this.name = 'JournalBroken';
  }
}

/** The journal on disk cannot be opened honestly: damage is named by place, never skipped. */
export class JournalDamaged extends Error {
  readonly place: string;
  readonly hint: string;
  constructor(place: string, detail: string, hint: string) {
    super(`${place}: ${detail}`);
    this.name = 'JournalDamaged';
    this.place = place;
    this.hint = hint;
  }
}
