/**
 * What the MongoDB stash does when the server turns single documents down, answers less than was
 * asked, is killed, stands still, or gets an insert long after everybody gave it up.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ProbeFinding } from '../../src/contracts/stash.ts';
import { Fault } from '../../src/kernel/errors.ts';
import {
  MARK,
  START_MS,
  Wall,
  attemptOf,
  deleteOf,
  everything,
  pruneAll,
} from '../contracts/bench.ts';
import { MemoryBook } from '../contracts/setup.ts';
import { DATABASE, newCollection, openMongo, withCollection } from './mongodb-bench.ts';
import { startProxy } from './proxy.ts';
import { withServer, type Server } from './servers/servers.ts';

const MIB = 1024 * 1024;

await withServer('secantus', (server) => {
  refusals(server);
  sizes(server);
  collections(server);
  proofs(server);
  late(server);
});
await withServer('secantus', (server) => losses(server), { args: ['--enable-test-commands'] });

type Opened = Awaited<ReturnType<typeof openMongo>>;
type Wishes = Omit<Parameters<typeof openMongo>[0], 'url'> & { url?: string };

/** Opened and joined for one test; closed after it. */
async function joined(
  t: { after(work: () => Promise<void>): void },
  server: Server,
  wishes: Wishes = {},
): Promise<Opened & { collection: string }> {
  const collection = wishes.collection ?? newCollection();
  const opened = await openMongo({ url: server.url, ...wishes, collection });
  t.after(() => opened.stash.close());
  await opened.stash.mark();
  return { ...opened, collection };
}

async function words({ stash }: Opened, ...attempts: ReturnType<typeof attemptOf>[]) {
  return (await stash.apply(attempts, MARK)).map((reply) => reply.reply);
}

async function see({ reader }: Opened, key: string): Promise<string | null> {
  const [found] = await reader.get('acme', 'orders', [key], everything);
  return found === null || found === undefined ? null : new TextDecoder().decode(found.value);
}

/** A unique index that somebody put on a field of the versions. */
function uniqueOn(server: Server, collection: string, field: string): Promise<string> {
  return withCollection(server.url, collection, (one) => {
    return one.createIndex({ [field]: 1 }, { unique: true, sparse: true, name: 'somebodys' }, {});
  });
}

function refusals(server: () => Server): void {
  it('P30: refuses what a unique index of somebody else forbids, takes the rest', async (t) => {
    const opened = await joined(t, server());
    await uniqueOn(server(), opened.collection, 'digest');
    await words(opened, attemptOf(1, 'a', 'same'));
    const replies = await opened.stash.apply(
      [attemptOf(2, 'b', 'same'), attemptOf(3, 'c', 'other')],
      MARK,
    );
    assert.deepEqual(
      replies.map((reply) => reply.reply),
      ['refused', 'stored'],
    );
    assert.match(JSON.stringify(replies[0]), /somebodys/);
    assert.deepEqual([await see(opened, 'b'), await see(opened, 'c')], [null, 'other']);
  });

  it('says refused of several keys only when no key holds it any more', async (t) => {
    const opened = await joined(t, server());
    await uniqueOn(server(), opened.collection, 'digest');
    const attempt = attemptOf(1, ['a', 'b', 'c']);
    assert.deepEqual(await words(opened, attempt), ['refused']);
    for (const key of attempt.keys) assert.equal(await see(opened, key), null);
    // Nor will it ever: the tombstones stand.
    assert.deepEqual(await words(opened, attempt), ['failed']);
  });

  it('takes nothing back where it may have been read, nor what a refill puts back', async (t) => {
    for (const [role, counter] of [
      ['reader', 1],
      ['both', 1],
      ['member', -1],
    ] as const) {
      const opened = await joined(t, server(), { role });
      await uniqueOn(server(), opened.collection, 'digest');
      const attempt = attemptOf(1, ['a', 'b'], 'x', { grant: { epoch: 1, counter } });
      assert.deepEqual(await words(opened, attempt), ['unknown'], role);
      const seen = [await see(opened, 'a'), await see(opened, 'b')];
      assert.equal(seen.filter((one) => one === 'x').length, 1, role);
    }
  });

  it('takes an insert that meets a part of its own tombstones for undone', async (t) => {
    const opened = await joined(t, server());
    await opened.stash.undo([attemptOf(1, ['a'])], MARK);
    assert.deepEqual(await words(opened, attemptOf(1, ['a', 'b'])), ['failed']);
    assert.deepEqual([await see(opened, 'a'), await see(opened, 'b')], [null, null]);
  });
}

