/**
 * Housekeeping of the write path: carries long-unsettled writes forward and trims the intake behind
 * them (P21), prunes versions that history no longer owes, sweeps what is past its time in State.
 * Runs by the clock, one turn at a time; a turn that fails is told and tried again at the next.
 */
import type { Mark } from '../contracts/stash.ts';
import type { State } from '../contracts/state.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { Position } from '../kernel/words.ts';
import type { Clock, Timer } from '../kernel/world.ts';
import { NO_CHANGES, type IntakeLog } from '../intake/log.ts';
import type { Live } from '../intake/live.ts';
import { encodeWrite } from '../intake/records.ts';
import type { StashDriver } from './driver.ts';

export interface HousekeepingParts {
  readonly clock: Clock;
  readonly log: IntakeLog;
  readonly live: Live;
  readonly state: State;
  readonly drivers: readonly StashDriver[];
  readonly mark: () => Mark;
  /** How long settled records stay, for stores that lose what they acknowledged. */
  readonly keepMs: number;
  readonly told: (turn: string, error: unknown) => void;
}

/** Rows swept from State in one go: bounded, so that a large sweep never holds up a write. */
const SWEEP_ROWS = 500;
/** Lots of one turn: more than a busy program can add between two turns. */
const SWEEP_LOTS_MAX = 1000;

export class Housekeeping {
  readonly #parts: HousekeepingParts;
  /** Where the intake ended at past turns, oldest first. */
  readonly #samples: { atMs: number; next: Position }[] = [];
  #timer: Timer | null = null;
  #turn: Promise<void> | null = null;
  #stopped = false;

  constructor(parts: HousekeepingParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = this.#parts.clock.after(LIMITS.housekeepingMs, () => {
      this.#turn = this.run().finally(() => {
        this.#turn = null;
        if (!this.#stopped) this.start();
      });
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#turn;
  }

  /** One turn; never rejects. */
  async run(): Promise<void> {
    await this.#step('trim', () => this.trim(this.#trimTarget()));
    await this.#step('prune', () => this.#prune());
    await this.#step('sweep', () => this.#sweep());
  }

  async #step(name: string, step: () => Promise<void>): Promise<void> {
    if (this.#stopped || this.#parts.log.broken !== null) return;
    try {
      await step();
    } catch (error) {
      this.#parts.told(name, error);
    }
  }

  /**
   * The position that everything older than `keepMs` lies below; all of it when space runs short.
   */
  #trimTarget(): Position {
    const { clock, log, keepMs } = this.#parts;
    const now = clock.monotonicMs();
    const { journal } = log;
    if (!journal.admits(LIMITS.bodyBytesMax)) return journal.next;
    let target = journal.first;
    while (this.#samples.length > 0 && (this.#samples[0]?.atMs ?? now) <= now - keepMs) {
      target = this.#samples.shift()?.next ?? target;
    }
    this.#samples.push({ atMs: now, next: journal.next });
    return target;
  }

  /** Removes what lies below `target`, once nothing below it is needed any more. */
  async trim(target: Position): Promise<void> {
    const { log, live, drivers } = this.#parts;
    const { journal } = log;
    if (target <= journal.first) return;
    const writes = live.below(target);
    if (writes.length > 0) {
      const entries = writes.map((write) => {
        return { record: encodeWrite('carried', write), changes: NO_CHANGES };
      });
      const first = await log.append(entries, 'settle');
      for (const [at, write] of writes.entries()) {
        if (write.phase !== 'settled') live.placed(write, first + at);
      }
    }
    await log.flush();
    // Before the stashes are flushed: what is settled after this they may still lose.
    const lowWater = live.lowWater(journal.next);
    for (const driver of drivers) await this.#flushStash(driver);
    await journal.trim(Math.min(target, lowWater));
  }

  /** A store whose mark stayed behind would later be refilled with records that are gone. */
  async #flushStash({ stash, apart }: StashDriver): Promise<void> {
    if (apart !== null) throw new Fault('unavailable', `stash "${stash.id}" is apart: ${apart}`);
    await stash.apply([], this.#parts.mark());
    await stash.flush();
  }

  async #prune(): Promise<void> {
    const { live, drivers } = this.#parts;
    const below = live.oldestUow();
    for (const { stash, apart } of drivers) if (apart === null) await stash.prune(below);
  }

  async #sweep(): Promise<void> {
    const { clock, state } = this.#parts;
    const now = clock.wallMs();
    for (let lot = 0; lot < SWEEP_LOTS_MAX && !this.#stopped; lot += 1) {
      const swept = await state.sweep(now, now - LIMITS.receiptKeepMs, SWEEP_ROWS);
      if (swept < SWEEP_ROWS) return;
      await new Promise<void>((done) => clock.soon(done));
    }
  }
}
