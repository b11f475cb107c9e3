/**
 * The thread that copies a write-ahead log into its database while the main thread goes on writing:
 * a checkpoint syncs twice and writes every changed page, tens of milliseconds in which nothing
 * else could be answered. PASSIVE never makes a writer wait.
 */
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

/** Pages in the log, and how many of them the database holds by now. */
export interface Checkpointed {
  readonly logPages: number;
}

const database = new DatabaseSync(workerData as string);
const checkpoint = database.prepare('PRAGMA wal_checkpoint(PASSIVE)');

parentPort?.on('message', () => {
  let logPages = 0;
  try {
    logPages = Number(checkpoint.get()?.['log'] ?? 0);
  } catch {
    // Somebody else is at it; the next one looks again.
  }
  parentPort?.postMessage({ logPages } satisfies Checkpointed);
});
