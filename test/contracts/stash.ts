/** The conformance suite of a stash: one line per promise of src/contracts/stash.ts. */
import assert from 'node:assert/strict';
import {
  HOSTILE_KEYS,
  MARK,
  apply,
  attemptOf,
  deleteOf,
  everything,
  look,
  undo,
  undoes,
  type StoreBench,
} from './bench.ts';
import { PRUNE_LINES } from './stash-prune.ts';
import type { Line } from './suite.ts';

const APPLY_LINES: readonly Line<StoreBench>[] = [
  {
    promise: 'apply answers once per attempt, in the order given',
    appliesTo: undoes,
    async check(bench) {
      await undo(bench, attemptOf(2, 'b'));
      const replies = await apply(bench, attemptOf(1, 'a'), attemptOf(3, 'c'), attemptOf(2, 'b'));
      assert.deepEqual(replies, ['stored', 'stored', 'failed']);
      assert.deepEqual(await apply(bench), []);
    },
  },
  {
    promise: 'an attempt that is turned away harms no other of the same call',
    appliesTo: undoes,
    async check(bench) {
      await undo(bench, attemptOf(2, 'b'));
      await apply(bench, attemptOf(1, 'a'), attemptOf(2, 'b'), attemptOf(3, 'c'));
      const seen = [await look(bench, 'a'), await look(bench, 'b'), await look(bench, 'c')];
      assert.deepEqual(seen, ['value of 1', null, 'value of 3']);
    },
  },
  {
    promise: 'stores one value under all keys of an attempt',
    async check(bench) {
      const keys = Array.from({ length: 1000 }, (_, at) => `key ${at}`);
      await apply(bench, attemptOf(1, keys));
      const found = await bench.reader.get('acme', 'orders', keys, everything);
      assert.equal(found.filter((one) => one?.value.length === 10).length, 1000);
    },
  },
  {
    promise: 'keeps what it was given, whatever becomes of the array afterwards',
    async check(bench) {
      const value = new Uint8Array([1, 2, 3]);
      await apply(bench, attemptOf(1, 'a', value));
      value.fill(9);
      const [found] = await bench.reader.get('acme', 'orders', ['a'], everything);
      assert.deepEqual([...(found?.value ?? [])], [1, 2, 3]);
    },
  },
  {
    promise: 'takes a thousand attempts in one call',
    async check(bench) {
      const attempts = Array.from({ length: 1000 }, (_, at) => attemptOf(at + 1, `key ${at}`));
      const replies = await apply(bench, ...attempts);
      assert.equal(replies.filter((reply) => reply === 'stored').length, 1000);
      assert.equal(await look(bench, 'key 999'), 'value of 1000');
    },
  },
  {
    promise: 'of several attempts of one key in one call the newest is readable',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'), attemptOf(2, ['b', 'a']), attemptOf(3, 'a'));
      assert.equal(await look(bench, 'a'), 'value of 3');
      assert.equal(await look(bench, 'b'), 'value of 2');
    },
  },
  {
    promise: 'applying the same attempt twice is as good as once',
    async check(bench) {
      const first = attemptOf(1, ['a', 'b']);
      assert.deepEqual(await apply(bench, first), ['stored']);
      // A store that keeps nothing but the newest is never handed an older one.
      if (undoes(bench)) await apply(bench, attemptOf(2, 'a'));
      assert.deepEqual(await apply(bench, first, first), ['stored', 'stored']);
      assert.equal(await look(bench, 'a'), undoes(bench) ? 'value of 2' : 'value of 1');
      assert.equal(await look(bench, 'b'), 'value of 1');
    },
  },
  {
    promise: 'a different value under a number in use does not count as stored',
    appliesTo: undoes,
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      assert.deepEqual(await apply(bench, attemptOf(1, 'a', 'another')), ['failed']);
      assert.equal(await look(bench, 'a'), 'value of 1');
    },
  },
  {
    promise: 'a delete makes the key absent, and a later write brings it back',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      assert.deepEqual(await apply(bench, deleteOf(2, 'a')), ['stored']);
      assert.equal(await look(bench, 'a'), null);
      await apply(bench, attemptOf(3, 'a'));
      assert.equal(await look(bench, 'a'), 'value of 3');
    },
  },
  {
    promise: 'an attempt that has already expired is stored and reads as absent',
    async check(bench) {
      const gone = attemptOf(1, 'a', 'late', { expiresAt: bench.wall.after(-1) });
      assert.deepEqual(await apply(bench, gone), ['stored']);
      assert.equal(await look(bench, 'a'), null);
    },
  },
  {
    promise: 'numbers up to the largest exact integer are kept apart',
    async check(bench) {
      const top = Number.MAX_SAFE_INTEGER;
      assert.deepEqual(await apply(bench, attemptOf(top - 1, 'a'), attemptOf(top, 'b')), [
        'stored',
        'stored',
      ]);
      if (undoes(bench)) {
        assert.deepEqual(await undo(bench, attemptOf(top, 'b')), ['undone']);
        assert.equal(await look(bench, 'b'), null);
      }
      assert.equal(await look(bench, 'a'), `value of ${top - 1}`);
      assert.deepEqual(await apply(bench, attemptOf(2 ** 45, 'c')), ['stored']);
      const found = await bench.reader.get('acme', 'orders', ['a', 'c'], everything);
      const uows = found.map((one) => one?.uow ?? null);
      assert.ok(uows[0] === null || (uows[0] === top - 1 && uows[1] === 2 ** 45));
    },
  },
];

