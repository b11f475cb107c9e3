/**
 * The appends that wait for the next batch, and the memory in which that batch is put together: one
 * buffer, used again and again, so that a record costs one copy and no allocation.
 */
import type { AppendPurpose } from '../contracts/journal.ts';
import type { Position } from '../kernel/words.ts';
import { FRAME_HEAD, frameBytes } from './format.ts';

/** To begin with; it doubles as batches grow. */
const BUFFER_BYTES = 64 * 1024;

/** One `append` that has not been answered. */
export interface Call {
  readonly records: readonly Uint8Array[];
  readonly purpose: AppendPurpose;
  readonly bytes: number;
  /** Records of it that went into a batch already. */
  taken: number;
  first: Position;
  readonly resolve: (first: Position) => void;
  readonly reject: (error: Error) => void;
}

/** What `take` put into the buffer. */
export interface Taken {
  /** The calls that are in it to their end. */
  readonly calls: Call[];
  readonly bodyBytes: number;
  readonly count: number;
}

/** Bytes of a record inside a frame. */
export function storedBytes(record: Uint8Array): number {
  return record.byteLength + 4;
}

export class Waiting {
  /** Records of one call stand in one frame, unless they are more than this. */
  readonly #wholeBytesMax: number;
  #calls: Call[] = [];
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  /** Records that wait, and their bytes inside frames. */
  records = 0;
  bytes = 0;

  constructor(wholeBytesMax: number) {
    this.#wholeBytesMax = wholeBytesMax;
  }

  /** Calls that wait. */
  get length(): number {
    return this.#calls.length;
  }

  /** The batch: its body stands behind the room for the frame's head. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  push(call: Call): void {
    this.#calls.push(call);
    this.records += call.records.length;
    this.bytes += call.bytes;
  }

  /** Length of the shortest frame that may come next. */
  get frameBytesMin(): number {
    return frameBytes(this.#least(this.#calls[0] as Call));
  }

  /**
   * Copies what fits in `bodyBytesMax` into the buffer, at least the least; `first` is its
   * position.
   */
  take(bodyBytesMax: number, first: Position): Taken {
    const calls = this.#calls;
    let body = 0;
    let count = 0;
    let done = 0;
    for (; done < calls.length; done += 1) {
      const call = calls[done] as Call;
      if (count > 0 && body + this.#least(call) > bodyBytesMax) break;
      if (call.taken === 0) call.first = first + count;
      let taken = call.taken;
      for (; taken < call.records.length; taken += 1) {
        const record = call.records[taken] as Uint8Array;
        const bytes = storedBytes(record);
        if (body + bytes > bodyBytesMax && count > 0) break;
        this.#put(record, FRAME_HEAD + body);
        body += bytes;
        count += 1;
      }
      call.taken = taken;
      if (taken < call.records.length) break;
    }
    const all = done === calls.length;
    this.#calls = all ? [] : calls.slice(done);
    this.records -= count;
    this.bytes -= body;
    return { calls: all ? calls : calls.slice(0, done), bodyBytes: body, count };
  }

  /**
   * Takes the calls of one purpose out. One that is half on disk counts as `settle`, whatever it
   * was: nobody may be told any more that nothing of it was kept.
   */
  remove(purpose: AppendPurpose): Call[] {
    const removed: Call[] = [];
    const kept: Call[] = [];
    for (const call of this.#calls) {
      const counts = call.taken > 0 ? 'settle' : call.purpose;
      (counts === purpose ? removed : kept).push(call);
    }
    this.#calls = kept;
    for (const call of removed) {
      for (let index = call.taken; index < call.records.length; index += 1) {
        this.records -= 1;
        this.bytes -= storedBytes(call.records[index] as Uint8Array);
      }
    }
    return removed;
  }

  /**
   * Bytes that the next frame must take of a call: all of it, or one record when it is very
   * long.
   */
  #least(call: Call): number {
    if (call.taken === 0 && call.bytes <= this.#wholeBytesMax) return call.bytes;
    return storedBytes(call.records[call.taken] as Uint8Array);
  }

  /** Copies one record behind the others; the buffer grows for a large one. */
  #put(record: Uint8Array, at: number): void {
    const end = frameBytes(at - FRAME_HEAD + storedBytes(record));
    if (end > this.#buffer.byteLength) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, this.#buffer.byteLength * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    this.#buffer.writeUInt32LE(record.byteLength, at);
    this.#buffer.set(record, at + 4);
  }
}