function sizes(server: () => Server): void {
  it('stores 15 MiB, and as much as fits into a document under the longest key', async (t) => {
    const options = { maxValue: 16_380 * 1024 };
    for (const [bytes, more] of [
      [15 * MIB, {}],
      [16_380 * 1024, { options }],
    ] as const) {
      const opened = await joined(t, server(), more);
      const key = '\u{1f600}'.repeat(128);
      const value = new Uint8Array(bytes).fill(7);
      value[bytes - 1] = 8;
      assert.deepEqual(await words(opened, attemptOf(1, key, value)), ['stored']);
      const [found] = await opened.reader.get('acme', 'orders', [key], everything);
      assert.ok(found && Buffer.compare(found.value, value) === 0);
    }
  });

  it('refuses more than maxValue, and harms no other of the call', async (t) => {
    const opened = await joined(t, server());
    const replies = await opened.stash.apply(
      [attemptOf(1, 'a', new Uint8Array(15 * MIB + 1)), attemptOf(2, 'b')],
      MARK,
    );
    assert.deepEqual(
      replies.map((reply) => ('status' in reply ? reply.status : reply.reply)),
      ['too-large', 'stored'],
    );
  });

  it('stores many large values under many keys, and reads them in one call', async (t) => {
    const opened = await joined(t, server());
    const keys = Array.from({ length: 30 }, (_, at) => `key ${at}`);
    assert.deepEqual(await words(opened, attemptOf(1, keys, new Uint8Array(MIB))), ['stored']);
    const found = await opened.reader.get('acme', 'orders', keys, everything);
    assert.equal(found.filter((one) => one?.value.length === MIB).length, 30);
    assert.deepEqual(await opened.stash.undo([attemptOf(1, keys)], MARK), [{ reply: 'undone' }]);
    assert.equal(await see(opened, 'key 7'), null);
  });

  it('prunes a key with more versions than are read at once, and others with it', async (t) => {
    const opened = await joined(t, server());
    const uows = Array.from({ length: 2400 }, (_, at) => at + 1);
    for (let from = 0; from < uows.length; from += 1000) {
      const lot = uows.slice(from, from + 1000).map((uow) => attemptOf(uow, 'long'));
      await opened.stash.apply([...lot, attemptOf(10_000 + from, 'short')], MARK);
    }
    assert.equal(await pruneAll({ ...opened } as never, 20_000), 2400 - 3);
    const left = await opened.reader.history?.('acme', 'orders', 'long', null, 10, everything);
    assert.deepEqual(
      left?.map(({ uow }) => uow),
      [2400, 2399, 2398],
    );
  });

  it('keeps JSON as a document where that is asked for, and the bytes as they are', async (t) => {
    const opened = await joined(t, server(), { options: { document: true } });
    const texts = ['{"total": 12.50, "lines": [{"sku": "x"}]}', '{"$where": 1}', 'no JSON'];
    await words(opened, ...texts.map((text, at) => attemptOf(at + 1, `key ${at}`, text)));
    const rows = await withCollection(server().url, opened.collection, (one) => {
      return one.find({}, { sort: { _id: 1 } }).toArray();
    });
    assert.deepEqual(
      rows.map((row): unknown => row['document']),
      [{ total: 12.5, lines: [{ sku: 'x' }] }, undefined, undefined],
    );
    for (const [at, text] of texts.entries()) assert.equal(await see(opened, `key ${at}`), text);
  });
}

