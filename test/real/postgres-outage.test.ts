/**
 * PostgreSQL away, stopped, killed, or late: what was in doubt is settled, and nothing takes
 * effect late.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import type { StashReply } from '../../src/contracts/stash.ts';
import { MARK, apply, attemptOf, everything, look, pruneAll, undo } from '../contracts/bench.ts';
import {
  SHORT,
  TIMEOUT_MS,
  isUnavailable,
  keysIn,
  over,
  quoted,
  rejoin,
  writerPid,
  type PostgresBench,
} from './postgres-bench.ts';
import { startProxy } from './proxy.ts';
import { withServer } from './servers/servers.ts';

await withServer('postgres', (server) => {
  const url = (): string => server().url;
  const test = (
    name: string,
    body: (bench: PostgresBench) => Promise<void>,
    options: Record<string, unknown> = SHORT,
  ): void => void it(name, over(url, options, body));

  test('a connection that ends is told once, and a new mark mends it', async (bench) => {
    await apply(bench, attemptOf(1, 'a'));
    assert.equal(await look(bench, 'a'), 'value of 1');
    await bench.sql('SELECT pg_terminate_backend($1)', [await writerPid(bench)]);
    while (bench.told.length === 0) await pause(5);
    await assert.rejects(bench.reader.get('acme', 'orders', ['a'], everything), isUnavailable);
    assert.deepEqual(await bench.stash.mark(), MARK);
    assert.deepEqual(await apply(bench, attemptOf(2, 'a')), ['stored']);
    assert.equal(await look(bench, 'a'), 'value of 2');
    assert.equal(bench.told.length, 1);
    assert.deepEqual(await bench.stash.holds([attemptOf(3, 'x')]), ['never']);
  });

  for (const fenced of [true, false]) {
    const what = fenced
      ? 'what runs long after its undo, the tombstone gone, does nothing'
      : 'control: without the fence that statement does take effect';
    test(what, async (bench) => {
      await apply(bench, attemptOf(1, 'a'));
      const mark = `${quoted(bench).slice(0, -1)}_mark"`;
      const [before] = await bench.sql(`SELECT fence FROM ${mark}`);
      const pid = await writerPid(bench);
      process.kill(pid, 'SIGSTOP');
      let late: readonly StashReply[];
      try {
        late = await bench.stash.apply([attemptOf(2, ['a', 'b'])], { ...MARK, position: 99 });
        assert.equal(late[0]?.reply, 'unknown');
        assert.equal(bench.told.length, 1);
        await rejoin(bench);
        await bench.stash.fence();
        assert.deepEqual(await undo(bench, attemptOf(2, ['a', 'b'])), ['undone']);
        assert.equal(await pruneAll(bench, 3), 1, 'the tombstone is pruned');
        if (!fenced) await bench.sql(`UPDATE ${mark} SET fence = $1`, [before?.['fence']]);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      const there = `SELECT 1 FROM pg_stat_activity WHERE pid = ${pid}`;
      while ((await bench.sql(there)).length > 0) await pause(5);
      assert.deepEqual(await keysIn(bench), fenced ? ['a'] : ['a', 'a', 'b']);
      const [row] = await bench.sql(`SELECT position::int FROM ${mark}`);
      assert.equal(row?.['position'], fenced ? MARK.position : 99);
    });
  }

  test('an undo that meets the late statement waits for it and wins', async (bench) => {
    const mark = `${quoted(bench).slice(0, -1)}_mark"`;
    const [before] = await bench.sql(`SELECT fence FROM ${mark}`);
    const other = new Client({ connectionString: bench.url });
    await other.connect();
    try {
      // As a backend that has begun our statement and not committed it.
      await other.query('BEGIN');
      await other.query(`UPDATE ${mark} SET fence = fence WHERE fence = $1`, [before?.['fence']]);
      await other.query(`INSERT INTO ${quoted(bench)} VALUES
        ('acme', 'orders', 'a', 1, 1, 0, 0, NULL, 'd', 'v')`);
      await bench.stash.close();
      const next = await bench.another();
      await assert.rejects(next.stash.mark(), isUnavailable, 'it still holds the mark');
      await other.query('COMMIT');
      await next.stash.mark();
      assert.deepEqual(await bench.sql(`SELECT key FROM ${quoted(bench)}`), [{ key: 'a' }]);
      assert.deepEqual(await undo(next, attemptOf(1, 'a')), ['undone']);
      assert.equal(await look(next, 'a'), null);
    } finally {
      await other.end();
    }
  });

  test('a reply that is lost is unknown, and found out after the mark', async (bench) => {
    const proxy = await startProxy({ host: server().host, port: server().port });
    try {
      const through = new URL(bench.url);
      through.port = String(proxy.port);
      const far = await bench.another({ url: through.href });
      await far.stash.mark();
      proxy.holdReplies();
      const bytes = proxy.counts().heldToClient;
      const answer = far.stash.apply([attemptOf(1, 'a')], MARK);
      await proxy.seen((counts) => counts.heldToClient > bytes);
      proxy.cut();
      assert.deepEqual(
        (await answer).map((reply) => reply.reply),
        ['unknown'],
      );
      proxy.releaseReplies();
      await far.stash.mark();
      await far.stash.fence();
      assert.deepEqual(await far.stash.holds([attemptOf(1, 'a')]), ['live']);
      assert.deepEqual(await apply(far, attemptOf(1, 'a')), ['stored']);
    } finally {
      await proxy.dispose();
    }
  });

  test('a stopped server hangs nothing, and is used when it goes on', async (bench) => {
    await apply(bench, attemptOf(1, 'a'));
    await look(bench, 'a');
    server().stop();
    const start = performance.now();
    try {
      const read = assert.rejects(
        bench.reader.get('acme', 'orders', ['a'], everything),
        isUnavailable,
      );
      const replies = await bench.stash.apply([attemptOf(2, 'b')], MARK);
      assert.equal(replies[0]?.reply, 'unknown');
      await read;
      assert.equal(bench.told.length, 1);
      await assert.rejects(bench.stash.mark(), isUnavailable);
      const [finding] = await bench.stash.probe();
      assert.equal(finding?.level, 'error');
      const took = performance.now() - start;
      assert.ok(took < 6 * TIMEOUT_MS, `${took} ms`);
    } finally {
      server().cont();
    }
    await rejoin(bench);
    await bench.stash.fence();
    assert.deepEqual(await undo(bench, attemptOf(2, 'b')), ['undone']);
    assert.equal(await look(bench, 'b'), null);
    assert.equal(await look(bench, 'a'), 'value of 1');
  });

  test('a killed server keeps what it acknowledged, and no more', async (bench) => {
    await apply(bench, attemptOf(1, 'a'));
    await server().kill();
    while (bench.told.length === 0) await pause(5);
    assert.deepEqual(await apply(bench, attemptOf(2, 'b')), ['failed']);
    await assert.rejects(bench.stash.mark(), isUnavailable);
    await server().restart();
    await rejoin(bench);
    assert.deepEqual(await bench.stash.mark(), MARK);
    assert.equal(await look(bench, 'a'), 'value of 1');
    const asked = [attemptOf(1, 'a'), attemptOf(2, 'b')];
    assert.deepEqual(await bench.stash.holds(asked), ['live', 'never']);
    assert.equal(bench.told.length, 1);
  });

  test('closing ends at once what is under way, and sends nothing after', async (bench) => {
    const closing = await bench.another();
    await closing.stash.mark();
    const other = new Client({ connectionString: bench.url });
    await other.connect();
    await other.query(`BEGIN; LOCK TABLE ${quoted(bench)} IN EXCLUSIVE MODE`);
    const under = closing.stash.apply([attemptOf(1, 'a')], MARK);
    const waits = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;
    while ((await bench.sql(waits)).length === 0) await pause(5);
    const start = performance.now();
    await closing.stash.close();
    assert.equal((await under)[0]?.reply, 'unknown');
    assert.ok(performance.now() - start < TIMEOUT_MS / 4);
    await other.end();
    const [after] = await closing.stash.apply([attemptOf(1, 'a')], MARK);
    assert.ok(after?.reply === 'failed' && after.apart === true);
    await assert.rejects(closing.stash.mark(), isUnavailable);
  });
});
