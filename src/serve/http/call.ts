/**
 * Calls: one request on its way to one answer. Every answer of the server is written here, so that
 * each carries its request id, is counted once and logged by one rule.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

import { CATALOGUE, Fault } from '../../kernel/errors.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import type { Uow } from '../../kernel/words.ts';
import type { RouteTimes } from '../../telemetry/metrics.ts';
import { requestIdOf } from './headers.ts';
import type { Door, Told } from './door.ts';
import type { Query } from './query.ts';

/** Names and values in turn, as `writeHead` takes them. */
export type HeaderList = readonly string[];

const NO_HEADERS: HeaderList = [];

export class Call implements Told {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly door: Door;
  readonly requestId: string;
  /** Monotonic. */
  readonly startedMs: number;
  /** Set once the route is known. */
  times: RouteTimes | null = null;
  operation = 'none';
  /** On the hot path: what goes as it should is not worth a log line each. */
  quiet = false;
  writes = false;
  account: string | undefined;
  flow: string | undefined;
  key: string | undefined;

  constructor(door: Door, req: IncomingMessage, res: ServerResponse) {
    this.door = door;
    this.req = req;
    this.res = res;
    this.startedMs = door.clock.monotonicMs();
    const given = req.headers['x-request-id'];
    this.requestId = (given === undefined ? null : requestIdOf(given)) ?? door.nextRequestId();
  }

  /** The traceparent as it came; read only when a line is logged. */
  get trace(): string | string[] | undefined {
    return this.req.headers['traceparent'];
  }

  /** Writes the answer; `headers` come beside content type, length and request id. */
  answer(
    status: number,
    type: string,
    body: string | Uint8Array,
    headers: HeaderList = NO_HEADERS,
    uow?: Uow,
    outcome?: string,
  ): void {
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
    const list = ['Content-Type', type, 'Content-Length', String(length)];
    this.#write(status, list, body, headers, uow, outcome);
  }

  /** An answer without a body: 204, 304. */
  bare(status: number, headers: HeaderList = NO_HEADERS): void {
    this.#write(status, [], '', headers, undefined, undefined);
  }

  /** Serializes and answers 200 unless told otherwise; never kept by caches. */
  json(body: unknown, status = 200, headers: HeaderList = NO_HEADERS): void {
    const text = JSON.stringify(body);
    this.answer(status, 'application/json', text, ['Cache-Control', 'no-store', ...headers]);
  }

  /** Answers with a problem (RFC 9457). All but Faults are defects: logged whole, shown bare. */
  fail(error: unknown, headers: HeaderList = NO_HEADERS): void {
    const fault = error instanceof Fault ? error : this.#defect(error);
    const all = [...headers];
    if (fault.retryAfterMs !== undefined) {
      all.push('Retry-After', String(Math.max(1, Math.ceil(fault.retryAfterMs / 1000))));
    }
    const body = JSON.stringify(problemOf(fault, this.requestId));
    this.answer(fault.status, PROBLEM, body, all, fault.uow, fault.code);
  }

  #defect(error: unknown): Fault {
    const stack = error instanceof Error ? error.stack : String(error);
    this.door.log.logger.error({ request: this.requestId, stack }, 'defect');
    return new Fault('internal', 'Something unforeseen went wrong while answering.');
  }

  #write(
    status: number,
    list: string[],
    body: string | Uint8Array,
    headers: HeaderList,
    uow: Uow | undefined,
    outcome: string | undefined,
  ): void {
    const { res, door } = this;
    if (res.headersSent || res.destroyed) return;
    list.push('X-Request-Id', this.requestId);
    for (const part of headers) list.push(part);
    if (door.draining) list.push('Connection', 'close');
    res.writeHead(status, list);
    if (typeof body === 'string' || body.byteLength > ONE_WRITE_BYTES) res.end(body);
    else res.end(asLatin1(body), 'latin1');
    const ms = door.clock.monotonicMs() - this.startedMs;
    this.times?.observe(status, ms);
    door.tell(this, status, ms, uow, outcome);
  }
}

/** Up to this length bytes travel with their headers in one write; longer ones are not copied. */
const ONE_WRITE_BYTES = 16 * 1024;

/**
 * The same bytes as a text of as many characters. The http module joins headers with a text and
 * sends both at once; for bytes it makes two pieces, which costs about half of a small GET.
 */
function asLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** What was asked: path parameters decoded, query read by its row, body whole. */
export interface Asked {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Buffer;
}

export const PROBLEM = 'application/problem+json';

export interface Problem {
  type: string;
  code: ErrorCode;
  title: string;
  status: number;
  detail: string;
  hint: string;
  instance: string;
  errors?: unknown;
  uow?: Uow;
  report?: unknown;
}

/** The body of a problem. */
export function problemOf(fault: Fault, requestId: string): Problem {
  return {
    type: `/errors/${fault.code}`,
    code: fault.code,
    title: CATALOGUE[fault.code].title,
    status: fault.status,
    detail: fault.detail,
    hint: fault.hint,
    instance: requestId,
    ...(fault.errors === undefined ? {} : { errors: fault.errors }),
    ...(fault.uow === undefined ? {} : { uow: fault.uow }),
    ...(fault.report === undefined ? {} : { report: fault.report }),
  };
}
