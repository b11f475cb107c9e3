/**
 * One thread of the generator for machines without wrk: raw sockets, one request in flight on each,
 * requests made before the run begins where keys come again, answers counted by their
 * Content-Length and nothing more.
 */
import { connect, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { requestsOf, type Load, type Loaded } from './load.ts';

const EMPTY = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');

/** One connection; `onAnswer` is told the status and the milliseconds of each answer. */
class Line {
  readonly #socket: Socket;
  readonly #onAnswer: (status: number, ms: number) => void;
  #rest: Buffer = EMPTY;
  #sentAt = 0;

  constructor(url: URL, onAnswer: (status: number, ms: number) => void, onBroken: () => void) {
    this.#onAnswer = onAnswer;
    this.#socket = connect(Number(url.port), url.hostname);
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (bytes: Buffer) => this.#take(bytes));
    this.#socket.on('error', onBroken);
    this.#socket.on('close', onBroken);
  }

  send(request: Buffer): void {
    this.#sentAt = performance.now();
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = all;
    const end = all.indexOf(HEAD_END);
    if (end < 0) return;
    const head = all.toString('latin1', 0, end);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN);
    if (Number.isNaN(length)) throw new Error(`an answer without Content-Length: ${head}`);
    if (all.length < end + 4 + length) return;
    this.#rest = EMPTY;
    this.#onAnswer(Number(head.slice(9, 12)), performance.now() - this.#sentAt);
  }
}

/** What is sent next: a stride through the keys, or on and on. */
function requests(load: Load): () => Buffer {
  const requestOf = requestsOf(load);
  if (load.distinctFrom !== undefined) {
    let number = load.distinctFrom;
    return () => {
      number += 1;
      return requestOf(number);
    };
  }
  const made = Array.from({ length: load.keys }, (_, index) => requestOf(index + 1));
  let at = Math.floor(Math.random() * made.length);
  return () => {
    at = (at + 7919) % made.length;
    return made[at] as Buffer;
  };
}

async function run(load: Load): Promise<Loaded> {
  const next = requests(load);
  const times: number[] = [];
  const lines: Line[] = [];
  let wrong = 0;
  let stopped = false;
  for (let count = 0; count < load.connections; count += 1) {
    const line: Line = new Line(
      new URL(load.url),
      (status, ms) => {
        if (stopped) return;
        times.push(ms);
        if (status !== 200) wrong += 1;
        line.send(next());
      },
      () => {
        wrong += 1;
      },
    );
    lines.push(line);
  }
  const start = performance.now();
  for (const line of lines) line.send(next());
  await new Promise((done) => setTimeout(done, load.seconds * 1000));
  stopped = true;
  const seconds = (performance.now() - start) / 1000;
  for (const line of lines) line.close();
  times.sort((a, b) => a - b);
  const quantile = (share: number): number => times[Math.floor(times.length * share)] ?? 0;
  return { requests: times.length, seconds, wrong, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

parentPort?.postMessage(await run(workerData as Load));
