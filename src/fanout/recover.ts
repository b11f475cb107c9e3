/**
 * Recovery: what a start reads before it serves. Checks that journal and State belong together,
 * replays the intake, and says which writes have no outcome. The stores take part afterwards
 * (src/fanout/joining.ts); then every such write is sent forward again (P14).
 */
import { JournalDamaged, type Journal } from '../contracts/journal.ts';
import type { State } from '../contracts/state.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { Position, Uow } from '../kernel/words.ts';
import { LOW_WATER_DOCUMENT } from '../intake/log.ts';
import type { FailedKeys } from './failed-keys.ts';
import type { OpenCounts } from './prove.ts';
import { replay, type OpenWrite, type Replayed } from './replay.ts';

export interface RecoverParts {
  readonly journal: Journal;
  readonly state: State;
  readonly stashIds: ReadonlySet<string>;
  readonly failedKeys: FailedKeys;
}

export interface Recovered {
  readonly epoch: number;
  /** Numbers from here on are unused. */
  readonly uowFrom: Uow;
  /** Writes to send forward, in the order of their lanes. */
  readonly open: readonly OpenWrite[];
  readonly replayedRecords: number;
}

/** What a start found, once the stores were asked as well. */
export interface Found extends Recovered {
  readonly counts: OpenCounts;
  /** By stash: attempts applied again or undone because it had lost them. */
  readonly refilled: ReadonlyMap<string, number>;
}

/** Throws JournalDamaged when journal, State or the configured stashes do not belong together. */
export async function recover(parts: RecoverParts): Promise<Recovered> {
  const { journal, state, failedKeys } = parts;
  const from = await survey(parts);
  await loadFailures(state, failedKeys);
  const replayed = await replay({ journal, state, failedKeys, from });
  mustNameStashes(replayed, parts.stashIds);
  const open = [...replayed.open.values()].sort((a, b) => a.write.order - b.write.order);
  return {
    epoch: replayed.lastEpoch + 1,
    uowFrom: replayed.uowTo,
    open,
    replayedRecords: replayed.records,
  };
}

/** From where to read: State needs nothing below. */
async function survey({ journal, state }: RecoverParts): Promise<Position> {
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
  return Math.max(journal.first, Math.min(kept, appliedTo));
}

/** Throws JournalDamaged when what `who` holds is of another journal, or ahead of this one (P4). */
export function mustBelong(
  who: string,
  id: string | null,
  position: Position,
  journal: Journal,
): void {
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
function mustNameStashes(replayed: Replayed, stashes: ReadonlySet<string>): void {
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
