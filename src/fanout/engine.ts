/**
 * The engine: intake and fan-out joined into one running write path over a journal, a State and
 * open stashes. main.ts starts it on the real world, the simulation on one of its own; both run
 * exactly this.
 */
import type { FlowPlan, Shaper } from '../contracts/flow.ts';
import type { Journal, JournalBroken } from '../contracts/journal.ts';
import type { Reader, Visible } from '../contracts/reader.ts';
import type { Stash } from '../contracts/stash.ts';
import type { State } from '../contracts/state.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { Receipt, Uow } from '../kernel/words.ts';
import type { Clock, World } from '../kernel/world.ts';
import { receiptOfRow } from '../intake/answers.ts';
import { Idempotency } from '../intake/idempotency.ts';
import { Intake } from '../intake/intake.ts';
import { Live } from '../intake/live.ts';
import { IntakeLog } from '../intake/log.ts';
import { Numbering } from '../intake/numbering.ts';
import { Space } from '../intake/space.ts';
import { encode, type ReserveRecord, type StartRecord } from '../intake/records.ts';
import type { Answer, WritePort, WriteRequest } from '../intake/request.ts';
import { changesOf } from '../intake/view.ts';
import type { HeldWrite } from '../intake/write.ts';
import { StashDriver } from './driver.ts';
import { FailedKeys } from './failed-keys.ts';
import { Fanout } from './fanout.ts';
import { Housekeeping } from './housekeeping.ts';
import { Parking } from './parking.ts';
import { recover, type Recovered } from './recover.ts';
import { resume } from './resume.ts';
import type { SettledEvent } from './settle.ts';

export interface EngineParts {
  readonly world: World;
  readonly journal: Journal;
  readonly state: State;
  readonly stashes: ReadonlyMap<string, Stash>;
  readonly readers: ReadonlyMap<string, Reader>;
  /** By `account/flow`. */
  readonly flows: ReadonlyMap<string, FlowPlan>;
  readonly shaper: Shaper;
  readonly journalKeepMs: number;
  /** The folder whose disk must have room for what follows a hold. */
  readonly dataDirectory: string;
  /** Held and not settled, at most; more are turned away. */
  readonly inFlightWritesMax: number;
  readonly events: EngineEvents;
}

export interface EngineEvents {
  readonly settled: SettledEvent;
  /** Nothing may be acknowledged any more: the process must end (exit 74). */
  readonly broken: (cause: JournalBroken) => void;
  /** A background turn failed and will be tried again; or a warning of the start. */
  readonly warned: (what: string, error?: unknown) => void;
}

/** A drain ends early when nothing could move for this long. */
const STUCK_MS = 100;

export class Engine implements WritePort {
  readonly recovered: Recovered;
  readonly live: Live;
  readonly log: IntakeLog;
  readonly fanout: Fanout;
  readonly parking: Parking;
  readonly housekeeping: Housekeeping;
  readonly clock: Clock;
  readonly warned: EngineEvents['warned'];
  readonly #parts: EngineParts;
  readonly #intake: Intake;
  readonly #numbering: Numbering;
  readonly #failedKeys: FailedKeys;
  readonly #space: Space;

  /** Recovers, reserves numbers, and sends what has no outcome forward. Then it may serve. */
  static async start(parts: EngineParts): Promise<Engine> {
    const { journal, state, stashes, world } = parts;
    const failedKeys = new FailedKeys();
    const { clock } = world;
    const recovered = await recover({
      journal,
      state,
      stashes,
      failedKeys,
      clock,
      warned: parts.events.warned,
    });
    for (const warning of recovered.warnings) parts.events.warned(warning);
    const uowTo = recovered.uowFrom + LIMITS.uowBlock;
    const start: StartRecord = {
      type: 'start',
      epoch: recovered.epoch,
      uowFrom: recovered.uowFrom,
      uowTo,
      at: world.clock.wallMs(),
    };
    const engine = new Engine(parts, recovered, failedKeys, uowTo);
    const entry = { record: encode(start), changes: changesOf(start, null) };
    await engine.log.append([entry], 'settle');
    await resume(recovered.open, engine);
    await engine.#space.look();
    engine.housekeeping.start();
    return engine;
  }

