/**
 * The checkpoint: one small file that says whose journal this is, with which segment it begins,
 * what was durable when it was written and, after a clean stop, where the journal ends. Replaced
 * whole by rename; a line of JSON and its crc32, for people to read.
 *
 * The clean stop stands here and not in the last frame, because only after that frame's sync may
 * anything claim it: a frame whose sync failed can be read back all the same until the power goes.
 */
import { crc32 } from 'node:zlib';
import type { Disk } from '../kernel/world.ts';
import type { Position } from '../kernel/words.ts';

export const CHECKPOINT = 'checkpoint';

export interface Place {
  readonly segment: number;
  /** Where the next frame goes. */
  readonly offset: number;
  readonly chain: number;
}

export interface Checkpoint {
  readonly format: 1;
  readonly id: string;
  /** False only while the very first segment is being made. */
  readonly made: boolean;
  readonly firstSegment: number;
  /** What the first frame of the first segment follows. */
  readonly base: { readonly position: Position; readonly chain: number };
  readonly durable: Position;
  /** The end of the journal after a clean stop. */
  readonly end: Place | null;
}

/** Replaces the checkpoint; durable when it resolves. Throws DiskError. */
export async function writeCheckpoint(
  disk: Disk,
  directory: string,
  checkpoint: Checkpoint,
): Promise<void> {
  const text = JSON.stringify(checkpoint);
  const sum = crc32(text).toString(16).padStart(8, '0');
  const path = `${directory}/${CHECKPOINT}`;
  await removeIfThere(disk, `${path}.tmp`);
  const file = await disk.open(`${path}.tmp`, 'create');
  try {
    file.write(Buffer.from(`${text} ${sum}\n`), 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.tmp`, path);
  await disk.syncDirectory(directory);
}

/** The checkpoint; null when there is none, 'damaged' when it is not what was once written. */
export async function readCheckpoint(
  disk: Disk,
  directory: string,
): Promise<Checkpoint | null | 'damaged'> {
  const path = `${directory}/${CHECKPOINT}`;
  if (!(await disk.exists(path))) return null;
  const file = await disk.open(path, 'existing');
  try {
    const bytes = Buffer.alloc(Math.min(await file.size(), 4096));
    await file.read(bytes, 0);
    // latin1, so that no change of a byte can hide behind a replacement character.
    const match = /^(\{.*\}) ([0-9a-f]{8})\n$/.exec(bytes.toString('latin1'));
    if (match === null) return 'damaged';
    const text = match[1] ?? '';
    if (crc32(text) !== Number.parseInt(match[2] ?? '', 16)) return 'damaged';
    const checkpoint = JSON.parse(text) as Checkpoint;
    return checkpoint.format === 1 ? checkpoint : 'damaged';
  } finally {
    await file.close();
  }
}

/** Removes a file that may not be there. */
export async function removeIfThere(disk: Disk, path: string): Promise<void> {
  if (await disk.exists(path)) await disk.remove(path);
}
