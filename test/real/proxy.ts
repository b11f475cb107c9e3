/**
 * A TCP proxy between Holdfast and a store that does on purpose what networks do at times: it
 * delays, keeps requests back and delivers them late (also those of a client that is gone),
 * loses replies, and breaks connections, in the middle of a request if need be. It knows nothing of
 * any protocol: it passes on bytes.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export interface ProxyTarget {
  readonly host: string;
  readonly port: number;
}

export interface ProxyCounts {
  /** Connections of clients that were taken so far. */
  readonly taken: number;
  /** Connections that were turned away by `refuse`. */
  readonly refused: number;
  /** Clients' connections that are open now. */
  readonly open: number;
  /** Bytes handed to the server so far. */
  readonly toServer: number;
  /** Bytes handed to clients so far. */
  readonly toClient: number;
  /** Bytes of requests that are kept back now. */
  readonly heldToServer: number;
  /** Bytes of replies that are kept back now. */
  readonly heldToClient: number;
}

export interface Proxy {
  readonly host: string;
  readonly port: number;
  /** Every byte in both directions comes this much later, in order; 0: at once. */
  delay(ms: number): void;
  /** Requests are taken from clients and kept, over every connection, later ones too. */
  hold(): void;
  /** From now on only those connections keep requests back which keep some already. */
  keepHeld(): void;
  /**
   * What was kept goes to the server, also over connections whose client is gone meanwhile; such a
   * connection is ended behind its last byte. Resolves when the server has closed those, hence read
   * all of it; after two seconds in any case.
   */
  release(): Promise<void>;
  /** Replies are taken from the server and kept. */
  holdReplies(): void;
  /** Replies that were kept go to those clients that are still there. */
  releaseReplies(): void;
  /**
   * Breaks every connection now. What `hold` keeps stays kept, to be delivered late: over a
   * connection to the server that the server still takes for alive.
   */
  cut(): void;
  /** Breaks every connection once this many more bytes have gone to the server. */
  cutAfterBytes(bytes: number): void;
  /** Whether new connections are turned away. */
  refuse(on: boolean): void;
  counts(): ProxyCounts;
  /** Resolves when `wanted` holds of the counts; rejects after five seconds. */
  seen(wanted: (counts: ProxyCounts) => boolean): Promise<void>;
  /** Ends everything; kept bytes are lost. */
  dispose(): Promise<void>;
}

const SEEN_MS_MAX = 5000;
const LAST_BYTES_MS_MAX = 2000;
const LOOK_MS = 2;

/** Changes what a client sends, chunk by chunk: for controls that need a store to be deceived. */
export type Rewrite = (bytes: Buffer) => Buffer;

/** Starts a proxy on a free port of this machine. */
export async function startProxy(target: ProxyTarget, rewrite?: Rewrite): Promise<Proxy> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  const proxy = new TcpProxy(server, target, rewrite ?? ((bytes) => bytes));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return proxy;
}

/** What is true of all connections. */
interface Weather {
  delayMs: number;
  /** Of connections that are taken from now on. */
  holding: boolean;
  holdingReplies: boolean;
  refusing: boolean;
  /** Bytes that may still go to servers before everything is broken; null: any number. */
  cutAfter: number | null;
}

