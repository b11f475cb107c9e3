/**
 * The fence of a Redis stash: what was sent before it takes no effect after it, whoever sent it. A
 * proxy keeps a command back and delivers it late, over a connection that the server takes for
 * alive; each promise has a control that shows the command would have taken effect.
 */
import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { Fault } from '../../src/kernel/errors.ts';
import { apply, attemptOf, look, MARK, type StoreBench } from '../contracts/bench.ts';
import { MemoryBook } from '../contracts/setup.ts';
import { startProxy, type Proxy } from './proxy.ts';
import { openRedis, type RedisWishes } from './redis-bench.ts';
import { ask } from './servers/redis-wire.ts';
import { serverOrSkip, type Server, type ServerName } from './servers/servers.ts';

const OPTIONS = { timeout: 400, connectTimeout: 400 };

interface Scene {
  readonly server: Server;
  readonly proxy: Proxy;
  open(wishes: RedisWishes): Promise<StoreBench>;
}

async function scene(t: TestContext, name: ServerName): Promise<Scene | null> {
  const server = await serverOrSkip(t, name);
  if (server === null) return null;
  const proxy = await startProxy(server);
  t.after(() => proxy.dispose());
  const url = `redis://127.0.0.1:${proxy.port}`;
  return {
    server,
    proxy,
    async open(wishes) {
      const options = { ...OPTIONS, url, ...wishes.options };
      const bench = await openRedis(server, { ...wishes, options });
      t.after(() => bench.dispose());
      return bench;
    },
  };
}

/** One apply whose bytes the proxy keeps, given up by its sender. */
async function sendHeld({ proxy }: Scene, bench: StoreBench): Promise<void> {
  proxy.hold();
  assert.deepEqual(await apply(bench, attemptOf(1, 'a', 'late')), ['unknown']);
  proxy.keepHeld();
}

for (const name of ['redis', 'valkey'] as const) {
  it(`on ${name}, what was sent before the mark was asked again takes no effect`, async (t) => {
    const here = await scene(t, name);
    if (here === null) return;
    const bench = await here.open({ role: 'reader' });
    await sendHeld(here, bench);
    await bench.stash.mark();
    assert.deepEqual(await apply(bench, attemptOf(2, 'a', 'newer')), ['stored']);
    await here.proxy.release();
    assert.equal(await look(bench, 'a'), 'newer');
  });

  for (const role of ['reader', 'member'] as const) {
    it(`on ${name}, a ${role} notices that it was emptied by its mark`, async (t) => {
      const here = await scene(t, name);
      if (here === null) return;
      const book = new MemoryBook(1);
      const bench = await here.open({ role, book });
      await apply(bench, attemptOf(1, 'a'));
      await apply(bench);
      await apply(bench);
      const told: string[] = [];
      bench.stash.watch?.((why) => told.push(why));
      assert.deepEqual(told, [], 'a mark that stands is simply moved on');
      await ask(here.server.port, undefined, ['FLUSHALL']);
      await apply(bench);
      assert.equal(told.length, 1, 'told once');
      assert.match(told[0] ?? '', /emptied/);
      const [reply] = await bench.stash.apply([attemptOf(2, 'a')], MARK);
      assert.ok(reply?.reply === 'failed' && reply.apart === true);
      assert.equal(await bench.stash.mark(), null, 'all of it is refilled');
      // Emptied while nobody was connected: then absence proves nothing.
      await apply(bench);
      await bench.stash.close();
      await ask(here.server.port, undefined, ['FLUSHALL']);
      const next = await here.open({ role, book: book.later() });
      assert.deepEqual(await next.stash.holds([attemptOf(1, 'a')]), ['cannot-tell']);
    });
  }

  it(`on ${name}, what a dead process had sent takes no effect after the next start`, async (t) => {
    const here = await scene(t, name);
    if (here === null) return;
    const book = new MemoryBook(1);
    const dead = await here.open({ role: 'reader', book });
    const known = await book.list();
    await sendHeld(here, dead);
    const next = await here.open({ role: 'reader', book: book.later() });
    const kept = await book.list();
    assert.ok(
      known.every((one) => !kept.includes(one)),
      'the book still has the dead connection',
    );
    assert.deepEqual(
      kept.map(({ epoch }) => epoch),
      [2],
    );
    await apply(next, attemptOf(2, 'a', 'newer'));
    await here.proxy.release();
    assert.equal(await look(next, 'a'), 'newer');
  });

  it(`on ${name}, control: without its connection being ended it would have`, async (t) => {
    const here = await scene(t, name);
    if (here === null) return;
    const dead = await here.open({ role: 'reader' });
    await sendHeld(here, dead);
    // Another store by its name, and one that knows of no earlier connection: it ends none.
    const next = await here.open({ role: 'reader', id: 'other' });
    await apply(next, attemptOf(2, 'a', 'newer'));
    await here.proxy.release();
    assert.equal(await look(next, 'a'), 'late');
  });

  it(`on ${name}, a fence beside the key turns a late attempt away, nothing ended`, async (t) => {
    const here = await scene(t, name);
    if (here === null) return;
    const bench = await here.open({ role: 'reader', options: { fence: 'key' } });
    await sendHeld(here, bench);
    await bench.stash.mark();
    assert.deepEqual(await apply(bench, attemptOf(2, 'a', 'newer')), ['stored']);
    await here.proxy.release();
    assert.equal(await look(bench, 'a'), 'newer');
  });
}

