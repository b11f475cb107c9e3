/**
 * Recovery: looks through a journal's folder, checks every frame, lets the table in verdicts.ts
 * decide, and, unless the last stop was clean, copies the tail to a new synced file. A failed
 * sync may have left pages that read back well and are on no disk, so nothing of an unclean tail
 * is built upon before it was written anew.
 */
import { JournalDamaged } from '../contracts/journal.ts';
import { planted } from '../kernel/plants.ts';
import type { Position } from '../kernel/words.ts';
import type { DiskFile, World } from '../kernel/world.ts';
import type { Checkpoint } from './checkpoint.ts';
import {
  chainOf,
  decodeSegmentHead,
  isCutShort,
  isZero,
  KIND,
  readHead,
  saltOf,
  SECTOR,
  segmentName,
} from './format.ts';
import type { FrameHead } from './format.ts';
import { noteFrame } from './reading.ts';
import type { Segment } from './reading.ts';
import { REFUSAL_HINT, verdict } from './verdicts.ts';
import type { Circumstances, Found } from './verdicts.ts';
import { Window } from './window.ts';

const WINDOW_BYTES = 4 * 1024 * 1024;

export interface Scan {
  /** From the first segment to the one that holds the last frame. */
  readonly segments: Segment[];
  /** Whether the last of them carries its end mark. */
  readonly closed: boolean;
  /** Blank segments behind it. */
  readonly blanks: { number: number; bytes: number }[];
  readonly next: Position;
  readonly chain: number;
  readonly records: number;
  readonly cutBytes: number;
  /** True when everything behind the tail is as it was made: zeros up to the full length. */
  readonly pristine: boolean;
  readonly decisions: string[];
}

/** The refusal the table asks for at `place`. */
export function refusal(place: string, meaning: string): JournalDamaged {
  return new JournalDamaged(place, meaning, REFUSAL_HINT);
}

/** Scans the journal that `checkpoint` describes; `names` are the files of its folder. */
export async function scanJournal(
  world: World,
  directory: string,
  checkpoint: Checkpoint,
  numbers: readonly number[],
): Promise<Scan> {
  const scanner = new Scanner(world, directory, checkpoint);
  try {
    return await scanner.run(numbers);
  } finally {
    await scanner.close();
  }
}

class Scanner {
  readonly #world: World;
  readonly #directory: string;
  readonly #checkpoint: Checkpoint;
  readonly #salt: number;
  readonly #files = new Map<number, DiskFile>();
  readonly #decisions: string[] = [];
  #position: Position;
  #chain: number;
  #durable: Position;
  #records = 0;
  #cutBytes = 0;
  #pristine = true;
  #closed = false;

  constructor(world: World, directory: string, checkpoint: Checkpoint) {
    this.#world = world;
    this.#directory = directory;
    this.#checkpoint = checkpoint;
    this.#salt = saltOf(checkpoint.id);
    this.#position = checkpoint.base.position;
    this.#chain = checkpoint.base.chain;
    this.#durable = checkpoint.durable;
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }

