/**
 * What the conformance suite cannot know of a SQLite stash: its tail, trouble, and whose file it
 * is.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import type { Reader } from '../../contracts/reader.ts';
import type { Attempt, Mark, Stash } from '../../contracts/stash.ts';
import { digestOf } from '../../kernel/digest.ts';
import { Fault } from '../../kernel/errors.ts';
import { realWorld } from '../../kernel/realworld.ts';
import { MemoryReader } from '../memory/reader.ts';
import { MemoryStash } from '../memory/stash.ts';
import { SqliteReader } from './reader.ts';
import { SqliteStash } from './stash.ts';

const MARK: Mark = { journalId: 'f'.repeat(32), position: 3, from: 1 };

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-sqlite-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function open(path: string, more: object = {}): Promise<SqliteStash> {
  return SqliteStash.open({
    id: 'history',
    path,
    keepVersions: 3,
    keepForMs: 1e12,
    valueBytesMax: 1000,
    world: realWorld(),
    ...more,
  });
}

function attemptOf(uow: number, keys: readonly string[], more: Partial<Attempt> = {}): Attempt {
  const value = new TextEncoder().encode(`value of ${uow}`);
  return {
    uow,
    attempt: 1,
    grant: { epoch: 1, counter: uow },
    account: 'acme',
    flow: 'orders',
    kind: 'set',
    keys,
    value,
    digest: digestOf(value),
    expiresAt: null,
    heldAt: 1_700_000_000_000 + uow,
    ...more,
  };
}

/** A small generator of numbers (mulberry32), so that a printed seed replays a run. */
function drawing(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const everything = (): boolean => true;
const even = (uow: number): boolean => uow % 2 === 0;

/** What a reader tells, as text; with `fully` also what puts versions into the index on the way. */
async function told(reader: Reader, keys: readonly string[], fully: boolean): Promise<string> {
  const all = await reader.get('acme', 'orders', keys, everything);
  const some = await reader.get('acme', 'orders', keys, even);
  const scan = fully ? await reader.scan('acme', 'orders', '', null, 1000, even) : { items: [] };
  const history = [];
  for (const key of fully ? keys : []) {
    history.push(await reader.history?.('acme', 'orders', key, null, 100, everything));
    history.push(await reader.at?.('acme', 'orders', key, { uow: 40 }, everything));
  }
  const bytes = (name: string, value: unknown): unknown =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
  return JSON.stringify([all, some, scan.items, history], bytes);
}

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`tells the same as maps do, whatever is in the index yet (seed ${seed})`, async (t) => {
    const draw = drawing(seed);
    const path = join(await folder(t), 'a.db');
    const world = realWorld();
    const tail = { run: 1 + draw(5), runs: 1 + draw(4) };
    let stash = await open(path, { tail });
    t.after(() => stash.close());
    const model = new MemoryStash({ id: 'model', clock: world.clock, keepVersions: 3 });
    const modelReader = new MemoryReader(model.versions, world.clock);
    const keys = Array.from({ length: 6 }, (_, at) => `key ${at}`);
    const applied: Attempt[] = [];
    for (let round = 0; round < 120; round += 1) {
      const some = keys.filter(() => draw(3) === 0);
      const wanted = some.length === 0 ? ['key 0'] : some;
      const kind = draw(5) === 0 ? 'delete' : 'set';
      // Numbers come mostly in order, and some late.
      const late = 1 + draw(1 + applied.length);
      const uow = draw(6) === 0 ? late : applied.length + 20;
      const attempt = attemptOf(uow, wanted, { kind, attempt: 1 + draw(3) });
      const both: readonly Stash[] = [stash, model];
      const replies = await Promise.all(both.map((one) => one.apply([attempt], MARK)));
      assert.deepEqual(replies[0], replies[1]);
      applied.push(attempt);
      const old = applied[draw(applied.length)] ?? attempt;
      if (draw(4) === 0) for (const one of both) await one.undo([old], MARK);
      if (draw(15) === 0) {
        // Without closing: as a killed process leaves it.
        stash = await open(path, { tail });
      }
      const reader = new SqliteReader(stash.versions, world.clock);
      const fully = draw(8) === 0;
      const same = (await told(reader, keys, fully)) === (await told(modelReader, keys, fully));
      assert.ok(same, `differs in round ${round}`);
    }
    assert.ok(applied.length === 120);
  });
}

