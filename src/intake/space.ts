/**
 * Room on the disk for what follows a hold: State, stores that lie beside it, the next segment. The
 * journal keeps a reserve of its own; this keeps one for the others, since a write is only admitted
 * when failing, undoing and settling it would find room as well (P23).
 */
import type { Clock, Disk } from '../kernel/world.ts';

/** Free bytes below which nothing new is admitted. */
const FREE_BYTES_MIN = 64 * 1024 * 1024;
/** One byte held may be written this often: intake, write-ahead logs, databases. */
const COPIES = 6;
/** The disk is asked by those who come, at most this often. */
const LOOK_MS = 250;

export class Space {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #directory: string;
  #free = Number.POSITIVE_INFINITY;
  #sinceLook = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking = false;

  constructor(disk: Disk, clock: Clock, directory: string) {
    this.#disk = disk;
    this.#clock = clock;
    this.#directory = directory;
  }

  /** Asks the disk. Never rejects: one that cannot even be asked will say so at the next append. */
  async look(): Promise<void> {
    this.#looking = true;
    this.#lookedAt = this.#clock.monotonicMs();
    try {
      const counted = this.#sinceLook;
      this.#free = await this.#disk.freeBytes(this.#directory);
      this.#sinceLook -= counted;
    } catch {
      // As before.
    } finally {
      this.#looking = false;
    }
  }

  /** Whether a write of this many bytes may come in; counts it until the next look. */
  admits(bytes: number): boolean {
    if (!this.#looking && this.#clock.monotonicMs() - this.#lookedAt > LOOK_MS) {
      this.look().catch(() => {});
    }
    if (this.#free - (this.#sinceLook + bytes) * COPIES < FREE_BYTES_MIN) return false;
    this.#sinceLook += bytes;
    return true;
  }

  get short(): boolean {
    return this.#free - this.#sinceLook * COPIES < FREE_BYTES_MIN;
  }
}
