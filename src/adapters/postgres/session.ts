/**
 * The session of a stash with its server: one connection that writes, a few that read, from one
 * `mark()` until the first doubt. Then all of them end at once, and the store is apart until its
 * mark is asked for again.
 */
import { DatabaseError } from 'pg';
import type { ConnectionBook } from '../../contracts/spec.ts';
import type { Mark } from '../../contracts/stash.ts';
import { Fault } from '../../kernel/errors.ts';
import type { World } from '../../kernel/world.ts';
import type { Address } from './address.ts';
import { Connection, type Row, type Statement } from './connection.ts';
import { ReadPool } from './pool.ts';
import { UNKNOWN, greet, type Server } from './server.ts';
import { takeTables } from './shape.ts';
import { tablesOf, type Tables } from './tables.ts';
import { ConnectionLost, Trouble, troubleOf } from './trouble.ts';

export interface SessionSetup {
  readonly id: string;
  readonly address: Address;
  readonly schema: string;
  readonly table: string;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Connections that read, at most. */
  readonly readers: number;
  readonly world: World;
  readonly book: ConnectionBook;
}

interface Link {
  readonly server: Server;
  readonly writer: Connection;
  readonly pool: ReadPool;
  /** Stands in the row of the mark while this link may write. */
  readonly fence: string;
  /** Settles when the last write that was begun has; null when none is under way. */
  turn: Promise<unknown> | null;
}

/** Bytes that are given a second more than a call without any. */
const BYTES_A_SECOND = 8 * 1024 * 1024;

export class Session {
  readonly setup: SessionSetup;
  readonly tables: Tables;
  readonly #listeners: ((why: string) => void)[] = [];
  #link: Link | null = null;
  #opening: Promise<Mark | null> | null = null;
  #pending: Connection | null = null;
  #why = 'its mark was not asked for yet';
  #closed = false;
  #highest: Mark | null = null;
  #lossy = false;

  constructor(setup: SessionSetup) {
    this.setup = setup;
    this.tables = tablesOf(setup.schema, setup.table);
  }

  /** Why nothing is sent; null while the store may be used. */
  get apart(): string | null {
    return this.#link === null ? this.#why : null;
  }

  /** Whether what is not in the tables was never committed to them. */
  get isWhole(): boolean {
    const server = this.#link?.server;
    return server !== undefined && server.durable && server.data !== UNKNOWN && !this.#lossy;
  }

  watch(told: (why: string) => void): void {
    this.#listeners.push(told);
  }

  /** As `Stash.mark`; asked again while it connects, it gives the same answer. */
  mark(): Promise<Mark | null> {
    if (this.#closed) return Promise.reject(this.fault('it was closed'));
    if (this.#link !== null) return this.#readMark();
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #readMark(): Promise<Mark | null> {
    const { timeoutMs } = this.setup;
    const read = (writer: Connection) => writer.query(this.tables.books.read, [], timeoutMs);
    return markOf(await this.#told(this.#inTurn(read)));
  }

  /** Connects, and takes the right to write from every connection before this one. */
  async #open(): Promise<Mark | null> {
    const { address, connectTimeoutMs, timeoutMs, world, readers } = this.setup;
    let link: Link | null = null;
    const lost = (why: string): void => {
      if (link !== null && this.#link === link) this.part(why);
    };
    let writer: Connection | null = null;
    try {
      writer = Connection.to(address, world.clock, lost);
      this.#pending = writer;
      await writer.connect(connectTimeoutMs);
      const server = await greet(writer, timeoutMs);
      this.#fits(server);
      await takeTables(writer, this.tables, this.setup);
      await this.#remember(server);
      const fence = Buffer.from(world.random.bytes(8)).readBigInt64BE().toString();
      const mark = markOf(await writer.query(this.tables.books.take, [fence], timeoutMs));
      if (!writer.isOpen || this.#closed) throw new ConnectionLost('closed meanwhile', false);
      this.#compare(mark);
      const open = () => this.#another(server, lost);
      const pool = new ReadPool(readers, timeoutMs, world.clock, open);
      link = { server, writer, pool, fence, turn: null };
      this.#link = link;
      return mark;
    } catch (error) {
      writer?.close();
      if (error instanceof Fault) throw error;
      throw this.fault(`${address.label}: ${troubleOf(error).message}`);
    } finally {
      this.#pending = null;
    }
  }

  #fits({ inRecovery, encoding }: Server): void {
    const { label } = this.setup.address;
    if (inRecovery) throw this.fault(`${label} is a standby, which takes no writes`);
    if (encoding !== 'UTF8') {
      throw new Fault('unavailable', `the database ${label} is encoded in ${encoding}`, {
        hint: "Keys are Unicode: make one with CREATE DATABASE ... ENCODING 'UTF8'.",
      });
    }
  }

  /** Other data than at an earlier start may lack what was acknowledged then. */
  async #remember({ data }: Server): Promise<void> {
    const { book, address } = this.setup;
    const known = await book.list();
    if (known.some((each) => each.server !== data)) this.#lossy = true;
    if (known.some((each) => each.server === data)) return;
    const { host, port } = address;
    const node = `${host}:${port}`;
    await book.record({ node, server: data, connection: 'any', epoch: book.epoch });
  }

  /** A mark behind one that was stored tells of a loss. */
  #compare(mark: Mark | null): void {
    const highest = this.#highest;
    if (highest === null || mark?.journalId !== highest.journalId) {
      if (highest !== null) this.#lossy = true;
    } else if (mark.position < highest.position) this.#lossy = true;
    this.#highest = mark;
  }

  /** One more connection to the same server process; anything else means that all is in doubt. */
  async #another(server: Server, lost: (why: string) => void): Promise<Connection> {
    const { address, connectTimeoutMs, timeoutMs, world } = this.setup;
    const one = Connection.to(address, world.clock, lost);
    try {
      await one.connect(connectTimeoutMs);
      const now = await greet(one, timeoutMs);
      const same = now.data === server.data && now.started === server.started;
      if (!same) one.end('another server process answers');
      return one;
    } catch (error) {
      one.close();
      // A server that says no (too many connections) is there; of one that does not, all is in
      // doubt.
      if (!(error instanceof DatabaseError)) lost(troubleOf(error).message);
      throw error;
    }
  }

