/**
 * The load that every side of a bench over HTTP gets: keys out of a set or each key once, JSON
 * bodies of one length, one request in flight on each connection. From `wrk` where it is installed,
 * which costs a core least, else from a thread with raw sockets.
 */
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

export interface Load {
  /** Everything before the key. */
  readonly url: string;
  readonly method: 'PUT' | 'GET';
  readonly connections: number;
  readonly seconds: number;
  /** How many there are, numbered from 1. */
  readonly keys: number;
  /** Every request has a key of its own instead, numbered on from here. */
  readonly distinctFrom?: number;
  readonly bodyBytes: number;
  /** Everything behind the key. */
  readonly suffix?: string;
}

export interface Loaded {
  readonly requests: number;
  readonly seconds: number;
  /** Answers other than 200 (with wrk: from 400 on) and broken connections. */
  readonly wrong: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const hasWrk = spawnSync('wrk', ['--version']).error === undefined;

/** Which generator this machine gets, in words. */
export const generator = hasWrk ? 'wrk, 1 thread' : 'raw sockets of node, 1 thread';

/** Runs the load once. Throws when an answer was wrong or none came: such figures mean nothing. */
export async function generate(load: Load): Promise<Loaded> {
  const loaded = hasWrk ? await byWrk(load) : await bySockets(load);
  const { requests, wrong } = loaded;
  if (wrong > 0 || requests === 0) {
    throw new Error(`${load.method} ${load.url}: ${requests} answers, ${wrong} of them wrong`);
  }
  return loaded;
}

async function byWrk(load: Load): Promise<Loaded> {
  const { method, url, connections, seconds, keys, bodyBytes, suffix = '' } = load;
  const script = join(import.meta.dirname, 'wrk.lua');
  const flags = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', script];
  const path = new URL(url).pathname;
  const lua = [method, path, `${keys}`, `${bodyBytes}`, `${load.distinctFrom ?? 0}`, suffix];
  const { stdout } = await promisify(execFile)('wrk', [...flags, url, ...lua]);
  const line = /^RESULT (.*)$/m.exec(stdout)?.[1];
  if (line === undefined) throw new Error(`wrk said: ${stdout}`);
  return JSON.parse(line) as Loaded;
}

async function bySockets(load: Load): Promise<Loaded> {
  const worker = new Worker(join(import.meta.dirname, 'sockets.ts'), { workerData: load });
  return await new Promise((done, failed) => {
    worker.once('message', done);
    worker.once('error', failed);
  });
}

/** The names of the keys, the same as in wrk.lua. */
export function keyOf(number: number): string {
  return `key-${String(number).padStart(5, '0')}`;
}

/** The body of a key, the same as in wrk.lua: all have the same length. */
export function bodyOf(key: string, bytes: number): string {
  const text = `{"key":"${key}","text":"`;
  return `${text}${'x'.repeat(bytes - text.length - 2)}"}`;
}

/** A whole request for a key by its number, ready to be written to a socket. */
export function requestsOf(load: Load): (number: number) => Buffer {
  const { url, method, bodyBytes, suffix = '' } = load;
  const { host, pathname } = new URL(url);
  return (number) => {
    const key = keyOf(number);
    const body = method === 'PUT' ? bodyOf(key, bodyBytes) : '';
    const length = method === 'PUT' ? `Content-Length: ${body.length}\r\n` : '';
    const head = `${method} ${pathname}${key}${suffix} HTTP/1.1\r\nHost: ${host}\r\n`;
    return Buffer.from(`${head}Content-Type: application/json\r\n${length}\r\n${body}`);
  };
}
