/**
 * Reading a journal back: checked frames in steps of about a megabyte, straight from the segment
 * files, whose last pages the system still has in memory. Records are views of the step they came
 * with; who keeps one for long copies it.
 */
import type { JournalBatch } from '../contracts/journal.ts';
import { JournalDamaged } from '../contracts/journal.ts';
import { planted } from '../kernel/plants.ts';
import type { Position } from '../kernel/words.ts';
import type { Disk } from '../kernel/world.ts';
import { chainOf, readHead, readRecords, SECTOR, segmentName } from './format.ts';
import type { FrameHead } from './format.ts';
import { REFUSAL_HINT } from './verdicts.ts';
import { Window } from './window.ts';

const STEP_BYTES = 1024 * 1024;
/** Distance between two entries of a segment's index. */
const INDEX_STEP_BYTES = 256 * 1024;

/** Some frame starts of a segment, so that a reader need not begin at the front. */
export interface IndexEntry {
  readonly position: Position;
  readonly offset: number;
  /** Chain of the frame before it. */
  readonly previous: number;
}

/** A segment that holds frames, or the one that will get the next. */
export interface Segment {
  readonly number: number;
  /** Its full length. */
  readonly bytes: number;
  /** Position of its first record, and the chain that its first frame follows. */
  readonly base: Position;
  readonly baseChain: number;
  /** Offset behind its last frame. */
  end: number;
  /** Ascending; the first entry is the first frame. */
  readonly index: IndexEntry[];
}

/** Moves the segment's end behind a frame, and indexes the frame if the last entry is far away. */
export function noteFrame(
  segment: Segment,
  position: Position,
  previous: number,
  bytes: number,
): void {
  const last = segment.index.at(-1);
  if (last === undefined || segment.end - last.offset >= INDEX_STEP_BYTES) {
    segment.index.push({ position, offset: segment.end, previous });
  }
  segment.end += bytes;
}

/** The records of [from, until), which must be durable, out of `segments`, oldest first. */
export async function* readRange(
  folder: { readonly disk: Disk; readonly directory: string; readonly salt: number },
  segments: readonly Segment[],
  from: Position,
  until: Position,
): AsyncGenerator<JournalBatch> {
  const { disk, directory, salt } = folder;
  let wanted = from;
  for (const [place, segment] of segments.entries()) {
    if (wanted >= until) return;
    const following = segments[place + 1]?.index[0]?.position;
    if (following !== undefined && following <= wanted) continue;
    const path = `${directory}/${segmentName(segment.number)}`;
    const file = await disk.open(path, 'existing');
    try {
      const frames = new FrameReader(
        new Window(file, STEP_BYTES, true),
        path,
        salt,
        segment,
        wanted,
      );
      const stop = Math.min(until, following ?? until);
      while (wanted < stop) {
        const batch = await frames.step(wanted, stop);
        // Without the planted bug every step has a record, and they count on without a gap.
        wanted = Math.max(wanted + batch.records.length, frames.position);
        if (batch.records.length > 0) yield batch;
      }
    } finally {
      await file.close();
    }
  }
}

class FrameReader {
  readonly #window: Window;
  readonly #path: string;
  readonly #salt: number;
  readonly #limit: number;
  #offset: number;
  /** Of the next frame. */
  position: Position;
  #previous: number;

  constructor(window: Window, path: string, salt: number, segment: Segment, from: Position) {
    this.#window = window;
    this.#path = path;
    this.#salt = salt;
    this.#limit = segment.bytes;
    const start = segment.index.findLast((entry) => entry.position <= from) ?? segment.index[0];
    this.#offset = start?.offset ?? SECTOR;
    this.position = start?.position ?? 0;
    this.#previous = start?.previous ?? 0;
  }

  /**
   * The next records from `wanted` on: those of all whole frames in memory, at least one record.
   */
  async step(wanted: Position, until: Position): Promise<JournalBatch> {
    const records: Uint8Array[] = [];
    const window = this.#window;
    while (this.position < until) {
      if (!window.holds(this.#offset, SECTOR)) {
        if (records.length > 0) break;
        await this.#load(SECTOR);
      }
      const head = readHead(window.buffer, window.at(this.#offset));
      if (head === null || this.#offset + head.bytes > this.#limit) {
        this.#damaged();
        continue;
      }
      if (!window.holds(this.#offset, head.bytes)) {
        if (records.length > 0) break;
        await this.#load(head.bytes);
      }
      const at = window.at(this.#offset);
      if (!this.#follows(window.buffer, at, head)) {
        this.#damaged();
        continue;
      }
      this.#offset += head.bytes;
      this.#previous = head.chain;
      this.position = head.first + head.count;
      if (this.position <= wanted) continue;
      const skip = Math.max(0, wanted - head.first);
      readRecords(window.buffer, at, Math.min(head.count, until - head.first), skip, records);
    }
    return { first: wanted, records };
  }

  async #load(bytes: number): Promise<void> {
    await this.#window.load(this.#offset, bytes, this.#limit);
  }

  /** Whether the frame is whole and the one that comes next. */
  #follows(buffer: Buffer, at: number, head: FrameHead): boolean {
    const previous = planted('skip-bad-record') ? head.previous : this.#previous;
    if (chainOf(buffer, at, head.bytes, previous, this.#salt) !== head.chain) return false;
    return head.first === this.position || planted('skip-bad-record');
  }

  /** Throws JournalDamaged; returns only where a test planted a reader that skips. */
  #damaged(): void {
    if (planted('skip-bad-record') && this.#offset + SECTOR < this.#limit) {
      this.#offset += SECTOR;
      return;
    }
    throw new JournalDamaged(
      `${this.#path} at byte ${this.#offset}`,
      'a record that was durable cannot be read back',
      REFUSAL_HINT,
    );
  }
}