function collections(server: () => Server): void {
  const conflict = (error: unknown): boolean => error instanceof Fault && error.code === 'conflict';
  const errors = (findings: readonly ProbeFinding[]): string[] =>
    findings.filter(({ level }) => level === 'error').map(({ check }) => check);

  it('does not join over an index of its name with another shape, and says which', async (t) => {
    const collection = newCollection();
    await withCollection(server().url, collection, (one) => {
      return one.createIndex({ key: 1 }, { name: 'holdfast_versions' }, {});
    });
    const { stash } = await openMongo({ url: server().url, collection });
    t.after(() => stash.close());
    await assert.rejects(stash.mark(), (error) => {
      return conflict(error) && /holdfast_versions/.test((error as Fault).detail);
    });
    assert.deepEqual(errors(await stash.probe()), ['indexes']);
  });

  it('does not join a collection that compares keys by a language', async (t) => {
    const collection = newCollection();
    await withCollection(server().url, collection, async (one) => {
      const { MongoClient } = await import('mongodb');
      const client = new MongoClient(server().url);
      const collation = { locale: 'en', strength: 1 };
      await client.db(DATABASE).createCollection(one.collectionName, { collation });
      await client.close();
    });
    const { stash } = await openMongo({ url: server().url, collection });
    t.after(() => stash.close());
    await assert.rejects(stash.mark(), conflict);
    assert.deepEqual(errors(await stash.probe()), ['collection']);
  });

  it('a probe finds a TTL index that somebody made', async (t) => {
    const opened = await joined(t, server());
    assert.deepEqual(errors(await opened.stash.probe()), []);
    await withCollection(server().url, opened.collection, (one) => {
      return one.createIndex({ expiresAt: 1 }, { expireAfterSeconds: 0, name: 'ttl' }, {});
    });
    assert.deepEqual(errors(await opened.stash.probe()), ['TTL index']);
  });

  it('a probe of a server that is not there says so and does not throw', async (t) => {
    const { stash } = await openMongo({ url: 'mongodb://127.0.0.1:9/?directConnection=true' });
    t.after(() => stash.close());
    assert.deepEqual(errors(await stash.probe()), ['server']);
  });

  it('a mark never goes back, and a call without attempts stores its mark', async (t) => {
    const { stash } = await joined(t, server());
    await stash.apply([], { ...MARK, position: 90 });
    await stash.apply([], { ...MARK, position: 50 });
    assert.deepEqual(await stash.mark(), { ...MARK, position: 90 });
  });
}

function proofs(server: () => Server): void {
  it('proves an absence to a member of the server it always had, and to no reader', async (t) => {
    for (const [role, answer] of [
      ['member', 'never'],
      ['reader', 'cannot-tell'],
      ['both', 'cannot-tell'],
    ] as const) {
      const { stash } = await joined(t, server(), { role });
      assert.deepEqual(await stash.holds([attemptOf(1, 'a')]), [answer]);
    }
  });

  it('proves nothing after another server process, until all of then has settled', async (t) => {
    const book = new MemoryBook(1);
    await book.record({ node: 'x', server: 'another process', connection: '0', epoch: 1 });
    const { stash } = await joined(t, server(), { book: book.later() });
    assert.deepEqual(await stash.holds([attemptOf(7, 'a')]), ['cannot-tell']);
    await stash.prune(7);
    assert.deepEqual(await stash.holds([attemptOf(7, 'a')]), ['cannot-tell']);
    await stash.prune(8);
    assert.deepEqual(await stash.holds([attemptOf(8, 'a')]), ['never']);
  });
}

const SHORT = { timeout: 1000, connectTimeout: 1000 };

