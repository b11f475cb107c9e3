/**
 * The sockets to one server: a call is written once, on a connection that is kept alive, and its
 * end is certain. undici says when it starts to write, so that what failed before was never sent;
 * it is asked never to send anything a second time.
 */
import { Pool, type Dispatcher } from 'undici';
import type { Clock, Timer } from '../../kernel/world.ts';

/** How a call ended. */
export type Answer =
  | {
      readonly got: 'answer';
      readonly status: number;
      readonly retryAfter: string | undefined;
      readonly text: string;
    }
  /** Nothing of it was written to a socket. */
  | { readonly got: 'not-sent'; readonly why: string }
  /** Sent, and the connection broke or the time was over before the whole answer was here. */
  | { readonly got: 'lost'; readonly why: string };

export interface ConnectionOptions {
  /** Without a slash at the end. */
  readonly url: string;
  readonly sockets: number;
  readonly connectTimeoutMs: number;
  /** From the first look for a connection to the last byte of the answer. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

const REPLY_BYTES_MAX = 16 * 1024 * 1024;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #origin: string;
  readonly #prefix: string;
  #pool: Pool;
  #closed = false;

  constructor(options: ConnectionOptions) {
    const { origin, pathname } = new URL(options.url);
    this.#options = options;
    this.#origin = origin;
    this.#prefix = pathname.replace(/\/+$/, '');
    this.#pool = this.#open();
  }

  #open(): Pool {
    const { sockets, connectTimeoutMs } = this.#options;
    return new Pool(this.#origin, {
      connections: sockets,
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
      maxResponseSize: REPLY_BYTES_MAX,
      connect: { timeout: connectTimeoutMs },
    });
  }

  /** Ends whatever is under way and starts over with new sockets. */
  renew(): void {
    if (this.#closed) return;
    const before = this.#pool;
    this.#pool = this.#open();
    end(before, 'the connection was given up');
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    end(this.#pool, 'the stash was closed');
  }

  /** Never rejects. `headers` are names and values in turn. */
  post(path: string, body: string, headers: readonly string[]): Promise<Answer> {
    return new Promise((done) => {
      if (this.#closed) return done({ got: 'not-sent', why: 'the stash was closed' });
      const { timeoutMs, clock } = this.#options;
      const flight = new Flight(timeoutMs, clock, done);
      const request: Dispatcher.DispatchOptions = {
        path: `${this.#prefix}/${path}`,
        method: 'POST',
        headers: ['content-type', 'application/json', ...headers],
        body,
        idempotent: false,
      };
      try {
        this.#pool.dispatch(request, flight);
      } catch (error) {
        flight.onResponseError(null, error as Error);
      }
    });
  }
}

function end(pool: Pool, why: string): void {
  pool.destroy(new Error(why)).catch(() => {});
}

/** One call on its way. */
class Flight implements Dispatcher.DispatchHandler {
  readonly #done: (answer: Answer) => void;
  readonly #timer: Timer;
  readonly #parts: Buffer[] = [];
  #controller: Dispatcher.DispatchController | null = null;
  #over = false;
  #status = 0;
  #retryAfter: string | undefined;

  constructor(timeoutMs: number, clock: Clock, done: (answer: Answer) => void) {
    this.#done = done;
    this.#timer = clock.after(timeoutMs, () => {
      this.#end(`no answer within ${timeoutMs} ms`);
      this.#controller?.abort(new Error('out of time'));
    });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#over || this.#controller !== null) {
      // Out of time before there was a socket, or about to be sent again: neither may happen.
      this.#end('it would have been sent twice');
      controller.abort(new Error('not sent'));
      return;
    }
    this.#controller = controller;
  }

  onResponseStart(
    _controller: unknown,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    this.#status = status;
    const asked = headers['retry-after'];
    this.#retryAfter = typeof asked === 'string' ? asked : undefined;
  }

  onResponseData(_controller: unknown, part: Buffer): void {
    this.#parts.push(part);
  }

  onResponseEnd(): void {
    const text = Buffer.concat(this.#parts).toString('utf8');
    this.#tell({ got: 'answer', status: this.#status, retryAfter: this.#retryAfter, text });
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#end(wordsOf(error));
  }

  #end(why: string): void {
    this.#tell({ got: this.#controller === null ? 'not-sent' : 'lost', why });
  }

  #tell(answer: Answer): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer.cancel();
    this.#done(answer);
  }
}

function wordsOf(error: Error): string {
  const { code } = error as { code?: unknown };
  const of = error instanceof AggregateError ? error.errors : [];
  const words = [error.message, ...of.map((each) => String((each as Error).message))];
  const said = words.find((word) => word !== '') ?? error.name;
  return typeof code === 'string' && !said.includes(code) ? `${said} (${code})` : said;
}