it('P25: a connection is in the book before anything is written over it', async (t) => {
  const server = await serverOrSkip(t, 'redis');
  if (server === null) return;
  class Refusing extends MemoryBook {
    override record(): Promise<void> {
      return Promise.reject(new Error('the disk is full'));
    }
  }
  const bench = await openRedis(server, { book: new Refusing(1), apart: true });
  t.after(() => bench.dispose());
  await assert.rejects(bench.stash.mark(), isUnavailable);
  assert.deepEqual(await apply(bench, attemptOf(1, 'a')), ['failed']);
  assert.deepEqual(await ask(server.port, undefined, ['DBSIZE']), [0]);
});

it('a server that may not end connections is not written to, and told apart', async (t) => {
  const server = await serverOrSkip(t, 'redis');
  if (server === null) return;
  await ask(server.port, undefined, ['ACL', 'SETUSER', 'small', 'on', '>pw', '~*', '+@all']);
  await ask(server.port, undefined, ['ACL', 'SETUSER', 'small', '-client|kill']);
  const options = { username: 'small', password: 'pw' };
  const bench = await openRedis(server, { options, apart: true });
  t.after(() => bench.dispose());
  await assert.rejects(bench.stash.mark(), (error) => isUnavailable(error) && hints(error, 'key'));
  const findings = await bench.stash.probe();
  assert.ok(findings.some(({ check, level }) => check === 'fence' && level === 'error'));
  const other = await openRedis(server, { options: { ...options, fence: 'key' } });
  t.after(() => other.dispose());
  assert.deepEqual(await apply(other, attemptOf(1, 'a')), ['stored']);
});

it('another process at the same address: apart, its book kept until that one is met', async (t) => {
  const server = await serverOrSkip(t, 'redis');
  if (server === null) return;
  const book = new MemoryBook(1);
  const bench = await openRedis(server, { book, role: 'reader' });
  t.after(() => bench.dispose());
  const told: string[] = [];
  bench.stash.watch?.((why) => told.push(why));
  await bench.stash.apply([], MARK);
  await server.restart({ empty: true });
  const [reply] = await bench.stash.apply([attemptOf(1, 'a')], MARK);
  assert.ok(reply?.reply === 'failed' && reply.apart === true && !reply.sent);
  assert.equal(told.length, 1);
  assert.equal(await bench.stash.mark(), null);
  const servers = new Set((await book.list()).map((one) => one.server));
  assert.equal(servers.size, 2);
  assert.deepEqual(await bench.stash.holds([attemptOf(9, 'z')]), ['cannot-tell']);
});

it('a master that becomes a replica parts, and joins as a master again', async (t) => {
  const server = await serverOrSkip(t, 'redis');
  if (server === null) return;
  const bench = await openRedis(server, { role: 'reader' });
  t.after(() => bench.dispose());
  const told: string[] = [];
  bench.stash.watch?.((why) => told.push(why));
  await ask(server.port, undefined, ['REPLICAOF', '127.0.0.1', '1']);
  const [reply] = await bench.stash.apply([attemptOf(1, 'a')], MARK);
  assert.ok(reply?.reply === 'failed' && reply.outage === true, JSON.stringify(reply));
  // What it had may be replaced by what its master has, under the same run id.
  assert.equal(told.length, 1);
  await assert.rejects(bench.stash.mark(), isUnavailable);
  await ask(server.port, undefined, ['REPLICAOF', 'NO', 'ONE']);
  await bench.stash.mark();
  assert.deepEqual(await apply(bench, attemptOf(1, 'a')), ['stored']);
});

function isUnavailable(error: unknown): error is Fault {
  return error instanceof Fault && error.code === 'unavailable';
}

function hints(error: Fault, word: string): boolean {
  return error.hint.includes(word);
}