function losses(server: () => Server): void {
  it('takes a write concern that was not met for unknown, the next try for stored', async (t) => {
    const opened = await joined(t, server());
    await failNext(server(), {
      failCommands: ['insert'],
      writeConcernError: { code: 64, errmsg: 'waiting for replication timed out' },
    });
    assert.deepEqual(await words(opened, attemptOf(1, 'a')), ['unknown']);
    assert.deepEqual(await words(opened, attemptOf(1, 'a')), ['stored']);
  });

  it('a killed server has lost nothing that it acknowledged', async (t) => {
    const opened = await joined(t, server());
    const told: string[] = [];
    opened.stash.watch?.((why) => told.push(why));
    const stored = new Set<number>();
    let uow = 0;
    const kill = setTimeout(() => void server().kill(), 300);
    for (; told.length === 0; uow += 20) {
      const lot = Array.from({ length: 20 }, (_, at) => attemptOf(uow + at, `key ${uow + at}`));
      const replies = await opened.stash.apply(lot, MARK);
      for (const [at, { reply }] of replies.entries()) if (reply === 'stored') stored.add(uow + at);
    }
    clearTimeout(kill);
    assert.equal(told.length, 1);
    const [apart] = await opened.stash.apply([attemptOf(uow, 'late')], MARK);
    assert.deepEqual(apart?.reply === 'failed' && [apart.sent, apart.apart], [false, true]);
    await assert.rejects(see(opened, 'key 1'), { code: 'unavailable' });
    await assert.rejects(opened.stash.mark());
    await server().restart();
    await opened.stash.mark();
    const keys = [...stored].map((one) => `key ${one}`);
    assert.ok(keys.length > 0);
    for (let from = 0; from < keys.length; from += 100) {
      const lot = keys.slice(from, from + 100);
      const found = await opened.reader.get('acme', 'orders', lot, everything);
      assert.equal(found.filter((one) => one !== null).length, lot.length);
    }
    t.diagnostic(`${stored.size} acknowledged before the kill, all there`);
    // Another process: what is not there may have been lost.
    assert.deepEqual(await opened.stash.holds([attemptOf(uow + 99, 'x')]), ['cannot-tell']);
  });

  it('a server that stands still holds up no call', async (t) => {
    const opened = await joined(t, server(), { options: SHORT });
    const told: string[] = [];
    opened.stash.watch?.((why) => told.push(why));
    server().stop();
    try {
      const started = performance.now();
      const [reply] = await opened.stash.apply([attemptOf(1, 'a')], MARK);
      assert.equal(reply?.reply, 'unknown');
      await assert.rejects(see(opened, 'a'), { code: 'unavailable' });
      const [undo] = await opened.stash.undo([attemptOf(1, 'a')], MARK);
      assert.deepEqual(undo?.reply === 'failed' && undo.apart, true);
      await assert.rejects(opened.stash.mark());
      const findings = await opened.stash.probe();
      assert.equal(findings.at(-1)?.level, 'error');
      assert.ok(performance.now() - started < 6000);
      assert.equal(told.length, 1);
    } finally {
      server().cont();
    }
    await opened.stash.mark();
    assert.deepEqual(await opened.stash.undo([attemptOf(1, 'a')], MARK), [{ reply: 'undone' }]);
    assert.equal(await see(opened, 'a'), null);
  });
}

function late(server: () => Server): void {
  it('an insert that arrives after its undo, and after pruning, changes nothing', async (t) => {
    const proxy = await startProxy({ host: '127.0.0.1', port: server().port });
    t.after(() => proxy.dispose());
    const url = `mongodb://127.0.0.1:${proxy.port}/?directConnection=true`;
    const wall = new Wall();
    const opened = await joined(t, server(), { url, wall, options: SHORT });
    proxy.hold();
    assert.deepEqual(await words(opened, attemptOf(1, ['a', 'b'])), ['unknown']);
    proxy.keepHeld();
    await opened.stash.mark();
    const tombs = await opened.stash.undo([attemptOf(1, ['a', 'b'])], MARK);
    assert.deepEqual(tombs, [{ reply: 'undone' }]);
    assert.equal(await pruneAll({ ...opened } as never, 1000), 0);
    await proxy.release();
    assert.deepEqual([await see(opened, 'a'), await see(opened, 'b')], [null, null]);
    const left = await withCollection(server().url, opened.collection, (one) => {
      return one.countDocuments({ kind: 'undone' });
    });
    assert.equal(left, 2);
    // A day later nothing can come any more.
    wall.ms = START_MS + 25 * 3_600_000;
    assert.equal(await pruneAll({ ...opened } as never, 1000), 2);
  });

  it('a value sent twice and deleted does not come back by its first sending', async (t) => {
    const proxy = await startProxy({ host: '127.0.0.1', port: server().port });
    t.after(() => proxy.dispose());
    const url = `mongodb://127.0.0.1:${proxy.port}/?directConnection=true`;
    const opened = await joined(t, server(), { url, options: SHORT });
    proxy.hold();
    assert.deepEqual(await words(opened, attemptOf(1, 'a')), ['unknown']);
    proxy.keepHeld();
    await opened.stash.mark();
    assert.deepEqual(await words(opened, attemptOf(1, 'a'), deleteOf(2, 'a')), [
      'stored',
      'stored',
    ]);
    await pruneAll({ ...opened } as never, 1000);
    await proxy.release();
    assert.equal(await see(opened, 'a'), null);
  });
}

/** The next command of this kind ends as told; the server must take test commands. */
async function failNext(server: Server, data: Record<string, unknown>): Promise<void> {
  const { MongoClient } = await import('mongodb');
  const client = new MongoClient(server.url);
  try {
    const fail = { configureFailPoint: 'failCommand', mode: { times: 1 }, data };
    await client.db('admin').command(fail);
  } finally {
    await client.close();
  }
}