const UNDO_LINES: readonly Line<StoreBench>[] = [
  {
    promise: 'undo leaves nothing of the attempt under any of its keys',
    async check(bench) {
      const attempt = attemptOf(1, ['a', 'b', 'c']);
      await apply(bench, attempt);
      assert.deepEqual(await undo(bench, attempt), ['undone']);
      const seen = [await look(bench, 'a'), await look(bench, 'b'), await look(bench, 'c')];
      assert.deepEqual(seen, [null, null, null]);
    },
  },
  {
    promise: 'undo gives back what stood there before',
    async check(bench) {
      for (const uow of [1, 2, 3]) await apply(bench, attemptOf(uow, 'a'));
      await undo(bench, attemptOf(3, 'a'));
      assert.equal(await look(bench, 'a'), 'value of 2');
    },
  },
  {
    promise: 'undo of an attempt leaves a later write of the key alone',
    appliesTo: (bench) => bench.stash.traits.insertOnly,
    async check(bench) {
      for (const uow of [1, 2]) await apply(bench, attemptOf(uow, 'a'));
      await undo(bench, attemptOf(1, 'a'));
      assert.equal(await look(bench, 'a'), 'value of 2');
    },
  },
  {
    promise: 'an undone delete gives the value back',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      await apply(bench, deleteOf(2, 'a'));
      assert.deepEqual(await undo(bench, deleteOf(2, 'a')), ['undone']);
      assert.equal(await look(bench, 'a'), 'value of 1');
    },
  },
  {
    promise: 'undo answers once per attempt, in the order given, and every one is done',
    async check(bench) {
      const attempts = [attemptOf(1, 'a'), attemptOf(2, 'b'), attemptOf(3, 'c')];
      await apply(bench, ...attempts);
      assert.deepEqual(await undo(bench, ...attempts), ['undone', 'undone', 'undone']);
      const seen = [await look(bench, 'a'), await look(bench, 'b'), await look(bench, 'c')];
      assert.deepEqual(seen, [null, null, null]);
      assert.deepEqual(await undo(bench), []);
    },
  },
  {
    promise: 'undoing twice is undone',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      assert.deepEqual(await undo(bench, attemptOf(1, 'a')), ['undone']);
      assert.deepEqual(await undo(bench, attemptOf(1, 'a')), ['undone']);
      assert.equal(await look(bench, 'a'), null);
    },
  },
  {
    promise: 'undoing what was never applied is undone',
    async check(bench) {
      assert.deepEqual(await undo(bench, attemptOf(7, ['a', 'b'])), ['undone']);
      assert.equal(await look(bench, 'a'), null);
    },
  },
  {
    promise: 'an apply that arrives after the undo of a never applied attempt fails without effect',
    async check(bench) {
      await undo(bench, attemptOf(1, ['a', 'b']));
      assert.deepEqual(await apply(bench, attemptOf(1, ['a', 'b'])), ['failed']);
      assert.deepEqual([await look(bench, 'a'), await look(bench, 'b')], [null, null]);
    },
  },
  {
    promise: 'an apply that arrives again after the undo fails without effect',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      await undo(bench, attemptOf(1, 'a'));
      assert.deepEqual(await apply(bench, attemptOf(1, 'a')), ['failed']);
      assert.equal(await look(bench, 'a'), null);
    },
  },
  {
    promise: 'the next attempt of a write does not meet the tombstone of the one before',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      await undo(bench, attemptOf(1, 'a'));
      const again = attemptOf(1, 'a', 'second try', { attempt: 2 });
      assert.deepEqual(await apply(bench, again), ['stored']);
      assert.equal(await look(bench, 'a'), 'second try');
    },
  },
];

