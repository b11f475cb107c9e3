/**
 * Recovery: what a start does before it serves. Checks that journal, State and stashes belong
 * together, replays the intake, refills stores that lost what they had acknowledged, and sends
 * every write without an outcome forward again (P14).
 */
import { JournalDamaged, type Journal } from '../contracts/journal.ts';
import type { HoldsReply, Mark, Stash } from '../contracts/stash.ts';
import type { State } from '../contracts/state.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { Position, Uow } from '../kernel/words.ts';
import type { Clock } from '../kernel/world.ts';
import { LOW_WATER_DOCUMENT } from '../intake/log.ts';
import type { HeldWrite } from '../intake/write.ts';
import type { FailedKeys } from './failed-keys.ts';
import { refill, type Marks } from './refill.ts';
import { replay, type OpenWrite, type Replayed } from './replay.ts';

export interface RecoverParts {
  readonly journal: Journal;
  readonly state: State;
  readonly stashes: ReadonlyMap<string, Stash>;
  readonly failedKeys: FailedKeys;
  readonly clock: Clock;
  readonly warned: (what: string) => void;
}

/** How far the writes without an outcome had come when the process ended. */
export interface OpenCounts {
  /** In no store yet. */
  held: number;
  /** In some store, not in the reader. */
  fanningOut: number;
  /** In the reader, the outcome not written. */
  committing: number;
  /** Aborted, the undo not finished. */
  undoing: number;
  parked: number;
}

export interface Recovered {
  readonly epoch: number;
  /** Numbers from here on are unused. */
  readonly uowFrom: Uow;
  /** Writes to send forward, in the order of their lanes. */
  readonly open: readonly OpenWrite[];
  readonly counts: OpenCounts;
  readonly replayedRecords: number;
  /** By stash: attempts applied again or undone because it had lost them. */
  readonly refilled: ReadonlyMap<string, number>;
  /** What could not be made whole, in words. */
  readonly warnings: readonly string[];
}

/** Throws JournalDamaged when journal, State or a stash do not belong together (P4). */
export async function recover(parts: RecoverParts): Promise<Recovered> {
  const { journal, state, failedKeys } = parts;
  const warnings: string[] = [];
  const marks = await survey(parts, warnings);
  await loadFailures(state, failedKeys);
  const replayed = await replay({
    journal,
    state,
    failedKeys,
    from: marks.from,
    fatesFrom: marks.lowest,
  });
  mustNameStashes(replayed, parts.stashes);
  const epoch = replayed.lastEpoch + 1;
  const refilled = await refill({ ...parts, marks, fates: replayed.fates, epoch });
  const open = [...replayed.open.values()].sort((a, b) => a.write.order - b.write.order);
  const counts = await prove(open, parts.stashes);
  return {
    epoch,
    uowFrom: replayed.uowTo,
    open,
    counts,
    replayedRecords: replayed.records,
    refilled,
    warnings,
  };
}

/** From where to read: nothing below is needed by State or by any stash. */
async function survey(parts: RecoverParts, warnings: string[]): Promise<Marks> {
  const { journal, state, stashes } = parts;
  const appliedTo = await state.appliedTo();
  mustBelong('State', await state.journalId(), appliedTo, journal);
  if (appliedTo < journal.first) {
    throw new JournalDamaged(
      'State',
      `it ends at record ${appliedTo}, and the intake begins at ${journal.first}`,
      'State was replaced by an older one. Restore the newest copy of the data folder.',
    );
  }
  const row = await state.document(LOW_WATER_DOCUMENT.kind, LOW_WATER_DOCUMENT.id);
  const kept = (row?.body as { position: Position } | undefined)?.position ?? journal.first;
  const byStash = new Map<string, Position>();
  let lowest = journal.next;
  let readFrom = Math.min(kept, appliedTo);
  for (const [id, stash] of stashes) {
    const mark: Mark | null = await stash.mark();
    mustBelong(`stash "${id}"`, mark?.journalId ?? null, mark?.position ?? 0, journal);
    const position = mark?.position ?? 0;
    const from = mark?.from ?? 0;
    if (position < journal.next && from < journal.first) {
      warnings.push(
        `stash "${id}" is older than the intake reaches: what was settled before record ` +
          `${journal.first} cannot be refilled`,
      );
    }
    byStash.set(id, position);
    lowest = Math.min(lowest, position);
    if (position < journal.next) readFrom = Math.min(readFrom, from);
  }
  return { byStash, lowest, from: Math.max(journal.first, readFrom) };
}

