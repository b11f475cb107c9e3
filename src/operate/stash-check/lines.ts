/** What a user's server must do with attempts: the first and larger part of the stash check. */
import type { Attempt } from '../../contracts/stash.ts';
import type { Caller } from './caller.ts';
import { Broken, wants, type CheckLine } from './line.ts';

/** Keys that some store somewhere takes apart, folds, cuts or interprets. */
const HOSTILE: readonly string[] = [
  ['a', 'A', ' a', 'a ', 'a/b', 'a:b', 'a{b}c', '*', '?', '%', '%25', 'a%2Fb', '_', '[a]', '\\'],
  ["'", '"', "'; DROP TABLE kept; --", '`', '$ne', 'a.b', '...', '__proto__', 'toString', 'null'],
  ['true', '0', '00', '1e3', '1000', '\n', '\t', '\u0001', '\u00e9', 'e\u0301', '\u00df', 'ss'],
  ['\ufeffa', '\u200d', '\u202e', '\uffff', '\u{10000}', '\u{1f600}', 'k'.repeat(480)],
].flat();

/** Each under a start of its own, so that runs do not meet. */
function hostileKeys(caller: Caller): string[] {
  const start = caller.key('h').slice(2);
  return HOSTILE.map((key) => `${key}${start}`);
}

const APPLY: readonly CheckLine[] = [
  {
    promise: 'stores an attempt, and holds it from then on',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      wants('apply', await caller.apply(attempt), ['stored']);
      wants('holds', await caller.holds(attempt), ['live']);
      const [other = ''] = await caller.holds(caller.attempt(caller.key()));
      if (other !== 'never' && other !== 'cannot-tell') wants('holds a stranger', other, 'never');
    },
  },
  {
    promise: 'the value of a key is what was stored last',
    needs: 'read',
    async check(caller) {
      const key = caller.key();
      await caller.apply(caller.attempt(key, 'one'));
      await caller.apply(caller.attempt(key, 'two'));
      wants('read', await caller.look(key), 'two');
    },
  },
  {
    promise: 'applying the same attempt twice is as good as once',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      wants('apply', await caller.apply(attempt), ['stored']);
      wants('apply again', await caller.apply(attempt), ['stored']);
      wants('undo', await caller.undo(attempt), ['undone']);
      wants('holds', await caller.holds(attempt), ['tombstone']);
    },
  },
  {
    promise: 'another value under a number in use does not count as stored',
    async check(caller) {
      const attempt = caller.attempt(caller.key(), 'one');
      await caller.apply(attempt);
      const other = caller.attempt(attempt.keys, 'two', { uow: attempt.uow });
      wants('apply', await caller.apply(other), ['failed']);
    },
  },
  {
    promise: 'answers once per attempt, in the order given',
    async check(caller) {
      const attempts = [1, 2, 3, 4].map(() => caller.attempt(caller.key()));
      const [first, undone, ...rest] = attempts as [Attempt, Attempt, ...Attempt[]];
      await caller.undo(undone);
      const replies = await caller.apply(first, undone, ...rest);
      wants('apply', replies, ['stored', 'failed', 'stored', 'stored']);
    },
  },
  {
    promise: 'an attempt that is turned away harms no other of the same call',
    async check(caller) {
      const attempts = [1, 2, 3].map(() => caller.attempt(caller.key()));
      const [one, two, three] = attempts as [Attempt, Attempt, Attempt];
      await caller.undo(two);
      await caller.apply(one, two, three);
      wants('holds', await caller.holds(one, two, three), ['live', 'tombstone', 'live']);
    },
  },
  {
    promise: 'of several attempts of one key in one call the newest is read',
    needs: 'read',
    async check(caller) {
      const key = caller.key();
      const attempts = ['one', 'two', 'three'].map((value) => caller.attempt(key, value));
      wants('apply', await caller.apply(...attempts), ['stored', 'stored', 'stored']);
      wants('read', await caller.look(key), 'three');
    },
  },
  {
    promise: 'a hundred attempts in each of eight calls at once',
    async check(caller) {
      const calls = Array.from({ length: 8 }, () =>
        Array.from({ length: 100 }, () => caller.attempt(caller.key())),
      );
      const replies = await Promise.all(calls.map((attempts) => caller.apply(...attempts)));
      wants('stored', replies.flat().filter((reply) => reply === 'stored').length, 800);
      const held = await Promise.all(calls.map((attempts) => caller.holds(...attempts)));
      wants('held', held.flat().filter((reply) => reply === 'live').length, 800);
    },
  },
  {
    promise: 'an attempt that has already expired is stored, and reads as absent',
    needs: 'read',
    async check(caller) {
      const key = caller.key();
      const expiresAt = Math.floor(caller.world.clock.wallMs()) - 1000;
      wants('apply', await caller.apply(caller.attempt(key, 'late', { expiresAt })), ['stored']);
      wants('read', await caller.look(key), null);
    },
  },
  {
    promise: 'a delete makes the key absent, and undoing it brings the value back',
    needs: 'read',
    async check(caller) {
      const key = caller.key();
      await caller.apply(caller.attempt(key, 'one'));
      const gone = caller.attempt(key, '', { kind: 'delete' });
      wants('apply', await caller.apply(gone), ['stored']);
      wants('read', await caller.look(key), null);
      wants('undo', await caller.undo(gone), ['undone']);
      wants('read', await caller.look(key), 'one');
    },
  },
];

