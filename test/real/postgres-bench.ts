/**
 * PostgreSQL stashes for tests, each on tables of its own in a server that the test has started.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { postgresAdapter } from '../../src/adapters/postgres/spec.ts';
import { Fault } from '../../src/kernel/errors.ts';
import { Wall, worldOn, type StoreBench } from '../contracts/bench.ts';
import { MemoryBook, setupOf } from '../contracts/setup.ts';

export const KEEP_VERSIONS = 3;

export interface PostgresBench extends StoreBench {
  readonly url: string;
  /** With its schema, as it is written in SQL. */
  readonly table: string;
  /** Runs SQL over a connection of its own; the rows as objects. */
  sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  /** What the stash was told when it became apart. */
  readonly told: readonly string[];
  /** As another process, over the same tables, that has not asked for the mark yet. */
  another(options?: Record<string, unknown>): Promise<StoreBench>;
}

/** Opened, and its mark asked for, as the host does before it uses a store. */
export async function postgresBench(
  url: string,
  options: Record<string, unknown> = {},
): Promise<PostgresBench> {
  const table = `t${randomBytes(6).toString('hex')}`;
  const opened: StoreBench[] = [];
  const book = new MemoryBook(1);
  const told: string[] = [];
  const wall = new Wall();
  const open = async (with_: Record<string, unknown>): Promise<StoreBench> => {
    const all = {
      url,
      table,
      schema: 'holdfast',
      keepVersions: KEEP_VERSIONS,
      keepFor: 1e12,
      ...options,
      ...with_,
    };
    const connections = opened.length === 0 ? book : book.later();
    const { stash, reader } = await postgresAdapter.open(
      setupOf({ id: 'history', options: all, world: worldOn(wall), connections }),
    );
    if (reader === undefined) throw new Error('a PostgreSQL stash can be read');
    const reopen = async (): Promise<StoreBench> => {
      const again = await open(with_);
      await again.stash.mark();
      return again;
    };
    const dispose = (): Promise<void> => stash.close();
    const bench = { stash, reader, keepVersions: KEEP_VERSIONS, wall, reopen, dispose };
    opened.push(bench);
    return bench;
  };
  const sql: PostgresBench['sql'] = async (text, values) => {
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text, values)).rows;
    } finally {
      await client.end();
    }
  };
  const first = await open({});
  first.stash.watch?.((why) => told.push(why));
  await first.stash.mark();
  return {
    ...first,
    url,
    table: `holdfast.${table}`,
    told,
    sql,
    another: (more = {}) => open(more),
    async dispose() {
      for (const one of opened) await one.stash.close();
    },
  };
}

export const TIMEOUT_MS = 400;
export const SHORT = { timeout: TIMEOUT_MS, connectTimeout: TIMEOUT_MS };

export const isUnavailable = (error: unknown): boolean =>
  error instanceof Fault && error.code === 'unavailable';

/** Runs `body` over a stash of its own, and disposes it. */
export function over(
  url: () => string,
  options: Record<string, unknown>,
  body: (bench: PostgresBench) => Promise<void>,
): () => Promise<void> {
  return async () => {
    const bench = await postgresBench(url(), options);
    try {
      await body(bench);
    } finally {
      await bench.dispose();
    }
  };
}

/** Asks for the mark until it is there, as the host does. */
export async function rejoin(bench: PostgresBench): Promise<void> {
  const end = performance.now() + 20_000;
  for (;;) {
    try {
      await bench.stash.mark();
      return;
    } catch (error) {
      assert.ok(isUnavailable(error), String(error));
      if (performance.now() > end) throw error;
      await pause(20);
    }
  }
}

/** Of the connection that writes: the one that has run nothing but our statements, first. */
export async function writerPid(bench: PostgresBench): Promise<number> {
  const rows = await bench.sql(
    `SELECT pid FROM pg_stat_activity WHERE query LIKE '%${bench.table.split('.')[1]}%'
     AND application_name = 'holdfast' ORDER BY backend_start LIMIT 1`,
  );
  return Number(rows[0]?.['pid']);
}

export const quoted = (bench: PostgresBench): string =>
  bench.table
    .split('.')
    .map((part) => `"${part}"`)
    .join('.');

export async function keysIn(bench: PostgresBench): Promise<unknown[]> {
  const rows = await bench.sql(`SELECT key FROM ${quoted(bench)} WHERE kind <> 2 ORDER BY key`);
  return rows.map((row) => row['key']);
}
