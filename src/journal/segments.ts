/**
 * Segment files: how one is made, and the shelf that keeps the next one and the reserve ready, so
 * that appends neither wait for zeros nor run out of space before what was admitted is settled.
 */
import type { DiskFile, Timer, World } from '../kernel/world.ts';
import { DiskError } from '../kernel/world.ts';
import { removeIfThere } from './checkpoint.ts';
import { encodeSegmentHead, SECTOR, segmentName, zeros } from './format.ts';

/** A segment that holds no frame yet and whose name and zeros are durable. */
export interface BlankSegment {
  readonly number: number;
  readonly bytes: number;
  readonly file: DiskFile;
}

export const RESERVE = /^reserve-\d+$/;
/** Zeros are synced in steps, so that no append's sync waits behind a whole segment of them. */
const FILL_SYNC_BYTES = 4 * 1024 * 1024;
const SPACE_RETRY_MS = 1000;

/** Whether a failed disk call says that there is no room, which is nothing broken. */
export function isFull(error: unknown): boolean {
  return error instanceof DiskError && /^(ENOSPC|EDQUOT|EFBIG)$/.test(error.code);
}

/** Writes zeros over [from, to) and syncs them; lets other work run in between. */
export async function fillZeros(
  world: World,
  file: DiskFile,
  from: number,
  to: number,
): Promise<void> {
  let unsynced = 0;
  for (let at = from; at < to;) {
    const piece = zeros(to - at);
    file.write(piece, at);
    at += piece.byteLength;
    unsynced += piece.byteLength;
    if (unsynced >= FILL_SYNC_BYTES) {
      await file.sync();
      unsynced = 0;
    } else {
      await new Promise<void>((resolve) => {
        world.clock.soon(resolve);
      });
    }
  }
  await file.sync();
}

/**
 * Makes a file with `fill` under a temporary name, syncs it, gives it its name and syncs that:
 * when it resolves both are durable. After an error nothing is left behind, if the disk lets it.
 */
export async function makeFile(
  world: World,
  directory: string,
  name: string,
  fill: (file: DiskFile) => Promise<void>,
): Promise<DiskFile> {
  const temporary = `${directory}/${name}.tmp`;
  await removeIfThere(world.disk, temporary);
  const file = await world.disk.open(temporary, 'create');
  try {
    await fill(file);
    await file.sync();
    await world.disk.rename(temporary, `${directory}/${name}`);
    await world.disk.syncDirectory(directory);
    return file;
  } catch (error) {
    await file.close().catch(() => undefined);
    await removeIfThere(world.disk, temporary).catch(() => undefined);
    throw error;
  }
}

/** Makes segment `number`, blank. Throws DiskError. */
export async function makeSegment(
  world: World,
  directory: string,
  id: string,
  number: number,
  bytes: number,
): Promise<BlankSegment> {
  const file = await makeFile(world, directory, segmentName(number), async (made) => {
    made.write(encodeSegmentHead({ id, number, bytes }), 0);
    await fillZeros(world, made, SECTOR, bytes);
  });
  return { number, bytes, file };
}

export interface ShelfOptions {
  readonly world: World;
  readonly directory: string;
  readonly id: string;
  readonly segmentBytes: number;
  readonly reserveBytes: number;
  /** Called once when the disk failed in another way than being full. */
  readonly broken: (error: unknown) => void;
}

/** Keeps one blank segment and the reserve; tries again by the clock while the disk is full. */
export class Shelf {
  readonly #options: ShelfOptions;
  readonly #reserves: string[];
  readonly #reservesWanted: number;
  #next: number;
  #ready: BlankSegment | null;
  #short = false;
  #stopped = false;
  #job: Promise<void> | null = null;
  #retry: Timer | null = null;

  /** `names`: what the folder holds now; `ready`: a blank segment found there. */
  constructor(
    options: ShelfOptions,
    names: readonly string[],
    next: number,
    ready: BlankSegment | null,
  ) {
    this.#options = options;
    this.#next = next;
    this.#ready = ready;
    this.#reserves = names.filter((name) => RESERVE.test(name)).sort();
    this.#reservesWanted = Math.ceil(options.reserveBytes / options.segmentBytes);
  }

  /** True while the disk has no room for the next segment or the reserve. */
  get short(): boolean {
    return this.#short;
  }