const UNDO: readonly CheckLine[] = [
  {
    promise: 'undo leaves nothing of the attempt, and gives back what stood there before',
    needs: 'read',
    async check(caller) {
      const [key, other] = [caller.key(), caller.key()];
      await caller.apply(caller.attempt(key, 'before'));
      const attempt = caller.attempt([key, other], 'after');
      await caller.apply(attempt);
      wants('undo', await caller.undo(attempt), ['undone']);
      wants('read', [await caller.look(key), await caller.look(other)], ['before', null]);
    },
  },
  {
    promise: 'an attempt that was undone is held as a tombstone',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      await caller.apply(attempt);
      wants('undo', await caller.undo(attempt), ['undone']);
      wants('holds', await caller.holds(attempt), ['tombstone']);
    },
  },
  {
    promise: 'undoing twice is undone',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      await caller.apply(attempt);
      wants('undo', await caller.undo(attempt), ['undone']);
      wants('undo again', await caller.undo(attempt), ['undone']);
    },
  },
  {
    promise: 'undoing what was never applied is undone, and binds an apply that comes later',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      wants('undo', await caller.undo(attempt), ['undone']);
      wants('apply', await caller.apply(attempt), ['failed']);
      wants('holds', await caller.holds(attempt), ['tombstone']);
    },
  },
  {
    promise: 'an apply that arrives again after its undo fails without effect',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      await caller.apply(attempt);
      await caller.undo(attempt);
      wants('apply', await caller.apply(attempt), ['failed']);
      wants('holds', await caller.holds(attempt), ['tombstone']);
    },
  },
  {
    promise: 'the next attempt of a write does not meet the tombstone of the one before',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      await caller.apply(attempt);
      await caller.undo(attempt);
      const again = { ...attempt, attempt: 2 };
      wants('apply', await caller.apply(again), ['stored']);
      wants('holds', await caller.holds(attempt, again), ['tombstone', 'live']);
    },
  },
  {
    promise: 'undoing an attempt leaves a later write of its key alone',
    needs: 'insert-only',
    async check(caller) {
      const key = caller.key();
      const early = caller.attempt(key, 'early');
      await caller.apply(early);
      const late = caller.attempt(key, 'late');
      await caller.apply(late);
      wants('undo', await caller.undo(early), ['undone']);
      wants('holds', await caller.holds(late), ['live']);
      const found = await caller.read(key);
      if (found !== undefined) wants('read', found?.toString('utf8') ?? null, 'late');
    },
  },
];

