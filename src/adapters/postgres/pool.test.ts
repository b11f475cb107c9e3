/** Connections that read: bounded in number, used by one at a time, and nobody waits for ever. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { realWorld } from '../../kernel/realworld.ts';
import type { Connection } from './connection.ts';
import { ReadPool } from './pool.ts';
import { Trouble } from './trouble.ts';

class FakeConnection {
  isOpen = true;
  close(): void {
    this.isOpen = false;
  }
}

function poolOf(max: number, withinMs: number, fails: () => boolean = () => false) {
  const opened: FakeConnection[] = [];
  const open = async (): Promise<Connection> => {
    if (fails()) throw new Error('too many connections');
    const one = new FakeConnection();
    opened.push(one);
    return one as unknown as Connection;
  };
  return { pool: new ReadPool(max, withinMs, realWorld().clock, open), opened };
}

const isNotSent = (error: unknown): boolean => error instanceof Trouble && !error.sent;

test('opens no more than it may, and hands each to one reader at a time', async () => {
  const { pool, opened } = poolOf(2, 5000);
  const users = new Map<Connection, number>();
  const use = (): Promise<void> =>
    pool.use(async (connection) => {
      users.set(connection, (users.get(connection) ?? 0) + 1);
      assert.equal(users.get(connection), 1);
      await turn();
      users.set(connection, 0);
    });
  await Promise.all(Array.from({ length: 50 }, use));
  assert.equal(opened.length, 2);
});

test('one that was lost is replaced, also when its reader failed', async () => {
  const { pool, opened } = poolOf(1, 5000);
  const failing = pool.use(async (connection) => {
    connection.close();
    throw new Error('lost');
  });
  await assert.rejects(failing, /lost/);
  assert.equal(await pool.use(async (connection) => connection.isOpen), true);
  assert.equal(opened.length, 2);
});

test('who waits longer than a call may take is told so, and nothing was sent', async () => {
  const { pool } = poolOf(1, 20);
  let free = (): void => {};
  const holding = pool.use(() => new Promise<void>((resolve) => (free = resolve)));
  await assert.rejects(
    pool.use(async () => 1),
    isNotSent,
  );
  free();
  await holding;
  assert.equal(await pool.use(async () => 1), 1);
});

test('without any connection all who wait are told why', async () => {
  let fails = true;
  const { pool } = poolOf(2, 5000, () => fails);
  const all = [1, 2, 3].map((number) => pool.use(async () => number));
  for (const one of all) await assert.rejects(one, /too many connections/);
  fails = false;
  assert.equal(await pool.use(async () => 4), 4);
});

test('closing ends every connection and everybody who waits', async () => {
  const { pool, opened } = poolOf(1, 5000);
  const holding = pool.use(() => turn().then(() => 'done'));
  const waiting = pool.use(async () => 'never');
  await turn();
  pool.close('apart now');
  await assert.rejects(waiting, /apart now/);
  await holding;
  assert.ok(opened.every((one) => !one.isOpen));
  await assert.rejects(
    pool.use(async () => 1),
    isNotSent,
  );
});
