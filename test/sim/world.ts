/**
 * A simulated world: clients, stores, a disk and a process that dies and starts again. One seed is
 * one world; it replays exactly. `runWorld` says what was violated, and how much happened.
 */
import { MemoryState } from '../../src/adapters/memory/state.ts';
import type { FlowPlan } from '../../src/contracts/flow.ts';
import { JournalDamaged } from '../../src/contracts/journal.ts';
import { digestOf } from '../../src/kernel/digest.ts';
import { LIMITS } from '../../src/kernel/limits.ts';
import { laneKey } from '../../src/kernel/words.ts';
import type { Condition, WriteRequest } from '../../src/intake/request.ts';
import { SimDisk, type SimDiskOptions } from './disk.ts';
import { lookInto, readThrough } from './eyes.ts';
import { ACCOUNT, Life } from './life.ts';
import { judgeWorld, valueOf, type Asked, type Seen, type Violation } from './model.ts';
import { Chance, Schedule } from './schedule.ts';
import { CALM, drawWeather, SimStore } from './store.ts';

export interface WorldReport {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly writes: number;
  readonly crashes: number;
  readonly steps: number;
  readonly outages: number;
  readonly reads: number;
  readonly turnedAway: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Digest of everything that happened, for the test that a seed replays. */
  readonly trace: string;
  /** Worlds whose journal was damaged, and refused to start for it. */
  readonly refusedStart: boolean;
}

/** A world that is not quiet after this many events never will be. */
const STEPS_MAX = 450_000;
const TEN_YEARS_MS = 315_360_000_000;

export class SimulatedWorld {
  readonly seed: number;
  readonly chance: Chance;
  readonly schedule = new Schedule();
  readonly stores: SimStore[] = [];
  readonly asked: Asked[] = [];
  readonly seen: (Seen | 'forgot')[] = [];
  readonly flows = new Map<string, FlowPlan>();
  readonly trace: string[] = [];
  disk: SimDisk;
  state = new MemoryState();
  /** As they were settled last, by uow. */
  readonly outcomes = new Map<number, string>();
  /** What clients who read through Holdfast found wrong, at once. */
  readonly violations: Violation[] = [];
  reads = 0;
  /** Reads that were told the reader is away. */
  turnedAway = 0;
  /** Times a store lost its connections or its power while the process went on. */
  outages = 0;
  steps = 0;
  /** Whether the wall clock jumps between lives; windows of time mean nothing there. */
  readonly jumps: boolean;
  crashes = 0;
  /** A byte of the journal was changed: a start must refuse, or not have needed it. */
  rotten = false;
  #generation = 0;
  /** How long a call of the disk takes at most; some disks are slower than the stores. */
  readonly #diskMs: number;

  constructor(seed: number) {
    this.seed = seed;
    this.chance = new Chance(seed);
    const { chance } = this;
    this.jumps = chance.hits(0.2);
    this.#diskMs = chance.pick([0.2, 0.5, 20]);
    const before = chance.below(4);
    const kinds = ['versions', 'overwrites'] as const;
    const hostile = chance.hits(0.3);
    const refuses = (attempt: { digest: string; keys: readonly string[] }): boolean =>
      hostile && attempt.keys.includes('k0') && attempt.digest.charCodeAt(0) % 3 === 0;
    for (let at = 0; at < before; at += 1) {
      const kind = chance.pick(['versions', 'versions', 'images'] as const);
      this.stores.push(new SimStore(`s${at}`, kind, this.schedule, chance, refuses));
    }
    const readerKind = chance.pick(kinds);
    const never = (): boolean => false;
    this.stores.push(new SimStore('reader', readerKind, this.schedule, chance, never));
    for (const respond of ['settled', 'held'] as const) this.#flow(respond);
    this.disk = new SimDisk(this.#diskOptions());
  }

  #flow(respond: 'settled' | 'held'): void {
    const stashes = this.plan;
    this.flows.set(`${ACCOUNT}/${respond}`, {
      account: ACCOUNT,
      flow: respond,
      generation: 1,
      stashes,
      reader: 'reader',
      read: ['reader', ...stashes],
      respond,
      ttlMs: null,
      mediaType: 'application/json',
      limits: { bodyBytesMax: 1024, keysPerRecordMax: 10, jsonDepthMax: 8, ttlMsMax: null },
      shaped: false,
      valueChecked: false,
    });
  }

  get plan(): string[] {
    return this.stores.slice(0, -1).map((store) => store.id);
  }

  get reader(): SimStore {
    return this.stores.at(-1) as SimStore;
  }

  #diskOptions(): SimDiskOptions {
    const generation = this.#generation;
    return {
      schedule: (done) => {
        const alive = (): boolean => generation === this.#generation;
        this.schedule.after(this.chance.fraction() * this.#diskMs, done, alive);
      },
      random: () => this.chance.fraction(),
    };
  }

