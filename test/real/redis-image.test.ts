/**
 * A Redis that is a member of the set, on real servers: what an undo gives back, what turns it
 * away, what is taken again after a loss; and what is kept beside the values of a reader.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Attempt } from '../../src/contracts/stash.ts';
import {
  apply,
  attemptOf,
  deleteOf,
  everything,
  look,
  MARK,
  undo,
  type StoreBench,
} from '../contracts/bench.ts';
import { MemoryBook } from '../contracts/setup.ts';
import { openRedis, redisBench } from './redis-bench.ts';
import { ask, type Answer } from './servers/redis-wire.ts';
import { withServer, type ServerName } from './servers/servers.ts';

const NAME = 'acme:orders:a';
const HOUR_MS = 3_600_000;

/** The attempt as a refill sends it. */
function refill(attempt: Attempt, counter = -5): Attempt {
  return { ...attempt, grant: { epoch: 1, counter } };
}

async function replyTo(bench: StoreBench, attempt: Attempt) {
  const [reply] = await bench.stash.apply([attempt], MARK);
  return reply;
}

const SERVERS: readonly ServerName[] = ['redis', 'valkey'];

for (const name of SERVERS) {
  await withServer(name, (server) => {
    const tell = async (...words: string[]): Promise<Answer> => {
      const [answer] = await ask(server().port, undefined, words);
      return answer ?? null;
    };
    const on = (promise: string, check: (bench: StoreBench) => Promise<void>): void => {
      it(promise, async () => {
        const bench = await redisBench(server());
        try {
          await check(bench);
        } finally {
          await bench.dispose();
        }
      });
    };

    on('P29: an undo gives back the value with the moment at which it ends', async (bench) => {
      const expiresAt = Date.now() + HOUR_MS;
      await apply(bench, attemptOf(1, 'a', 'before', { expiresAt }));
      await apply(bench, attemptOf(2, 'a', 'open', { expiresAt: Date.now() + 2 * HOUR_MS }));
      assert.deepEqual(await undo(bench, attemptOf(2, 'a', 'open')), ['undone']);
      assert.equal(await tell('GET', NAME), 'before');
      assert.equal(await tell('PEXPIRETIME', NAME), expiresAt);
    });

    on(
      'an undo takes away what another program had put there, and gives it back',
      async (bench) => {
        await tell('SET', NAME, 'theirs');
        await apply(bench, attemptOf(1, 'a'));
        assert.equal(await look(bench, 'a'), 'value of 1');
        await undo(bench, attemptOf(1, 'a'));
        assert.equal(await tell('GET', NAME), 'theirs');
      },
    );

    on('a value that ended by itself is undone like any other', async (bench) => {
      await apply(bench, attemptOf(1, 'a', 'before'));
      const short = attemptOf(2, 'a', 'short', { expiresAt: Date.now() + 150 });
      await apply(bench, short);
      while ((await tell('EXISTS', NAME)) === 1);
      assert.deepEqual(await undo(bench, short), ['undone']);
      assert.equal(await look(bench, 'a'), 'before');
    });

    on('what another program changed meanwhile is a conflict, and stays', async (bench) => {
      await apply(bench, attemptOf(1, ['a', 'b'], 'before'));
      await apply(bench, attemptOf(2, ['a', 'b']));
      await tell('SET', NAME, 'theirs');
      const [reply] = await bench.stash.undo([attemptOf(2, ['a', 'b'])], MARK);
      assert.equal(reply?.reply, 'undo-conflict');
      assert.equal(await tell('GET', NAME), 'theirs');
      assert.equal(await look(bench, 'b'), 'value of 2');
      await tell('DEL', NAME);
      assert.deepEqual(await undo(bench, attemptOf(2, ['a', 'b'])), ['undo-conflict']);
    });

    on('a key that another program brought back after a delete is a conflict', async (bench) => {
      await apply(bench, attemptOf(1, 'a'));
      await apply(bench, deleteOf(2, 'a'));
      await tell('SET', NAME, 'theirs');
      assert.deepEqual(await undo(bench, deleteOf(2, 'a')), ['undo-conflict']);
    });

    on('an attempt that a later grant overtook has no effect', async (bench) => {
      await apply(bench, attemptOf(7, 'a', 'later'));
      assert.deepEqual(await apply(bench, attemptOf(3, 'a', 'late')), ['stored']);
      assert.equal(await look(bench, 'a'), 'later');
    });

    on('a refill passes by what is newer, and takes back what was lost', async (bench) => {
      await apply(bench, attemptOf(7, 'a', 'newer'));
      assert.deepEqual(await apply(bench, refill(attemptOf(6, 'a', 'older'))), ['stored']);
      assert.equal(await look(bench, 'a'), 'newer');
      // As after an older snapshot was put back: the store has 7, and 8 was lost.
      assert.deepEqual(await apply(bench, refill(attemptOf(8, 'a', 'lost'))), ['stored']);
      assert.equal(await look(bench, 'a'), 'lost');
      assert.deepEqual(await undo(bench, refill(attemptOf(9, 'a', 'aborted'))), ['undone']);
      assert.deepEqual(await apply(bench, refill(attemptOf(9, 'a', 'aborted'))), ['failed']);
      assert.equal(await look(bench, 'a'), 'lost');
      assert.deepEqual(await apply(bench, attemptOf(10, 'a', 'next')), ['stored']);
      assert.deepEqual(await apply(bench, attemptOf(9, 'a', 'aborted')), ['failed']);
      assert.equal(await look(bench, 'a'), 'next');
    });

    on('an attempt is applied again under a later grant without a second image', async (bench) => {
      await apply(bench, attemptOf(1, 'a', 'before'));
      const open = attemptOf(2, 'a', 'open');
      await apply(bench, open);
      assert.deepEqual(await apply(bench, { ...open, grant: { epoch: 2, counter: 1 } }), [
        'stored',
      ]);
      assert.deepEqual(await undo(bench, open), ['undone']);
      assert.equal(await look(bench, 'a'), 'before');
    });

    on('a server that forgot our functions is given them again', async (bench) => {
      await tell('SCRIPT', 'FLUSH');
      assert.deepEqual(await apply(bench, attemptOf(1, 'a')), ['stored']);
      await tell('SCRIPT', 'FLUSH');
      assert.deepEqual(await undo(bench, attemptOf(1, 'a')), ['undone']);
      assert.equal(await look(bench, 'a'), null);
    });

    on('something else under the name is a refusal that harms no other', async (bench) => {
      await tell('RPUSH', NAME, 'x');
      const replies = await apply(bench, attemptOf(1, ['b', 'a']), attemptOf(2, 'c'));
      assert.deepEqual(replies, ['refused', 'stored']);
      assert.deepEqual([await look(bench, 'b'), await look(bench, 'c')], [null, 'value of 2']);
    });

    on('nothing is left beside a value once its write is settled', async (bench) => {
      const attempts = Array.from({ length: 50 }, (_, at) => attemptOf(at + 1, `key ${at}`));
      await apply(bench, ...attempts);
      assert.equal(await bench.stash.prune(30), 29);
      assert.equal(await tell('DBSIZE'), 50 + 21 + 1);
      assert.deepEqual(await undo(bench, attemptOf(40, 'key 39')), ['undone']);
      assert.equal(await look(bench, 'key 0'), 'value of 1');
    });

    on('what an earlier life left beside values goes when a later one prunes', async (bench) => {
      const attempts = Array.from({ length: 30 }, (_, at) => attemptOf(at + 1, `key ${at}`));
      await apply(bench, ...attempts);
      await bench.dispose();
      const next = await openRedis(server());
      assert.equal(await next.stash.prune(21), 20);
      assert.equal(await next.stash.prune(21), 0);
      assert.equal(await tell('DBSIZE'), 30 + 10 + 1);
      assert.deepEqual(await undo(next, attemptOf(25, 'key 24')), ['undone']);
      await next.dispose();
    });

    on('a full server fails writes as an outage, and takes them again', async (bench) => {
      await apply(bench, attemptOf(1, 'a', 'before'));
      await tell('CONFIG', 'SET', 'maxmemory', '1');
      const reply = await replyTo(bench, attemptOf(2, 'a'));
      assert.ok(reply?.reply === 'failed' && reply.outage === true && reply.status === 'OOM');
      assert.equal(await look(bench, 'a'), 'before');
      await tell('CONFIG', 'SET', 'maxmemory', '0');
      assert.deepEqual(await apply(bench, attemptOf(2, 'a')), ['stored']);
    });

    on('a probe says what would be lost', async (bench) => {
      const levels = async (): Promise<Record<string, string>> => {
        const findings = await bench.stash.probe();
        return Object.fromEntries(findings.map(({ check, level }) => [check, level]));
      };
      const well = await levels();
      assert.deepEqual(new Set(Object.values(well)), new Set(['ok']), JSON.stringify(well));
      await tell('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
      await tell('CONFIG', 'SET', 'maxmemory', '1gb');
      await tell('CONFIG', 'SET', 'appendfsync', 'everysec');
      const ill = await levels();
      assert.deepEqual([ill['eviction'], ill['persistence']], ['error', 'warning']);
      await tell('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
      await tell('CONFIG', 'SET', 'maxmemory', '0');
      await tell('CONFIG', 'SET', 'appendfsync', 'always');
    });

    it('holds proves what was never there, unless the process is another', async () => {
      const book = new MemoryBook(1);
      const first = await redisBench(server(), { book });
      await apply(first, attemptOf(1, 'a'));
      await undo(first, attemptOf(2, 'b'));
      await first.dispose();
      const asked = [attemptOf(1, 'a'), attemptOf(2, 'b'), attemptOf(3, 'c'), attemptOf(4, 'a')];
      const next = await openRedis(server(), { book: book.later() });
      assert.deepEqual(await next.stash.holds(asked), ['live', 'tombstone', 'never', 'never']);
      await next.dispose();
      await server().restart();
      const last = await openRedis(server(), { book: book.later() });
      const unsure = ['live', 'tombstone', 'cannot-tell', 'cannot-tell'];
      assert.deepEqual(await last.stash.holds(asked), unsure);
      await last.dispose();
    });

    it('a reader with metadata tells the write, as long as the value is its own', async () => {
      const bench = await redisBench(server(), { role: 'reader', options: { metadata: true } });
      const expiresAt = Date.now() + HOUR_MS;
      await apply(bench, attemptOf(5, 'a', 'x', { expiresAt }), attemptOf(6, 'b'));
      const found = async () => {
        return (await bench.reader.get('acme', 'orders', ['a', 'b'], everything)).map((one) => {
          return [one?.uow, one?.digest];
        });
      };
      const digests = [attemptOf(5, 'a', 'x').digest, attemptOf(6, 'b').digest];
      assert.deepEqual(await found(), [
        [5, digests[0]],
        [6, digests[1]],
      ]);
      const asked = [attemptOf(6, 'b'), attemptOf(7, 'b'), attemptOf(8, 'c')];
      const held = ['live', 'cannot-tell', 'cannot-tell'];
      assert.deepEqual(await bench.stash.holds(asked), held);
      await tell('SET', NAME, 'theirs');
      assert.deepEqual((await found())[0], [undefined, undefined]);
      await apply(bench, deleteOf(9, 'b'), deleteOf(10, 'a'));
      assert.equal(await tell('DBSIZE'), 1);
      await bench.dispose();
    });

    it('a reader writes plain values under the names it was told, ends and all', async () => {
      const bench = await redisBench(server(), { role: 'reader', render: (_, { key }) => key });
      const expiresAt = Date.now() + HOUR_MS;
      const both = attemptOf(2, ['b', 'c'], 'y', { expiresAt });
      await apply(bench, attemptOf(1, 'a', 'x'), both, attemptOf(3, 'd', 'z', { expiresAt: 1 }));
      assert.deepEqual(await tell('MGET', 'a', 'b', 'c', 'd'), ['x', 'y', 'y', null]);
      assert.equal(await tell('PEXPIRETIME', 'c'), expiresAt);
      await tell('RPUSH', 'list', 'x');
      const page = await bench.reader.scan('acme', 'orders', '', null, 10, everything);
      assert.deepEqual(
        page.items.map(({ key }) => key),
        ['a', 'b', 'c'],
      );
      const [reply] = await bench.stash.undo([both], MARK);
      assert.equal(reply?.reply, 'undo-conflict');
      await bench.dispose();
    });
  });
}
