/**
 * Opens the embedded journal (engine `files`): takes the folder's lock, recovers what is there, and
 * hands over a journal that appends behind it. Layout of the folder:
 *
 *     lock            held while a process has the journal open
 *     checkpoint      whose journal, its first segment, where it ended cleanly (checkpoint.ts)
 *     NNNNNNNN.seg    segments: header, frames, zeros (format.ts)
 *     reserve-N       zeros that are put aside for settling on a full disk
 *     *.tmp           being made; removed at the next start
 */
import { DiskFull, JournalDamaged } from '../contracts/journal.ts';
import type { Journal } from '../contracts/journal.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import { DiskError } from '../kernel/world.ts';
import type { Lock, World } from '../kernel/world.ts';
import { CHECKPOINT, readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import { FilesJournal } from './files.ts';
import { encodeSegmentHead, saltOf, SECTOR, segmentName, segmentNumber } from './format.ts';
import type { Segment } from './reading.ts';
import { refusal, scanJournal } from './recover.ts';
import type { Scan } from './recover.ts';
import { fillZeros, isFull, makeFile, makeSegment, RESERVE, Shelf } from './segments.ts';
import { REFUSAL_HINT, verdict } from './verdicts.ts';

export interface JournalOptions {
  readonly directory: string;
  readonly world: World;
  /** Length of a segment; rounded up so that one record of `recordBytesMax` fits. */
  readonly segmentBytes?: number;
  /** A batch is followed by another, or sealed by a mark, within this time. */
  readonly idleSealMs?: number;
  /** Space put aside so that what was admitted can be settled on a full disk. */
  readonly reserveBytes?: number;
  readonly recordBytesMax?: number;
}

export interface Recovery {
  /** The journal is new, or the last process closed it and nothing was written since. */
  readonly cleanStop: boolean;
  /** Records found, from the oldest kept. */
  readonly records: number;
  /** Length of the torn write that was cut from the end. */
  readonly cutBytes: number;
  /** Whether the tail was written anew, as after every stop that was not clean. */
  readonly copiedTail: boolean;
  /** One sentence for each thing that was cut, removed or made. */
  readonly decisions: readonly string[];
}

export interface OpenedJournal {
  readonly journal: Journal;
  readonly recovery: Recovery;
}

/**
 * Opens the journal in `directory`, making it when the folder is empty. Everything it then shows
 * is on disk. Throws JournalDamaged when what is there cannot be trusted (nothing was changed), a
 * Fault `conflict` when another process has it open, DiskFull, DiskError.
 */
export async function openJournal(options: JournalOptions): Promise<OpenedJournal> {
  const { directory, world } = options;
  const recordBytesMax = options.recordBytesMax ?? LIMITS.journalRecordBytesMax;
  if (recordBytesMax > LIMITS.journalRecordBytesMax) {
    throw new RangeError(`recordBytesMax is at most ${LIMITS.journalRecordBytesMax}`);
  }
  const asked = options.segmentBytes ?? LIMITS.journalSegmentBytes;
  const segmentBytes = Math.ceil(Math.max(asked, recordBytesMax + 4 * SECTOR) / SECTOR) * SECTOR;
  const reserveBytes = options.reserveBytes ?? LIMITS.journalReserveBytes;
  await world.disk.makeDirectory(directory);
  const lock = await takeLock(world, directory);
  try {
    const opening = new Opening(world, directory, segmentBytes, reserveBytes);
    const { tail, recovery } = await opening.run();
    const { blanks, checkpoint, names, ...found } = tail;
    const files = {
      ...found,
      world,
      directory,
      id: checkpoint.id,
      lock,
      idleSealMs: options.idleSealMs ?? LIMITS.journalIdleSealMs,
      recordBytesMax,
      segmentBytes,
    };
    const last = found.segments.at(-1) as Segment;
    const shelf = { world, directory, id: checkpoint.id, segmentBytes, reserveBytes };
    const journal = new FilesJournal(
      files,
      (broken) => new Shelf({ ...shelf, broken }, names, last.number + 1, blanks[0] ?? null),
    );
    return { journal, recovery };
  } catch (error) {
    await lock.release();
    if (isFull(error)) throw new DiskFull(`the journal cannot be opened: ${String(error)}`);
    throw error;
  }
}

async function takeLock(world: World, directory: string): Promise<Lock> {
  try {
    return await world.disk.lock(`${directory}/lock`);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'EBUSY') throw error;
    throw new Fault('conflict', `another process has the journal in ${directory} open`, {
      hint: 'One process serves a data folder. Stop the other one, or give this one its own.',
      cause: error,
    });
  }
}