  async run(): Promise<WorldReport> {
    const { chance } = this;
    const lives = chance.below(5);
    for (let life = 0; life < lives; life += 1) {
      for (const store of this.stores) store.weather = { ...drawWeather(chance) };
      // The reader may fail, but what it was sent must not be refused at random: see the table.
      await this.#live(chance.below(chance.pick([20, 200, 1500])) + 1, false);
      this.#crash();
    }
    for (const store of this.stores) store.weather = CALM;
    const last = await this.#live(STEPS_MAX, true);
    return await this.#finish(last);
  }

  /** One life: starts, serves clients, and goes on for `steps` events or until all is quiet. */
  async #live(steps: number, toTheEnd: boolean): Promise<Life> {
    const { chance, schedule } = this;
    const generation = this.#generation;
    const alive = (): boolean => generation === this.#generation;
    const life = new Life({
      schedule,
      chance,
      disk: this.disk,
      state: this.state,
      stores: this.stores,
      flows: this.flows,
      wallOffsetMs: 1_700_000_000_000 + (this.jumps ? (chance.below(3) - 1) * TEN_YEARS_MS : 0),
      outcomes: this.outcomes,
      alive,
    });
    void life.start().then(() => this.#started(life));
    const clients = chance.below(25) + 3;
    let [answered, issued] = [0, 0];
    const issue = (): void => {
      if (life.engine === null) {
        schedule.after(1, issue, alive);
        return;
      }
      issued += 1;
      this.#ask(life, () => {
        answered += 1;
      });
    };
    const spread = chance.pick([1, 20, 200]);
    for (let at = 0; at < clients; at += 1)
      schedule.after(chance.fraction() * spread, issue, alive);
    this.#look(() => lookInto(life, this.reader, this.seen), alive);
    this.#look(() => this.#readThrough(life), alive);
    const outages = toTheEnd ? 0 : chance.pick([0, 0, 1, 3]);
    for (let at = 0; at < outages; at += 1) {
      schedule.after(chance.fraction() * spread * 2, () => this.#outage(), alive);
    }
    // Some lives end right behind an undo, where a decision that came too late would show.
    const undone = (): number => this.stores.reduce((sum, store) => sum + store.undone, 0);
    const lastUndo = chance.hits(0.3) ? undone() + 1 + chance.below(4) : Number.POSITIVE_INFINITY;
    const quiet = (): boolean =>
      life.fault !== null ||
      (!toTheEnd && undone() >= lastUndo) ||
      (toTheEnd && issued === clients && answered === clients && this.#settled(life));
    const from = this.steps;
    while (this.steps - from < steps && !quiet()) {
      this.steps += 1;
      if (!(await schedule.step())) break;
    }
    return life;
  }

  #started(life: Life): void {
    const { engine } = life;
    if (engine === null) return;
    const { counts, refilled, open } = engine.recovered;
    const marks = this.stores.map((store) => `${store.id} ${store.contents.mark?.position}`);
    this.trace.push(
      `started at ${this.schedule.nowMs}: open ${open.map(({ write }) => write.uow).join()} ` +
        `${JSON.stringify(counts)}, refilled ${JSON.stringify([...refilled])}, ` +
        `intake ${engine.log.journal.first} to ${engine.log.journal.next}, marks ${marks.join()}`,
    );
  }

  #settled(life: Life): boolean {
    if (life.engine === null) return false;
    for (const write of life.engine.live.all()) if (!write.kept) return false;
    return life.engine.log.appliedTo === life.engine.log.journal.next;
  }

  /** Looks again and again: often at first, then ever more rarely (a retry may wait for hours). */
  #look(look: () => void, alive: () => boolean): void {
    const from = this.schedule.nowMs;
    const again = (): void => {
      look();
      const pause = Math.max(4, (this.schedule.nowMs - from) / 50);
      this.schedule.after(this.chance.fraction() * pause, again, alive);
    };
    again();
  }

  #readThrough(life: Life): void {
    const name = { flow: this.chance.pick(['settled', 'held']), key: `k${this.chance.below(6)}` };
    readThrough(life, name, this.asked).then(
      (found) => {
        this.reads += 1;
        if (found !== null) this.violations.push(found);
      },
      () => {
        this.turnedAway += 1;
      },
    );
  }

  /** A store loses its connections, or its power, while the process goes on. */
  #outage(): void {
    const { chance } = this;
    const store = chance.pick(this.stores);
    const power = chance.hits(0.5);
    this.outages += 1;
    if (!power) return store.cut();
    if (store.losePower() && store === this.reader) this.seen.push('forgot');
  }

  #ask(life: Life, done: () => void): void {
    const request = this.#request();
    const asked: Asked = { id: this.asked.length, request, answer: null };
    this.asked.push(asked);
    this.trace.push(`ask ${asked.id} ${request.flow} ${request.key} ${request.kind}`);
    life.engine?.submit(request, (answer) => {
      asked.answer = answer;
      const uow = answer.answer === 'turned-away' ? answer.fault.code : answer.receipt.uow;
      this.trace.push(`answer ${asked.id} ${answer.answer} ${uow} at ${this.schedule.nowMs}`);
      done();
    });
  }

  #request(): WriteRequest {
    const { chance } = this;
    const flow = chance.hits(0.6) ? 'settled' : 'held';
    const key = `k${chance.below(chance.pick([1, 3, 6]))}`;
    const again = chance.hits(0.1) ? this.#earlierIdempotent() : null;
    if (again !== null) return again;
    const kind = chance.hits(0.15) ? 'delete' : 'set';
    const body = Buffer.from(kind === 'set' ? valueOf(this.asked.length) : '');
    return {
      account: ACCOUNT,
      flow,
      kind,
      key,
      body,
      ttlMs: undefined,
      conditions: this.#conditions(laneKey(ACCOUNT, flow, key)),
      idempotencyKey: chance.hits(0.3) ? `i${this.asked.length}` : null,
      respond: null,
      waitMs: chance.pick([30, LIMITS.writeWaitMs]),
      requestId: `r${this.asked.length}`,
    };
  }

  #earlierIdempotent(): WriteRequest | null {
    const earlier = this.asked.filter((each) => each.request.idempotencyKey !== null);
    return earlier.length === 0 ? null : this.chance.pick(earlier).request;
  }

  #conditions(lane: string): readonly Condition[] {
    const { chance } = this;
    if (!chance.hits(0.25)) return [];
    if (chance.hits(0.2)) return [{ if: 'absent' }];
    const shown = this.reader.current(lane, () => true);
    const present = shown === null || shown.kind === 'delete' ? valueOf(-1) : shown.value;
    return [{ if: 'match', etags: [digestOf(Buffer.from(present))] }];
  }

  /** The process dies; sometimes the power goes with it. */
  #crash(): void {
    const { chance } = this;
    this.crashes += 1;
    this.#generation += 1;
    const power = chance.hits(0.5);
    this.trace.push(`crash ${power ? 'power' : 'process'} at ${this.schedule.nowMs}`);
    if (power) {
      this.disk = this.disk.crash(() => chance.fraction(), this.#diskOptions());
      this.state = this.state.crash(chance.below(this.state.unflushed + 1));
      // What it forgot comes back only with the next start: foreign eyes may see it older once.
      if (chance.hits(0.5) && this.reader.losePower()) this.seen.push('forgot');
      for (const store of this.stores.slice(0, -1)) if (chance.hits(0.2)) store.losePower();
    } else {
      this.disk = this.disk.restart(this.#diskOptions());
    }
    if (chance.hits(0.03)) this.#rot();
  }

  /** A byte that was on the platter changes, well below the end of the journal. */
  #rot(): void {
    const path = this.disk.paths().find((each) => each.endsWith('.seg'));
    if (path === undefined) return;
    const bytes = this.disk.bytesOf(path).slice();
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end -= 1;
    if (end < 2048) return;
    const at = 512 + this.chance.below(Math.floor((end - 512) / 2));
    bytes[at] = (bytes[at] ?? 0) ^ (1 << this.chance.below(8));
    this.disk.plant(path, bytes);
    this.rotten = true;
    this.trace.push(`byte ${at} of ${path} rots`);
  }

  async #finish(life: Life): Promise<WorldReport> {
    const receipts = new Map();
    const failures = new Set<number>();
    const { engine } = life;
    const violations: Violation[] = [...this.violations];
    if (this.rotten && life.fault instanceof JournalDamaged) {
      this.trace.push(`refused: ${life.fault.message}`);
    } else if (engine === null || life.fault !== null) {
      violations.push({ promise: 'G6', detail: `no start: ${String(life.fault)}` });
    } else {
      const uows = new Set<number>();
      for (const { answer } of this.asked) {
        if (answer !== null && answer.answer !== 'turned-away') uows.add(answer.receipt.uow);
      }
      for (const { contents } of this.stores) {
        for (const versions of contents.versions.values()) {
          for (const { uow } of versions.values()) uows.add(uow);
        }
      }
      for (const each of this.seen) if (each !== 'forgot') uows.add(each.version.uow);
      for (const uow of uows) receipts.set(uow, await engine.receipt(uow));
      for (const uow of uows) if ((await this.state.failure(uow)) !== null) failures.add(uow);
      const { asked, seen, stores, reader, plan, jumps, outcomes } = this;
      const ended = { receipts, failures, plan, jumps, outcomes };
      violations.push(...judgeWorld({ asked, seen, stores, reader, ...ended }));
      if (this.steps >= STEPS_MAX) violations.push({ promise: 'G13', detail: 'never quiet' });
    }
    return this.#report(violations, receipts);
  }

  #report(violations: readonly Violation[], receipts: Map<number, unknown>): WorldReport {
    const outcomes: Record<string, number> = {};
    for (const receipt of receipts.values()) {
      const outcome = (receipt as { outcome?: string } | null)?.outcome ?? 'none';
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    return {
      seed: this.seed,
      violations,
      writes: this.asked.length,
      crashes: this.crashes,
      steps: this.steps,
      outages: this.outages,
      reads: this.reads,
      turnedAway: this.turnedAway,
      outcomes,
      refusedStart: this.rotten && receipts.size === 0,
      trace: digestOf(Buffer.from(this.trace.join('\n'))),
    };
  }
}

/** Runs the world of this seed to its end. */
export function runWorld(seed: number): Promise<WorldReport> {
  return new SimulatedWorld(seed).run();
}