function mustBelong(who: string, id: string | null, position: Position, journal: Journal): void {
  if (id !== null && id !== journal.id) {
    throw new JournalDamaged(
      who,
      `it belongs to journal ${id}, and this one is ${journal.id}`,
      'Point the configuration at the data folder and the stores that belong together.',
    );
  }
  if (position > journal.next) {
    throw new JournalDamaged(
      who,
      `it has seen record ${position}, and the intake ends at ${journal.next}`,
      'The intake was replaced by an older one. Restore the newest copy of the data folder.',
    );
  }
}

async function loadFailures(state: State, failedKeys: FailedKeys): Promise<void> {
  let cursor: string | null = null;
  do {
    const page = await state.failures({}, cursor, LIMITS.pageItemsMax);
    for (const row of page.items) if (!row.parked) failedKeys.add(row);
    cursor = page.cursor;
  } while (cursor !== null);
}

/** A stash that unsettled work names must not be dropped from the configuration (P17). */
function mustNameStashes(replayed: Replayed, stashes: ReadonlyMap<string, Stash>): void {
  const missing = new Map<string, Uow[]>();
  for (const { write } of replayed.open.values()) {
    for (const id of [...write.plan.stashes, write.plan.reader]) {
      if (!stashes.has(id)) missing.set(id, [...(missing.get(id) ?? []), write.uow]);
    }
  }
  const first = missing.entries().next().value;
  if (first === undefined) return;
  const [gone, uows] = first;
  throw new JournalDamaged(
    'configuration',
    `stash "${gone}" is gone, and unsettled writes name it: ${uows.slice(0, 10).join(', ')}`,
    'Put the stash back, let these writes settle (or discard them), then remove it.',
  );
}

/**
 * Finds out how far each open write had come, and which may still be aborted: those of which a
 * stash proves, behind its fence, that it never held them, so that the reader never showed them
 * either.
 */
async function prove(
  open: readonly OpenWrite[],
  stashes: ReadonlyMap<string, Stash>,
): Promise<OpenCounts> {
  const counts: OpenCounts = { held: 0, fanningOut: 0, committing: 0, undoing: 0, parked: 0 };
  const proofs = await askAll(open, stashes);
  for (const { write } of open) {
    const { stashes: before, reader } = write.plan;
    // Whatever a stash says now, what the dead process sent to it may still arrive.
    if (write.phase !== 'parked') write.mayHold = 2 ** before.length - 1;
    if (write.phase === 'parked') {
      counts.parked += 1;
    } else if (write.abort !== null) {
      counts.undoing += 1;
    } else {
      const answers = [...before, reader].map((id) => proofs.get(id)?.get(write) ?? 'cannot-tell');
      write.mayAbort = answers.includes('never');
      write.readerSent = !write.mayAbort;
      if (answers.at(-1) === 'live') counts.committing += 1;
      else if (answers.includes('live')) counts.fanningOut += 1;
      else counts.held += 1;
    }
  }
  return counts;
}

async function askAll(
  open: readonly OpenWrite[],
  stashes: ReadonlyMap<string, Stash>,
): Promise<Map<string, Map<HeldWrite, HoldsReply>>> {
  const proofs = new Map<string, Map<HeldWrite, HoldsReply>>();
  for (const [id, stash] of stashes) {
    const writes = open
      .map((each) => each.write)
      .filter((write) => write.plan.reader === id || write.plan.stashes.includes(id));
    const answers = new Map<HeldWrite, HoldsReply>();
    proofs.set(id, answers);
    if (writes.length === 0) continue;
    try {
      await stash.fence();
      const replies = await stash.holds(writes);
      for (const [at, write] of writes.entries()) answers.set(write, replies[at] ?? 'cannot-tell');
    } catch {
      // A store that is down proves nothing: its writes go forward.
    }
  }
  return proofs;
}
