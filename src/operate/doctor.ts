/**
 * The doctor: looks whether disk, clock and configured stores can keep the promises, and says what
 * is lost where they cannot. Looks only; it changes nothing that was there.
 */
import type { ProbeFinding, Stash } from '../contracts/stash.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { World } from '../kernel/world.ts';

export interface DoctorLine extends ProbeFinding {
  /** What was looked at: `disk`, `clock`, `stash NAME`. */
  readonly part: string;
}

/** A disk that takes longer than this for one sync makes every write slow. */
const SLOW_SYNC_MS = 50;
const SYNCS = 20;
const PROBE_BYTES = 4096;

/** Looks at everything; never throws for something that is merely ill. */
export async function examine(
  world: World,
  dataDirectory: string,
  stashes: ReadonlyMap<string, Stash | Error>,
): Promise<DoctorLine[]> {
  const lines: DoctorLine[] = [...(await disk(world, dataDirectory)), clock(world)];
  for (const [id, stash] of stashes) {
    const part = `stash ${id}`;
    if (stash instanceof Error) {
      const hint = 'Correct its options, or start the store.';
      lines.push({ part, check: 'open', level: 'error', detail: stash.message, hint });
      continue;
    }
    for (const finding of await stash.probe()) lines.push({ part, ...finding });
  }
  return lines;
}

/**
 * What a start tells of its stores: everything that is not well, since it decides what may be lost.
 * A store that cannot be asked now is told of when it joins.
 */
export async function illFindings(stashes: Iterable<Stash>): Promise<DoctorLine[]> {
  const found = await Promise.all(
    [...stashes].map(async (stash) => {
      const findings = await stash.probe();
      return findings.map((finding) => ({ part: `stash ${stash.id}`, ...finding }));
    }),
  );
  return found.flat().filter(({ level }) => level !== 'ok');
}

async function disk(world: World, dataDirectory: string): Promise<DoctorLine[]> {
  const part = 'disk';
  try {
    await world.disk.makeDirectory(dataDirectory);
    const free = await world.disk.freeBytes(dataDirectory);
    const needs = LIMITS.journalReserveBytes + 4 * LIMITS.journalSegmentBytes;
    const mib = Math.floor(free / 1024 ** 2);
    const space: DoctorLine =
      free < needs
        ? {
            part,
            check: 'space',
            level: 'error',
            detail: `${mib} MiB are free in ${dataDirectory}`,
            hint: `Free ${Math.ceil(needs / 1024 ** 2)} MiB at least, or writes answer 507.`,
          }
        : { part, check: 'space', level: 'ok', detail: `${mib} MiB are free in ${dataDirectory}` };
    return [space, await syncs(world, dataDirectory)];
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const hint = 'The data folder must be writable by this user.';
    return [{ part, check: 'write', level: 'error', detail, hint }];
  }
}

async function syncs(world: World, dataDirectory: string): Promise<DoctorLine> {
  const name = Buffer.from(world.random.bytes(6)).toString('hex');
  const path = `${dataDirectory}/doctor-${name}.tmp`;
  const file = await world.disk.open(path, 'create');
  const times: number[] = [];
  try {
    const bytes = new Uint8Array(PROBE_BYTES);
    for (let at = 0; at < SYNCS; at += 1) {
      const from = world.clock.monotonicMs();
      file.write(bytes, at * PROBE_BYTES);
      await file.sync();
      times.push(world.clock.monotonicMs() - from);
    }
  } finally {
    await file.close();
    await world.disk.remove(path);
  }
  times.sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)] ?? 0;
  const detail = `one sync of 4 KiB takes ${median.toFixed(2)} ms (median of ${SYNCS})`;
  if (median <= SLOW_SYNC_MS) return { part: 'disk', check: 'sync', level: 'ok', detail };
  const hint = 'Every write waits for one sync; put the data folder on a faster disk.';
  return { part: 'disk', check: 'sync', level: 'warning', detail, hint };
}

/**
 * TTL is kept by the wall clock: one that is plainly wrong lets values live or die at the wrong
 * time.
 */
function clock(world: World): DoctorLine {
  const now = new Date(world.clock.wallMs());
  const detail = now.toISOString();
  const year = now.getUTCFullYear();
  const level = year >= 2024 && year < 2100 ? 'ok' : 'error';
  const line = { part: 'clock', check: 'wall clock', level, detail } as const;
  return level === 'ok' ? line : { ...line, hint: 'Set the clock: TTL and retention follow it.' };
}
