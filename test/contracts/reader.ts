/** The conformance suite of a reader: one line per promise of src/contracts/reader.ts. */
import assert from 'node:assert/strict';
import type { Visible } from '../../src/contracts/reader.ts';
import { Fault } from '../../src/kernel/errors.ts';
import {
  HOSTILE_KEYS,
  START_MS,
  apply,
  attemptOf,
  deleteOf,
  everything,
  look,
  undo,
  undoes,
  uowsOf,
  type StoreBench,
} from './bench.ts';
import type { Line } from './suite.ts';

async function text(
  bench: StoreBench,
  key: string,
  visible: Visible = everything,
): Promise<string | null> {
  const [found] = await bench.reader.get('acme', 'orders', [key], visible);
  return found === null || found === undefined ? null : new TextDecoder().decode(found.value);
}

/** Every key that a scan shows, page by page. */
async function scanAll(bench: StoreBench, prefix: string, limit: number): Promise<string[]> {
  const keys: string[] = [];
  let cursor: string | null = null;
  for (let pages = 0; pages < 10_000; pages += 1) {
    const page = await bench.reader.scan('acme', 'orders', prefix, cursor, limit, everything);
    assert.ok(page.items.length <= limit);
    keys.push(...page.items.map((item) => item.key));
    cursor = page.cursor;
    if (cursor === null) return keys;
  }
  throw new Error('the scan does not come to an end');
}

function isBadCursor(error: unknown): boolean {
  return error instanceof Fault && error.code === 'bad-cursor';
}

const GET_LINES: readonly Line<StoreBench>[] = [
  {
    promise: 'get answers once per key, in the order asked, twice for one asked twice',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'), attemptOf(2, 'b'));
      const found = await bench.reader.get('acme', 'orders', ['b', 'x', 'a', 'b'], everything);
      const seen = found.map((one) => one && new TextDecoder().decode(one.value));
      assert.deepEqual(seen, ['value of 2', null, 'value of 1', 'value of 2']);
    },
  },
  {
    promise: 'get tells the time left, and none for a value that stays',
    async check(bench) {
      const expiresAt = bench.wall.after(500);
      await apply(bench, attemptOf(1, 'a', 'x', { expiresAt }), attemptOf(2, 'b'));
      await bench.wall.goTo(100);
      const [a, b] = await bench.reader.get('acme', 'orders', ['a', 'b'], everything);
      bench.wall.isLeft(a?.ttlMs, 400);
      assert.equal(b?.ttlMs, null);
    },
  },
  {
    promise: 'nothing is found from the very millisecond of its expiry on',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a', 'x', { expiresAt: bench.wall.after(500) }));
      await bench.wall.goBefore(500);
      assert.equal(await look(bench, 'a'), 'x');
      await bench.wall.goTo(500);
      assert.equal(await look(bench, 'a'), null);
    },
  },
  {
    promise: 'an expired value does not uncover an older one',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      await apply(bench, attemptOf(2, 'a', 'x', { expiresAt: bench.wall.after(500) }));
      await bench.wall.goTo(501);
      assert.equal(await look(bench, 'a'), null);
    },
  },
  {
    promise: 'get passes over attempts that are not visible, however many',
    appliesTo: undoes,
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      if (bench.keeps === 'before') {
        // It has one attempt of a key open at a time, and what stood there before it.
        await apply(bench, attemptOf(2, 'a'));
        assert.equal(await text(bench, 'a', (uow) => uow < 2), 'value of 1');
        await apply(bench, deleteOf(3, 'a'));
        assert.equal(await text(bench, 'a', (uow) => uow < 3), 'value of 2');
        return;
      }
      for (let uow = 2; uow < 40; uow += 1) await apply(bench, attemptOf(uow, 'a'));
      await apply(bench, deleteOf(40, 'a'));
      assert.equal(await text(bench, 'a', (uow) => uow < 2), 'value of 1');
      assert.equal(await text(bench, 'a', (uow) => uow === 17), 'value of 17');
      assert.equal(await text(bench, 'a', () => false), null);
    },
  },
  {
    promise: 'visible is asked about uow and attempt',
    appliesTo: undoes,
    async check(bench) {
      await apply(bench, attemptOf(1, 'a', 'first'));
      await apply(bench, attemptOf(1, 'a', 'second', { attempt: 2 }));
      assert.equal(await text(bench, 'a', (uow, attempt) => uow === 1 && attempt === 1), 'first');
    },
  },
  {
    promise: 'where a store keeps uow and digest, they are those of the value found',
    async check(bench) {
      const attempt = attemptOf(9, 'a');
      await apply(bench, attemptOf(8, 'a', 'older'), attempt);
      const [found] = await bench.reader.get('acme', 'orders', ['a'], everything);
      assert.ok(found?.uow === undefined || found.uow === 9);
      assert.ok(found?.digest === undefined || found.digest === attempt.digest);
    },
  },
];

