/**
 * Resume: sends the writes that have no outcome forward again, in the order of their lanes. One
 * that starts keep dying on is found by trying it apart from the others, and set aside (P16).
 */
import { LIMITS } from '../kernel/limits.ts';
import { laneKey, type Uow } from '../kernel/words.ts';
import type { Clock } from '../kernel/world.ts';
import { NO_CHANGES, type IntakeLog } from '../intake/log.ts';
import type { Live } from '../intake/live.ts';
import { encode } from '../intake/records.ts';
import type { HeldWrite } from '../intake/write.ts';
import type { OpenWrite } from './replay.ts';

/** What of the engine a resume needs. */
export interface Resuming {
  readonly clock: Clock;
  readonly log: IntakeLog;
  readonly fanout: { accept(writes: readonly HeldWrite[]): void };
  readonly warned: (what: string) => void;
  settled(uow: Uow, waitMs: number): Promise<unknown>;
}

/** A process that is alive this long after a try did not die of it. */
const SURVIVED_MS = 1000;
/** Starts that died while it was open, from which on a write is watched. */
const WATCHED_STARTS = 2;
/** Watched tries that died, from which on it is tried apart from the others. */
const APART_TRIES = 2;

/** Counts the open writes among the live ones: from here on nothing passes over them. */
export function enlist(open: readonly OpenWrite[], live: Live): void {
  for (const { write } of open) live.admit(write);
  const byPosition = [...open].sort((a, b) => a.write.position - b.write.position);
  for (const { write } of byPosition) {
    live.placed(write, write.position);
    if (write.phase !== 'parked') write.phase = 'queued';
  }
}

/**
 * Sends on what was enlisted. Resolves when all are on their way; those tried apart have ended or
 * survived by then.
 */
export async function resume(open: readonly OpenWrite[], engine: Resuming): Promise<void> {
  const { fanout } = engine;
  standBehind(open.map((each) => each.write));
  for (const { write, fatalTries } of open) {
    // One that failed or is being undone goes nowhere that a start could die of it.
    const forward = write.phase !== 'parked' && write.abort === null;
    if (forward && fatalTries >= LIMITS.quarantineStarts) quarantine(write, engine);
  }
  const rest: OpenWrite[] = [];
  for (const group of sharingKeys(open)) {
    const apart = group.some((each) => isWatched(each) && each.fatalTries >= APART_TRIES);
    if (apart) await tryApart(group, engine);
    else rest.push(...group);
  }
  rest.sort((a, b) => a.write.order - b.write.order);
  const watched = rest.filter(isWatched);
  if (watched.length > 0) {
    await mark('trying', watched, engine);
    engine.clock.after(SURVIVED_MS, () => {
      mark('tried', watched, engine).catch(() => {});
    });
  }
  // All at once: what shares a key must be known before the first of them goes out.
  fanout.accept(rest.map((each) => each.write));
}

/**
 * A write that failed in a run stood back behind the others of its run, which went on; so it does
 * again. In front of them it would part what the reader may have been sent the newest of, and the
 * reader would be set back.
 */
function standBehind(writes: readonly HeldWrite[]): void {
  const lastForward = new Map<string, HeldWrite>();
  for (const write of writes) {
    const setBack = write.phase === 'parked' || write.abort !== null;
    if (setBack || write.mayAbort || write.keys.length !== 1) continue;
    lastForward.set(onlyLane(write), write);
  }
  for (const write of writes) {
    const setBack = write.phase === 'parked' || write.abort !== null;
    const last = write.keys.length === 1 ? lastForward.get(onlyLane(write)) : undefined;
    // Between that one and the next: no other write has half a place.
    if (setBack && last !== undefined && last.order > write.order) write.order = last.order + 0.5;
  }
}

function onlyLane(write: HeldWrite): string {
  return laneKey(write.account, write.flow, write.keys[0] ?? '');
}

/** Starts ended while it was open: it may be why. */
export function isWatched(each: OpenWrite): boolean {
  const { write } = each;
  return write.phase !== 'parked' && write.abort === null && each.starts >= WATCHED_STARTS;
}

/** A held lane with an alarm and no outcome; a person's retry sends it forward again. */
function quarantine(write: HeldWrite, engine: Resuming): void {
  write.phase = 'parked';
  write.retryAt = null;
  write.quarantined = true;
  write.note = 'quarantined: the program ended on it in several starts';
  engine.warned(`write ${write.uow} is ${write.note}`);
}

/** If the process dies meanwhile, the next start finds `trying` without `tried`. */
async function tryApart(group: readonly OpenWrite[], engine: Resuming): Promise<void> {
  const watched = group.filter(isWatched);
  await mark('trying', watched, engine);
  const ended = Promise.all(watched.map(({ write }) => engine.settled(write.uow, SURVIVED_MS)));
  engine.fanout.accept(group.map((each) => each.write));
  await ended;
  await mark('tried', watched, engine);
}

async function mark(
  type: 'trying' | 'tried',
  writes: readonly OpenWrite[],
  engine: Resuming,
): Promise<void> {
  const entries = writes.map(({ write }) => {
    return { record: encode({ type, u: write.uow }), changes: NO_CHANGES };
  });
  await engine.log.append(entries, 'settle');
}

/** Groups of writes that are joined by a key, directly or through others; each in lane order. */
export function sharingKeys(open: readonly OpenWrite[]): OpenWrite[][] {
  const groupOf = new Map<string, OpenWrite[]>();
  for (const each of open) {
    const { account, flow, keys } = each.write;
    const lanes = keys.map((key) => laneKey(account, flow, key));
    const joined = new Set(lanes.map((lane) => groupOf.get(lane)).filter((group) => group));
    const group = [...[...joined].flatMap((one) => one ?? []), each];
    for (const member of group) {
      for (const key of member.write.keys) {
        groupOf.set(laneKey(member.write.account, member.write.flow, key), group);
      }
    }
  }
  const groups = [...new Set(groupOf.values())];
  for (const group of groups) group.sort((a, b) => a.write.order - b.write.order);
  return groups;
}
