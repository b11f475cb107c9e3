/**
 * What the conformance suites of stashes and readers work with: a store, a clock, made-up attempts.
 */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import type { Reader } from '../../src/contracts/reader.ts';
import type { Attempt, Mark, Stash } from '../../src/contracts/stash.ts';
import { digestOf } from '../../src/kernel/digest.ts';
import { realWorld } from '../../src/kernel/realworld.ts';
import type { World } from '../../src/kernel/world.ts';

export interface StoreBench {
  readonly stash: Stash;
  readonly reader: Reader;
  /** The store was opened to keep this many committed versions, and no age. */
  readonly keepVersions: number;
  /** What it keeps of a key; if not said, versions. */
  readonly keeps?: Keeps;
  readonly wall: Wall;
  /** What a restart of the process leaves; null where the store does not outlive it. */
  readonly reopen: (() => Promise<StoreBench>) | null;
  dispose(): Promise<void>;
}

/**
 * `versions`: every one. `before`: what stood there before the last attempt, so that it can be
 * undone. `newest`: only what was written last, never undone: a reader, whose writes are committed.
 */
export type Keeps = 'versions' | 'before' | 'newest';

/** Whether the host ever asks this store to take something back. */
export function undoes({ keeps }: StoreBench): boolean {
  return keeps !== 'newest';
}

/** A wall clock that stands still until it is moved. */
export class Wall {
  ms = START_MS;

  /** The moment `ms` after the start of a test. */
  after(ms: number): number {
    return START_MS + ms;
  }

  /** Goes to that moment. */
  async goTo(ms: number): Promise<void> {
    this.ms = this.after(ms);
  }

  /** Goes to shortly before that moment. */
  async goBefore(ms: number): Promise<void> {
    this.ms = this.after(ms) - 1;
  }

  /** Holds that of `of` milliseconds, counted from the start, `left` are left. */
  isLeft(ttlMs: number | null | undefined, left: number): void {
    assert.equal(ttlMs, left);
  }
}

/** The clock of a server, which nobody can stop: moments lie further apart, and are waited for. */
export class ServerWall extends Wall {
  #start: number | null = null;

  override after(ms: number): number {
    this.#start ??= Date.now();
    return this.#start + ms * PACE;
  }

  override async goTo(ms: number): Promise<void> {
    const moment = this.after(ms);
    while (Date.now() < moment) await pause(moment - Date.now());
  }

  override goBefore(ms: number): Promise<void> {
    return this.goTo(ms / 2);
  }

  override isLeft(ttlMs: number | null | undefined, left: number): void {
    const text = `${String(ttlMs)} left of ${left * PACE}`;
    assert.ok(typeof ttlMs === 'number' && ttlMs > 0 && ttlMs <= left * PACE, text);
  }
}

const PACE = 4;

/** 2026-01-01T00:00:00Z. */
export const START_MS = 1_767_225_600_000;

/** The real world with a wall clock of its own. */
export function worldOn(wall: Wall): World {
  const world = realWorld();
  return { ...world, clock: { ...world.clock, wallMs: () => wall.ms } };
}

export const MARK: Mark = { journalId: '0123456789abcdef0123456789abcdef', position: 41, from: 7 };

export const everything = (): boolean => true;

/** An attempt to set `keys`; whatever is not said is ordinary. */
export function attemptOf(
  uow: number,
  keys: string | readonly string[],
  value: string | Uint8Array = `value of ${uow}`,
  more: Partial<Attempt> = {},
): Attempt {
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
  return {
    uow,
    attempt: 1,
    grant: { epoch: 1, counter: uow },
    account: 'acme',
    flow: 'orders',
    kind: 'set',
    keys: typeof keys === 'string' ? [keys] : keys,
    value: bytes,
    digest: digestOf(bytes),
    expiresAt: null,
    heldAt: START_MS + (uow % 1_000_000),
    ...more,
  };
}

export function deleteOf(uow: number, key: string, more: Partial<Attempt> = {}): Attempt {
  return attemptOf(uow, key, '', { kind: 'delete', ...more });
}

/** The value as text, or null. */
export async function look(
  bench: StoreBench,
  key: string,
  account = 'acme',
  flow = 'orders',
): Promise<string | null> {
  const [found] = await bench.reader.get(account, flow, [key], everything);
  return found === null || found === undefined ? null : new TextDecoder().decode(found.value);
}

/** Applies and returns the words of the replies. */
export async function apply(bench: StoreBench, ...attempts: Attempt[]): Promise<string[]> {
  const replies = await bench.stash.apply(attempts, MARK);
  return replies.map((reply) => reply.reply);
}

export async function undo(bench: StoreBench, ...attempts: Attempt[]): Promise<string[]> {
  const replies = await bench.stash.undo(attempts, MARK);
  return replies.map((reply) => reply.reply);
}

/** Uows of the versions that are kept, newest first. */
export async function uowsOf(bench: StoreBench, key: string): Promise<number[]> {
  const { reader } = bench;
  const versions = await reader.history?.('acme', 'orders', key, null, 1000, everything);
  return (versions ?? []).map((version) => version.uow);
}

/** Prunes until nothing more goes; the number that went. */
export async function pruneAll(bench: StoreBench, belowUow: number): Promise<number> {
  let gone = 0;
  for (let round = 0; round < 1000; round += 1) {
    const went = await bench.stash.prune(belowUow);
    gone += went;
    if (went === 0) return gone;
  }
  throw new Error('pruning does not come to an end');
}

/** Keys that some store somewhere takes apart, folds, cuts or interprets. */
export const HOSTILE_KEYS: readonly string[] = [
  'a',
  'A',
  ' a',
  'a ',
  'a/b',
  'a:b',
  'a{b}c',
  '{}',
  '*',
  'a*',
  '?',
  '%',
  '%25',
  'a%2Fb',
  '_',
  '[a]',
  '\\',
  "'",
  '"',
  "'; DROP TABLE version; --",
  '`',
  '$ne',
  '$where',
  'a.b',
  '...',
  '__proto__',
  'constructor',
  'toString',
  'null',
  'undefined',
  'true',
  '0',
  '00',
  '1e3',
  '1000',
  '-1',
  '\n',
  '\r\n',
  '\t',
  '\u007f',
  '\u0001',
  '\u00e9',
  'e\u0301',
  '\u00df',
  'SS',
  'ss',
  '\u0130',
  '\u0131',
  '\ufeffa',
  '\u200d',
  '\u202e',
  '\uffff',
  '\ue000',
  '\u{10000}',
  '\u{10ffff}',
  '\u{1f600}',
  '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
  'k'.repeat(512),
  `${'k'.repeat(511)}l`,
  '\u{1f600}'.repeat(128),
];
