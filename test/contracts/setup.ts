/** What the suites open an adapter with: as a running program would, less the program. */
import type {
  ConnectionBook,
  RecordedConnection,
  StashRole,
  StashSetup,
} from '../../src/contracts/spec.ts';
import { Callbacks } from '../../src/operate/callbacks.ts';
import type { World } from '../../src/kernel/world.ts';

export interface SetupWishes {
  readonly id: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly world: World;
  readonly dataDirectory?: string;
  /** If not said: member. */
  readonly role?: StashRole;
  /** Shared by the setups of one store over several starts. */
  readonly connections?: MemoryBook;
  /** If not said: every template is `account:flow:key`. */
  readonly render?: StashSetup['render'];
}

export function setupOf(wishes: SetupWishes): StashSetup {
  return {
    id: wishes.id,
    options: wishes.options,
    dataDirectory: wishes.dataDirectory ?? '',
    world: wishes.world,
    role: wishes.role ?? 'member',
    connections: wishes.connections ?? new MemoryBook(1),
    callbacks: new Callbacks(wishes.world.clock),
    render: wishes.render ?? ((_option, { account, flow, key }) => `${account}:${flow}:${key}`),
  };
}

/** A connection book that outlives what a test calls a process: hand `later()` to the next one. */
export class MemoryBook implements ConnectionBook {
  readonly epoch: number;
  readonly #kept: RecordedConnection[];

  constructor(epoch: number, kept: RecordedConnection[] = []) {
    this.epoch = epoch;
    this.#kept = kept;
  }

  /** The book of the next start. */
  later(): MemoryBook {
    return new MemoryBook(this.epoch + 1, this.#kept);
  }

  list(): Promise<readonly RecordedConnection[]> {
    return Promise.resolve([...this.#kept]);
  }

  record(connection: RecordedConnection): Promise<void> {
    this.#kept.push(connection);
    return Promise.resolve();
  }

  forget(connections: readonly RecordedConnection[]): Promise<void> {
    const gone = new Set(
      connections.map((each) => `${each.node} ${each.server} ${each.connection}`),
    );
    const kept = this.#kept.filter(
      (each) => !gone.has(`${each.node} ${each.server} ${each.connection}`),
    );
    this.#kept.splice(0, this.#kept.length, ...kept);
    return Promise.resolve();
  }
}
