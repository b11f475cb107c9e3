/** The server as commands see it: one call, answered or explained. */
import { CommandFailed, EXIT } from './io.ts';
import type { CliIo } from './io.ts';

export const DEFAULT_SERVER = 'http://127.0.0.1:4180';

export interface CallInit {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** The part of a problem (RFC 9457) that is told. */
interface Problem {
  readonly title?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly instance?: string;
  readonly uow?: number;
  readonly report?: readonly {
    stash: string;
    reply: string;
    status?: string | number;
    detail?: string;
  }[];
  readonly errors?: readonly { pointer: string; detail: string }[];
}

export class Client {
  readonly #io: CliIo;
  readonly #base: string;

  /** Throws CommandFailed (usage) when `server` is no http URL. */
  constructor(io: CliIo, server: string) {
    const url = URL.parse(server);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw new CommandFailed(`--server: ${server} is no http URL`, EXIT.usage);
    }
    this.#io = io;
    this.#base = server.replace(/\/+$/, '');
  }

  /** A 2xx answer. Throws CommandFailed: 69 when nobody answers, 1 with the problem's words. */
  async call(path: string, init: CallInit = {}): Promise<Response> {
    let response: Response;
    try {
      response = await this.#io.fetch(this.#base + path, init);
    } catch (error) {
      const cause = (error as { cause?: { code?: string; message?: string } }).cause;
      const why = cause?.code ?? cause?.message ?? (error as Error).message;
      throw new CommandFailed(
        `${this.#base} does not answer (${why})\nhint: start it with "holdfast serve", or name ` +
          'another one with --server or HOLDFAST_SERVER',
        EXIT.unreachable,
      );
    }
    if (response.ok) return response;
    throw new CommandFailed(await wordsOf(response), EXIT.failed);
  }

  /** The JSON of a 2xx answer. */
  async json(path: string, init: CallInit = {}): Promise<Record<string, unknown>> {
    const response = await this.call(path, init);
    return (await response.json()) as Record<string, unknown>;
  }
}

async function wordsOf(response: Response): Promise<string> {
  const text = await response.text();
  let problem: Problem;
  try {
    problem = JSON.parse(text) as Problem;
  } catch {
    return `the server answered ${response.status}: ${text.slice(0, 200)}`;
  }
  const lines = [`${problem.title ?? response.status}: ${problem.detail ?? ''}`];
  for (const { pointer, detail } of problem.errors ?? []) lines.push(`  at ${pointer}: ${detail}`);
  for (const { stash, reply, status, detail } of problem.report ?? []) {
    const words = [status, detail].filter((word) => word !== undefined).join(' ');
    lines.push(`  ${stash}: ${reply}${words === '' ? '' : ` (${words})`}`);
  }
  if (problem.uow !== undefined) lines.push(`  uow ${problem.uow}`);
  if (problem.hint !== undefined) lines.push(`hint: ${problem.hint}`);
  if (problem.instance !== undefined) lines.push(`request ${problem.instance}`);
  return lines.join('\n');
}
