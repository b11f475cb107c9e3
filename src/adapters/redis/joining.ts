/**
 * Joining one Redis process: the write connection is named, known by its number and written down
 * before anything goes over it; every older one to the same process is ended by that process itself
 * (P25). When a process has answered `CLIENT KILL`, nothing that the killed connection ever sent
 * can take effect any more. That a client process died says nothing of the kind: what it had sent
 * may still wait in the server's socket, or even in its backlog.
 */
import type { ConnectionBook, RecordedConnection } from '../../contracts/spec.ts';
import { Fault } from '../../kernel/errors.ts';
import type { Clock } from '../../kernel/world.ts';
import { Link, nodeOf, type Answer } from './connection.ts';
import type { Access, Address } from './options.ts';
import { SCRIPTS } from './script.ts';

/** One process, joined. */
export interface Joined {
  readonly node: string;
  /** The process, as `run_id` names it. */
  readonly server: string;
  /** The server's number of the write connection. */
  readonly connection: string;
  readonly write: Link;
  readonly read: Link;
  /** No other process of this node was ever written to, as far as the book goes back. */
  readonly sameAsEver: boolean;
}

export interface JoinParts {
  readonly access: Access;
  readonly clock: Clock;
  readonly book: Book;
  /** Null where the fence is kept in side keys: connections need not be ended then. */
  readonly names: ConnectionNames | null;
  readonly cluster: boolean;
  readonly scripts: boolean;
  /** Gets every connection as soon as it is begun. */
  readonly begun: (link: Link) => void;
}

/** How the write connections of this store are named: all of them, and the next one. */
export interface ConnectionNames {
  readonly start: string;
  readonly next: () => string;
}

/** A number no connection has: killing it shows whether we may, and does nothing. */
const NOBODY = '9007199254740991';

/** Rejects with a Fault `unavailable` (or a LinkLost) when the process cannot be written to. */
export async function joinNode(parts: JoinParts, address: Address): Promise<Joined> {
  const { access, clock, begun } = parts;
  const write = await Link.open(address, access, clock, begun);
  let read: Link | null = null;
  try {
    const { server, connection } = await introduce(write, parts);
    const sameAsEver = await fence(write, server, connection, parts);
    if (parts.scripts) {
      for (const answer of await write.call(SCRIPTS.map(({ body }) => ['SCRIPT', 'LOAD', body]))) {
        if (answer instanceof Error) throw unavailable(`${write.node}: ${answer.message}`);
      }
    }
    read = await Link.open(address, access, clock, begun);
    const other = infoOf(await read.ask('INFO', 'server'));
    if (other.get('run_id') !== server) {
      throw unavailable(
        `${write.node}: two connections lead to two servers`,
        'Give the address of the server itself, not of a proxy or a balancer.',
      );
    }
    return { node: nodeOf(address), server, connection, write, read, sameAsEver };
  } catch (error) {
    write.close();
    read?.close();
    throw error;
  }
}

/** Gives the connection its name, and asks who answers. */
async function introduce(write: Link, { names, cluster }: JoinParts) {
  // The reply is waited for: a connection that sits in the backlog stands in no list.
  if (names !== null) await write.ask('CLIENT', 'SETNAME', names.next());
  const answers = await write.call([
    ['CLIENT', 'ID'],
    ['INFO', 'server'],
    ['INFO', 'replication'],
  ]);
  for (const answer of answers) {
    if (answer instanceof Error) {
      throw unavailable(
        `${write.node}: ${answer.message}`,
        'Holdfast needs CLIENT and INFO, to know which server process answers.',
      );
    }
  }
  const info = infoOf(answers[1]);
  const role = infoOf(answers[2]).get('role');
  const server = info.get('run_id') ?? '';
  if (server === '') throw unavailable(`${write.node} does not tell which process it is (run_id)`);
  if (role !== 'master') throw unavailable(`${write.node} is no master but ${role ?? 'unknown'}`);
  if (info.get('redis_mode') === 'cluster' && !cluster) {
    throw unavailable(`${write.node} is part of a cluster`, 'Say `cluster: true`.');
  }
  return { server, connection: String(answers[0]) };
}

/** Ends every older write connection to this process, then writes this one down. */
async function fence(
  write: Link,
  server: string,
  connection: string,
  { book, names }: JoinParts,
): Promise<boolean> {
  const all = (await book.list()).filter(({ node }) => node === write.node);
  const sameAsEver = all.every((each) => each.server === server);
  /*
   * Connections to another process of this node stay in the book until that process is met again.
   * They count as fenced for as long as a master of another run id answers here: the process they
   * led to has ended, or has lost its place to this one, and then whatever it still executes is
   * thrown away with the rest of its data when it follows the new master.
   */
  const older = all.filter((each) => each.server === server && each.connection !== connection);
  if (names !== null) {
    await kill(write, [NOBODY, ...older.map((each) => each.connection)]);
    await kill(write, await namesakes(write, names.start, connection));
  }
  await book.forget(older);
  const { node } = write;
  await book.record({ node, server, connection, epoch: book.epoch });
  return sameAsEver;
}

async function kill(write: Link, connections: readonly string[]): Promise<void> {
  if (connections.length === 0) return;
  const answers = await write.call(connections.map((id) => ['CLIENT', 'KILL', 'ID', id]));
  for (const answer of answers) {
    if (!(answer instanceof Error)) continue;
    throw unavailable(
      `${write.node} does not end connections: ${answer.message}`,
      'Allow CLIENT KILL, or say `fence: key`.',
    );
  }
}

/** For good measure: connections that bear our name though the book does not have them. */
async function namesakes(write: Link, start: string, own: string): Promise<string[]> {
  const [list] = await write.call([['CLIENT', 'LIST']]);
  if (typeof list !== 'string') return [];
  const found: string[] = [];
  for (const line of list.split('\n')) {
    const id = /(?:^| )id=(\d+)/.exec(line)?.[1];
    const name = /(?:^| )name=(\S*)/.exec(line)?.[1] ?? '';
    if (id !== undefined && id !== own && name.startsWith(start)) found.push(id);
  }
  return found;
}

/** What INFO tells, by name. */
export function infoOf(answer: Answer): ReadonlyMap<string, string> {
  const lines = typeof answer === 'string' ? answer.split('\r\n') : [];
  return new Map(
    lines
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

export function unavailable(detail: string, hint?: string): Fault {
  return new Fault('unavailable', detail, hint === undefined ? {} : { hint });
}

/** The connection book, one entry after the other: several nodes are joined at once. */
export class Book {
  readonly #book: ConnectionBook;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(book: ConnectionBook) {
    this.#book = book;
  }

  get epoch(): number {
    return this.#book.epoch;
  }

  list(): Promise<readonly RecordedConnection[]> {
    return this.#then(() => this.#book.list());
  }

  record(connection: RecordedConnection): Promise<void> {
    return this.#then(() => this.#book.record(connection));
  }

  forget(connections: readonly RecordedConnection[]): Promise<void> {
    if (connections.length === 0) return Promise.resolve();
    return this.#then(() => this.#book.forget(connections));
  }

  #then<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(task);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