const SCAN_LINES: readonly Line<StoreBench>[] = [
  {
    promise: 'scan shows the keys that start with the prefix, and only those',
    async check(bench) {
      const keys = ['a', 'ab', 'abc', 'abd', 'b', 'A', '%', '*', 'a*'];
      await apply(bench, ...keys.map((key, at) => attemptOf(at + 1, key)));
      assert.deepEqual((await scanAll(bench, 'ab', 100)).sort(), ['ab', 'abc', 'abd']);
      assert.deepEqual((await scanAll(bench, 'a*', 100)).sort(), ['a*']);
      assert.deepEqual((await scanAll(bench, '', 100)).sort(), [...keys].sort());
      assert.deepEqual(await scanAll(bench, 'zzz', 100), []);
    },
  },
  {
    promise: 'scan shows each key once, page by page, whatever the page size',
    async check(bench) {
      await apply(bench, ...HOSTILE_KEYS.map((key, at) => attemptOf(at + 1, key)));
      await apply(bench, ...HOSTILE_KEYS.map((key, at) => attemptOf(at + 1001, key)));
      for (const limit of [1, 7, 1000]) {
        assert.deepEqual((await scanAll(bench, '', limit)).sort(), [...HOSTILE_KEYS].sort());
      }
    },
  },
  {
    promise: 'scan keeps its order while nothing is written',
    async check(bench) {
      await apply(bench, ...HOSTILE_KEYS.map((key, at) => attemptOf(at + 1, key)));
      const once = await scanAll(bench, '', 1000);
      assert.deepEqual(await scanAll(bench, '', 3), once);
      assert.deepEqual(await scanAll(bench, '', 1000), once);
    },
  },
  {
    promise: 'scan goes on behind its cursor though keys before it come and go',
    async check(bench) {
      const keys = ['c1', 'c2', 'c3', 'c4'];
      await apply(bench, ...keys.map((key, at) => attemptOf(at + 1, key)));
      const first = await bench.reader.scan('acme', 'orders', 'c', null, 2, everything);
      const shown = first.items.map((item) => item.key);
      const [gone = ''] = shown;
      await apply(bench, deleteOf(10, gone));
      const rest: string[] = [];
      for (let cursor = first.cursor; cursor !== null;) {
        const page = await bench.reader.scan('acme', 'orders', 'c', cursor, 2, everything);
        rest.push(...page.items.map((item) => item.key));
        cursor = page.cursor;
      }
      assert.deepEqual([...shown, ...rest].sort(), keys);
    },
  },
  {
    promise: 'scan leaves out what is deleted, expired, undone or not visible',
    async check(bench) {
      await apply(bench, attemptOf(1, 'deleted'), attemptOf(3, 'here'));
      await apply(bench, attemptOf(4, 'expired', 'x', { expiresAt: bench.wall.after(5) }));
      await apply(bench, deleteOf(6, 'deleted'));
      if (undoes(bench)) {
        await apply(bench, attemptOf(2, 'undone'), attemptOf(5, 'pending'));
        await undo(bench, attemptOf(2, 'undone'));
      }
      await bench.wall.goTo(5);
      const visible: Visible = (uow) => uow !== 5;
      const page = await bench.reader.scan('acme', 'orders', '', null, 100, visible);
      assert.deepEqual(page.items, [{ key: 'here', ttlMs: null }]);
    },
  },
  {
    promise: 'scan tells the time left',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a', 'x', { expiresAt: bench.wall.after(500) }));
      await bench.wall.goTo(100);
      const page = await bench.reader.scan('acme', 'orders', '', null, 100, everything);
      assert.deepEqual(
        page.items.map(({ key }) => key),
        ['a'],
      );
      bench.wall.isLeft(page.items[0]?.ttlMs, 400);
    },
  },
  {
    promise: 'scan keeps accounts and flows apart',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'), attemptOf(2, 'b', 'x', { flow: 'other' }));
      await apply(bench, attemptOf(3, 'c', 'x', { account: 'other' }));
      assert.deepEqual(await scanAll(bench, '', 100), ['a']);
    },
  },
  {
    promise: 'a cursor that is not ours, or of another prefix, is turned away',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a1'), attemptOf(2, 'a2'), attemptOf(3, 'b1'));
      const { cursor } = await bench.reader.scan('acme', 'orders', 'a', null, 1, everything);
      assert.ok(cursor !== null);
      for (const bad of ['', 'x', '!!', `${cursor}A`, 'bm90IGpzb24', cursor.slice(1)]) {
        const scan = bench.reader.scan('acme', 'orders', 'a', bad, 1, everything);
        await assert.rejects(scan, isBadCursor, JSON.stringify(bad));
      }
      const other = bench.reader.scan('acme', 'orders', 'b', cursor, 1, everything);
      await assert.rejects(other, isBadCursor);
    },
  },
];

