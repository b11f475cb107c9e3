/**
 * The fan-out: phase 2 of a write. Lanes, judging, every stash but the reader, the reader last; or
 * the abort, durable before any undo. This file branches; lanes, drivers, the table, settle and
 * parking compute or do one I/O each.
 */
import type { Reader } from '../contracts/reader.ts';
import type { Mark, StashReply, UndoReply } from '../contracts/stash.ts';
import { LIMITS } from '../kernel/limits.ts';
import { planted } from '../kernel/plants.ts';
import type { ReportLine } from '../kernel/words.ts';
import type { Clock } from '../kernel/world.ts';
import { APART, BREAKER_OPEN } from '../intake/answers.ts';
import { NO_CHANGES, type IntakeLog } from '../intake/log.ts';
import type { Live } from '../intake/live.ts';
import { encode } from '../intake/records.ts';
import { UNDO_CONFLICT, type HeldWrite, type Run } from '../intake/write.ts';
import { decide } from './decide.ts';
import { settlePauseMs, type DriverEvents, type StashDriver } from './driver.ts';
import { factsOf } from './facts.ts';
import type { FailedKeys } from './failed-keys.ts';
import { judge, needsJudging } from './judge.ts';
import { Lanes } from './lanes.ts';
import type { Parking } from './parking.ts';
import { Settle, type SettledEvent } from './settle.ts';
import { Undo } from './undo.ts';

export interface FanoutParts {
  readonly clock: Clock;
  readonly log: IntakeLog;
  readonly live: Live;
  readonly failedKeys: FailedKeys;
  readonly readers: ReadonlyMap<string, Reader>;
  /** Epoch of this start: fences of an earlier one compare below it. */
  readonly epoch: number;
  readonly settled: SettledEvent;
}

export class Fanout implements DriverEvents {
  readonly lanes: Lanes;
  readonly settle: Settle;
  readonly undo: Undo;
  readonly #parts: FanoutParts;
  readonly #drivers = new Map<string, StashDriver>();
  #parking: Parking | null = null;
  #grants = 0;
  #pumping = false;
  #kickSet = false;

  constructor(parts: FanoutParts) {
    this.#parts = parts;
    const overwrites = (write: HeldWrite) => !this.#addsVersions(write.plan.reader);
    this.lanes = new Lanes((write) => this.#runsTogether(write), overwrites);
    this.settle = new Settle({
      ...parts,
      lanes: this.lanes,
      outcomeBeforeNext: overwrites,
      released: () => this.pump(),
    });
    this.undo = new Undo({
      ...parts,
      lanes: this.lanes,
      driver: (stash) => this.driver(stash),
      ended: (write) => this.#ended(write),
      moved: () => this.pump(),
    });
  }

  /** Joins what is made after it: drivers report here, parking asks for new attempts. */
  join(drivers: readonly StashDriver[], parking: Parking): void {
    for (const driver of drivers) this.#drivers.set(driver.stash.id, driver);
    this.#parking = parking;
  }

  /**
   * The mark that goes behind every batch. An outcome is appended only after every stash has the
   * write, so all outcomes on disk so far are in the stash; those appended later belong to writes
   * that are not below the low water now.
   */
  mark(): Mark {
    const { journal } = this.#parts.log;
    const from = this.#parts.live.lowWater(journal.next);
    return { journalId: journal.id, position: journal.durable, from };
  }

  driver(stash: string): StashDriver {
    const driver = this.#drivers.get(stash);
    if (driver === undefined) throw new RangeError(`no stash "${stash}" is open`);
    return driver;
  }

  drivers(): readonly StashDriver[] {
    return [...this.#drivers.values()];
  }

  /** Durable writes, in intake order. */
  accept(writes: readonly HeldWrite[]): void {
    this.lanes.enqueue(writes);
    this.pump();
  }

  /** A new attempt of a write whose lanes are held by it already. */
  again(write: HeldWrite): void {
    this.#begin(write);
    this.pump();
  }

  /** Moves on everything that can move; safe to call at any time. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (;;) {
        const granted = this.lanes.takeGranted();
        for (const write of granted) this.#begin(write);
        const moved = granted.length > 0 || this.settle.pending || this.undo.pending;
        this.settle.flush();
        this.undo.flush();
        if (!moved) break;
      }
    } finally {
      this.#pumping = false;
    }
    this.#kickSoon();
  }

  /** Several lots that became durable together go out together. */
  #kickSoon(): void {
    if (this.#kickSet) return;
    this.#kickSet = true;
    queueMicrotask(() => {
      this.#kickSet = false;
      for (const driver of this.#drivers.values()) driver.kick();
    });
  }

  /** Several attempts of one key at once: not where a store keeps a before-image. */
  #runsTogether(write: HeldWrite): boolean {
    if (needsJudging(write) || write.attempt > 1 || write.abort !== null) return false;
    if (write.phase === 'parked') return false;
    return write.plan.stashes.every((id) => !this.driver(id).stash.traits.oneAttemptPerKey);
  }

  #addsVersions(stash: string): boolean {
    return this.driver(stash).stash.traits.insertOnly;
  }

  /** Head of all its lanes. */
  #begin(write: HeldWrite): void {
    this.#grants += 1;
    write.grant = { epoch: this.#parts.epoch, counter: this.#grants };
    if (write.abort !== null) return this.undo.begin(write);
    if (write.overtaken) return this.#end(write, 'superseded');
    if (write.phase === 'parked') return this.#parking?.resume(write);
    if (needsJudging(write)) {
      write.phase = 'judging';
      this.#judge(write, 0).catch(() => {});
      return;
    }
    this.#fanOut(write);
  }

  async #judge(write: HeldWrite, tries: number): Promise<void> {
    const { readers, log, clock } = this.#parts;
    const reader = readers.get(write.plan.reader);
    if (reader === undefined) throw new RangeError(`"${write.plan.reader}" answers no reads`);
    let judgement;
    try {
      judgement = await judge(write, reader);
    } catch {
      clock.after(settlePauseMs(tries + 1), () => {
        this.#judge(write, tries + 1).catch(() => {});
      });
      return;
    }
    write.verdict = { existed: judgement.existed };
    if (!judgement.passed) {
      write.conditionFailed = true;
      this.#end(write, 'refused');
    } else {
      const verdict = {
        type: 'verdict',
        u: write.uow,
        a: write.attempt,
        existed: judgement.existed,
      } as const;
      await log.appendSurely([{ record: encode(verdict), changes: NO_CHANGES }]);
      this.#fanOut(write);
    }
    this.pump();
  }