  private constructor(
    parts: EngineParts,
    recovered: Recovered,
    failedKeys: FailedKeys,
    uowTo: Uow,
  ) {
    const { world, journal, state, flows, shaper, events } = parts;
    const { clock, random } = world;
    this.#parts = parts;
    this.#failedKeys = failedKeys;
    this.clock = clock;
    this.warned = events.warned;
    this.recovered = recovered;
    const { epoch } = recovered;
    this.live = new Live(clock, parts.inFlightWritesMax);
    const idempotency = new Idempotency(state);
    this.log = new IntakeLog(journal, state, clock, {
      receiptKept: (uow) => this.#receiptKept(uow, idempotency),
      lowWater: () => this.live.lowWater(journal.next),
      broken: events.broken,
    });
    const { live, log } = this;
    this.#numbering = new Numbering(epoch, recovered.uowFrom, uowTo, async (from, to) => {
      const record: ReserveRecord = { type: 'reserve', epoch, uowFrom: from, uowTo: to };
      const entry = { record: encode(record), changes: changesOf(record, null) };
      await log.append([entry], 'settle');
    });
    const { readers } = parts;
    const { settled } = events;
    this.fanout = new Fanout({ clock, log, live, failedKeys, readers, epoch, settled });
    const { fanout } = this;
    const drivers = [...parts.stashes.values()].map((stash) => {
      return new StashDriver(stash, clock, () => fanout.mark(), fanout);
    });
    this.parking = new Parking({ clock, random, log, live, state, fanout, failedKeys, flows });
    fanout.join(drivers, this.parking);
    this.housekeeping = new Housekeeping({
      clock,
      log,
      live,
      state,
      drivers,
      mark: () => fanout.mark(),
      keepMs: parts.journalKeepMs,
      told: (turn, error) => events.warned(`housekeeping: ${turn}`, error),
    });
    const ports = {
      handOver: (writes: readonly HeldWrite[]) => fanout.accept(writes),
      barred: this.parking.barred.bind(this.parking),
      unfit: (flow: FlowPlan) => this.#unfit(flow),
      retry: (uow: Uow) => this.parking.retry(uow),
    };
    this.#space = new Space(world.disk, clock, parts.dataDirectory);
    const numbering = this.#numbering;
    const space = this.#space;
    const rooms = { clock, log, live, state, numbering, space, shaper, idempotency, flows };
    this.#intake = new Intake({ ...rooms, ports });
  }

  /** What a non-reader store may show of a key: only what is settled as committed. */
  readonly visible: Visible = (uow) => {
    const write = this.live.get(uow);
    return write === undefined || write.outcome === 'committed';
  };

  /** Writes in the fail queue or on their way into it. */
  get failures(): number {
    return this.#failedKeys.size;
  }

  /** The stashes that some flow is read from first. */
  get readerIds(): string[] {
    return [...new Set([...this.#parts.flows.values()].map((flow) => flow.reader))];
  }

  /** New writes are turned away for want of room. */
  get short(): boolean {
    return this.#space.short || this.log.full;
  }

  submit(request: WriteRequest, answer: (answer: Answer) => void): void {
    this.#intake.submit(request, answer);
  }

  async receipt(uow: Uow): Promise<Receipt | 'gone' | null> {
    const write = this.live.get(uow);
    if (write !== undefined && write.position >= 0) return write.receipt();
    // A retry that is not on disk yet: its last attempt is what there is to tell.
    const row = await this.#parts.state.receipt(uow);
    if (row !== null) return receiptOfRow(row);
    if (write !== undefined) return null;
    return uow < this.#numbering.upcoming ? 'gone' : null;
  }

  async settled(uow: Uow, waitMs: number): Promise<Receipt | 'gone' | 'unknown' | null> {
    const write = this.live.get(uow);
    if (write === undefined || write.phase === 'settled') {
      return (await this.receipt(uow)) ?? 'unknown';
    }
    return await new Promise((done) => {
      const timer = this.#parts.world.clock.after(waitMs, () => done(null));
      write.watchers ??= [];
      write.watchers.push((settled) => {
        timer.cancel();
        done(settled.receipt());
      });
    });
  }

  /** Turns new work away, waits until what is held is settled or `limitMs` is over, then syncs. */
  async stop(limitMs: number): Promise<{ unsettled: number }> {
    const { clock } = this.#parts.world;
    this.#intake.stop();
    const until = clock.monotonicMs() + limitMs;
    let movedAt = clock.monotonicMs();
    while (this.#moving() > 0 && clock.monotonicMs() < until && this.log.broken === null) {
      if (!this.#stuck()) movedAt = clock.monotonicMs();
      else if (clock.monotonicMs() - movedAt > STUCK_MS) break;
      await new Promise<void>((done) => clock.after(5, done));
    }
    for (const driver of this.fanout.drivers()) driver.stop();
    await this.housekeeping.stop();
    const unsettled = this.#moving();
    if (this.log.broken === null) await this.log.flush();
    await this.#parts.journal.close();
    return { unsettled };
  }

  /** Live writes that are neither settled nor parked until a later time. */
  #moving(): number {
    let moving = 0;
    for (const write of this.live.all()) {
      if (write.phase !== 'settled' && write.phase !== 'parked') moving += 1;
    }
    return moving;
  }

  /** Whether all that is left stands behind parked writes, which no drain will see the end of. */
  #stuck(): boolean {
    if (this.parking.size === 0) return false;
    for (const { phase } of this.live.all()) {
      if (phase !== 'settled' && phase !== 'parked' && phase !== 'queued') return false;
    }
    return true;
  }

  #receiptKept(uow: Uow, idempotency: Idempotency): void {
    const write = this.live.get(uow);
    if (write?.phase === 'settled' && write.idempotent !== null) {
      idempotency.release(write.account, write.flow, write.idempotent.key);
    }
    this.live.forget(uow);
  }

  /** An open breaker refuses before the hold (P15). */
  #unfit(flow: FlowPlan): Fault | null {
    for (const id of [flow.reader, ...flow.stashes]) {
      const { breaker } = this.fanout.driver(id);
      if (!breaker.open) continue;
      return new Fault('unavailable', `Stash "${id}" has been failing; it is given a pause.`, {
        retryAfterMs: breaker.openForMs,
      });
    }
    return null;
  }
}