/** The way from a folder to a tail that can be appended to. */
class Opening {
  readonly #world: World;
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #reserveBytes: number;
  readonly #decisions: string[] = [];
  #names: string[] = [];
  #justMade = false;

  constructor(world: World, directory: string, segmentBytes: number, reserveBytes: number) {
    this.#world = world;
    this.#directory = directory;
    this.#segmentBytes = segmentBytes;
    this.#reserveBytes = reserveBytes;
  }

  async run() {
    const { disk } = this.#world;
    const before = await this.#checkpoint();
    await this.#firstSegment(before);
    const numbers = this.#numbers();
    const kept = numbers.filter((number) => number >= before.firstSegment);
    const scan = await scanJournal(this.#world, this.#directory, before, kept);
    const cleanStop = this.#justMade || isCleanStop(before, scan);
    // From here on nothing refuses any more, so things may be changed.
    await this.#removeLeftovers(numbers, before.firstSegment);
    if (!cleanStop) await this.#copyTail(before.id, scan);
    const segments = [...scan.segments];
    const blanks = [];
    for (const blank of scan.blanks) {
      const path = `${this.#directory}/${segmentName(blank.number)}`;
      blanks.push({ ...blank, file: await disk.open(path, 'existing') });
    }
    let file;
    const ahead = scan.closed ? blanks.shift() : undefined;
    if (ahead === undefined) {
      const name = segmentName((segments.at(-1) as Segment).number);
      file = await disk.open(`${this.#directory}/${name}`, 'existing');
    } else {
      const { number, bytes } = ahead;
      const start = { base: scan.next, baseChain: scan.chain, end: SECTOR, index: [] };
      segments.push({ number, bytes, ...start });
      file = ahead.file;
    }
    const checkpoint = { ...before, made: true, durable: scan.next, end: null };
    await this.#freeing(() => writeCheckpoint(disk, this.#directory, checkpoint));
    const recovery = {
      cleanStop,
      records: scan.records,
      cutBytes: scan.cutBytes,
      copiedTail: !cleanStop,
      decisions: [...scan.decisions, ...this.#decisions],
    };
    const { next, chain } = scan;
    const tail = { segments, file, next, chain, blanks, checkpoint, names: this.#names };
    return { tail, recovery };
  }

  #numbers(): number[] {
    const numbers = this.#names.map(segmentNumber).filter((number) => number !== null);
    return numbers.sort((a, b) => a - b);
  }

  /** The checkpoint; that of a new journal is written first of all, so that it has its id. */
  async #checkpoint(): Promise<Checkpoint> {
    const { disk, random } = this.#world;
    this.#names = await disk.list(this.#directory);
    const found = await readCheckpoint(disk, this.#directory);
    const place = `${this.#directory}/${CHECKPOINT}`;
    if (found === 'damaged') throw refusal(place, verdict('checkpoint-damaged').meaning);
    if (found !== null) return found;
    if (this.#numbers().length > 0) throw refusal(place, verdict('checkpoint-missing').meaning);
    const id = Buffer.from(random.bytes(16)).toString('hex');
    const made: Checkpoint = {
      format: 1,
      id,
      made: false,
      firstSegment: 1,
      base: { position: 0, chain: saltOf(id) },
      durable: 0,
      end: null,
    };
    await this.#freeing(() => writeCheckpoint(disk, this.#directory, made));
    this.#justMade = true;
    this.#decisions.push(`${this.#directory}: ${verdict('folder-empty').meaning}, id ${id}`);
    return made;
  }

  async #firstSegment(checkpoint: Checkpoint): Promise<void> {
    if (checkpoint.made || this.#numbers().length > 0) return;
    // Nothing was ever acknowledged while `made` is false, so a missing segment cannot be a loss.
    const { id } = checkpoint;
    const blank = await this.#freeing(() =>
      makeSegment(this.#world, this.#directory, id, 1, this.#segmentBytes),
    );
    await blank.file.close();
    if (!this.#justMade) {
      const { meaning } = verdict('first-segment-never-made');
      this.#decisions.push(`${this.#directory}/${segmentName(1)}: made: ${meaning}`);
    }
    this.#justMade = true;
    this.#names.push(segmentName(1));
  }

  async #removeLeftovers(numbers: readonly number[], first: number): Promise<void> {
    const { disk } = this.#world;
    const gone = numbers.filter((number) => number < first).map(segmentName);
    for (const name of gone) {
      const { meaning } = verdict('segment-below-checkpoint');
      this.#decisions.push(`${this.#directory}/${name}: removed: ${meaning}`);
    }
    for (const name of this.#names) {
      const path = `${this.#directory}/${name}`;
      if (name.endsWith('.tmp') && (await disk.exists(path))) {
        gone.push(name);
        const { meaning } = verdict('temporary-file');
        this.#decisions.push(`${path}: removed: ${meaning}`);
      } else if (RESERVE.test(name) && !(await this.#isReserve(path))) {
        gone.push(name);
      }
    }
    for (const name of gone) await disk.remove(`${this.#directory}/${name}`);
    this.#names = this.#names.filter((name) => !gone.includes(name));
  }

  /** A reserve file of another length was made under other options, or not to its end. */
  async #isReserve(path: string): Promise<boolean> {
    if (this.#reserveBytes === 0) return false;
    const file = await this.#world.disk.open(path, 'existing');
    try {
      return (await file.size()) === this.#segmentBytes;
    } finally {
      await file.close();
    }
  }

  /** Writes the last segment that holds frames anew: what was found valid, then zeros. */
  async #copyTail(id: string, scan: Scan): Promise<void> {
    const { disk } = this.#world;
    const { number, bytes, end } = scan.segments.at(-1) as Segment;
    const name = segmentName(number);
    const from = await disk.open(`${this.#directory}/${name}`, 'existing');
    try {
      const copy = await this.#freeing(() =>
        makeFile(this.#world, this.#directory, name, async (file) => {
          file.write(encodeSegmentHead({ id, number, bytes }), 0);
          const piece = Buffer.alloc(Math.min(256 * 1024, bytes));
          for (let at = SECTOR; at < end; at += piece.byteLength) {
            const part = piece.subarray(0, Math.min(piece.byteLength, end - at));
            if ((await from.read(part, at)) < part.byteLength) {
              const place = `${this.#directory}/${name} at byte ${at}`;
              throw new JournalDamaged(place, 'it was longer a moment ago', REFUSAL_HINT);
            }
            file.write(part, at);
          }
          await fillZeros(this.#world, file, end, bytes);
        }),
      );
      await copy.close();
    } finally {
      await from.close();
    }
  }

  /** Does something that needs space; on a full disk the reserve gives way, file by file. */
  async #freeing<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const reserve = this.#names.find((name) => RESERVE.test(name));
        if (!isFull(error) || reserve === undefined) throw error;
        await this.#world.disk.remove(`${this.#directory}/${reserve}`);
        this.#names = this.#names.filter((name) => name !== reserve);
      }
    }
  }
}

function isCleanStop(checkpoint: Checkpoint, scan: Scan): boolean {
  const { end } = checkpoint;
  const last = scan.segments.at(-1) as Segment;
  return (
    end !== null &&
    scan.pristine &&
    end.segment === last.number &&
    end.offset === last.end &&
    end.chain === scan.chain
  );
}