  #fanOut(write: HeldWrite): void {
    write.phase = 'applying';
    const { stashes } = write.plan;
    for (const [at, stash] of stashes.entries()) this.#send(write, at, stash);
    if (write.awaited === 0) this.#decide(write);
  }

  #send(write: HeldWrite, at: number, stash: string): void {
    const driver = this.driver(stash);
    if (write.mayAbort && this.#turnedAway(write, at, driver)) return;
    write.awaited |= 1 << at;
    driver.apply(write);
  }

  /** A store that is failing or apart is sent nothing new. */
  #turnedAway(write: HeldWrite, at: number, { stash, breaker, apart }: StashDriver): boolean {
    if (!breaker.open && apart === null) return false;
    const why = apart ?? 'the store has been failing (breaker open)';
    const line = { stash: stash.id, reply: 'failed', detail: `not sent: ${why}` } as const;
    write.lines[at] = { ...line, status: apart === null ? BREAKER_OPEN : APART };
    write.retryAfterMs = Math.max(write.retryAfterMs, breaker.openForMs);
    return true;
  }

  unsent(driver: StashDriver, write: HeldWrite): boolean {
    if (!write.mayAbort) return false;
    const at = write.plan.stashes.indexOf(driver.stash.id);
    return at === -1 ? !write.readerSent : (write.mayHold & (1 << at)) === 0;
  }

  /** Decided to commit; in a run, only the newest goes out, once all of the run are decided. */
  #toReader(write: HeldWrite): void {
    write.phase = 'committing';
    const { run } = write;
    if (run === null) return this.#sendReader(write);
    run.ready.push(write);
    this.#decidedInRun(run);
  }

  #decidedInRun(run: Run): void {
    run.undecided -= 1;
    if (run.undecided === 0) this.#sendRun(run);
  }

  #sendRun(run: Run): void {
    run.ready.sort((a, b) => a.order - b.order);
    const newest = run.ready.at(-1);
    if (newest !== undefined) this.#sendReader(newest);
  }

  /** The reader has the newest of its run: the others are committed with it, in order. */
  #commit(write: HeldWrite): void {
    const { run } = write;
    this.lanes.committed(write);
    if (run === null) return this.settle.commit(write);
    for (const each of run.ready) {
      if (each !== write) each.lines[each.plan.stashes.length] = riding(write);
      this.settle.commit(each);
    }
  }

  #sendReader(write: HeldWrite): void {
    const { reader, stashes } = write.plan;
    const driver = this.driver(reader);
    if (write.mayAbort && !write.readerSent && this.#turnedAway(write, stashes.length, driver)) {
      return this.#decide(write);
    }
    write.awaited |= 1 << stashes.length;
    driver.apply(write);
    // A planted bug: the next write of the key may overtake this one.
    if (planted('release-a-lane-early')) this.lanes.release(write);
  }

  applied(
    driver: StashDriver,
    writes: readonly HeldWrite[],
    replies: readonly StashReply[],
    ms: number,
  ): void {
    const { id } = driver.stash;
    const rounded = Math.round(ms * 1000) / 1000;
    // One line serves every write of the batch that was simply stored.
    const stored: ReportLine = { stash: id, reply: 'stored', ms: rounded };
    for (const [index, write] of writes.entries()) {
      const reply = replies[index];
      if (reply === undefined) continue;
      const found = write.plan.stashes.indexOf(id);
      const at = found === -1 ? write.plan.stashes.length : found;
      write.awaited &= ~(1 << at);
      if (reply.reply === 'stored') {
        write.mayHold |= 1 << at;
        write.lines[at] = stored;
      } else {
        this.#note(write, at, id, reply, rounded);
      }
      this.#decide(write);
    }
  }

  #note(write: HeldWrite, at: number, stash: string, reply: StashReply, ms: number): void {
    if (reply.reply === 'unknown') write.mayHold |= 1 << at;
    const line: ReportLine = { stash, reply: reply.reply, ms };
    if ('detail' in reply) line.detail = reply.detail;
    if ('status' in reply && reply.status !== undefined) line.status = reply.status;
    if (reply.reply === 'failed' && reply.apart === true) line.status = APART;
    if (reply.reply === 'failed' && reply.retryAfterMs !== undefined) {
      const asked = Math.min(reply.retryAfterMs, LIMITS.retryAfterMsMax);
      write.retryAfterMs = Math.max(write.retryAfterMs, asked);
    }
    write.lines[at] = line;
  }

  #decide(write: HeldWrite): void {
    const decision = decide(factsOf(write));
    switch (decision) {
      case 'wait':
        return;
      case 'commit':
        return this.#commit(write);
      case 'apply-reader':
        return this.#toReader(write);
      case 'apply-again':
        return this.#applyAgain(write);
      case 'reader-again': {
        const at = write.plan.stashes.length;
        write.readerSent = true;
        write.awaited |= 1 << at;
        return this.driver(write.plan.reader).applyAgain(write);
      }
      case 'abort-refused':
        return this.#abort(write, 'refused');
      case 'abort-failed':
        return this.#abort(write, 'failed');
      default:
        return decision satisfies never;
    }
  }

  #applyAgain(write: HeldWrite): void {
    for (const [at, stash] of write.plan.stashes.entries()) {
      const reply = write.lines[at]?.reply;
      if (reply === 'stored' || reply === 'declined') continue;
      write.awaited |= 1 << at;
      this.driver(stash).applyAgain(write);
    }
  }

  #abort(write: HeldWrite, why: 'refused' | 'failed'): void {
    const { run } = write;
    // A retry would commit it after a later write of its key (P36).
    if (why === 'failed' && write.outrun) write.overtaken = true;
    write.run = null;
    if (run !== null && run.ready.includes(write)) {
      // The reader refused the newest of its run: the next one goes out in its stead.
      run.ready.pop();
      this.#sendRun(run);
    } else if (run !== null) {
      this.#decidedInRun(run);
    }
    this.undo.abort(write, why);
  }

  undone(driver: StashDriver, write: HeldWrite, reply: UndoReply): void {
    this.undo.undone(driver, write, reply);
  }

  /** Every effect is taken back. */
  #ended(write: HeldWrite): void {
    if (write.note === UNDO_CONFLICT) return this.#parking?.conflict(write);
    if (write.abort === 'refused') return this.#end(write, 'refused');
    if (write.overtaken) return this.#end(write, 'superseded');
    if (write.owned) return this.#parking?.park(write);
    this.#end(write, 'failed');
  }

  #end(write: HeldWrite, outcome: 'refused' | 'failed' | 'superseded'): void {
    // Rejects only when journal or State broke, which the log tells main by itself.
    this.settle.end(write, outcome).catch(() => {});
  }

  batchTold(): void {
    this.pump();
  }
}

function riding(write: HeldWrite): ReportLine {
  const detail = `write ${write.uow} of the same key went to the reader in its stead`;
  return { stash: write.plan.reader, reply: 'skipped', detail };
}
