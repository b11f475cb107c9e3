/**
 * HTTP: the server people touch. Fastify routes and closes; the data resource goes past it,
 * straight from the socket to src/serve/http/data.ts, through the same calls, checks and answers.
 */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import Fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { Fault } from '../../kernel/errors.ts';
import { LIMITS } from '../../kernel/limits.ts';
import type { Clock, Random } from '../../kernel/world.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { ADMIN } from './admin.ts';
import type { AdminHandler } from './admin.ts';
import { discardBody, readBody } from './body.ts';
import { Call, PROBLEM, problemOf } from './call.ts';
import { answerData } from './data.ts';
import type { DataTimes } from './data.ts';
import { DATA_ROUTES } from './dataroutes.ts';
import { Door } from './door.ts';
import type { Ports } from './door.ts';
import { DATA_PREFIX } from './path.ts';
import { queryOf } from './query.ts';
import type { RouteRow } from './route.ts';
import { ADMIN_ROUTES, ROUTES } from './routes.ts';

export type { Ports } from './door.ts';

export interface HttpOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly world: { readonly clock: Clock; readonly random: Random };
  readonly log: Log;
  readonly metrics: Metrics;
  readonly version: string;
}

export interface HttpServer {
  /** For requests without a socket, in tests. */
  readonly app: FastifyInstance;
  readonly host: string;
  readonly port: number;
  /** Where people reach it: `http://127.0.0.1:4180`. */
  readonly url: string;
  /** Hands calls to these rooms from now on: recovery is done. */
  join(ports: Ports): void;
  /** From now on /ready says no and every answer closes its connection. */
  drain(): void;
  /**
   * Takes no more connections, lets requests under way end for at most `limitMs`, then cuts what is
   * left. Resolves with the number of connections that had to be cut.
   */
  close(limitMs: number): Promise<number>;
}

/** Starts listening; rejects when the address cannot be had. */
export async function startHttp(ports: Ports, options: HttpOptions): Promise<HttpServer> {
  const door = new Door(ports, options.world, options.log, options.metrics, options.version);
  const dataTimes = Object.fromEntries(
    Object.entries(DATA_ROUTES).map(([id, row]) => [id, door.metrics.route(row.method, row.path)]),
  ) as unknown as DataTimes;
  const { app, servers } = makeApp(door, dataTimes);
  try {
    await app.listen({ host: options.host, port: options.port });
  } catch (error) {
    door.draining = true;
    await app.close();
    throw error;
  }
  const { address, port } = (servers[0] as Server).address() as AddressInfo;
  const shown = address.includes(':') ? `[${address}]` : address;
  return {
    app,
    host: address,
    port,
    url: `http://${shown}:${port}`,
    join: (joined) => {
      door.ports = joined;
    },
    drain: () => {
      door.draining = true;
    },
    close: (limitMs) => close(door, app, servers, limitMs),
  };
}

/** Several servers where a name such as localhost has several addresses. */
interface Made {
  readonly app: FastifyInstance;
  readonly servers: readonly Server[];
}

function makeApp(door: Door, dataTimes: DataTimes): Made {
  const servers: Server[] = [];
  const app = Fastify({
    logger: false,
    return503OnClosing: false,
    exposeHeadRoutes: true,
    forceCloseConnections: 'idle',
    bodyLimit: Number.MAX_SAFE_INTEGER,
    routerOptions: {
      maxParamLength: 4096,
      onBadUrl: (_path, req, res) => {
        const call = new Call(door, req, res);
        if (call.req.url?.startsWith(DATA_PREFIX) === true) answerData(call, dataTimes);
        else unmatched(call);
      },
    },
    serverFactory: (handler) => {
      const server = createServer(TIMEOUTS, (req, res) => {
        const url = req.url as string;
        if (!url.startsWith('/')) req.url = originForm(url);
        if ((req.url as string).startsWith(DATA_PREFIX)) {
          answerData(new Call(door, req, res), dataTimes);
        } else {
          handler(req, res);
        }
      });
      server.on('clientError', refuseBroken);
      servers.push(server);
      return server;
    },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  for (const row of ADMIN_ROUTES) register(app, door, row);
  const data = taken((call) => answerData(call, dataTimes), door);
  app.all(`${DATA_PREFIX}*`, data);
  app.setNotFoundHandler(taken(unmatched, door));
  app.setErrorHandler((error, request, reply) => {
    taken((call) => {
      discardBody(call.req);
      call.fail(broken(error));
    }, door)(request, reply);
  });
  return { app, servers };
}

const TIMEOUTS = {
  headersTimeout: LIMITS.httpHeadersMs,
  requestTimeout: LIMITS.httpRequestMs,
  keepAliveTimeout: LIMITS.httpKeepAliveMs,
  noDelay: true,
};

/** The path and query of a request target in absolute form (RFC 9112 section 3.2.2). */
function originForm(target: string): string {
  return /^https?:\/\/[^/?]*(\/.*)$/i.exec(target)?.[1] ?? '/';
}

/** A Fastify handler that takes the raw request and answers it by itself. */
function taken(
  answer: (call: Call, params: Record<string, string>) => void,
  door: Door,
): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    reply.hijack();
    const params = request.params as Record<string, string>;
    answer(new Call(door, request.raw, reply.raw), params);
  };
}