  /**
   * Runs a statement of `tables.writes` with the mark before its values. Throws Trouble: what is
   * not definite has made the store apart.
   */
  async write(
    statement: Statement,
    mark: Mark,
    lowest: number | null,
    values: readonly unknown[],
    bytes: number,
  ): Promise<Row> {
    const withinMs = this.setup.timeoutMs + Math.floor((bytes * 1000) / BYTES_A_SECOND);
    const { journalId, position, from } = mark;
    const run = async (writer: Connection, { fence }: Link): Promise<readonly Row[]> => {
      const all = [fence, journalId, position, from, lowest, ...values];
      return await writer.query(statement, all, withinMs);
    };
    const [row] = await this.#told(this.#inTurn(run));
    if (row === undefined || row[0] !== 1) {
      const why = 'another process has taken over its tables';
      this.part(why);
      throw new Trouble('outage', 'fenced', why, true);
    }
    if (this.#highest === null || this.#highest.position < position) this.#highest = mark;
    return row;
  }

  /** Reads on the connection that writes, behind all that was written. */
  look(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    const { timeoutMs } = this.setup;
    return this.#told(this.#inTurn((writer) => writer.query(statement, [...values], timeoutMs)));
  }

  /** Runs a statement beside the writes; throws Trouble. */
  read(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    const link = this.#link;
    if (link === null) return Promise.reject(this.#notSent());
    const { timeoutMs } = this.setup;
    return this.#told(link.pool.use((one) => one.query(statement, [...values], timeoutMs)));
  }

  /** Settles once everything that was handed to the connection before has been answered. */
  async idle(): Promise<void> {
    await this.#link?.turn;
  }

  /** One statement at a time on the connection that writes. */
  #inTurn<T>(work: (writer: Connection, link: Link) => Promise<T>): Promise<T> {
    const link = this.#link;
    if (link === null) return Promise.reject(this.#notSent());
    const before = link.turn;
    const result =
      before === null ? work(link.writer, link) : before.then(() => work(link.writer, link));
    const turn: Promise<unknown> = result
      .catch(() => null)
      .finally(() => {
        if (link.turn === turn) link.turn = null;
      });
    link.turn = turn;
    return result;
  }

  async #told<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      const trouble = troubleOf(error);
      if (trouble.meaning === 'unknown' || trouble.meaning === 'gone') {
        this.part(`${trouble.status}: ${trouble.message}`);
      }
      throw trouble;
    }
  }

  /** Ends every connection; the host is told once. */
  part(why: string): void {
    const link = this.#link;
    if (link === null) return;
    this.#link = null;
    this.#why = why;
    link.writer.close(why);
    link.pool.close(why);
    if (!this.#closed) for (const told of this.#listeners) told(why);
  }

  close(): void {
    this.#closed = true;
    this.#pending?.close();
    this.#why = 'it was closed';
    this.part('it was closed');
  }

  #notSent(): Trouble {
    return new Trouble('outage', 'apart', this.#why, false);
  }

  /** What a caller of a store that is apart is told. */
  fault(why: string): Fault {
    return new Fault('unavailable', `stash "${this.setup.id}" is out of reach: ${why}`);
  }
}

function markOf([row]: readonly Row[]): Mark | null {
  const [journalId, position, from] = row ?? [];
  if (typeof journalId !== 'string' || typeof position !== 'number') return null;
  return { journalId, position, from: typeof from === 'number' ? from : 0 };
}