test('a file that another program locks fails for sure, and serves again later', async (t) => {
  const path = join(await folder(t), 'a.db');
  const stash = await open(path);
  t.after(() => stash.close());
  const other = new DatabaseSync(path);
  t.after(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  const attempt = attemptOf(1, ['a']);
  const [failed] = await stash.apply([attempt], MARK);
  assert.equal(failed?.reply, 'failed');
  assert.equal((await stash.undo([attempt], MARK))[0]?.reply, 'failed');
  other.exec('ROLLBACK');
  assert.deepEqual(await stash.holds([attempt]), ['never']);
  assert.deepEqual(await stash.apply([attempt], MARK), [{ reply: 'stored' }]);
});

test('a full disk keeps nothing of a batch, says so, and serves again afterwards', async (t) => {
  const path = join(await folder(t), 'a.db');
  const stash = await open(path);
  t.after(() => stash.close());
  assert.deepEqual(await stash.apply([attemptOf(1, ['a'])], MARK), [{ reply: 'stored' }]);
  stash.versions.connection.prepare('PRAGMA max_page_count = 12').get();
  const many = Array.from({ length: 500 }, (_, at) => attemptOf(at + 2, [`key ${at}`]));
  const replies = await stash.apply(many, MARK);
  assert.ok(replies.every((reply) => reply.reply === 'failed' && reply.status === 13));
  stash.versions.connection.prepare('PRAGMA max_page_count = 1000000').get();
  const reader = new SqliteReader(stash.versions, realWorld().clock);
  const page = await reader.scan('acme', 'orders', '', null, 10, everything);
  assert.deepEqual(page.items, [{ key: 'a', ttlMs: null }]);
  const again = await stash.apply(many, MARK);
  assert.ok(again.every((reply) => reply.reply === 'stored'));
});

test('a value over the limit is refused, and harms no other', async (t) => {
  const stash = await open(join(await folder(t), 'a.db'));
  t.after(() => stash.close());
  const value = new Uint8Array(1001);
  const large = attemptOf(1, ['a'], { value, digest: digestOf(value) });
  const replies = await stash.apply([large, attemptOf(2, ['b'])], MARK);
  assert.deepEqual(
    replies.map((reply) => reply.reply),
    ['refused', 'stored'],
  );
});

test('a file that was not closed well proves nothing about what it does not hold', async (t) => {
  const path = join(await folder(t), 'a.db');
  const { bootId: _, ...world } = realWorld();
  const first = await open(path, { world });
  assert.deepEqual(await first.holds([attemptOf(1, ['a'])]), ['never']);
  const second = await open(path, { world });
  assert.deepEqual(await second.holds([attemptOf(1, ['a'])]), ['cannot-tell']);
  await second.close();
  await first.close();
  const third = await open(path);
  t.after(() => third.close());
  assert.deepEqual(await third.holds([attemptOf(1, ['a'])]), ['never']);
});

test('a file whose process only died still proves what it does not hold', async (t) => {
  const path = join(await folder(t), 'a.db');
  const life = async (bootId: string) => {
    const stash = await open(path, { world: { ...realWorld(), bootId } });
    t.after(() => stash.close());
    return await stash.holds([attemptOf(1, ['a'])]);
  };
  assert.deepEqual(await life('monday'), ['never']);
  assert.deepEqual(await life('monday'), ['never'], 'the process died');
  assert.deepEqual(await life('tuesday'), ['cannot-tell'], 'the power was cut');
  assert.deepEqual(await life('tuesday'), ['cannot-tell'], 'and the process died after that');
});

test('a file of another stash, or of something else, is turned away with a hint', async (t) => {
  const path = join(await folder(t), 'a.db');
  await (await open(path)).close();
  const isFault = (error: unknown): boolean => error instanceof Fault && error.hint.length > 10;
  await assert.rejects(open(path, { id: 'other' }), isFault);
  const foreign = join(await folder(t), 'b.db');
  const database = new DatabaseSync(foreign);
  database.exec('CREATE TABLE theirs (a)');
  database.close();
  await assert.rejects(open(foreign), isFault);
});
