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
import type { HeldWrite, Phase } from '../intake/write.ts';
import type { Connections } from './connections.ts';
import { StashDriver } from './driver.ts';
import { FailedKeys } from './failed-keys.ts';
import { Fanout } from './fanout.ts';
import { apartFault, gated } from './gate.ts';
import { Housekeeping } from './housekeeping.ts';
import { Joining } from './joining.ts';
import { needsJudging } from './judge.ts';
import { Parking } from './parking.ts';
import { prove } from './prove.ts';
import { recover, type Found, type Recovered } from './recover.ts';
import { enlist, isWatched, resume } from './resume.ts';
import type { SettledEvent } from './settle.ts';

export interface EngineParts {
  readonly world: World;
  readonly journal: Journal;
  readonly state: State;
  readonly stashes: ReadonlyMap<string, Stash>;
  readonly readers: ReadonlyMap<string, Reader>;
  /** What the stashes were opened with; it takes records once the engine runs. */
  readonly connections: Connections;
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

/** Something of it may have been sent to a store. */
const BEGUN: ReadonlySet<Phase> = new Set(['applying', 'committing']);
/** A drain ends early when nothing could move for this long. */
const STUCK_MS = 100;

export class Engine implements WritePort {
  readonly live: Live;
  readonly log: IntakeLog;
  readonly fanout: Fanout;
  readonly parking: Parking;
  readonly housekeeping: Housekeeping;
  readonly clock: Clock;
  readonly warned: EngineEvents['warned'];
  /** The stores that can be read, each behind its gate: none answers while it is apart. */
  readonly readers: ReadonlyMap<string, Reader>;
  readonly #parts: EngineParts;
  readonly #recovered: Recovered;
  readonly #joining: Joining;
  readonly #intake: Intake;
  readonly #numbering: Numbering;
  readonly #failedKeys: FailedKeys;
  readonly #space: Space;
  #found: Pick<Found, 'counts' | 'refilled'> | null = null;
  /** Starts died while these were open: they go their own way (P16). */
  readonly #watched: ReadonlySet<HeldWrite>;

