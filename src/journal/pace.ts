/**
 * Pace: whether a batch is synced on this thread. A sync in another thread costs two wake-ups on
 * top, which a lone writer feels. But a disk that hangs must not hang everybody else with it: only
 * one that has been fast for a while is trusted, only where nothing else is being written, and a
 * single slow sync ends the trust.
 */

import type { Clock, DiskFile } from '../kernel/world.ts';

/** Records of a lone writer: its hold, and the outcome of the write before. */
const LONE_RECORDS_MAX = 2;
/** A sync is fast up to this time; more than that nobody should be kept waiting. */
const FAST_MS = 1;
/** Fast syncs in a row, after which the disk is trusted. */
const TRUSTED_AFTER = 32;

export class Pace {
  readonly #clock: Clock;
  #fast = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Syncs the file for a batch of so many records, and calls `synced` or `failed` once: before it
   * returns, where the sync is made on this thread. One sync at a time.
   */
  sync(
    file: Pick<DiskFile, 'sync' | 'syncNow'>,
    records: number,
    synced: () => void,
    failed: (error: unknown) => void,
  ): void {
    const from = this.#clock.monotonicMs();
    const ended = (): void => {
      this.#fast = this.#clock.monotonicMs() - from <= FAST_MS ? this.#fast + 1 : 0;
      synced();
    };
    if (records > LONE_RECORDS_MAX || this.#fast < TRUSTED_AFTER) {
      file.sync().then(ended).catch(failed);
      return;
    }
    try {
      file.syncNow();
    } catch (error) {
      failed(error);
      return;
    }
    ended();
  }
}
