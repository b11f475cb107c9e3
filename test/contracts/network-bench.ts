/** What the conformance lines of networked stashes work with, beside test/contracts/bench.ts. */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import type { Attempt, StashReply } from '../../src/contracts/stash.ts';
import { Fault } from '../../src/kernel/errors.ts';
import type { Proxy } from '../real/proxy.ts';
import type { Server } from '../real/servers/server.ts';
import { MARK, attemptOf, everything, type StoreBench } from './bench.ts';

/** A store on a real server of its own, reached through a proxy. Its mark was not asked yet. */
export interface NetworkBench extends StoreBench {
  readonly proxy: Proxy;
  readonly server: Pick<Server, 'kill' | 'stop' | 'cont' | 'restart'>;
  /** The `timeout` it was opened with, in milliseconds; connecting takes no longer. */
  readonly timeoutMs: number;
  /** The largest value that the store, as it was opened, takes; null: more than a test may send. */
  readonly bytesMax: number | null;
  /**
   * False where no connection stands between two calls, so that a store which comes back between
   * them is not noticed. If not said: true.
   */
  readonly holdsConnections?: boolean;
  /** The next process: the same store through the same proxy, a later connection book. */
  openAgain(): Promise<StoreBench>;
}

/** How much longer than its time-out a call may take on a machine that is busy. */
const SLACK_MS = 2500;
const JOIN_MS_MAX = 20_000;
const TOLD_MS_MAX = 5000;
const LOOK_MS = 10;
const VALUE_CHARS = 1000;

/** The result, if it comes within the time-out of the bench; a call may try two things in turn. */
export async function inTime<T>(
  bench: { readonly timeoutMs: number },
  what: string,
  call: Promise<T>,
): Promise<T> {
  const withinMs = 2 * bench.timeoutMs + SLACK_MS;
  const timer = new AbortController();
  const late = pause(withinMs, undefined, { signal: timer.signal }).then(
    () => Promise.reject(new Error(`${what} took longer than ${withinMs} ms`)),
    () => new Promise<never>(() => {}),
  );
  try {
    return await Promise.race([call, late]);
  } finally {
    timer.abort();
  }
}

const HEARD = new WeakMap<object, string[]>();

/**
 * Asks for the mark until it is given, as the host does; each try must end in time. Returns the
 * list into which every later word of the store goes that it is apart.
 */
export async function joined(
  bench: StoreBench & { readonly timeoutMs?: number },
  timeoutMs = bench.timeoutMs ?? 0,
): Promise<string[]> {
  const told = HEARD.get(bench.stash) ?? [];
  if (!HEARD.has(bench.stash)) bench.stash.watch?.((why) => told.push(why));
  HEARD.set(bench.stash, told);
  const end = performance.now() + JOIN_MS_MAX;
  for (;;) {
    try {
      await inTime({ timeoutMs }, 'mark', bench.stash.mark());
      break;
    } catch (error) {
      if (performance.now() > end) throw error;
      await pause(LOOK_MS);
    }
  }
  told.length = 0;
  return told;
}

/** Resolves when the store has said that it is apart. */
export async function sounds(told: readonly string[]): Promise<void> {
  const end = performance.now() + TOLD_MS_MAX;
  while (told.length === 0) {
    assert.ok(performance.now() < end, 'nobody was told that the store is apart');
    await pause(LOOK_MS);
  }
}

export function isUnavailable(error: unknown): boolean {
  assert.ok(error instanceof Fault, `no Fault: ${String(error)}`);
  assert.equal(error.code, 'unavailable');
  return true;
}

export function wordsOf(replies: readonly { readonly reply: string }[]): string[] {
  return replies.map((reply) => reply.reply);
}

/** Attempts on keys of their own, of a thousand characters each. */
export function manyOf(firstUow: number, count: number, name: string): Attempt[] {
  return Array.from({ length: count }, (_, at) => {
    const uow = firstUow + at;
    return attemptOf(uow, `${name}${at}`, `value of ${uow} `.padEnd(VALUE_CHARS, '.'));
  });
}

/** Whether every key of the attempt reads as its value. */
export async function shown(bench: StoreBench, attempt: Attempt): Promise<boolean> {
  const { account, flow, keys, value } = attempt;
  const found = await bench.reader.get(account, flow, keys, everything);
  return found.every((one) => one !== null && Buffer.compare(one.value, value) === 0);
}

/** What was answered is what the store holds; `unknown` says nothing. */
export async function truth(
  bench: StoreBench,
  attempts: readonly Attempt[],
  replies: readonly StashReply[],
): Promise<void> {
  assert.equal(replies.length, attempts.length);
  for (const [at, attempt] of attempts.entries()) {
    const word = replies[at]?.reply;
    if (word === 'unknown') continue;
    const name = `${attempt.keys[0]} was answered ${word}`;
    assert.equal(await shown(bench, attempt), word === 'stored', name);
  }
}

/** As the host does with what was unknown or failed: once more, and then it is stored. */
export async function applyUntilStored(
  bench: StoreBench,
  attempts: readonly Attempt[],
): Promise<void> {
  const replies = await bench.stash.apply(attempts, MARK);
  for (const reply of replies) assert.equal(reply.reply, 'stored', JSON.stringify(reply));
}
