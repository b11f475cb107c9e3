/**
 * One life of the process inside a simulated world: journal, State, connections and engine, started
 * on what the last life left behind, until it is killed or the world is quiet.
 */
import { Connections } from '../../src/fanout/connections.ts';
import { Engine } from '../../src/fanout/engine.ts';
import { openJournal } from '../../src/journal/journal.ts';
import type { FlowPlan, Shaper } from '../../src/contracts/flow.ts';
import type { MemoryState } from '../../src/adapters/memory/state.ts';
import type { State, StateChange } from '../../src/contracts/state.ts';
import type { Clock, World } from '../../src/kernel/world.ts';
import type { SimDisk } from './disk.ts';
import type { Chance, Schedule } from './schedule.ts';
import { SimStash } from './stash.ts';
import type { SimStore } from './store.ts';

export const ACCOUNT = 'acme';

/** The clock of one life: nothing it was asked for happens after its death. */
class LifeClock implements Clock {
  readonly #schedule: Schedule;
  readonly #chance: Chance;
  readonly #alive: () => boolean;
  /** Wall time minus simulated time; jumps. */
  wallOffsetMs: number;

  constructor(schedule: Schedule, chance: Chance, alive: () => boolean, wallOffsetMs: number) {
    this.#schedule = schedule;
    this.#chance = chance;
    this.#alive = alive;
    this.wallOffsetMs = wallOffsetMs;
  }

  wallMs(): number {
    return Math.round(this.#schedule.nowMs + this.wallOffsetMs);
  }

  monotonicMs(): number {
    return this.#schedule.nowMs;
  }

  after(ms: number, task: () => void): { cancel(): void } {
    return { cancel: this.#schedule.after(ms, task, this.#alive) };
  }

  soon(task: () => void): void {
    this.#schedule.after(this.#chance.fraction() * 0.05, task, this.#alive);
  }
}

/** State as a process reaches it: a commit takes a moment, and none lands after its death. */
function stateOf(inner: MemoryState, schedule: Schedule, alive: () => boolean): State {
  return new Proxy(inner, {
    get(target, name) {
      const method = Reflect.get(target, name) as unknown;
      if (typeof method !== 'function') return method;
      const call = method.bind(target) as (...args: unknown[]) => Promise<unknown>;
      if (name !== 'commit') return call;
      return (journalId: string, appliedTo: number, changes: readonly StateChange[]) =>
        new Promise((done) => {
          const land = (): void => {
            done(call(journalId, appliedTo, changes));
          };
          schedule.after(0.2, land, alive);
        });
    },
  });
}

export interface LifeParts {
  readonly schedule: Schedule;
  readonly chance: Chance;
  readonly disk: SimDisk;
  readonly state: MemoryState;
  readonly stores: readonly SimStore[];
  readonly flows: ReadonlyMap<string, FlowPlan>;
  readonly wallOffsetMs: number;
  readonly outcomes: Map<number, string>;
  readonly alive: () => boolean;
}

export class Life {
  readonly clock: LifeClock;
  readonly #parts: LifeParts;
  engine: Engine | null = null;
  /** Why the engine could not start, or broke: always a defect in a world without disk faults. */
  fault: unknown = null;
  /** Outcomes as they were settled, by uow: receipts do not stay for ever. */
  readonly #outcomes: Map<number, string>;

  constructor(parts: LifeParts) {
    this.#parts = parts;
    const { schedule, chance, alive, wallOffsetMs } = parts;
    this.#outcomes = parts.outcomes;
    this.clock = new LifeClock(schedule, chance, alive, wallOffsetMs);
  }

  /** Opens everything; `engine` is there once recovery is done. */
  async start(): Promise<void> {
    const { schedule, chance, disk, stores, alive, flows } = this.#parts;
    const world: World = {
      clock: this.clock,
      disk,
      random: { bytes: (count) => chance.bytes(count), fraction: () => chance.fraction() },
    };
    try {
      const { journal } = await openJournal({
        directory: '/data/journal',
        world,
        segmentBytes: 16 * 1024,
        recordBytesMax: 4 * 1024,
        reserveBytes: 0,
        idleSealMs: 100,
      });
      const connections = new Map<string, SimStash>();
      for (const store of stores) connections.set(store.id, new SimStash(store, alive));
      this.engine = await Engine.start({
        world,
        journal,
        state: stateOf(this.#parts.state, schedule, alive),
        stashes: connections,
        readers: connections,
        connections: new Connections(),
        flows,
        shaper: NO_SHAPER,
        journalKeepMs: 500,
        dataDirectory: '/data',
        inFlightWritesMax: 1000,
        events: {
          settled: (write) => {
            if (write.outcome !== null) this.#outcomes.set(write.uow, write.outcome);
          },
          broken: (cause) => {
            this.fault ??= cause;
          },
          warned: () => {},
        },
      });
    } catch (error) {
      this.fault ??= error;
    }
  }
}

const NO_SHAPER: Shaper = {
  shape: () => Promise.reject(new Error('no flow of a simulated world is shaped')),
  checkValue: () => Promise.resolve(),
  close: () => Promise.resolve(),
};
