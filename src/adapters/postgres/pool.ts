/**
 * The connections that read: opened when one is wanted and none is free, up to a bound; who comes
 * later waits in line, no longer than a call may take.
 */
import type { Clock } from '../../kernel/world.ts';
import type { Connection } from './connection.ts';
import { Trouble } from './trouble.ts';

/** Reads that may wait for a connection. */
const WAITING_MAX = 10_000;

interface Waiting {
  readonly give: (connection: Connection) => void;
  readonly fail: (error: Error) => void;
}

export class ReadPool {
  readonly #max: number;
  readonly #withinMs: number;
  readonly #clock: Clock;
  readonly #open: () => Promise<Connection>;
  readonly #all = new Set<Connection>();
  readonly #free: Connection[] = [];
  readonly #waiting = new Set<Waiting>();
  #opening = 0;
  #closed: string | null = null;

  constructor(max: number, withinMs: number, clock: Clock, open: () => Promise<Connection>) {
    this.#max = max;
    this.#withinMs = withinMs;
    this.#clock = clock;
    this.#open = open;
  }

  /** Runs `work` with a connection that nobody else uses meanwhile. */
  async use<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = this.#free.pop() ?? (await this.#take());
    try {
      return await work(connection);
    } finally {
      this.#back(connection);
    }
  }

  #take(): Promise<Connection> {
    const closed = this.#closed;
    if (closed !== null) return Promise.reject(notNow(closed));
    if (this.#waiting.size >= WAITING_MAX) {
      return Promise.reject(notNow(`${WAITING_MAX} reads wait already`));
    }
    if (this.#all.size + this.#opening < this.#max) this.#openOne();
    return new Promise((resolve, reject) => {
      const done = (): void => {
        timer.cancel();
        this.#waiting.delete(waiting);
      };
      const waiting: Waiting = {
        give: (connection) => {
          done();
          resolve(connection);
        },
        fail: (error) => {
          done();
          reject(error);
        },
      };
      const timer = this.#clock.after(this.#withinMs, () => {
        waiting.fail(notNow(`no connection was free within ${this.#withinMs} ms`));
      });
      this.#waiting.add(waiting);
    });
  }

  #openOne(): void {
    this.#opening += 1;
    this.#open().then(
      (connection) => {
        this.#opening -= 1;
        if (this.#closed !== null) return connection.close(this.#closed);
        this.#all.add(connection);
        this.#back(connection);
        return undefined;
      },
      (error: unknown) => {
        this.#opening -= 1;
        const [first] = this.#waiting;
        const detail = error instanceof Error ? error.message : String(error);
        // With others at work the line goes on; with none, nobody would ever serve it.
        if (this.#all.size > 0) first?.fail(notNow(detail));
        else this.#failAll(detail);
      },
    );
  }

  #back(connection: Connection): void {
    if (!connection.isOpen) {
      this.#all.delete(connection);
      if (this.#waiting.size > 0 && this.#closed === null) this.#openOne();
      return;
    }
    const [next] = this.#waiting;
    if (next === undefined) this.#free.push(connection);
    else next.give(connection);
  }

  close(why: string): void {
    this.#closed = why;
    for (const connection of this.#all) connection.close(why);
    this.#all.clear();
    this.#free.length = 0;
    this.#failAll(why);
  }

  #failAll(why: string): void {
    // Each takes itself out of the set, which a set that is walked allows.
    for (const each of this.#waiting) each.fail(notNow(why));
  }
}

function notNow(why: string): Trouble {
  return new Trouble('outage', 'connection', why, false);
}
