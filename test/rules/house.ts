/**
 * The write path as one process runs it, over a simulated disk, State in memory and stores that do
 * what the test says; with a clock that moves from event to event, so a test decides when what
 * happens. The process can be killed at any moment and started again on what it left.
 */
import { MemoryState } from '../../src/adapters/memory/state.ts';
import type { FlowPlan, Shaper } from '../../src/contracts/flow.ts';
import type { State, StateChange } from '../../src/contracts/state.ts';
import { Connections } from '../../src/fanout/connections.ts';
import { Engine } from '../../src/fanout/engine.ts';
import { decode, type IntakeRecord } from '../../src/intake/records.ts';
import type { Answer, Condition, WriteRequest } from '../../src/intake/request.ts';
import { openJournal, type JournalOptions } from '../../src/journal/journal.ts';
import { LIMITS } from '../../src/kernel/limits.ts';
import type { Clock, World } from '../../src/kernel/world.ts';
import { SimDisk, type SimDiskOptions } from '../sim/disk.ts';
import { Schedule, settleMicrotasks } from '../sim/schedule.ts';
import { Connection, type Store } from './store.ts';

export const ACCOUNT = 'acme';
export const FOLDER = '/data/journal';
/** More events than any story here takes. */
const STEPS_MAX = 50_000;
const WALL_START_MS = 1_800_000_000_000;
/** Of random choices about a power cut: nothing that was not synced survives. */
const NOTHING_SURVIVES = (): number => 0.3;

export interface HouseOptions {
  /** Applied before the reader. */
  readonly before?: readonly Store[];
  readonly reader: Store;
  readonly journalKeepMs?: number;
  readonly inFlightWritesMax?: number;
  readonly journal?: Partial<JournalOptions>;
  readonly shaper?: Shaper;
  readonly flow?: Partial<FlowPlan>;
}

/** A request and what was answered. */
export interface Asked {
  answer: Answer | null;
  /** The number of the write; throws when it was turned away or not answered yet. */
  readonly uow: number;
  readonly outcome: string | null;
  /** The code of the fault it was answered with. */
  readonly code: string | null;
}

export interface PutOptions {
  readonly flow?: string;
  readonly kind?: 'set' | 'delete';
  readonly conditions?: readonly Condition[];
  readonly respond?: 'settled' | 'held' | null;
  readonly waitMs?: number;
  readonly ttlMs?: number | null;
  readonly expiresAt?: number | null;
  readonly idempotencyKey?: string;
}

