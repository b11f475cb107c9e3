/**
 * One connection to one Redis process. What is handed to it is written once or not at all: the
 * client is told never to connect again, never to queue while it is not connected, never to follow
 * a server that announces its move, and to set no timers of its own. Every call ends within a
 * bound; when that is over the connection is given up, since a late reply would be taken for the
 * reply to something else.
 *
 * The client rejects everything in flight when its socket breaks, but does not tell what of it had
 * been written. So whatever was handed over and not answered counts as sent.
 */
import { createClient, ErrorReply, RESP_TYPES } from '@redis/client';
import type { Clock } from '../../kernel/world.ts';
import type { Access, Address } from './options.ts';

export type Command = readonly (string | Buffer)[];

/** A reply; an error reply is an `Error`. */
export type Answer = unknown;

/** In place of the answer to a command whose connection broke first. */
export const UNANSWERED = Symbol('unanswered');

/** The connection broke. `answers` are those that had come, in order, else UNANSWERED. */
export class LinkLost extends Error {
  readonly answers: readonly Answer[];
  constructor(why: string, answers: readonly Answer[]) {
    super(why);
    this.answers = answers;
  }
}

/** As texts, save for `get`: made once, since the client copies what it is given. */
const AS_BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } } as const;

type Client = ReturnType<typeof clientOf>;

function clientOf({ host, port }: Address, access: Access) {
  const socket = { host, port, connectTimeout: access.connectTimeoutMs, reconnectStrategy: false };
  return createClient({
    RESP: 2,
    // A server that announces maintenance would otherwise move us to another one by itself.
    maintNotifications: 'disabled',
    disableClientInfo: true,
    disableOfflineQueue: true,
    // Else every command gets an abort signal and a timer of its own.
    commandOptions: { timeout: 0 },
    socket: access.tls ? { ...socket, tls: true } : socket,
    ...(access.username === null ? {} : { username: access.username }),
    ...(access.password === null ? {} : { password: access.password }),
    ...(access.database === 0 ? {} : { database: access.database }),
  } as Parameters<typeof createClient>[0]);
}

export class Link {
  /** `host:port`. */
  readonly node: string;
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #ended: string | null = null;
  #told: ((why: string) => void) | null = null;
  #inFlight = 0;

  private constructor(node: string, client: Client, clock: Clock, timeoutMs: number) {
    this.node = node;
    this.#client = client;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    client.on('error', (error: unknown) => this.end(messageOf(error)));
    client.on('terminated', (cause: unknown) => this.end(messageOf(cause)));
  }