const VALUES: readonly CheckLine[] = [
  {
    promise: 'one value is read under each key of its attempt',
    needs: 'read',
    async check(caller) {
      const keys = [1, 2, 3].map(() => caller.key());
      await caller.apply(caller.attempt(keys, 'shared'));
      for (const key of keys) wants('read', await caller.look(key), 'shared');
    },
  },
  {
    promise: 'keeps bytes exactly: none at all, all 256, and what is not UTF-8',
    needs: 'read',
    async check(caller) {
      const values = [
        new Uint8Array(0),
        Uint8Array.from({ length: 256 }, (_, at) => at),
        new Uint8Array([0xff, 0xfe, 0x00, 0xc0, 0xaf]),
        new TextEncoder().encode('\ufeff{"a": 1.50,\r\n "\u2028": "\u{1f600}"} '),
      ];
      for (const value of values) {
        const key = caller.key();
        wants('apply', await caller.apply(caller.attempt(key, value)), ['stored']);
        const found = await caller.read(key);
        wants('read', found?.toString('hex') ?? null, Buffer.from(value).toString('hex'));
      }
    },
  },
  {
    promise: 'takes a value of 1 MiB',
    async check(caller) {
      const value = 'x'.repeat(1024 * 1024);
      const attempt = caller.attempt(caller.key(), value);
      wants('apply', await caller.apply(attempt), ['stored']);
      const found = await caller.read(attempt.keys[0] ?? '');
      if (found !== undefined) wants('bytes read', found?.length ?? null, value.length);
    },
  },
  {
    promise: 'keeps hostile keys apart and as they are',
    needs: 'read',
    async check(caller) {
      const keys = hostileKeys(caller);
      const attempts = keys.map((key, at) => caller.attempt(key, `value ${at}`));
      const replies = await caller.apply(...attempts);
      wants('stored', replies.filter((reply) => reply === 'stored').length, keys.length);
      const odd = attempts.filter((_, at) => at % 2 === 1);
      await caller.undo(...odd);
      for (const [at, key] of keys.entries()) {
        const left = at % 2 === 1 ? null : `value ${at}`;
        wants(`read ${JSON.stringify(key)}`, await caller.look(key), left);
      }
    },
  },
  {
    promise: 'keeps accounts and flows apart',
    needs: 'read',
    async check(caller) {
      const key = caller.key();
      const places = [{}, { flow: 'other' }, { account: 'holdfast-stash-check-2' }];
      for (const [at, place] of places.entries()) {
        await caller.apply(caller.attempt(key, `place ${at}`, place));
      }
      for (const [at, place] of places.entries()) {
        wants('read', await caller.look(key, place), `place ${at}`);
      }
    },
  },
  {
    promise: 'keeps numbers apart up to the largest exact integer',
    async check(caller) {
      const attempt = 2 + Math.floor(caller.world.random.fraction() * 2 ** 30);
      const top = { uow: Number.MAX_SAFE_INTEGER, attempt };
      const below = caller.attempt(caller.key(), 'below', { ...top, uow: top.uow - 1 });
      const last = caller.attempt(caller.key(), 'last', top);
      wants('apply', await caller.apply(below, last), ['stored', 'stored']);
      wants('undo', await caller.undo(last), ['undone']);
      wants('holds', await caller.holds(below, last), ['live', 'tombstone']);
    },
  },
  {
    promise: 'ignores members that it does not know',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      const body = JSON.parse(caller.bodyOf('apply', [attempt])) as { attempts: object[] };
      const attempts = body.attempts.map((each) => ({ ...each, later: { than: 'now' } }));
      const text = JSON.stringify({ later: ['than', 'now'], ...body, attempts });
      const word = caller.word(await caller.raw('apply', text));
      if (word !== 'stored') throw new Broken(`apply: wanted "stored", found "${word}"`);
    },
  },
];

export const ATTEMPT_LINES: readonly CheckLine[] = [...APPLY, ...UNDO, ...VALUES];