  /** True while settling still has all the space that was put aside for it. */
  get reserveWhole(): boolean {
    return this.#reserves.length >= this.#reservesWanted;
  }

  /** Bytes of the segment that is ready; 0 when there is none. */
  get readyBytes(): number {
    return this.#ready?.bytes ?? 0;
  }

  /** Segments and bytes that lie on the shelf. */
  get figures(): { bytes: number; segments: number } {
    return {
      bytes: this.readyBytes + this.#reserves.length * this.#options.segmentBytes,
      segments: this.#ready === null ? 0 : 1,
    };
  }

  /** Starts filling the shelf, unless that is under way. */
  restock(): void {
    if (this.#job !== null || this.#stopped) return;
    this.#retry?.cancel();
    this.#retry = null;
    this.#job = Promise.resolve().then(() => this.#fill());
  }

  /** The next segment, when the disk has room for it; null when it is full. */
  async take(): Promise<BlankSegment | null> {
    for (;;) {
      const ready = this.#ready;
      if (ready !== null) {
        this.#ready = null;
        this.#next = ready.number + 1;
        return ready;
      }
      if (this.#job !== null) await this.#untilReady();
      else if (this.#short || this.#stopped) return null;
      else this.restock();
    }
  }

  /** The next segment out of the reserve; null when that is used up. */
  async takeReserve(): Promise<BlankSegment | null> {
    await this.#job;
    if (this.#ready !== null) return await this.take();
    const name = this.#reserves.pop();
    if (name === undefined || this.#stopped) return null;
    const { world, directory, id, segmentBytes } = this.#options;
    this.#short = true;
    this.#later();
    const number = this.#next;
    const path = `${directory}/${name}`;
    const file = await world.disk.open(path, 'existing');
    try {
      // Written again from end to end: a crash may have left it with the beginning of another use.
      file.write(encodeSegmentHead({ id, number, bytes: segmentBytes }), 0);
      await fillZeros(world, file, SECTOR, segmentBytes);
      await world.disk.rename(path, `${directory}/${segmentName(number)}`);
      await world.disk.syncDirectory(directory);
    } catch (error) {
      await file.close().catch(() => undefined);
      if (isFull(error)) return null;
      throw error;
    }
    this.#next = number + 1;
    return { number, bytes: segmentBytes, file };
  }

  /** Gives up one reserve file so that something small can be written; false when there is none. */
  async spare(): Promise<boolean> {
    const name = this.#reserves.pop();
    if (name === undefined) return false;
    await this.#options.world.disk.remove(`${this.#options.directory}/${name}`);
    this.#short = true;
    this.#later();
    return true;
  }

  /** Resolves when nothing of the shelf is under way and nothing more will be. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retry?.cancel();
    await this.#job;
    await this.#ready?.file.close();
    this.#ready = null;
  }

  #wakeReady: (() => void) | null = null;

  #untilReady(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeReady = resolve;
    });
  }

  #woken(): void {
    const wake = this.#wakeReady;
    this.#wakeReady = null;
    wake?.();
  }

  async #fill(): Promise<void> {
    const { world, directory, id, segmentBytes } = this.#options;
    try {
      while (!this.#stopped) {
        if (this.#ready === null) {
          this.#ready = await makeSegment(world, directory, id, this.#next, segmentBytes);
          this.#woken();
          continue;
        }
        if (this.reserveWhole) break;
        const name = this.#freeReserveName();
        const file = await makeFile(world, directory, name, (made) =>
          fillZeros(world, made, 0, segmentBytes),
        );
        await file.close();
        this.#reserves.push(name);
      }
      this.#short = false;
    } catch (error) {
      if (isFull(error)) {
        this.#short = true;
        this.#later();
      } else {
        this.#stopped = true;
        this.#options.broken(error);
      }
    } finally {
      this.#job = null;
      this.#woken();
    }
  }

  #freeReserveName(): string {
    let number = 0;
    while (this.#reserves.includes(`reserve-${number}`)) number += 1;
    return `reserve-${number}`;
  }

  #later(): void {
    if (this.#stopped) return;
    this.#retry?.cancel();
    this.#retry = this.#options.world.clock.after(SPACE_RETRY_MS, () => this.restock());
  }
}
