/**
 * Appends through the journal against the machine's own limit, in turns on the same disk. Run:
 * node bench/journal.ts
 *
 * `bare` is a loop of write and fdatasync of the same batch bytes over one file of zeros; for one
 * appender it syncs on its own thread, as the journal does then.
 * `fresh` is the same loop on space that is used once, as a journal's is: for each byte it
 * writes, a zero was written and synced ahead of it. While a batch is small, the number of syncs
 * is the limit and the zeros cost nothing: the floor holds against `bare`. From 256 records a
 * batch on, bytes are the limit, each is written twice, and the floor holds against `fresh`.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { realWorld } from '../src/kernel/realworld.ts';
import { openJournal } from '../src/journal/journal.ts';
import type { Journal } from '../src/contracts/journal.ts';
import { frameBytes } from '../src/journal/format.ts';
import { compare, keepResults, machine, report } from './measure.ts';
import type { Comparison, Side } from './measure.ts';

const RECORD_BYTES = 300;
const APPENDERS = [1, 16, 64, 256];
/** Appenders from which on the disk's bytes are the limit, not its syncs. */
const BYTES_ARE_THE_LIMIT = 256;
const FLOOR = 0.7;
const FILE_BYTES = 32 * 1024 * 1024;

const record = Buffer.alloc(RECORD_BYTES, 'payload ');

/** Records per second that `appenders` callers get, each of which waits for its own answer. */
function journalSide(journal: Journal, appenders: number): Side {
  return {
    name: 'journal',
    async run(ms) {
      let stop = false;
      const timer = setTimeout(() => {
        stop = true;
      }, ms);
      const appender = async (): Promise<number> => {
        let count = 0;
        for (; !stop; count += 1) await journal.append([record], 'admit');
        return count;
      };
      const start = performance.now();
      const counts = await Promise.all(Array.from({ length: appenders }, appender));
      const seconds = (performance.now() - start) / 1000;
      clearTimeout(timer);
      // Not part of the figure: what was written is let go, so that the folder stays small.
      await journal.trim(journal.next);
      return counts.reduce((sum, count) => sum + count, 0) / seconds;
    },
  };
}

/** On this thread, as the journal does for a lone writer on a fast disk. */
function syncedHere(fd: number): Promise<void> {
  fs.fdatasyncSync(fd);
  return Promise.resolve();
}

function synced(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fdatasync(fd, (error) => (error ? reject(error) : resolve()));
  });
}

/** Writes and syncs zeros, 4 MiB at a time, each time that many bytes have been used. */
class Zeros {
  readonly #fd: number;
  readonly #piece = Buffer.alloc(4 * 1024 * 1024);
  #used = 0;
  #offset = 0;
  #done: Promise<void> = Promise.resolve();

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Resolves when no more than one piece is owed. */
  async use(bytes: number): Promise<void> {
    this.#used += bytes;
    if (this.#used < this.#piece.byteLength) return;
    this.#used -= this.#piece.byteLength;
    await this.#done;
    fs.writeSync(this.#fd, this.#piece, 0, this.#piece.byteLength, this.#offset);
    this.#offset = (this.#offset + this.#piece.byteLength) % FILE_BYTES;
    this.#done = synced(this.#fd);
  }
}

/** Records per second of the loop alone; `zeros` is the file that is filled meanwhile, if any. */
function bareSide(fd: number, appenders: number, zeros: Zeros | null): Side {
  const batch = Buffer.alloc(frameBytes(appenders * (RECORD_BYTES + 4)), 1);
  const sync = appenders === 1 ? syncedHere : synced;
  return {
    name: zeros === null ? 'bare' : 'fresh',
    async run(ms) {
      const start = performance.now();
      let count = 0;
      let offset = 0;
      for (; performance.now() < start + ms; count += 1) {
        fs.writeSync(fd, batch, 0, batch.byteLength, offset);
        await sync(fd);
        await zeros?.use(batch.byteLength);
        offset += batch.byteLength;
        if (offset + batch.byteLength > FILE_BYTES) offset = 0;
      }
      return (count * appenders * 1000) / (performance.now() - start);
    },
  };
}

/** Opens a file of zeros that are on disk. */
function zeroFile(path: string): number {
  const fd = fs.openSync(path, 'w+');
  fs.writeSync(fd, Buffer.alloc(FILE_BYTES), 0, FILE_BYTES, 0);
  fs.fsyncSync(fd);
  return fd;
}

const folder = fs.mkdtempSync(join(import.meta.dirname, 'journal-'));
try {
  const described = machine();
  console.log(JSON.stringify(described));
  const { journal } = await openJournal({ directory: join(folder, 'journal'), world: realWorld() });
  const files = ['bare', 'zeros'].map((name) => zeroFile(join(folder, name)));
  const [fd = 0, zerosFd = 0] = files;
  const comparisons: Comparison[] = [];
  let passed = true;
  for (const appenders of APPENDERS) {
    const bare = bareSide(fd, appenders, null);
    const fresh = bareSide(fd, appenders, new Zeros(zerosFd));
    const sides = [journalSide(journal, appenders), bare, fresh];
    const against = appenders < BYTES_ARE_THE_LIMIT ? 1 : 2;
    const name = `${appenders} appenders, ${RECORD_BYTES}-byte records`;
    const comparison = await compare(name, 'records/s', sides, { floor: FLOOR, against });
    comparisons.push(comparison);
    passed = report(comparison, sides) && passed;
  }
  await journal.close();
  for (const file of files) fs.closeSync(file);
  keepResults('journal', { machine: described, comparisons });
  process.exitCode = passed ? 0 : 1;
} finally {
  fs.rmSync(folder, { recursive: true });
}
