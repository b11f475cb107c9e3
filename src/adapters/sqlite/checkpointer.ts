/**
 * Decides when the write-ahead log of one database is copied into it: in a thread of its own as
 * soon as it has grown by a few MiB, and, should writers never pause long enough for it to be begun
 * anew, in one short stop once it is large.
 */
import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { Checkpointed } from './checkpoint-worker.ts';

/** Growth after which the log is copied again. */
const GROWTH_BYTES = 8 * 1024 * 1024;
/** Transactions between two looks at the length of the log. */
const LOOK_EVERY = 32;
/** Pages (4 KiB) from which on the log is begun anew at the price of a short stop. */
const RESTART_PAGES = 32 * 1024;

const FILE = import.meta.url.endsWith('.ts') ? './checkpoint-worker.ts' : './checkpoint-worker.js';

export class Checkpointer {
  readonly #path: string;
  readonly #restart: () => void;
  #worker: Worker | null = null;
  #busy = false;
  #closed = false;
  #transactions = 0;
  #doneBytes = 0;

  /** `restart` copies what is left of the log on the calling thread and begins it anew. */
  constructor(path: string, restart: () => void) {
    this.#path = path;
    this.#restart = restart;
  }

  /** A transaction was committed. */
  committed(): void {
    this.#transactions += 1;
    if (this.#transactions % LOOK_EVERY !== 0 || this.#busy || this.#closed) return;
    const bytes = this.#logBytes();
    // The log was begun anew: it grows from its start.
    if (bytes < this.#doneBytes) this.#doneBytes = 0;
    if (bytes - this.#doneBytes < GROWTH_BYTES) return;
    this.#busy = true;
    this.#doneBytes = bytes;
    this.#start().postMessage('checkpoint');
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker?.terminate();
    this.#worker = null;
  }

  #logBytes(): number {
    try {
      return statSync(`${this.#path}-wal`).size;
    } catch {
      // The transaction itself went well; whatever ails the folder shows at the next one.
      return 0;
    }
  }

  #start(): Worker {
    if (this.#worker !== null) return this.#worker;
    const worker = new Worker(new URL(FILE, import.meta.url), { workerData: this.#path });
    worker.unref();
    worker.on('message', ({ logPages }: Checkpointed) => this.#copied(logPages));
    // Without it the log only grows until the next look starts another one.
    worker.on('error', () => {
      this.#worker = null;
      this.#busy = false;
    });
    this.#worker = worker;
    return worker;
  }

  #copied(logPages: number): void {
    this.#busy = false;
    if (this.#closed || logPages < RESTART_PAGES) return;
    this.#restart();
    this.#doneBytes = 0;
  }
}