const PLAIN_SHAPER: Shaper = {
  shape: (_flow, record) => {
    const { keys, value } = JSON.parse(Buffer.from(record).toString()) as {
      keys: string[];
      value: string;
    };
    return Promise.resolve({ keys, value: Buffer.from(value), ttlMs: undefined });
  },
  checkValue: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

export class House {
  readonly schedule = new Schedule();
  readonly options: HouseOptions;
  disk: SimDisk;
  state = new MemoryState();
  /** Commits of State reject from now on. */
  stateFails = false;
  /** Commits of State wait until this is false. */
  stateStalls = false;
  wallJumpMs = 0;
  flows: ReadonlyMap<string, FlowPlan>;
  stores: readonly Store[];
  readonly settled: { uow: number; attempt: number; outcome: string | null }[] = [];
  readonly warnings: string[] = [];
  broken: Error | null = null;
  /** What the stashes of this life wrote down about their connections. */
  connections = new Connections();
  #engine: Engine | null = null;
  #generation = 0;

  constructor(options: HouseOptions) {
    this.options = options;
    const before = options.before ?? [];
    this.stores = [...before, options.reader];
    this.flows = this.flowsOf(
      before.map((store) => store.id),
      options.reader.id,
    );
    this.disk = new SimDisk(this.#diskOptions());
  }

  /** The two flows of the account, for a plan of stashes. */
  flowsOf(stashes: readonly string[], reader: string): ReadonlyMap<string, FlowPlan> {
    const flows = new Map<string, FlowPlan>();
    for (const respond of ['settled', 'held'] as const) {
      flows.set(`${ACCOUNT}/${respond}`, {
        account: ACCOUNT,
        flow: respond,
        generation: 1,
        stashes,
        reader,
        read: [reader, ...stashes],
        respond,
        ttlMs: null,
        mediaType: 'application/json',
        limits: { bodyBytesMax: 2048, keysPerRecordMax: 10, jsonDepthMax: 8, ttlMsMax: null },
        shaped: false,
        valueChecked: false,
        ...this.options.flow,
      });
    }
    return flows;
  }

  get engine(): Engine {
    if (this.#engine === null) throw new Error('the process is not running');
    return this.#engine;
  }

  #diskOptions(): SimDiskOptions {
    const alive = this.#alive();
    return {
      schedule: (done) => this.schedule.after(0.1, done, alive),
      random: NOTHING_SURVIVES,
    };
  }

  #alive(): () => boolean {
    const generation = this.#generation;
    return () => generation === this.#generation;
  }

  #clock(alive: () => boolean): Clock {
    const { schedule } = this;
    return {
      wallMs: () => Math.round(WALL_START_MS + schedule.nowMs + this.wallJumpMs),
      monotonicMs: () => schedule.nowMs,
      after: (ms, task) => ({ cancel: schedule.after(ms, task, alive) }),
      soon: (task) => {
        schedule.after(0.01, task, alive);
      },
    };
  }

  /** Starts the process on what is there; rejects as the start does. */
  async start(): Promise<Engine> {
    return await this.wait(this.begin());
  }

  /** Starts the process and leaves it to the test to move time. */
  async begin(): Promise<Engine> {
    const alive = this.#alive();
    const clock = this.#clock(alive);
    const random = { bytes: (count: number) => new Uint8Array(count).fill(7), fraction: () => 0.5 };
    const world: World = { clock, disk: this.disk, random };
    const { journal: journalOptions = {} } = this.options;
    const { journal } = await openJournal({
      directory: FOLDER,
      world,
      segmentBytes: 16 * 1024,
      recordBytesMax: 8 * 1024,
      reserveBytes: 0,
      ...journalOptions,
    });
    const connections = new Map(
      this.stores.map((store) => [store.id, new Connection(store, alive, () => clock.wallMs())]),
    );
    const engine = await Engine.start({
      world,
      journal,
      state: this.#stateFor(alive),
      stashes: connections,
      readers: connections,
      connections: (this.connections = new Connections()),
      flows: this.flows,
      shaper: this.options.shaper ?? PLAIN_SHAPER,
      journalKeepMs: this.options.journalKeepMs ?? LIMITS.journalKeepMs,
      dataDirectory: '/data',
      inFlightWritesMax: this.options.inFlightWritesMax ?? 1000,
      events: {
        settled: ({ uow, attempt, outcome }) => this.settled.push({ uow, attempt, outcome }),
        broken: (cause) => {
          this.broken ??= cause;
        },
        warned: (what) => this.warnings.push(what),
      },
    });
    this.#engine = engine;
    return engine;
  }

  /** State as a process reaches it: a commit takes a moment, and none lands after its death. */
  #stateFor(alive: () => boolean): State {
    const inner = this.state;
    const commit = (journalId: string, appliedTo: number, changes: readonly StateChange[]) =>
      new Promise<void>((done) => {
        const land = (): void => {
          if (this.stateStalls) this.schedule.after(1, land, alive);
          else done();
        };
        this.schedule.after(0.2, land, alive);
      }).then(() => {
        if (this.stateFails) throw new Error('no room');
        return inner.commit(journalId, appliedTo, changes);
      });
    return new Proxy<State>(inner, {
      get(target, name) {
        if (name === 'commit') return commit;
        const method = Reflect.get(target, name) as unknown;
        return typeof method === 'function' ? (method.bind(target) as unknown) : method;
      },
    });
  }

  /** The process dies; with `power` everything that was not synced is gone too. */
  crash(how: 'process' | 'power'): void {
    this.#generation += 1;
    this.#engine = null;
    this.broken = null;
    for (const store of this.stores) store.release();
    if (how === 'process') {
      this.disk = this.disk.restart(this.#diskOptions());
    } else {
      this.disk = this.disk.crash(NOTHING_SURVIVES, this.#diskOptions());
      this.state = this.state.crash(0);
    }
  }

  /** Ends the process as SIGTERM does. */
  async stop(limitMs = 1000): Promise<{ unsettled: number }> {
    const stopped = await this.wait(this.engine.stop(limitMs));
    this.#generation += 1;
    this.#engine = null;
    this.disk = this.disk.restart(this.#diskOptions());
    return stopped;
  }

  /** Moves time until the promise has settled. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    promise.then(end, end);
    await this.until('a promise settled', () => over);
    return await promise;
  }

  /** Moves time until the condition holds. */
  async until(what: string, condition: () => boolean): Promise<void> {
    // What was just asked for may not have set its first event yet.
    await settleMicrotasks();
    if (!(await this.schedule.until(condition, STEPS_MAX))) throw new Error(`never: ${what}`);
  }

  /** Lets this much time pass. */
  async pass(ms: number): Promise<void> {
    let over = false;
    this.schedule.after(ms, () => {
      over = true;
    });
    await this.until(`${ms} ms`, () => over);
  }

  /** Until every write is settled or waits for a time or a person, and State knows it. */
  async quiet(): Promise<void> {
    const { live, log } = this.engine;
    await this.until('quiet', () => {
      for (const write of live.all()) if (!write.kept && write.phase !== 'parked') return false;
      return log.appliedTo === log.journal.next;
    });
    await this.pass(50);
  }

  submit(request: Partial<WriteRequest>): Asked {
    const asked: Asked = {
      answer: null,
      get uow(): number {
        if (asked.answer === null || asked.answer.answer === 'turned-away') {
          throw new Error(`there is no write: ${JSON.stringify(asked.answer)}`);
        }
        return asked.answer.receipt.uow;
      },
      get outcome(): string | null {
        const { answer } = asked;
        return answer === null || answer.answer === 'turned-away' ? null : answer.receipt.outcome;
      },
      get code(): string | null {
        const { answer } = asked;
        if (answer === null || answer.answer === 'held') return null;
        return answer.fault?.code ?? null;
      },
    };
    const whole: WriteRequest = {
      account: ACCOUNT,
      flow: 'settled',
      kind: 'set',
      key: 'k',
      body: new Uint8Array(0),
      ttlMs: undefined,
      conditions: [],
      idempotencyKey: null,
      respond: null,
      waitMs: LIMITS.writeWaitMs,
      requestId: 'r',
      ...request,
    };
    this.engine.submit(whole, (answer) => {
      if (asked.answer !== null) throw new Error('a request was answered twice');
      asked.answer = answer;
    });
    return asked;
  }

  /** Sets (or deletes) one key. */
  put(key: string, value: string, options: PutOptions = {}): Asked {
    return this.submit({ key, body: Buffer.from(value), ...options });
  }

  /** Sends one record with several keys. */
  send(keys: readonly string[], value: string, options: PutOptions = {}): Asked {
    const body = Buffer.from(JSON.stringify({ keys, value }));
    return this.submit({ key: null, body, ...options });
  }

  /** Puts, and moves time until it is answered. */
  async putNow(key: string, value: string, options: PutOptions = {}): Promise<Asked> {
    const asked = this.put(key, value, options);
    await this.until(`an answer for ${key}`, () => asked.answer !== null);
    return asked;
  }

  /** The records of the intake that are on disk, oldest first. */
  async records(): Promise<IntakeRecord[]> {
    const { journal } = this.engine.log;
    const all: IntakeRecord[] = [];
    const read = async (): Promise<void> => {
      for await (const batch of journal.read(journal.first)) {
        for (const [at, bytes] of batch.records.entries())
          all.push(decode(bytes, batch.first + at));
      }
    };
    await this.wait(read());
    return all;
  }

  /** The types of the records that speak of this write, in order. */
  async storyOf(uow: number): Promise<string[]> {
    const mine = (await this.records()).filter((record) => {
      return 'write' in record ? record.write.uow === uow : 'u' in record && record.u === uow;
    });
    return mine.map((record) => (record.type === 'outcome' ? record.out : record.type));
  }

  /** The outcome of a write as its receipt tells it now. */
  async outcomeOf(uow: number): Promise<string | null> {
    const receipt = await this.wait(this.engine.receipt(uow));
    if (receipt === null || receipt === 'gone') return receipt;
    return receipt.outcome ?? receipt.state;
  }
}

/** The lane of a key in the flow that waits. */
export function lane(key: string, flow = 'settled'): string {
  return `${ACCOUNT}/${flow}/${key}`;
}