const KEY_LINES: readonly Line<StoreBench>[] = [
  {
    promise: 'stores bytes exactly: none at all, all 256, and what is not UTF-8',
    async check(bench) {
      const values = [
        new Uint8Array(0),
        Uint8Array.from({ length: 256 }, (_, at) => at),
        new Uint8Array([0xff, 0xfe, 0x00, 0xc0, 0xaf]),
      ];
      for (const [at, value] of values.entries()) {
        assert.deepEqual(await apply(bench, attemptOf(at + 1, `key ${at}`, value)), ['stored']);
        const [found] = await bench.reader.get('acme', 'orders', [`key ${at}`], everything);
        assert.ok(found && Buffer.compare(found.value, value) === 0, `value ${at}`);
      }
    },
  },
  {
    promise: 'stores a value of 16 MiB',
    async check(bench) {
      const value = new Uint8Array(16 * 1024 * 1024).fill(7);
      value[value.length - 1] = 8;
      assert.deepEqual(await apply(bench, attemptOf(1, 'large', value)), ['stored']);
      const [found] = await bench.reader.get('acme', 'orders', ['large'], everything);
      assert.ok(found && Buffer.compare(found.value, value) === 0);
    },
  },
  {
    promise: 'keeps hostile keys apart and as they are',
    async check(bench) {
      const attempts = HOSTILE_KEYS.map((key, at) => attemptOf(at + 1, key, `value ${at}`));
      const replies = await apply(bench, ...attempts);
      assert.ok(replies.every((reply) => reply === 'stored'));
      for (const [at, key] of HOSTILE_KEYS.entries()) {
        assert.equal(await look(bench, key), `value ${at}`, JSON.stringify(key));
      }
      const page = await bench.reader.scan('acme', 'orders', '', null, 1000, everything);
      const keys = page.items.map((item) => item.key);
      assert.deepEqual([...keys].sort(), [...HOSTILE_KEYS].sort());
    },
  },
  {
    promise: 'undoes hostile keys each for itself',
    appliesTo: undoes,
    async check(bench) {
      const attempts = HOSTILE_KEYS.map((key, at) => attemptOf(at + 1, key, `value ${at}`));
      await apply(bench, ...attempts);
      const odd = attempts.filter((_, at) => at % 2 === 1);
      await undo(bench, ...odd);
      for (const [at, key] of HOSTILE_KEYS.entries()) {
        const left = at % 2 === 1 ? null : `value ${at}`;
        assert.equal(await look(bench, key), left, JSON.stringify(key));
      }
    },
  },
  {
    promise: 'keeps accounts and flows apart',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      await apply(bench, attemptOf(2, 'a', 'other flow', { flow: 'other' }));
      await apply(bench, attemptOf(3, 'a', 'other account', { account: 'other' }));
      assert.equal(await look(bench, 'a'), 'value of 1');
      assert.equal(await look(bench, 'a', 'acme', 'other'), 'other flow');
      assert.equal(await look(bench, 'a', 'other', 'orders'), 'other account');
      assert.equal(await look(bench, 'a', 'nobody', 'orders'), null);
    },
  },
];

