/**
 * One connection to PostgreSQL: opened once, bounded in every call, destroyed at the first doubt.
 * It never connects again and never sends anything twice.
 */
import { Socket } from 'node:net';
import { Client, DatabaseError } from 'pg';
import type { ClientConfig } from 'pg';
import type { Clock } from '../../kernel/world.ts';
import type { Address } from './address.ts';
import { ConnectionLost } from './trouble.ts';

/** A statement that a connection prepares when it meets it first. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Columns in order; `bigint` as number, `bytea` as Buffer, the rest as the driver gives it. */
export type Row = readonly unknown[];

const BYTEA = 17;
const INT8 = 20;
const INT2 = 21;
const INT4 = 23;
const BOOL = 16;

/** Numbers of ours are below 2^53, so none of them is rounded. */
const TYPES: NonNullable<ClientConfig['types']> = {
  getTypeParser: (oid: number) => {
    if (oid === BYTEA) return bytesOf;
    if (oid === INT8 || oid === INT4 || oid === INT2) return Number;
    if (oid === BOOL) return (text: string) => text === 't';
    return (text: string) => text;
  },
};

/** `\x` and hex digits: the session asks for this form. */
function bytesOf(text: string): Buffer {
  return Buffer.from(text.slice(2), 'hex');
}

/**
 * Where the server writes that a commit was not waited for (its function, not a translated text).
 */
const NOT_REPLICATED = 'SyncRepWaitForLSN';

export class Connection {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #told: (why: string) => void;
  #ended: string | null = null;
  #unwaited = false;

  private constructor(client: Client, socket: Socket, clock: Clock, told: (why: string) => void) {
    this.#client = client;
    this.#socket = socket;
    this.#clock = clock;
    this.#told = told;
    client.on('error', (error) => this.end(error.message));
    client.on('end', () => this.end('the server closed the connection'));
    client.on('notice', (notice) => {
      if (notice.routine === NOT_REPLICATED) this.#unwaited = true;
    });
  }

  /** Not connected yet. `lost` is told once, when it ends by itself or by a doubt. */
  static to(address: Address, clock: Clock, lost: (why: string) => void): Connection {
    const socket = new Socket();
    const { label: _, ...where } = address;
    const name = { application_name: 'holdfast' };
    const client = new Client({ ...where, ...name, stream: () => socket, types: TYPES });
    return new Connection(client, socket, clock, lost);
  }

  /** Once. Rejects with the driver's error, or ConnectionLost when it takes longer. */
  async connect(withinMs: number): Promise<void> {
    const late = `it does not answer within ${withinMs} ms`;
    const timer = this.#clock.after(withinMs, () => this.close(late));
    try {
      await this.#client.connect();
    } catch (error) {
      const why = this.#ended === null ? error : new ConnectionLost(this.#ended, false);
      this.close(why instanceof Error ? why.message : String(why));
      throw why;
    } finally {
      timer.cancel();
    }
  }

  get isOpen(): boolean {
    return this.#ended === null;
  }

  /**
   * Rejects with a DatabaseError when the server said no, with ConnectionLost when nothing came
   * within `withinMs`: the connection is ended then.
   */
  query(statement: Statement, values: unknown[], withinMs: number): Promise<readonly Row[]> {
    return this.#ask({ ...statement, values, rowMode: 'array' as const }, withinMs);
  }

  /** Runs statements that take no values, in one transaction unless they say otherwise. */
  async script(text: string, withinMs: number): Promise<void> {
    await this.#ask({ text, rowMode: 'array' as const }, withinMs);
  }

  #ask(
    config: { text: string; rowMode: 'array'; values?: unknown[]; name?: string },
    withinMs: number,
  ): Promise<readonly Row[]> {
    if (this.#ended !== null) return Promise.reject(new ConnectionLost(this.#ended, false));
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(withinMs, () => {
        this.end(`no answer within ${withinMs} ms`);
        reject(new ConnectionLost(`no answer within ${withinMs} ms`, true));
      });
      this.#client.query<unknown[]>(config, (error: Error | null, result) => {
        timer.cancel();
        if (error instanceof DatabaseError) return reject(error);
        if (error === null && !this.#unwaited) return resolve(result.rows ?? []);
        const why = error?.message ?? 'a commit was not replicated as it should have been';
        this.end(why);
        return reject(new ConnectionLost(why, true));
      });
    });
  }

  /** Ends it for a reason that the owner is told. */
  end(why: string): void {
    if (this.#ended !== null) return;
    this.close(why);
    this.#told(why);
  }

  /** Ends it at once, whatever is under way. */
  close(why = 'closed'): void {
    if (this.#ended !== null) return;
    this.#ended = why;
    this.#socket.destroy();
  }
}
