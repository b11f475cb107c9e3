/**
 * A window on a segment file: the stretch that is in memory, moved forward in large steps so that
 * frames can be looked at without a system call, a copy or a promise each. What lies behind the
 * end of a file that is too short reads as zeros.
 */
import type { DiskFile } from '../kernel/world.ts';

export class Window {
  readonly file: DiskFile;
  readonly #step: number;
  readonly #fresh: boolean;
  #buffer: Buffer = Buffer.alloc(0);
  #start = 0;
  #filled = 0;
  #base: Buffer = Buffer.alloc(0);

  /**
   * Reads `step` bytes at a time. With `fresh` each step gets memory of its own, so that views
   * handed out stay what they are; otherwise the memory is used again.
   */
  constructor(file: DiskFile, step: number, fresh: boolean) {
    this.file = file;
    this.#step = step;
    this.#fresh = fresh;
  }

  /** The memory; index it with `at`. Valid until the next `load`. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  /** First offset behind the window. */
  get end(): number {
    return this.#start + this.#filled;
  }

  /** Whether the bytes from `offset` are in memory. */
  holds(offset: number, bytes: number): boolean {
    return offset >= this.#start && offset + bytes <= this.#start + this.#filled;
  }

  /** Index in `buffer` of an offset that `holds`. */
  at(offset: number): number {
    return offset - this.#start;
  }

  /**
   * Moves the window to start at `offset` and hold at least `bytes`, but nothing from `limit`
   * on.
   */
  async load(offset: number, bytes: number, limit: number): Promise<void> {
    const wanted = Math.max(bytes, Math.min(this.#step, limit - offset));
    if (this.#fresh || this.#base.byteLength < wanted) {
      this.#base = Buffer.allocUnsafeSlow(wanted);
    }
    this.#buffer = this.#base.subarray(0, wanted);
    this.#filled = 0;
    const count = await this.file.read(this.#buffer, offset);
    this.#buffer.fill(0, count);
    this.#start = offset;
    this.#filled = wanted;
  }
}
