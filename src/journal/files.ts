/**
 * The `files` engine at work: group commit, idle seal, switching segments, trim, close.
 *
 * One batch is under way at a time: write, sync, answer, next. What is appended meanwhile makes
 * the next batch, so the depth of a batch follows the load and nobody waits when alone. The batch
 * under way is the only thing on disk that may be torn; each one says in its head that all before
 * it is not.
 */
import { DiskFull, JournalBroken } from '../contracts/journal.ts';
import type { AppendPurpose, Journal, JournalBatch } from '../contracts/journal.ts';
import { planted } from '../kernel/plants.ts';
import type { Position } from '../kernel/words.ts';
import type { DiskFile, Lock, Timer, World } from '../kernel/world.ts';
import { writeCheckpoint } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import { FRAME_HEAD, KIND, saltOf, sealFrame, SECTOR, segmentName } from './format.ts';
import { Pace } from './pace.ts';
import { noteFrame, readRange } from './reading.ts';
import type { Segment } from './reading.ts';
import { isFull } from './segments.ts';
import type { BlankSegment, Shelf } from './segments.ts';
import { storedBytes, Waiting } from './waiting.ts';
import type { Call } from './waiting.ts';

/** A batch is closed at this size even if more is waiting, so that no sync grows without bound. */
const BATCH_BYTES_MAX = 4 * 1024 * 1024;

export interface FilesOptions {
  readonly world: World;
  readonly directory: string;
  readonly id: string;
  readonly lock: Lock;
  readonly idleSealMs: number;
  readonly recordBytesMax: number;
  /** Length of the segments that will be made. */
  readonly segmentBytes: number;
  /** From the oldest to the one that is written to; never empty. */
  readonly segments: Segment[];
  readonly file: DiskFile;
  readonly next: Position;
  readonly chain: number;
}

export class FilesJournal implements Journal {
  readonly id: string;
  readonly #world: World;
  readonly #directory: string;
  readonly #lock: Lock;
  readonly #idleSealMs: number;
  readonly #recordBytesMax: number;
  readonly #salt: number;
  readonly #waiting: Waiting;
  readonly #shelf: Shelf;
  readonly #segments: Segment[];
  #file: DiskFile;
  #current: Segment;
  #written: Position;
  #durable: Position;
  #chain: number;
  #inBatch: Call[] = [];
  #busy = false;
  readonly #pace: Pace;
  #turnSet = false;
  #sealed = true;
  #sealTimer: Timer | null = null;
  #broken: JournalBroken | null = null;
  #closing: Promise<void> | null = null;
  #quiet: (() => void) | null = null;
  #keeping: Promise<unknown> = Promise.resolve();
  #syncs = 0;

  constructor(options: FilesOptions, shelf: (broken: (error: unknown) => void) => Shelf) {
    this.id = options.id;
    this.#world = options.world;
    this.#pace = new Pace(options.world.clock);
    this.#directory = options.directory;
    this.#lock = options.lock;
    this.#idleSealMs = options.idleSealMs;
    this.#recordBytesMax = options.recordBytesMax;
    this.#salt = saltOf(options.id);
    this.#waiting = new Waiting(Math.min(BATCH_BYTES_MAX, options.segmentBytes - 3 * SECTOR));
    this.#segments = options.segments;
    this.#current = options.segments.at(-1) as Segment;
    this.#file = options.file;
    this.#written = options.next;
    this.#durable = options.next;
    this.#chain = options.chain;
    this.#shelf = shelf((error) => this.#break('preparing a segment failed', error));
    this.#shelf.restock();
  }

  get next(): Position {
    return this.#written + this.#waiting.records;
  }

