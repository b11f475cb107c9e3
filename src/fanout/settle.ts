/**
 * Settle: one outcome per write, appended to the intake, carried into State, told to whoever waits.
 *
 * A commit is told at once (P13): its hold is on disk and recovery is forward, so a crash can only
 * make it true again. Every other outcome is on disk first, a failure in State too.
 */
import type { ReportLine } from '../kernel/words.ts';
import type { Clock } from '../kernel/world.ts';
import { CONDITION_FAILED } from '../intake/answers.ts';
import type { IntakeLog, LogEntry } from '../intake/log.ts';
import type { Live } from '../intake/live.ts';
import { commitOf, encode, type OutcomeRecord } from '../intake/records.ts';
import { changesOf } from '../intake/view.ts';
import type { HeldWrite } from '../intake/write.ts';
import type { FailedKeys } from './failed-keys.ts';
import type { Lanes } from './lanes.ts';

export type Uncommitted = 'refused' | 'failed' | 'superseded';

/** Counts and log lines are made from these. */
export type SettledEvent = (write: HeldWrite) => void;

export interface SettleParts {
  readonly clock: Clock;
  readonly log: IntakeLog;
  readonly live: Live;
  readonly lanes: Lanes;
  readonly failedKeys: FailedKeys;
  readonly settled: SettledEvent;
  /**
   * Whether the lanes of a committed write stay held until its outcome is on disk. A reader that
   * overwrites would otherwise be set back by recovery: it applies every write without an outcome
   * again, and the reader may show a later one by then.
   */
  readonly outcomeBeforeNext: (write: HeldWrite) => boolean;
  /** Lanes were let go outside of the pump. */
  readonly released: () => void;
}

export class Settle {
  readonly #parts: SettleParts;
  #committed: HeldWrite[] = [];

  constructor(parts: SettleParts) {
    this.#parts = parts;
  }

  /** The reader has it: committed. Outcomes are appended together by `flush`. */
  commit(write: HeldWrite): void {
    write.outcome = 'committed';
    this.#committed.push(write);
  }

  get pending(): boolean {
    return this.#committed.length > 0;
  }

  /** Appends the outcomes of all that committed since the last call, lets go of lanes, answers. */
  flush(): void {
    const writes = this.#committed;
    if (writes.length === 0) return;
    this.#committed = [];
    const { log, lanes, live } = this.#parts;
    const entries = this.#committedEntries(writes);
    const later: HeldWrite[] = [];
    for (const write of writes) {
      write.phase = 'settled';
      if (this.#parts.outcomeBeforeNext(write)) later.push(write);
      else lanes.release(write);
    }
    if (later.length === 0) {
      log.appendRiding(entries);
    } else {
      const release = (): void => {
        for (const write of later) lanes.release(write);
        this.#parts.released();
      };
      // A later write of one of these keys brings them along: its hold is appended behind them.
      if (later.some((write) => lanes.isAwaited(write))) log.appendThen(entries, release);
      else log.appendRiding(entries, release);
    }
    for (const write of writes) {
      live.settled(write);
      this.#tell(write);
    }
  }

  /** One record serves neighbours of one batch that committed without anything to tell. */
  #committedEntries(writes: readonly HeldWrite[]): LogEntry[] {
    const entries: LogEntry[] = [];
    const endsOthers = this.#parts.failedKeys.size > 0;
    let plain: HeldWrite[] = [];
    const close = (): void => {
      const [first] = plain;
      if (first === undefined) return;
      entries.push(plain.length === 1 ? this.#committedEntry(first) : this.#alikeEntry(plain));
      plain = [];
    };
    for (const write of writes) {
      const alike = plain.length === 0 || plain[0]?.lines[0] === write.lines[0];
      if (endsOthers || !isPlain(write)) {
        close();
        entries.push(this.#committedEntry(write));
      } else {
        if (!alike) close();
        plain.push(write);
      }
    }
    close();
    return entries;
  }

  #alikeEntry(writes: readonly HeldWrite[]): LogEntry {
    const rep = (writes[0] as HeldWrite).report();
    const uows = writes.map((write) => write.uow);
    const record = { type: 'commits', uows, at: this.#parts.clock.wallMs(), rep } as const;
    const changes = writes.flatMap((write) => changesOf(commitOf(record, write.uow), write));
    return { record: encode(record), changes };
  }

  #committedEntry(write: HeldWrite): LogEntry {
    const { failedKeys, live } = this.#parts;
    const record = this.#record(write, 'committed');
    if (failedKeys.size > 0) {
      failedKeys.remove(write.uow);
      const ended = failedKeys.endedBy(write);
      const rows = ended.filter(({ u }) => {
        const alive = live.get(u);
        const moving = alive !== undefined && alive.phase !== 'settled';
        // One that is still undoing, or queued for its retry, hears of it when its turn comes.
        if (moving) alive.overtaken = true;
        return !moving;
      });
      if (rows.length > 0) record.sup = rows;
    }
    return { record: encode(record), changes: changesOf(record, write) };
  }

  #record(write: HeldWrite, out: OutcomeRecord['out']): OutcomeRecord {
    return {
      type: 'outcome',
      u: write.uow,
      a: write.attempt,
      out,
      at: this.#parts.clock.wallMs(),
      rep: write.report(),
      existed: write.verdict?.existed ?? null,
      note: write.note,
    };
  }

  /** Ends a write in any other way. Told only when it is on disk, and in State if it failed. */
  async end(write: HeldWrite, outcome: Uncommitted): Promise<void> {
    const { log, lanes, live, failedKeys } = this.#parts;
    if (write.conditionFailed) write.lines = write.lines.map((_, at) => skipped(write, at));
    const record = this.#record(write, outcome);
    // Keeps the retry's row for `failed`, drops it for the others.
    const changes = changesOf(record, write);
    if (outcome === 'failed') {
      write.firstFailedAt ??= record.at;
      failedKeys.add(write);
    } else {
      failedKeys.remove(write.uow);
    }
    const appended = log.appendSurely([{ record: encode(record), changes }]);
    // Later writes of its keys come after this record in the intake, so they may go now.
    write.outcome = outcome;
    write.phase = 'settled';
    lanes.release(write);
    const position = await appended;
    if (outcome === 'failed') await log.applied(position);
    live.settled(write);
    this.#tell(write);
  }

  #tell(write: HeldWrite): void {
    const told = write.onSettled;
    write.onSettled = null;
    told?.(write);
    this.#parts.settled(write);
  }
}

/** Nothing is told of it but that its only store has it. */
function isPlain(write: HeldWrite): boolean {
  const { lines, attempt, verdict, note, firstFailedAt } = write;
  if (lines.length !== 1 || attempt !== 1 || firstFailedAt !== null) return false;
  return verdict === null && note === null;
}

function skipped(write: HeldWrite, at: number): ReportLine {
  const stash = write.plan.stashes[at] ?? write.plan.reader;
  return { stash, reply: 'skipped', detail: CONDITION_FAILED };
}
