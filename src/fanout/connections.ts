/**
 * Connections: what stashes wrote down about the connections they opened, so that a later start can
 * end what a dead process may still have under way (P25). Intake records first, like all of State.
 */
import type { ConnectionBook, RecordedConnection } from '../contracts/spec.ts';
import type { State } from '../contracts/state.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { IntakeLog } from '../intake/log.ts';
import { encode } from '../intake/records.ts';
import { changesOf } from '../intake/view.ts';

const KIND = 'connections';

interface Rooms {
  readonly log: IntakeLog;
  readonly state: State;
  readonly epoch: number;
}

export class Connections {
  #rooms: Rooms | null = null;
  readonly #kept = new Map<string, RecordedConnection[]>();

  /** The engine is up as far as that its intake takes records. */
  join(rooms: Rooms): void {
    this.#rooms = rooms;
  }

  /** The book of one stash. */
  of(stash: string): ConnectionBook {
    const joined = (): Rooms => {
      if (this.#rooms === null)
        throw new RangeError('connections are asked before the intake is up');
      return this.#rooms;
    };
    return {
      get epoch() {
        return joined().epoch;
      },
      list: () => this.#list(joined(), stash),
      record: async (connection) => {
        const rooms = joined();
        const kept = [...(await this.#list(rooms, stash)), connection];
        await this.#keep(rooms, stash, kept.slice(-LIMITS.connectionsRecordedMax));
      },
      forget: async (connections) => {
        const rooms = joined();
        const gone = new Set(connections.map(nameOf));
        const kept = await this.#list(rooms, stash);
        await this.#keep(
          rooms,
          stash,
          kept.filter((each) => !gone.has(nameOf(each))),
        );
      },
    };
  }

  async #list({ state }: Rooms, stash: string): Promise<readonly RecordedConnection[]> {
    const kept = this.#kept.get(stash);
    if (kept !== undefined) return kept;
    const row = await state.document(KIND, stash);
    return (row?.body as RecordedConnection[] | undefined) ?? [];
  }

  async #keep({ log }: Rooms, stash: string, body: RecordedConnection[]): Promise<void> {
    this.#kept.set(stash, body);
    const row = { kind: KIND, id: stash, account: null, body, until: null };
    const record = { type: 'document', row } as const;
    await log.append([{ record: encode(record), changes: changesOf(record, null) }], 'settle');
  }
}

function nameOf({ node, server, connection }: RecordedConnection): string {
  return `${node} ${server} ${connection}`;
}