const BOOK_LINES: readonly Line<StoreBench>[] = [
  {
    promise: 'a new store has no mark',
    async check(bench) {
      assert.equal(await bench.stash.mark(), null);
    },
  },
  {
    promise: 'a call without attempts stores its mark',
    async check(bench) {
      await bench.stash.apply([attemptOf(1, 'a')], MARK);
      await bench.stash.apply([], { ...MARK, position: 43 });
      assert.deepEqual(await bench.stash.mark(), { ...MARK, position: 43 });
      await bench.stash.apply([], { ...MARK, position: 2 ** 52 });
      assert.deepEqual(await bench.stash.mark(), { ...MARK, position: 2 ** 52 });
    },
  },
  {
    promise: 'the mark is none, or one that was handed over with attempts or undos',
    async check(bench) {
      await bench.stash.apply([attemptOf(1, 'a')], MARK);
      await bench.stash.undo([attemptOf(2, 'a')], { ...MARK, position: 77 });
      const mark = await bench.stash.mark();
      if (mark === null) return;
      assert.deepEqual(mark, { ...MARK, position: mark.position === 77 ? 77 : MARK.position });
    },
  },
  {
    promise: 'holds tells a live attempt from an undone one, each by its own number',
    appliesTo: undoes,
    async check(bench) {
      for (const uow of [1, 2]) await apply(bench, attemptOf(uow, 'a'));
      await undo(bench, attemptOf(2, 'a'));
      await bench.stash.fence();
      const asked = [attemptOf(1, 'a'), attemptOf(2, 'a')];
      assert.deepEqual(await bench.stash.holds(asked), ['live', 'tombstone']);
    },
  },
  {
    promise: 'holds never takes an attempt it does not know for one it has',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      await bench.stash.fence();
      const next = attemptOf(1, 'a', 'value of 1', { attempt: 2 });
      for (const reply of await bench.stash.holds([attemptOf(3, 'a'), next])) {
        assert.ok(reply === 'never' || reply === 'cannot-tell', reply);
      }
    },
  },
  {
    promise: 'a fence and a flush take nothing away',
    async check(bench) {
      await apply(bench, attemptOf(1, 'a'));
      await bench.stash.fence();
      await bench.stash.flush();
      assert.equal(await look(bench, 'a'), 'value of 1');
      assert.deepEqual(await apply(bench, attemptOf(2, 'a')), ['stored']);
    },
  },
  {
    promise: 'a probe of a store that is well finds no error',
    async check(bench) {
      const findings = await bench.stash.probe();
      assert.ok(findings.length > 0);
      assert.deepEqual(
        findings.filter((finding) => finding.level === 'error'),
        [],
      );
    },
  },
  {
    promise: 'a restart keeps values, deletes, tombstones and the mark, or says that it lost all',
    async check(bench) {
      const { reopen } = bench;
      if (reopen === null) return;
      await apply(bench, attemptOf(1, 'a'), attemptOf(2, 'b'), attemptOf(3, 'c'));
      await apply(bench, deleteOf(4, 'c'));
      if (undoes(bench)) await undo(bench, attemptOf(2, 'b'));
      else await apply(bench, deleteOf(5, 'b'));
      await apply(bench);
      await bench.stash.flush();
      await bench.stash.close();
      const again = await reopen();
      const mark = await again.stash.mark();
      if (mark === null) return;
      assert.deepEqual(mark, MARK);
      const seen = [await look(again, 'a'), await look(again, 'b'), await look(again, 'c')];
      assert.deepEqual(seen, ['value of 1', null, null]);
      if (undoes(bench)) assert.deepEqual(await apply(again, attemptOf(2, 'b')), ['failed']);
    },
  },
];

/** Every line, in the order of the contract. */
export const STASH_LINES: readonly Line<StoreBench>[] = [
  ...APPLY_LINES,
  ...UNDO_LINES.map((line) => ({ appliesTo: undoes, ...line })),
  ...KEY_LINES,
  ...BOOK_LINES,
  ...PRUNE_LINES,
];
