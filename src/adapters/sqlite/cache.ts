/**
 * The versions read last, in memory. This process is the only writer of the file, so an entry is
 * right until a version of its key is added or undone here; both drop it.
 */
import type { FoundRow } from './tables.ts';

/** Bytes of values, keys and their overhead that are kept at most. */
const BYTES_MAX = 32 * 1024 * 1024;
/** Larger values would push out too many small ones for what they save. */
const VALUE_BYTES_MAX = 64 * 1024;
const ENTRY_BYTES = 256;

export class ReadCache {
  /** By `space key`, the one put in longest ago first. */
  readonly #rows = new Map<string, FoundRow>();
  #bytes = 0;

  static #name(space: number, key: string): string {
    return `${space} ${key}`;
  }

  get(space: number, key: string): FoundRow | null {
    return this.#rows.get(ReadCache.#name(space, key)) ?? null;
  }

  /** Keeps the newest version of a key. */
  put(space: number, key: string, row: FoundRow): void {
    if (row.bytes > VALUE_BYTES_MAX) return;
    const name = ReadCache.#name(space, key);
    this.#drop(name);
    this.#rows.set(name, row);
    this.#bytes += row.bytes + name.length + ENTRY_BYTES;
    // The one put in first goes first: nothing is moved on a read, which would cost more.
    while (this.#bytes > BYTES_MAX) {
      const oldest = this.#rows.keys().next().value;
      if (oldest === undefined) return;
      this.#drop(oldest);
    }
  }

  /** A version of this key was added or undone. */
  forget(space: number, key: string): void {
    this.#drop(ReadCache.#name(space, key));
  }

  clear(): void {
    this.#rows.clear();
    this.#bytes = 0;
  }

  #drop(name: string): void {
    const row = this.#rows.get(name);
    if (row === undefined) return;
    this.#rows.delete(name);
    this.#bytes -= row.bytes + name.length + ENTRY_BYTES;
  }
}
