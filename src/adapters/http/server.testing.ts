/**
 * A server of the HTTP stash for tests: the wire over a memory stash, with switches for whatever a
 * test wants it to answer, delay or forget instead.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Attempt, Mark } from '../../contracts/stash.ts';
import { digestOf } from '../../kernel/digest.ts';
import { realWorld } from '../../kernel/realworld.ts';
import { MemoryStash } from '../memory/stash.ts';
import { keysOf, signatureFault } from './signature.ts';

export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

/** A request as it came. */
export interface Heard {
  readonly type: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown>;
}

export interface Scripted {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Record<string, string>;
}

/** What a test does to a request: its own answer, nothing at all, or the usual (null). */
export type Play = (heard: Heard, res: ServerResponse) => Scripted | 'silence' | null;

export class WireServer {
  readonly heard: Heard[] = [];
  store = new MemoryStash({ id: 'behind', clock: realWorld().clock, outlives: true });
  /** Null in a server without sessions and mark. */
  session: string | null = 'none yet';
  mark: Mark | null = null;
  play: Play = () => null;
  #opened = 0;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (req, res) => {
      this.#take(req, res).catch((error: unknown) => res.destroy(error as Error));
    });
  }

  static async start(port = 0): Promise<WireServer> {
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new WireServer(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/stash`;
  }

  of(type: string): Heard[] {
    return this.heard.filter((each) => each.type === type);
  }

  /** As a process that comes up again: what is stored stays, the session does not. */
  restart(): void {
    this.session = 'none yet';
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #take(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of req) parts.push(part as Buffer);
    const bytes = Buffer.concat(parts);
    const type = (req.url ?? '').replace('/stash/', '');
    const headers = req.headers as Record<string, string | undefined>;
    const id = headers['webhook-id'] ?? '';
    const fault = signatureFault(keysOf(SECRET), id, Date.now(), headers, bytes);
    if (fault !== null) return send(res, { status: 401, body: JSON.stringify({ detail: fault }) });
    const body = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    const heard = { type, headers: req.headers, body };
    this.heard.push(heard);
    const played = this.play(heard, res);
    if (played === 'silence') return;
    send(res, played ?? (await this.answer(heard)));
  }

  /** What a sound server answers. */
  async answer({ type, body }: Heard): Promise<Scripted> {
    const ok = (reply: unknown): Scripted => ({ status: 200, body: JSON.stringify(reply) });
    if (type === 'probe') return ok({ checks: [] });
    if (type === 'mark') return this.#marked(body['open'] === true);
    if (this.session !== null && body['session'] !== this.session) {
      return { status: 412, body: '{"detail": "another session"}' };
    }
    const attempts = (body['attempts'] as Record<string, unknown>[]).map(attemptFrom);
    const mark = body['mark'] as Mark;
    if (type === 'holds') {
      const held = await this.store.holds(attempts);
      return ok({ replies: held.map((reply) => ({ reply })) });
    }
    const replies =
      type === 'apply'
        ? await this.store.apply(attempts, mark)
        : await this.store.undo(attempts, mark);
    if (this.session !== null) this.mark = mark;
    return ok({ replies });
  }

  #marked(open: boolean): Scripted {
    if (this.session === null) return { status: 404 };
    this.#opened += open ? 1 : 0;
    if (open) this.session = `session ${this.#opened}`;
    return { status: 200, body: JSON.stringify({ mark: this.mark, session: this.session }) };
  }
}

function send(res: ServerResponse, { status, body = '', headers = {} }: Scripted): void {
  res.writeHead(status, { 'content-type': 'application/json', ...headers });
  res.end(body);
}

function attemptFrom(row: Record<string, unknown>): Attempt {
  const { value = '', encoding = 'utf8', ...rest } = row;
  const bytes = Buffer.from(String(value), encoding as BufferEncoding);
  return { ...(rest as unknown as Attempt), value: bytes };
}

/** An attempt to set one key; whatever is not said is ordinary. */
export function attemptOf(uow: number, key = `key ${uow}`, value = `value of ${uow}`): Attempt {
  const bytes = new TextEncoder().encode(value);
  return {
    uow,
    attempt: 1,
    grant: { epoch: 1, counter: uow },
    account: 'acme',
    flow: 'orders',
    kind: 'set',
    keys: [key],
    value: bytes,
    digest: digestOf(bytes),
    expiresAt: null,
    heldAt: 0,
  };
}