  /**
   * Connects and logs in; rejects with a LinkLost when that is not done in time. `begun` gets the
   * link before that, so that it can be ended on the way.
   */
  static async open(
    to: Address,
    access: Access,
    clock: Clock,
    begun?: (link: Link) => void,
  ): Promise<Link> {
    const link = new Link(nodeOf(to), clientOf(to, access), clock, access.timeoutMs);
    begun?.(link);
    const timer = clock.after(access.connectTimeoutMs, () => {
      link.end(`no connection to ${link.node} within ${access.connectTimeoutMs} ms`);
    });
    try {
      await Promise.race([link.#connect(), link.#over()]);
    } catch (error) {
      link.end(messageOf(error));
    } finally {
      timer.cancel();
    }
    if (link.#ended !== null) throw new LinkLost(`${link.node}: ${link.#ended}`, []);
    return link;
  }

  async #connect(): Promise<void> {
    await this.#client.connect();
    // A client that is destroyed while it connects goes on, and would leave its socket open.
    if (this.#ended !== null) this.#client.destroy();
  }

  /** Rejects when the connection is given up before it was made: the client may wait for ever. */
  #over(): Promise<never> {
    return new Promise((_, reject) => {
      this.#told = (why) => reject(new Error(why));
    });
  }

  get alive(): boolean {
    return this.#ended === null;
  }

  /** True while something was sent and has not been answered. */
  get busy(): boolean {
    return this.#inFlight > 0;
  }

  /** `told` is called once, when the connection ends by itself or runs out of time. */
  whenLost(told: (why: string) => void): void {
    this.#told = told;
  }

  /**
   * Writes the commands, in order, in one go; one answer each. Rejects with a LinkLost when the
   * connection breaks or time runs out before all are answered.
   */
  async call(commands: readonly Command[], as: 'text' | 'bytes' = 'text'): Promise<Answer[]> {
    if (this.#ended !== null) throw new LinkLost(this.#ended, commands.map(unanswered));
    const sent = this.#send(commands, as);
    return this.#answers(sent);
  }

  /** The answer to one command; an error reply is thrown. */
  async ask(...command: readonly (string | Buffer)[]): Promise<Answer> {
    const [answer] = await this.call([command]);
    if (answer instanceof Error) throw answer;
    return answer;
  }

  /** Puts commands in the queue without waiting; `answers` must be called with what it returns. */
  #send(commands: readonly Command[], as: 'text' | 'bytes'): Promise<unknown>[] {
    const client = this.#client;
    const options = as === 'bytes' ? AS_BYTES : undefined;
    // oxlint-disable-next-line typescript/no-unsafe-argument
    return commands.map((command) => client.sendCommand(command as string[], options as never));
  }

  async #answers(sent: readonly Promise<unknown>[]): Promise<Answer[]> {
    const timer = this.#clock.after(this.#timeoutMs, () => {
      this.end(`no answer from ${this.node} within ${this.#timeoutMs} ms`);
    });
    this.#inFlight += 1;
    try {
      return await Promise.all(sent);
    } catch {
      return await this.#eachAnswer(sent);
    } finally {
      this.#inFlight -= 1;
      timer.cancel();
    }
  }

  async #eachAnswer(sent: readonly Promise<unknown>[]): Promise<Answer[]> {
    let lost: string | null = null;
    const ends = await Promise.allSettled(sent);
    const answers = ends.map((end): Answer => {
      if (end.status === 'fulfilled') return end.value;
      if (end.reason instanceof ErrorReply) return end.reason;
      lost ??= messageOf(end.reason);
      return UNANSWERED;
    });
    if (lost !== null) throw new LinkLost(this.#ended ?? lost, answers);
    // It may come back as a master with what another one had: whoever joins it then finds out.
    const other = answers.find((answer) => answer instanceof Error && isNoMaster(answer));
    if (other instanceof Error) this.end(`${this.node} is not the master it was: ${other.message}`);
    return answers;
  }

  /**
   * Begins a transaction for readers that gather until this turn of the loop is over. The client
   * writes behind whoever was put off before it, so what `finish` sends still goes out in the same
   * write. Nothing else may be sent on this connection in between.
   */
  begin(): { finish(commands: readonly Command[]): Promise<Answer[]> } {
    const first = this.#ended === null ? this.#send([['MULTI']], 'text') : [];
    // Looked at by `finish`, which may come after it has failed.
    for (const one of first) one.catch(() => {});
    return {
      finish: async (commands) => {
        const rest = this.#send([...commands, ['EXEC']], 'bytes');
        return this.#answers([...first, ...rest]);
      },
    };
  }

  /** Ends it at once; everything in flight is lost. Safe to call again. */
  end(why: string): void {
    if (this.#ended !== null) return;
    this.#ended = why;
    const told = this.#told;
    this.#told = null;
    try {
      this.#client.destroy();
    } catch {
      // It had ended by itself.
    }
    told?.(why);
  }

  /** Ends it without telling: whoever ends it knows. */
  close(): void {
    this.#told = null;
    this.end('closed');
  }
}

/** What a server says that follows another one now, or takes over what that one has. */
function isNoMaster({ message }: Error): boolean {
  return /^(?:READONLY|MASTERDOWN|LOADING)\b/.test(message);
}

function unanswered(): typeof UNANSWERED {
  return UNANSWERED;
}

export function nodeOf({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The words of an error; those of the network come as several errors in one. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(messageOf).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}