class TcpProxy implements Proxy {
  readonly host = '127.0.0.1';
  readonly #server: Server;
  readonly #target: ProxyTarget;
  readonly #rewrite: Rewrite;
  readonly #links = new Set<Link>();
  readonly #weather: Weather = {
    delayMs: 0,
    holding: false,
    holdingReplies: false,
    refusing: false,
    cutAfter: null,
  };
  #taken = 0;
  #refused = 0;
  #toServer = 0;
  #toClient = 0;

  constructor(server: Server, target: ProxyTarget, rewrite: Rewrite) {
    this.#server = server;
    this.#rewrite = rewrite;
    this.#target = target;
    server.on('connection', (client: Socket) => this.#take(client));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  delay(ms: number): void {
    this.#weather.delayMs = ms;
  }

  hold(): void {
    this.#weather.holding = true;
    for (const link of this.#links) link.isHeld = true;
  }

  keepHeld(): void {
    this.#weather.holding = false;
    for (const link of this.#links) link.isHeld &&= link.requests.bytes > 0;
  }

  async release(): Promise<void> {
    this.#weather.holding = false;
    await Promise.all([...this.#links].map((link) => link.release()));
  }

  holdReplies(): void {
    this.#weather.holdingReplies = true;
  }

  releaseReplies(): void {
    this.#weather.holdingReplies = false;
    for (const link of this.#links) link.replies.flush();
  }

  cut(): void {
    this.#weather.cutAfter = null;
    for (const link of this.#links) link.cut();
  }

  cutAfterBytes(bytes: number): void {
    this.#weather.cutAfter = bytes;
  }

  refuse(on: boolean): void {
    this.#weather.refusing = on;
  }

  counts(): ProxyCounts {
    const links = [...this.#links];
    const sum = (each: (link: Link) => number): number =>
      links.reduce((total, link) => total + each(link), 0);
    return {
      taken: this.#taken,
      refused: this.#refused,
      open: links.filter((link) => link.clientIsThere).length,
      toServer: this.#toServer,
      toClient: this.#toClient,
      heldToServer: sum((link) => link.requests.bytes),
      heldToClient: sum((link) => link.replies.bytes),
    };
  }

  async seen(wanted: (counts: ProxyCounts) => boolean): Promise<void> {
    const end = performance.now() + SEEN_MS_MAX;
    while (!wanted(this.counts())) {
      if (performance.now() > end) {
        throw new Error(`never seen by the proxy: ${JSON.stringify(this.counts())}`);
      }
      await pause(LOOK_MS);
    }
  }

  async dispose(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const link of this.#links) link.destroy();
    await closed;
  }

  #take(client: Socket): void {
    if (this.#weather.refusing) {
      this.#refused += 1;
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    this.#taken += 1;
    const link = new Link(client, this.#target, this.#weather, {
      rewrite: this.#rewrite,
      toServer: (bytes) => this.#hand(bytes),
      toClient: (bytes) => {
        this.#toClient += bytes;
      },
      gone: () => this.#links.delete(link),
    });
    this.#links.add(link);
  }

  /** How many of `bytes` may go to a server; breaks everything when they are the last. */
  #hand(bytes: number): number {
    const left = this.#weather.cutAfter;
    const allowed = left === null ? bytes : Math.min(bytes, left);
    this.#toServer += allowed;
    if (left !== null) {
      this.#weather.cutAfter = left - allowed;
      if (left === allowed) setImmediate(() => this.cut());
    }
    return allowed;
  }
}

interface LinkEvents {
  readonly rewrite: Rewrite;
  readonly toServer: (bytes: number) => number;
  readonly toClient: (bytes: number) => void;
  readonly gone: () => void;
}

/** Bytes on their way in one direction: in order, each no earlier than it is due. */
class Lane {
  bytes = 0;
  readonly #chunks: { bytes: Buffer; dueMs: number }[] = [];
  readonly #write: (bytes: Buffer) => void;
  readonly #isHeld: () => boolean;
  readonly #delayMs: () => number;
  #timer: NodeJS.Timeout | null = null;

  constructor(isHeld: () => boolean, delayMs: () => number, write: (bytes: Buffer) => void) {
    this.#isHeld = isHeld;
    this.#delayMs = delayMs;
    this.#write = write;
  }

  add(bytes: Buffer): void {
    this.bytes += bytes.length;
    this.#chunks.push({ bytes, dueMs: performance.now() + this.#delayMs() });
    this.flush();
  }

  /** Passes on whatever may go now. */
  flush(): void {
    if (this.#isHeld()) return;
    for (let next = this.#chunks[0]; next !== undefined; next = this.#chunks[0]) {
      const waitMs = next.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = null;
          this.flush();
        }, waitMs);
        return;
      }
      this.#chunks.shift();
      this.bytes -= next.bytes.length;
      this.#write(next.bytes);
    }
  }

  drop(): void {
    this.#chunks.length = 0;
    this.bytes = 0;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** One client's connection and the one to the server that belongs to it. */
class Link {
  readonly requests: Lane;
  readonly replies: Lane;
  /** Whether its requests are kept back. */
  isHeld: boolean;
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #events: LinkEvents;
  #clientIsThere = true;
  #upstreamIsThere = true;

  constructor(client: Socket, target: ProxyTarget, weather: Weather, events: LinkEvents) {
    this.#client = client;
    this.#events = events;
    this.isHeld = weather.holding;
    this.#upstream = connect({ ...target, noDelay: true, allowHalfOpen: true });
    const delayMs = (): number => weather.delayMs;
    this.requests = new Lane(
      () => this.isHeld,
      delayMs,
      (bytes) => this.#up(bytes),
    );
    this.replies = new Lane(
      () => weather.holdingReplies,
      delayMs,
      (bytes) => this.#down(bytes),
    );
    client.on('data', (bytes: Buffer) => this.requests.add(events.rewrite(bytes)));
    this.#upstream.on('data', (bytes: Buffer) => this.replies.add(bytes));
    for (const event of ['end', 'error', 'close']) client.on(event, () => this.#clientGone());
    for (const event of ['end', 'error', 'close']) {
      this.#upstream.on(event, () => this.#upstreamGone());
    }
  }

  get clientIsThere(): boolean {
    return this.#clientIsThere;
  }

  async release(): Promise<void> {
    this.isHeld = false;
    const isLast = !this.#clientIsThere && this.#upstreamIsThere;
    const closed = new Promise<void>((done) => this.#upstream.once('close', () => done()));
    this.requests.flush();
    if (isLast) await Promise.race([closed, pause(LAST_BYTES_MS_MAX, undefined, { ref: false })]);
  }

  /** The client's side breaks at once; the server's too, unless bytes for it are kept. */
  cut(): void {
    this.#clientIsThere = false;
    this.#client.resetAndDestroy();
    this.replies.drop();
    if (this.requests.bytes === 0) this.destroy();
  }

  destroy(): void {
    this.requests.drop();
    this.replies.drop();
    this.#client.destroy();
    this.#upstream.destroy();
    this.#clientIsThere = false;
    this.#upstreamIsThere = false;
    this.#events.gone();
  }

  #up(bytes: Buffer): void {
    if (!this.#upstreamIsThere) return;
    const allowed = this.#events.toServer(bytes.length);
    if (allowed > 0) this.#upstream.write(bytes.subarray(0, allowed));
    if (!this.#clientIsThere && this.requests.bytes === 0) this.#upstream.end();
  }

  #down(bytes: Buffer): void {
    if (!this.#clientIsThere) return;
    this.#events.toClient(bytes.length);
    this.#client.write(bytes);
    if (!this.#upstreamIsThere && this.replies.bytes === 0) this.#client.end();
  }

  /** A client that goes while bytes of it are kept is, to the server, still there. */
  #clientGone(): void {
    if (!this.#clientIsThere) return;
    this.#clientIsThere = false;
    this.#client.destroy();
    this.replies.drop();
    if (this.requests.bytes === 0) this.destroy();
  }

  /** The server ended it: the client learns that behind the replies that are on their way. */
  #upstreamGone(): void {
    if (!this.#upstreamIsThere) return;
    this.#upstreamIsThere = false;
    this.requests.drop();
    if (this.replies.bytes > 0 && this.#clientIsThere) return;
    this.destroy();
  }
}
