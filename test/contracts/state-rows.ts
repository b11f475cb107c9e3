/** Rows and helpers that the lines of the State suite share. */
import assert from 'node:assert/strict';
import type {
  DocumentRow,
  FailureFilter,
  FailureRow,
  IdempotencyRow,
  ReceiptRow,
  State,
  StateChange,
} from '../../src/contracts/state.ts';
import { Fault } from '../../src/kernel/errors.ts';
import { START_MS } from './bench.ts';

export interface StateBench {
  readonly state: State;
  /** The State that the next process finds after this one was killed. */
  reopen(): Promise<State>;
  dispose(): Promise<void>;
}

export const JOURNAL = 'fedcba9876543210fedcba9876543210';

export function failureRow(uow: number, more: Partial<FailureRow> = {}): FailureRow {
  return {
    uow,
    attempt: 1,
    account: 'acme',
    flow: 'orders',
    kind: 'set',
    keys: [`key ${uow}`],
    firstFailedAt: START_MS + uow,
    lastFailedAt: START_MS + uow + 5,
    parked: false,
    retryAt: null,
    reason: 'history: out of order',
    stash: 'history',
    status: 503,
    report: [{ stash: 'history', reply: 'failed', status: 503, detail: 'out of order', ms: 1.5 }],
    plan: new Uint8Array([0, 255, uow % 256]),
    ...more,
  };
}

export function receiptRow(uow: number, more: Partial<ReceiptRow> = {}): ReceiptRow {
  return {
    uow,
    attempt: 1,
    account: 'acme',
    flow: 'orders',
    kind: 'set',
    keys: [`key ${uow}`],
    outcome: 'committed',
    settledAt: START_MS + uow,
    report: [{ stash: 'history', reply: 'stored', ms: 0.25 }],
    existed: null,
    ...more,
  };
}

export function once(key: string, more: Partial<IdempotencyRow> = {}): IdempotencyRow {
  return { scope: 'acme/orders', key, digest: 'd', uow: 1, until: START_MS + 100, ...more };
}

export function documentRow(id: string, more: Partial<DocumentRow> = {}): DocumentRow {
  const body = { id, list: [1, 'two', null], deep: { __proto__x: true } };
  return { kind: 'job', id, account: null, body, until: null, ...more };
}

export const failed = (row: FailureRow): StateChange => ({ change: 'failure', row });
export const settled = (row: ReceiptRow): StateChange => ({ change: 'receipt', row });
export const used = (row: IdempotencyRow): StateChange => ({ change: 'idempotency', row });
export const written = (row: DocumentRow): StateChange => ({ change: 'document', row });

export async function commit(bench: StateBench, ...changes: StateChange[]): Promise<void> {
  await bench.state.commit(JOURNAL, 10, changes);
}

export function isBadCursor(error: unknown): boolean {
  return error instanceof Fault && error.code === 'bad-cursor';
}

export async function listed(bench: StateBench, filter: FailureFilter): Promise<number[]> {
  const page = await bench.state.failures(filter, null, 100);
  return page.items.map((row) => row.uow);
}

/** Ids of all pages, and that no page is longer than asked. */
export async function paged<T>(
  read: (cursor: string | null) => Promise<{ items: readonly T[]; cursor: string | null }>,
  limit: number,
): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | null = null;
  for (let pages = 0; pages < 1000; pages += 1) {
    const page = await read(cursor);
    assert.ok(page.items.length <= limit);
    all.push(...page.items);
    cursor = page.cursor;
    if (cursor === null) return all;
  }
  throw new Error('the pages do not come to an end');
}