  get first(): Position {
    return (this.#segments[0] as Segment).base;
  }

  get durable(): Position {
    return this.#durable;
  }

  /** What new work is rejected with, once there can be none. */
  get #over(): JournalBroken | null {
    if (this.#broken !== null || this.#closing === null) return this.#broken;
    return new JournalBroken('the journal is closed');
  }

  append(records: readonly Uint8Array[], purpose: AppendPurpose): Promise<Position> {
    let bytes = 0;
    for (const record of records) {
      if (record.byteLength > this.#recordBytesMax) {
        const size = `${record.byteLength} bytes; the journal takes ${this.#recordBytesMax}`;
        return Promise.reject(new RangeError(`a record has ${size}`));
      }
      bytes += storedBytes(record);
    }
    if (records.length === 0) return Promise.reject(new RangeError('append needs a record'));
    if (this.#over !== null) return Promise.reject(this.#over);
    if (purpose === 'admit' && !this.admits(bytes)) return Promise.reject(noRoom());
    return new Promise((resolve, reject) => {
      this.#waiting.push({ records, purpose, bytes, taken: 0, first: -1, resolve, reject });
      if (!this.#busy && !this.#turnSet) this.#setTurn();
    });
  }

  admits(bytes: number): boolean {
    if (this.#over !== null) return false;
    if (!this.#shelf.short) return true;
    if (!this.#shelf.reserveWhole) return false;
    // Full: what is left of the segments in hand, the reserve untouched. A frame adds less than two
    // sectors to what is in it, and a segment keeps one for its end mark.
    const needed = this.#waiting.bytes + bytes + 4 * SECTOR;
    return needed <= this.#current.bytes - this.#current.end + this.#shelf.readyBytes;
  }

  read(from: Position): AsyncIterable<JournalBatch> {
    if (!(from >= this.first && from <= this.next)) {
      const kept = `${this.first} to ${this.next}`;
      throw new RangeError(`position ${from} cannot be read: the journal keeps ${kept}`);
    }
    const folder = { disk: this.#world.disk, directory: this.#directory, salt: this.#salt };
    return readRange(folder, [...this.#segments], from, this.#durable);
  }

  figures(): { bytes: number; segments: number; syncs: number; pending: number } {
    const shelf = this.#shelf.figures;
    let bytes = shelf.bytes;
    for (const segment of this.#segments) bytes += segment.bytes;
    return {
      bytes,
      segments: this.#segments.length + shelf.segments,
      syncs: this.#syncs,
      pending: this.#waiting.length + this.#inBatch.length,
    };
  }

  trim(before: Position): Promise<Position> {
    return this.#alone(async () => {
      if (this.#over !== null) throw this.#over;
      let count = 0;
      while (count + 1 < this.#segments.length) {
        if ((this.#segments[count + 1] as Segment).base > before) break;
        count += 1;
      }
      if (count === 0) return this.first;
      await this.#checkpoint(this.#segments[count] as Segment, null);
      const gone = this.#segments.splice(0, count);
      for (const segment of gone) {
        await this.#world.disk.remove(`${this.#directory}/${segmentName(segment.number)}`);
      }
      await this.#world.disk.syncDirectory(this.#directory);
      return this.first;
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#quiet = resolve;
      if (!this.#busy && this.#waiting.length === 0) resolve();
    });
    this.#sealTimer?.cancel();
    try {
      await this.#shelf.stop();
      await this.#keeping.catch(() => undefined);
      if (this.#broken === null) await this.#stopCleanly();
    } catch (error) {
      throw this.#break('closing failed', error);
    } finally {
      await this.#file.close().catch(() => undefined);
      await this.#lock.release();
    }
  }

  /** Seals the tail, then says in the checkpoint where it ends. */
  async #stopCleanly(): Promise<void> {
    if (!this.#sealed && this.#room() >= SECTOR) await this.#mark(KIND.idle);
    const blank = this.#current.end === SECTOR && this.#segments.length > 1;
    const tail = blank ? (this.#segments.at(-2) as Segment) : this.#current;
    const end = { segment: tail.number, offset: tail.end, chain: this.#chain };
    await this.#checkpoint(this.#segments[0] as Segment, end).catch((error: unknown) => {
      // Without it the next start copies the tail: slower, and as safe.
      if (!(error instanceof DiskFull)) throw error;
    });
  }

  /** Runs work on the checkpoint one at a time; a disk that fails in it breaks the journal. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#keeping.then(async () => {
      try {
        return await work();
      } catch (error) {
        if (error instanceof DiskFull || error instanceof JournalBroken) throw error;
        throw this.#break('writing the checkpoint failed', error);
      }
    });
    this.#keeping = run.catch(() => undefined);
    return run;
  }

  /** Writes the checkpoint; a full disk costs a reserve file, which the shelf makes again. */
  async #checkpoint(first: Segment, end: Checkpoint['end']): Promise<void> {
    for (;;) {
      try {
        await writeCheckpoint(this.#world.disk, this.#directory, {
          format: 1,
          id: this.id,
          made: true,
          firstSegment: first.number,
          base: { position: first.base, chain: first.baseChain },
          durable: this.#durable,
          end,
        });
        return;
      } catch (error) {
        if (!isFull(error)) throw error;
        if (!(await this.#shelf.spare())) throw noRoom();
      }
    }
  }

  /** Sets the moment at which the next batch closes: when all that is ready now was taken in. */
  #setTurn(): void {
    this.#turnSet = true;
    this.#world.clock.soon(this.#turn);
  }

  readonly #turn = (): void => {
    this.#turnSet = false;
    if (this.#busy || this.#broken !== null || this.#waiting.length === 0) return;
    this.#busy = true;
    try {
      if (this.#waiting.frameBytesMin <= this.#room()) this.#writeBatch();
      else this.#advance().then(this.#turnAgain, this.#failed);
    } catch (error) {
      this.#failed(error);
    }
  };

  readonly #turnAgain = (): void => {
    this.#busy = false;
    if (this.#waiting.length > 0 && !this.#turnSet) this.#setTurn();
    if (this.#waiting.length === 0) this.#quiet?.();
  };

  /** Bytes the current segment has for a frame, with one sector left for its end mark. */
  #room(): number {
    return this.#current.bytes - this.#current.end - SECTOR;
  }

  /** Writes what is waiting, as far as it fits in one batch; `#synced` answers it. */
  #writeBatch(): void {
    const most = Math.min(this.#room(), BATCH_BYTES_MAX) - FRAME_HEAD - 1;
    const taken = this.#waiting.take(most, this.#written);
    this.#inBatch = taken.calls;
    this.#writeFrame(taken.bodyBytes, taken.count, KIND.batch);
    this.#sealed = false;
    if (planted('acknowledge-before-sync')) this.#answer();
    this.#pace.sync(this.#file, taken.count, this.#synced, this.#failed);
  }

  #writeFrame(body: number, count: number, kind: number): void {
    const segment = this.#current;
    const place = { first: this.#written, durable: this.#durable, previous: this.#chain };
    const words = { ...place, count, kind };
    const frame = sealFrame(this.#waiting.buffer, body, words, this.#salt);
    this.#file.write(this.#waiting.buffer.subarray(0, frame.bytes), segment.end);
    noteFrame(segment, words.first, words.previous, frame.bytes);
    this.#written += count;
    this.#chain = frame.chain;
  }

  /** The one place that acknowledges: everything written so far is on disk. */
  readonly #synced = (): void => {
    this.#syncs += 1;
    if (this.#broken !== null) return;
    this.#durable = this.#written;
    this.#answer();
    this.#armSeal();
    this.#turnAgain();
  };

  #answer(): void {
    const calls = this.#inBatch;
    this.#inBatch = [];
    for (const call of calls) call.resolve(call.first);
  }

  readonly #failed = (error: unknown): void => {
    this.#break('writing or syncing a batch failed', error);
  };

  /** After this nothing is acknowledged any more; returns what all calls are rejected with. */
  #break(detail: string, cause: unknown): JournalBroken {
    this.#broken ??= new JournalBroken(`${detail}: ${String(cause)}`, cause);
    this.#busy = false;
    this.#sealTimer?.cancel();
    const waiting = [...this.#waiting.remove('admit'), ...this.#waiting.remove('settle')];
    const calls = this.#inBatch;
    this.#inBatch = [];
    for (const call of [...calls, ...waiting]) call.reject(this.#broken);
    this.#quiet?.();
    return this.#broken;
  }

  #armSeal(): void {
    this.#sealTimer ??= this.#world.clock.after(this.#idleSealMs, () => {
      this.#sealTimer = null;
      if (this.#over !== null || this.#sealed) return;
      if (this.#busy || this.#waiting.length > 0) {
        this.#armSeal();
        return;
      }
      this.#busy = true;
      const seal = this.#room() < SECTOR ? this.#advance() : this.#mark(KIND.idle);
      seal.then(this.#turnAgain, this.#failed);
    });
  }

  /** Writes and syncs a frame without records, which tells that all before it is on disk. */
  async #mark(kind: number): Promise<void> {
    this.#writeFrame(0, 0, kind);
    await this.#file.sync();
    this.#syncs += 1;
    this.#sealed = true;
  }

  /**
   * Goes on in the next segment. When the disk is full, what asks to be admitted is turned away and
   * the rest gets the reserve; when that is used up too, all that waits is turned away.
   */
  async #advance(): Promise<void> {
    let next = await this.#shelf.take();
    if (next === null) {
      this.#turnAway('admit');
      if (this.#waiting.length === 0) return;
      next = await this.#shelf.takeReserve();
      if (next === null) {
        this.#turnAway('settle');
        return;
      }
    }
    if (this.#broken !== null) return;
    await this.#openNext(next);
  }

  async #openNext(next: BlankSegment): Promise<void> {
    await this.#mark(KIND.end);
    const old = this.#file;
    this.#file = next.file;
    this.#current = {
      number: next.number,
      bytes: next.bytes,
      base: this.#written,
      baseChain: this.#chain,
      end: SECTOR,
      index: [],
    };
    this.#segments.push(this.#current);
    this.#shelf.restock();
    await old.close();
  }

  #turnAway(purpose: AppendPurpose): void {
    for (const call of this.#waiting.remove(purpose)) {
      if (call.taken === 0) call.reject(noRoom());
      else call.reject(this.#break('the disk was full in the middle of an append', noRoom()));
    }
  }
}

function noRoom(): DiskFull {
  return new DiskFull('the disk has no room for another journal segment');
}