  async run(numbers: readonly number[]): Promise<Scan> {
    const first = this.#checkpoint.firstSegment;
    const top = numbers.at(-1) ?? first - 1;
    const heads = new Map<number, number>();
    for (let number = first; number <= Math.max(top, first); number += 1) {
      if (!numbers.includes(number)) this.#refuse('segment-missing', number, null);
      heads.set(number, await this.#header(number));
    }
    let last = top;
    while (last > first && (await this.#isBlank(last, heads.get(last) ?? 0))) last -= 1;
    const segments: Segment[] = [];
    for (let number = first; number <= last; number += 1) {
      const bytes = heads.get(number) ?? 0;
      segments.push(await this.#segment(number, bytes, number === last ? 'last' : 'inner'));
    }
    const blanks = this.#blanks(last, top, heads);
    return {
      segments,
      closed: this.#closed,
      blanks,
      next: this.#position,
      chain: this.#chain,
      records: this.#records,
      cutBytes: this.#cutBytes,
      pristine: this.#pristine,
      decisions: this.#decisions,
    };
  }

  #blanks(
    last: number,
    top: number,
    heads: ReadonlyMap<number, number>,
  ): { number: number; bytes: number }[] {
    const closed = this.#closed;
    // A segment is closed only after the next one is there, and one is made ahead of it at most.
    if (closed && top === last) this.#refuse('segment-missing', last + 1, null);
    if (closed && this.#position < this.#durable) {
      const row = verdict('zero', { where: 'last', standing: 'below', followed: false });
      throw refusal(this.#place(last + 1, SECTOR), row.meaning);
    }
    if (top - last > (closed ? 2 : 1)) this.#refuse('segment-not-closed', last, null);
    const blanks = [];
    for (let number = last + 1; number <= top; number += 1) {
      blanks.push({ number, bytes: heads.get(number) ?? 0 });
    }
    return blanks;
  }

  async #file(number: number): Promise<DiskFile> {
    let file = this.#files.get(number);
    if (file === undefined) {
      const path = `${this.#directory}/${segmentName(number)}`;
      file = await this.#world.disk.open(path, 'existing');
      this.#files.set(number, file);
    }
    return file;
  }

  /** Checks a segment's header; returns the length it states. */
  async #header(number: number): Promise<number> {
    const file = await this.#file(number);
    const sector = Buffer.alloc(SECTOR);
    await file.read(sector, 0);
    const head = decodeSegmentHead(sector);
    if (head === null) this.#refuse('segment-header-bad', number, 0);
    if (head.id !== this.#checkpoint.id) this.#refuse('segment-foreign', number, 0);
    if (head.number !== number) this.#refuse('segment-misplaced', number, 0);
    return head.bytes;
  }

  async #isBlank(number: number, bytes: number): Promise<boolean> {
    const window = new Window(await this.#file(number), WINDOW_BYTES, false);
    for (let at = SECTOR; at < bytes; at = window.end) {
      await window.load(at, 0, bytes);
      if (!isZero(window.buffer, 0, window.end - at)) return false;
    }
    return true;
  }

  async #segment(number: number, bytes: number, where: Circumstances['where']): Promise<Segment> {
    const file = await this.#file(number);
    const window = new Window(file, WINDOW_BYTES, false);
    const segment: Segment = {
      number,
      bytes,
      base: this.#position,
      baseChain: this.#chain,
      end: SECTOR,
      index: [],
    };
    this.#closed = false;
    while (segment.end < bytes) {
      const at = segment.end;
      if (!window.holds(at, SECTOR)) await window.load(at, SECTOR, bytes);
      const head = readHead(window.buffer, window.at(at));
      if (head !== null && !window.holds(at, head.bytes) && at + head.bytes <= bytes) {
        await window.load(at, head.bytes, bytes);
      }
      const found = this.#look(window, at, head, bytes);
      if (found !== 'frame' && found !== 'end-mark') {
        const skip = await this.#bad(found, segment, window, where);
        if (skip === null) break;
        segment.end = skip;
        continue;
      }
      this.#take(head as FrameHead, segment);
      if (this.#closed) break;
    }
    if (!this.#closed && where === 'inner' && segment.end >= bytes) {
      this.#refuse('segment-not-closed', number, segment.end);
    }
    if (where === 'last' && (await file.size()) !== bytes) this.#pristine = false;
    return segment;
  }

  /** Takes a checked frame in. */
  #take(head: FrameHead, segment: Segment): void {
    this.#position = head.first + head.count;
    this.#chain = head.chain;
    this.#records += head.count;
    if (head.durable > this.#durable) this.#durable = head.durable;
    noteFrame(segment, head.first, head.previous, head.bytes);
    this.#closed = head.kind === KIND.end;
  }

  /** What stands at `at`, whose head was read; never `zero`, which needs a look at the rest. */
  #look(window: Window, at: number, head: FrameHead | null, limit: number): Found {
    const index = window.at(at);
    if (head === null) {
      return isCutShort(window.buffer, index, null) ? 'short' : 'garbage';
    }
    if (at + head.bytes > limit) return 'garbage';
    const chain = chainOf(window.buffer, index, head.bytes, head.previous, this.#salt);
    if (chain !== head.chain) {
      return isCutShort(window.buffer, index, head) ? 'short' : 'garbage';
    }
    if (head.previous !== this.#chain || head.first !== this.#position) {
      return planted('skip-bad-record') ? 'frame' : 'stranger';
    }
    return head.kind === KIND.end ? 'end-mark' : 'frame';
  }

  /**
   * Something other than a frame at the segment's end so far: asks the table. Null: the log ends
   * here. Throws JournalDamaged.
   */
  async #bad(
    found: Found,
    segment: Segment,
    window: Window,
    where: Circumstances['where'],
  ): Promise<number | null> {
    const at = segment.end;
    const behind = await this.#behind(window, at, segment.bytes);
    if (behind.frame !== null && planted('skip-bad-record')) return behind.frame;
    const what: Found = behind.lastByte < at ? 'zero' : found;
    const row = verdict(what, {
      where,
      standing: this.#position < this.#durable ? 'below' : 'above',
      followed: behind.frame !== null,
    });
    if (row.decision === 'refuse') throw refusal(this.#place(segment.number, at), row.meaning);
    if (row.decision === 'cut') {
      this.#cutBytes = behind.lastByte + 1 - at;
      this.#pristine = false;
      const place = this.#place(segment.number, at);
      this.#decisions.push(`${place}: cut ${this.#cutBytes} bytes: ${row.meaning}`);
    }
    return null;
  }

  /**
   * Looks at the rest of a segment: the first whole frame behind `at`, and its last non-zero
   * byte.
   */
  async #behind(
    window: Window,
    from: number,
    limit: number,
  ): Promise<{ frame: number | null; lastByte: number }> {
    let frame: number | null = null;
    let lastByte = -1;
    for (let at = from; at < limit; at += SECTOR) {
      if (!window.holds(at, SECTOR)) await window.load(at, SECTOR, limit);
      let index = window.at(at);
      if (isZero(window.buffer, index, index + SECTOR)) continue;
      lastByte = at + SECTOR - 1;
      while (window.buffer[window.at(lastByte)] === 0) lastByte -= 1;
      if (frame !== null || at === from) continue;
      const head = readHead(window.buffer, index);
      if (head === null || at + head.bytes > limit) continue;
      if (!window.holds(at, head.bytes)) await window.load(at, head.bytes, limit);
      index = window.at(at);
      const chain = chainOf(window.buffer, index, head.bytes, head.previous, this.#salt);
      if (chain !== head.chain) continue;
      frame = at;
      if (head.durable > this.#durable) this.#durable = head.durable;
    }
    return { frame, lastByte };
  }

  #place(number: number, offset: number | null): string {
    const path = `${this.#directory}/${segmentName(number)}`;
    return offset === null ? path : `${path} at byte ${offset}`;
  }

  #refuse(found: Found, number: number, offset: number | null): never {
    throw refusal(this.#place(number, offset), verdict(found).meaning);
  }
}
