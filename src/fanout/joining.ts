/**
 * Joining: how a store comes to take part, at a start and whenever it was apart. Its mark is asked
 * until it answers, which fences what earlier connections sent; what it lost is refilled; only then
 * is anything else sent to it, or read from it (P24, P25).
 */
import { JournalDamaged } from '../contracts/journal.ts';
import type { Mark } from '../contracts/stash.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import { planted } from '../kernel/plants.ts';
import type { Clock } from '../kernel/world.ts';
import type { IntakeLog } from '../intake/log.ts';
import type { HeldWrite } from '../intake/write.ts';
import { settlePauseMs, type StashDriver } from './driver.ts';
import { mustBelong } from './recover.ts';
import { NotWhole, refill } from './refill.ts';

export interface JoiningParts {
  readonly clock: Clock;
  readonly log: IntakeLog;
  readonly epoch: number;
  /** The mark that everything settled so far bears. */
  readonly mark: () => Mark;
  /** Writes without outcome that the store must not lose, in the order of their lanes. */
  readonly open: (driver: StashDriver) => readonly HeldWrite[];
  readonly warned: (what: string) => void;
  /** A store that was apart takes part again. */
  readonly joined: (driver: StashDriver) => void;
}

export class Joining {
  readonly #parts: JoiningParts;
  readonly #running = new Set<StashDriver>();
  #stopped = false;

  constructor(parts: JoiningParts) {
    this.#parts = parts;
  }

  stop(): void {
    this.#stopped = true;
  }

  /**
   * At a start: asks for the mark until it answers, for at most `LIMITS.stashJoinMs`; null then.
   * Throws JournalDamaged when the store belongs to another journal.
   */
  async reach(driver: StashDriver): Promise<{ mark: Mark | null } | null> {
    const { clock } = this.#parts;
    this.#running.add(driver);
    const until = clock.monotonicMs() + LIMITS.stashJoinMs;
    for (let tries = 1; ; tries += 1) {
      try {
        return { mark: await this.#mark(driver) };
      } catch (error) {
        if (error instanceof JournalDamaged) throw error;
        driver.part(wordsOf(error));
        if (clock.monotonicMs() >= until) return null;
      }
      await pause(clock, settlePauseMs(tries));
    }
  }

  /**
   * At a start, once it was reached: makes it whole. Returns the attempts sent, or null when it was
   * lost meanwhile or does not take it in time. Throws a Fault when it refuses what it once had.
   */
  async makeWhole(driver: StashDriver, mark: Mark | null): Promise<number | null> {
    try {
      const until = this.#parts.clock.monotonicMs() + LIMITS.stashJoinMs;
      const sent = await this.#refill(driver, mark, until);
      this.#running.delete(driver);
      driver.join();
      return sent;
    } catch (error) {
      if (!(error instanceof NotWhole)) throw error;
      driver.part(error.message);
      return null;
    }
  }

  /** Goes on asking in the background until the store takes part. */
  keepOn(driver: StashDriver): void {
    this.#running.add(driver);
    void this.#run(driver).finally(() => this.#running.delete(driver));
  }

  /** The store says that it is apart. */
  lost(driver: StashDriver, why: string): void {
    if (this.#stopped) return;
    driver.part(why);
    if (this.#running.has(driver)) return;
    this.#parts.warned(`stash "${driver.stash.id}" is apart: ${why}`);
    this.keepOn(driver);
  }

  async #run(driver: StashDriver): Promise<void> {
    const { clock, warned } = this.#parts;
    let told = '';
    for (let tries = 1; !this.#stopped; tries += 1) {
      await driver.idle();
      let reached = false;
      try {
        const mark = await this.#mark(driver);
        reached = true;
        const sent = await this.#refill(driver, mark, null);
        if (this.#isStopped()) return;
        driver.join();
        this.#parts.joined(driver);
        warned(`stash "${driver.stash.id}" takes part again; ${sent} attempts were refilled`);
        return;
      } catch (error) {
        const why = wordsOf(error);
        driver.part(why);
        // What will not mend by itself is told once, not with every try.
        const bad = error instanceof JournalDamaged || error instanceof Fault;
        if (bad && why !== told) warned(`stash "${driver.stash.id}" cannot take part: ${why}`);
        if (bad) told = why;
        // A store out of reach may be back in a moment, however its adapter words that.
        const slow = error instanceof JournalDamaged || (bad && reached);
        await pause(clock, slow ? LIMITS.settleRetryMsMax : settlePauseMs(tries));
      }
    }
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  async #mark({ stash }: StashDriver): Promise<Mark | null> {
    const { journal } = this.#parts.log;
    const mark = await stash.mark();
    mustBelong(`stash "${stash.id}"`, mark?.journalId ?? null, mark?.position ?? 0, journal);
    return mark;
  }

  async #refill(driver: StashDriver, mark: Mark | null, untilMs: number | null): Promise<number> {
    const { log, clock, epoch, warned } = this.#parts;
    const { journal } = log;
    const { stash } = driver;
    if (planted('join-without-refill')) return 0;
    // Before the intake is read: one that settles meanwhile is in this list or in what is read.
    const open = planted('refill-without-the-open') ? [] : this.#parts.open(driver);
    await log.flush();
    const from = mark?.from ?? 0;
    const position = mark?.position ?? 0;
    if (position < journal.next && from < journal.first) {
      warned(
        `stash "${stash.id}" is older than the intake reaches: what was settled before record ` +
          `${journal.first} cannot be refilled`,
      );
    }
    const behind = { position, from };
    const whole = this.#parts.mark();
    const parts = { journal, stash, mark: behind, whole, open, epoch, clock, untilMs, warned };
    return await refill(parts);
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((done) => {
    clock.after(ms, done);
  });
}