  /**
   * Recovers, reserves numbers, lets the stores join, and sends what has no outcome forward. Then
   * it may serve; a store that could not be reached joins later.
   */
  static async start(parts: EngineParts): Promise<Engine> {
    const { journal, state, stashes, world } = parts;
    const failedKeys = new FailedKeys();
    const stashIds = new Set(stashes.keys());
    const recovered = await recover({ journal, state, stashIds, failedKeys });
    const uowTo = recovered.uowFrom + LIMITS.uowBlock;
    const start: StartRecord = {
      type: 'start',
      epoch: recovered.epoch,
      uowFrom: recovered.uowFrom,
      uowTo,
      at: world.clock.wallMs(),
    };
    const engine = new Engine(parts, recovered, failedKeys, uowTo);
    enlist(recovered.open, engine.live);
    const entry = { record: encode(start), changes: changesOf(start, null) };
    await engine.log.append([entry], 'settle');
    await engine.#joinStores();
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
    this.#recovered = recovered;
    this.#watched = new Set(recovered.open.filter(isWatched).map(({ write }) => write));
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
    const readers = new Map<string, Reader>();
    this.readers = readers;
    const { settled } = events;
    this.fanout = new Fanout({ clock, log, live, failedKeys, readers, epoch, settled });
    const { fanout } = this;
    const mark = () => fanout.mark();
    const warned = (what: string) => events.warned(what);
    const open = (driver: StashDriver) => this.#openIn(driver);
    const joined = ({ stash }: StashDriver) => this.parking.wake(stash.id);
    this.#joining = new Joining({ clock, log, epoch, mark, open, warned, joined });
    parts.connections.join({ log, state, epoch });
    const drivers = [...parts.stashes.values()].map((stash) => {
      const driver = new StashDriver(stash, clock, mark, fanout);
      stash.watch?.((why) => this.#joining.lost(driver, why));
      const reader = parts.readers.get(stash.id);
      if (reader !== undefined) readers.set(stash.id, gated(stash.id, reader, driver));
      return driver;
    });
    this.parking = new Parking({ clock, random, log, live, state, fanout, failedKeys, flows });
    fanout.join(drivers, this.parking);
    this.housekeeping = new Housekeeping({
      clock,
      log,
      live,
      state,
      drivers,
      mark,
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

  /** What this start found. */
  get recovered(): Found {
    if (this.#found === null) throw new RangeError('the stores were not asked yet');
    return { ...this.#recovered, ...this.#found };
  }

  /** Every store is asked at once; one that is away does not keep the others waiting. */
  async #joinStores(): Promise<void> {
    const joining = this.#joining;
    const drivers = this.fanout.drivers();
    const reached = await Promise.all(drivers.map((driver) => joining.reach(driver)));
    const there = new Map<string, Stash>();
    for (const [at, { stash }] of drivers.entries()) {
      if (reached[at] !== null) there.set(stash.id, stash);
    }
    const counts = await prove(this.#recovered.open, there);
    const refilled = new Map<string, number>();
    const whole = await Promise.all(
      drivers.map(async (driver, at) => {
        const found = reached[at] ?? null;
        const sent = found === null ? null : await joining.makeWhole(driver, found.mark);
        if (sent !== null && sent > 0) refilled.set(driver.stash.id, sent);
        return sent !== null;
      }),
    );
    for (const [at, driver] of drivers.entries()) {
      if (whole[at] === true) continue;
      this.warned(`stash "${driver.stash.id}" cannot take part yet: ${driver.apart}`);
      joining.keepOn(driver);
    }
    this.#found = { counts, refilled };
  }

  /**
   * Writes without outcome that a store must have again when it lost something: what it answered
   * well, and what can only go forward in it as the reader, so may have been seen there.
   */
  #openIn({ stash: { id } }: StashDriver): HeldWrite[] {
    const inOrder = [...this.live.all()].sort((a, b) => a.order - b.order);
    const begun = inOrder.filter((write) => BEGUN.has(write.phase));
    const asked = this.#found === null ? this.fanout.lanes.firstGranted(inOrder) : begun;
    return asked.filter((write) => {
      if (this.#watched.has(write) || write.abort !== null || write.overtaken) return false;
      if (write.phase === 'parked') return false;
      if (write.plan.reader !== id) {
        const at = write.plan.stashes.indexOf(id);
        return at !== -1 && write.lines[at]?.reply === 'stored';
      }
      return write.readerSent && (write.verdict !== null || !needsJudging(write));
    });
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
    this.#joining.stop();
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

  /**
   * Whether all that is left stands behind parked writes or waits for stores that are apart: no
   * drain will see the end of it, and the next start takes it up.
   */
  #stuck(): boolean {
    if (this.parking.size === 0 && !this.#someApart()) return false;
    for (const write of this.live.all()) {
      const { phase } = write;
      if (phase === 'settled' || phase === 'parked' || phase === 'queued') continue;
      if (!this.#waitsForApart(write)) return false;
    }
    return true;
  }

  #someApart(): boolean {
    return this.fanout.drivers().some(({ apart }) => apart !== null);
  }

  #waitsForApart({ plan, awaited }: HeldWrite): boolean {
    const stashes = [...plan.stashes, plan.reader];
    const waiting = stashes.filter((_, at) => (awaited & (1 << at)) !== 0);
    return waiting.length > 0 && waiting.every((id) => this.fanout.driver(id).apart !== null);
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
      const { breaker, apart } = this.fanout.driver(id);
      if (apart !== null) return apartFault(id, apart);
      if (!breaker.open) continue;
      return new Fault('unavailable', `Stash "${id}" has been failing; it is given a pause.`, {
        retryAfterMs: breaker.openForMs,
      });
    }
    return null;
  }
}
