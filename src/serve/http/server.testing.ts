/** A server over fakes on a free port, for the tests of this folder. */
import assert from 'node:assert/strict';

import { realWorld } from '../../kernel/realworld.ts';
import { openLog } from '../../telemetry/log.ts';
import { Metrics } from '../../telemetry/metrics.ts';
import { fakePorts } from './fakes.testing.ts';
import type { Fakes } from './fakes.testing.ts';
import { startHttp } from './http.ts';
import type { HttpServer } from './http.ts';

export interface TestServer {
  readonly http: HttpServer;
  readonly fakes: Fakes;
  /** Log lines, parsed. */
  readonly lines: Record<string, unknown>[];
  readonly data: string;
  stop(): Promise<void>;
}

/** Starts one; the test must stop it. */
export async function testServer(
  logging: { level?: 'debug' | 'info'; keys?: boolean } = {},
): Promise<TestServer> {
  const world = realWorld();
  const lines: Record<string, unknown>[] = [];
  const to = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const { level = 'info', keys = false } = logging;
  const log = openLog({ level, keys, clock: world.clock, to });
  const metrics = new Metrics({ version: '1.2.3', node: process.version }, []);
  const fakes = fakePorts();
  const options = { host: '127.0.0.1', port: 0, world, log, metrics, version: '1.2.3' };
  const http = await startHttp(fakes, options);
  return {
    http,
    fakes,
    lines,
    data: `${http.url}/v1/data/default`,
    stop: async () => {
      await http.close(0);
    },
  };
}

/** Sends raw bytes on a socket of its own and resolves with all that came back until it closed. */
export async function rawExchange(port: number, bytes: string | Uint8Array): Promise<string> {
  const { connect } = await import('node:net');
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('close', () => resolve(text));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(text);
      else reject(error);
    });
    socket.write(bytes);
  });
}

export const JSON_TYPE = { 'content-type': 'application/json' };

/** The problem that an answer must be, its members checked. */
export async function problem(response: Response): Promise<Record<string, unknown>> {
  assert.equal(response.headers.get('content-type'), 'application/problem+json');
  const body = (await response.json()) as Record<string, unknown>;
  assert.equal(body['status'], response.status);
  assert.equal(body['type'], `/errors/${String(body['code'])}`);
  assert.equal(body['instance'], response.headers.get('x-request-id'));
  for (const name of ['title', 'detail', 'hint']) assert.equal(typeof body[name], 'string');
  return body;
}

/** Sets `path` below the account `default`, as JSON unless told otherwise. */
export async function put(
  server: TestServer,
  path: string,
  init: RequestInit = {},
): Promise<Response> {
  const { headers, ...rest } = init;
  const all = { ...JSON_TYPE, ...(headers as Record<string, string>) };
  return fetch(`${server.data}/${path}`, { method: 'PUT', body: '1', headers: all, ...rest });
}