function register(app: FastifyInstance, door: Door, row: RouteRow): void {
  const url = row.path.replaceAll(/\{(\w+)\}/g, ':$1');
  const times = door.metrics.route(row.method, row.path);
  const handler = ADMIN[row.id];
  if (handler === undefined) throw new Error(`nobody answers ${row.id}`);
  app.route({
    method: row.method,
    url,
    handler: taken((call, params) => {
      call.times = times;
      answerAdmin(call, row, handler, params);
    }, door),
  });
}

function answerAdmin(
  call: Call,
  row: RouteRow,
  handler: AdminHandler,
  params: Record<string, string>,
): void {
  call.operation = row.id;
  call.quiet = row.quiet === true;
  const work = async (body: Buffer): Promise<void> => {
    const url = call.req.url ?? '';
    const mark = url.indexOf('?');
    const query = queryOf(row.query, mark === -1 ? null : url.slice(mark + 1));
    await handler(call, { params, query, body });
  };
  readBody(call.req, LIMITS.bodyBytesMax, (fault, body) => {
    if (fault !== null) call.fail(fault);
    else work(body).catch((error: unknown) => call.fail(error));
  });
}

const PATTERNS = ROUTES.map((row) => ({
  method: row.method,
  pattern: new RegExp(`^${row.path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`),
}));

/** No route: 405 with Allow where another method has one, 404 otherwise. */
function unmatched(call: Call): void {
  discardBody(call.req);
  const path = (call.req.url ?? '').split('?', 1)[0] ?? '';
  const methods = PATTERNS.filter((row) => row.pattern.test(path)).map((row) => row.method);
  if (methods.length === 0) {
    call.fail(new Fault('not-found', 'No resource has this path.'));
    return;
  }
  const allow = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
  const fault = new Fault('method-not-allowed', `${call.req.method} is not for this path.`);
  call.fail(fault, ['Allow', allow.join(', ')]);
}

/** What Fastify itself refuses, in our words. */
function broken(error: unknown): unknown {
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new Fault('unsupported-media-type', 'the Content-Type is no media type');
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new Fault('bad-request', (error as Error).message);
  }
  return error;
}

/** What is not HTTP, too slow, or too long in its headers gets a problem and loses its socket. */
function refuseBroken(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const [status, reason, detail]: [number, string, string] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large', 'the headers are too long']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout', 'the request took too long to arrive']
        : [400, 'Bad Request', 'this is not a well-formed HTTP/1.1 request'];
  const fault = new Fault('bad-request', detail, { status });
  const body = JSON.stringify(problemOf(fault, '-'));
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: ${PROBLEM}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

async function close(
  door: Door,
  app: FastifyInstance,
  servers: readonly Server[],
  limitMs: number,
): Promise<number> {
  door.draining = true;
  let cut = 0;
  const timer = door.clock.after(limitMs, () => {
    for (const server of servers) {
      server.getConnections((_error, count) => {
        cut += count;
        server.closeAllConnections();
      });
    }
  });
  await app.close();
  timer.cancel();
  return cut;
}
