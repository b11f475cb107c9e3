/**
 * The way to a MongoDB server, in lives: a life begins when the stash is asked for its mark and
 * ends with the first sign that the server may have lost something or that an answer may be lost.
 * Within a life the driver may open more sockets to the same server process; nothing is ever sent
 * on behalf of a life that ended, and nothing is sent twice: commands go out by `runCommand`, which
 * the driver does not repeat with retryReads and retryWrites off.
 */
import { MongoClient, type Db, type ServerDescription } from 'mongodb';
import { Fault } from '../../kernel/errors.ts';
import type { Clock, Timer } from '../../kernel/world.ts';
import type { Bson } from './documents.ts';
import { Trouble, isRejectedLogin, isStateChange, troubleOf } from './trouble.ts';

export interface ConnectionSetup {
  /** Never shown: it may hold a password. */
  readonly url: string;
  readonly database: string;
  readonly connectTimeoutMs: number;
  /** For one command, from the look for a socket to the last byte of its reply. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Sockets for calls; the driver has one or two more to watch the server with. */
const SOCKETS_MAX = 16;
const HEARTBEAT_MS = 5000;

/** A command of our own does not take this over from the client. */
const AS_BYTES = { promoteBuffers: true };

/** The server a life leads to. */
export interface ServerIdentity {
  readonly address: string;
  /** Of the server process, never used by another; null where it cannot be told. */
  readonly process: string | null;
  readonly topology: 'replica set' | 'standalone' | 'sharded';
  readonly hello: Bson;
}

interface Life {
  readonly client: MongoClient;
  readonly db: Db;
  /** What the driver saw last of each server. */
  readonly servers: Map<string, ServerDescription>;
  /** The calls under way; each is told when the life ends. */
  readonly calls: Set<(why: string) => void>;
  identity: ServerIdentity | null;
  ended: string | null;
}

export class Connection {
  readonly #setup: ConnectionSetup;
  #life: Life | null = null;
  #open = false;
  #closed = false;
  #told: ((why: string) => void) | null = null;

  /** Throws a Fault when the address can never work. */
  constructor(setup: ConnectionSetup) {
    this.#setup = setup;
    discard(this.#client());
  }

  get apart(): boolean {
    return !this.#open;
  }

  watch(told: (why: string) => void): void {
    this.#told = told;
  }

  #client(): MongoClient {
    const { url, connectTimeoutMs, timeoutMs } = this.#setup;
    try {
      return new MongoClient(url, {
        appName: 'holdfast',
        retryReads: false,
        retryWrites: false,
        readPreference: 'primary',
        promoteBuffers: true,
        serverSelectionTimeoutMS: connectTimeoutMs,
        connectTimeoutMS: connectTimeoutMs,
        socketTimeoutMS: timeoutMs,
        heartbeatFrequencyMS: HEARTBEAT_MS,
        minPoolSize: 1,
        maxPoolSize: SOCKETS_MAX,
        maxIdleTimeMS: 0,
      });
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw new Fault('bad-request', `the url is no address of a MongoDB server: ${detail}`, {
        hint: 'mongodb://user:password@host:27017/?replicaSet=rs0, special characters encoded.',
      });
    }
  }

  /**
   * Begins a life, closed to calls until `join`. Rejects when no server that takes writes answers
   * in time; with a Fault when it turns our credentials down.
   */
  async connect(): Promise<ServerIdentity> {
    if (this.#closed) throw new Trouble('not-sent', 'the stash is closed');
    if (this.#life !== null) this.#lose(this.#life, 'asked to connect again');
    const client = this.#client();
    const life: Life = {
      client,
      db: client.db(this.#setup.database),
      servers: new Map(),
      calls: new Set(),
      identity: null,
      ended: null,
    };
    this.#life = life;
    this.#listen(life);
    try {
      const { connectTimeoutMs } = this.#setup;
      await this.#bounded(life, connectTimeoutMs, () => client.connect());
      const send = (): Promise<Bson> => client.db('admin').command({ hello: 1 });
      const hello = await this.#bounded(life, connectTimeoutMs, send);
      life.identity = identityOf(hello, life.servers);
      return life.identity;
    } catch (error) {
      const trouble = troubleOf(error);
      this.#lose(life, trouble.message);
      if (!isRejectedLogin(trouble.code)) throw trouble;
      throw new Fault('unavailable', `the server rejects our credentials: ${trouble.message}`, {
        hint: 'Check user, password and authSource in the url, and the rights of the user.',
      });
    }
  }

  /** Opens the present life for calls; false when it has ended meanwhile. */
  join(): boolean {
    this.#open = this.#life !== null && !this.#closed;
    return this.#open;
  }

  /** Ends the present life without a word to anybody. */
  leave(why: string): void {
    this.#open = false;
    if (this.#life !== null) this.#lose(this.#life, why);
  }

  /** Runs a command on the stash's database; rejects with a Trouble. */
  command(command: Bson): Promise<Bson> {
    return this.#call((life) => life.db.command(command, AS_BYTES));
  }

  admin(command: Bson): Promise<Bson> {
    return this.#call((life) => life.client.db('admin').command(command));
  }

  /** Every document of a query, however many replies they take; rejects with a Trouble. */
  all(collection: string, filter: Bson, projection: Bson): Promise<Bson[]> {
    return this.#call((life) =>
      life.db
        .collection(collection)
        .find(filter as never, { projection })
        .toArray(),
    );
  }

  #call<T>(send: (life: Life) => Promise<T>): Promise<T> {
    const life = this.#life;
    if (life === null) return Promise.reject(new Trouble('not-sent', 'the store is apart'));
    return this.#bounded(life, this.#setup.timeoutMs, () => send(life));
  }

  /** Ends with the answer, with the life, or with the time; whichever comes first. */
  #bounded<T>(life: Life, ms: number, send: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let timer: Timer | null = null;
      const ends = (): boolean => {
        timer?.cancel();
        return life.calls.delete(lost);
      };
      const lost = (why: string): void => {
        if (ends()) reject(new Trouble('lost', why));
      };
      life.calls.add(lost);
      timer = this.#setup.clock.after(ms, () => this.#lose(life, `no answer within ${ms} ms`));
      send().then(
        (value) => {
          if (ends()) resolve(value);
        },
        (error: unknown) => {
          if (!ends()) return;
          const trouble = troubleOf(error);
          reject(trouble);
          if (endsLife(trouble)) this.#lose(life, trouble.message);
        },
      );
    });
  }