const keepsVersions = (bench: StoreBench): boolean => bench.reader.history !== undefined;

const HISTORY_LINES: readonly Line<StoreBench>[] = [
  {
    promise: 'history shows versions newest first, deletes included, with all that is known',
    async check(bench) {
      const set = attemptOf(1, 'a', 'abc', { expiresAt: START_MS + 900, heldAt: START_MS + 3 });
      await apply(bench, set, deleteOf(2, 'a', { heldAt: START_MS + 7 }));
      const seen = await bench.reader.history?.('acme', 'orders', 'a', null, 10, everything);
      const { digest } = deleteOf(2, 'a');
      const expiresAt = START_MS + 900;
      assert.deepEqual(seen, [
        { uow: 2, kind: 'delete', heldAt: START_MS + 7, expiresAt: null, digest, bytes: 0 },
        { uow: 1, kind: 'set', heldAt: START_MS + 3, expiresAt, digest: set.digest, bytes: 3 },
      ]);
    },
  },
  {
    promise: 'history gives at most as many as asked, and goes on before a uow',
    async check(bench) {
      for (let uow = 1; uow <= 250; uow += 1) await apply(bench, attemptOf(uow, 'a'));
      const page = async (before: number | null, limit: number): Promise<number[]> => {
        const seen = await bench.reader.history?.('acme', 'orders', 'a', before, limit, everything);
        return (seen ?? []).map((version) => version.uow);
      };
      assert.deepEqual(await page(null, 2), [250, 249]);
      assert.deepEqual(await page(249, 2), [248, 247]);
      assert.equal((await page(null, 1000)).length, 250);
      assert.deepEqual(await page(1, 10), []);
    },
  },
  {
    promise: 'history leaves out what was undone or is not visible',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'), attemptOf(2, 'a'), attemptOf(3, 'a'));
      await undo(bench, attemptOf(2, 'a'));
      assert.deepEqual(await uowsOf(bench, 'a'), [3, 1]);
      const seen = await bench.reader.history?.('acme', 'orders', 'a', null, 9, (uow) => uow !== 3);
      assert.deepEqual(
        seen?.map((version) => version.uow),
        [1],
      );
    },
  },
  {
    promise: 'at a time, the value is the newest one held by then',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a', 'one', { heldAt: START_MS + 10 }));
      await apply(bench, attemptOf(2, 'a', 'two', { heldAt: START_MS + 20 }));
      await apply(bench, deleteOf(3, 'a', { heldAt: START_MS + 30 }));
      const seen: (string | null)[] = [];
      for (const time of [9, 10, 19, 20, 30].map((ms) => START_MS + ms)) {
        const found = await bench.reader.at?.('acme', 'orders', 'a', { time }, everything);
        seen.push(
          found === null || found === undefined ? null : new TextDecoder().decode(found.value),
        );
      }
      assert.deepEqual(seen, [null, 'one', 'one', 'two', null]);
    },
  },
  {
    promise: 'at a time, what had expired by then is absent, and what expired since is there',
    async check(bench) {
      const expiresAt = START_MS + 50;
      await apply(bench, attemptOf(1, 'a', 'one', { heldAt: START_MS + 10, expiresAt }));
      bench.wall.ms = START_MS + 1000;
      const { reader } = bench;
      const then = await reader.at?.('acme', 'orders', 'a', { time: START_MS + 40 }, everything);
      assert.equal(then?.ttlMs, 10);
      const late = await reader.at?.('acme', 'orders', 'a', { time: START_MS + 50 }, everything);
      assert.equal(late, null);
    },
  },
  {
    promise: 'at a uow, the value is the newest one at or below it that is visible',
    async check(bench) {
      for (const uow of [2, 4, 6]) await apply(bench, attemptOf(uow, 'a'));
      const seen: (string | null)[] = [];
      for (const uow of [1, 2, 3, 6, 9]) {
        const found = await bench.reader.at?.('acme', 'orders', 'a', { uow }, (one) => one !== 6);
        seen.push(
          found === null || found === undefined ? null : new TextDecoder().decode(found.value),
        );
      }
      assert.deepEqual(seen, [null, 'value of 2', 'value of 2', 'value of 4', 'value of 4']);
    },
  },
];

/** Every line, in the order of the contract. */
export const READER_LINES: readonly Line<StoreBench>[] = [
  ...GET_LINES,
  ...SCAN_LINES,
  ...HISTORY_LINES.map((line) => ({ ...line, appliesTo: keepsVersions })),
];