  #lose(life: Life, why: string): void {
    if (life.ended !== null) return;
    life.ended = why;
    const wasOpen = this.#open && this.#life === life;
    if (this.#life === life) {
      this.#life = null;
      this.#open = false;
    }
    for (const lost of life.calls) lost(why);
    discard(life.client);
    if (wasOpen && !this.#closed) this.#told?.(why);
  }

  /** What the driver sees of the server, and would otherwise mend without a word. */
  #listen(life: Life): void {
    const { client, servers } = life;
    const ours = (address: string): boolean =>
      life.identity !== null &&
      (life.identity.topology === 'sharded' || life.identity.address === address);
    client.on('serverDescriptionChanged', ({ address, newDescription }) => {
      servers.set(address, newDescription);
      const why = life.identity === null ? null : changeOf(life.identity, newDescription);
      if (why !== null) this.#lose(life, why);
    });
    client.on('connectionPoolCleared', ({ address }) => {
      if (ours(address)) this.#lose(life, `a connection to ${address} broke`);
    });
    client.on('connectionClosed', ({ address, reason }) => {
      if (ours(address) && reason === 'error') {
        this.#lose(life, `a connection to ${address} broke`);
      }
    });
    // An 'error' nobody listens to would end the process; each call is told its own.
    client.on('error', () => undefined);
  }

  close(): void {
    this.#closed = true;
    this.leave('the stash is closed');
  }
}

/** After these an answer may be lost, or another server may be the one that answers next. */
function endsLife({ how, code }: Trouble): boolean {
  return how === 'lost' || how === 'not-sent' || isStateChange(code);
}

/** Why what is seen of a server now ends a life that leads to `identity`; null when it does not. */
function changeOf(identity: ServerIdentity, seen: ServerDescription): string | null {
  if (identity.topology === 'sharded') return null;
  if (seen.address !== identity.address) {
    return seen.type === 'RSPrimary' ? `${seen.address} is the primary now` : null;
  }
  if (!seen.isWritable) {
    const why = seen.error?.message;
    return why === undefined ? `${seen.address} is ${seen.type}` : `${seen.address}: ${why}`;
  }
  const now = seen.topologyVersion?.processId.toHexString() ?? null;
  return now === identity.process ? null : `another server process answers at ${seen.address}`;
}

function identityOf(hello: Bson, servers: ReadonlyMap<string, ServerDescription>) {
  if (hello['isWritablePrimary'] !== true && hello['ismaster'] !== true) {
    const primary = typeof hello['primary'] === 'string' ? `; ${hello['primary']} is` : '';
    throw new Trouble('not-sent', `the server is not the primary${primary}`);
  }
  const writable = [...servers.values()].find((server) => server.isWritable);
  const { processId } = (hello['topologyVersion'] ?? {}) as {
    processId?: { toHexString(): string };
  };
  const sharded = hello['msg'] === 'isdbgrid';
  const identity: ServerIdentity = {
    address: writable?.address ?? '',
    // A router's process says nothing about those of the shards.
    process: sharded ? null : (processId?.toHexString() ?? null),
    topology: sharded ? 'sharded' : hello['setName'] === undefined ? 'standalone' : 'replica set',
    hello,
  };
  return identity;
}

/**
 * Closes the sockets at once. Closing otherwise begins with a word to the server about the sessions
 * that were used: one that does not answer would hold it up, and they expire by themselves.
 */
function discard(client: MongoClient): void {
  const { s } = client as unknown as { s?: { sessionPool?: { sessions?: { clear(): void } } } };
  s?.sessionPool?.sessions?.clear();
  client.close().catch(() => undefined);
}
