/** What a user's server must do beside attempts: signatures, mark, sessions, callbacks. */
import { signed } from '../../adapters/http/signature.ts';
import type { Ended } from '../../adapters/http/exchange.ts';
import type { Attempt } from '../../contracts/stash.ts';
import type { Caller } from './caller.ts';
import { Broken, wants, type CheckLine } from './line.ts';

const MINUTE_MS = 60_000;

/** It was turned away for its signature, and nothing came of it. */
async function turnedAway(caller: Caller, what: string, attempt: Attempt, ended: Ended) {
  const status = ended.got === 'answer' ? ended.status : ended.got;
  if (status !== 401 && status !== 403) {
    throw new Broken(`${what}: wanted 401, found ${status}`);
  }
  const [held = ''] = await caller.holds(attempt);
  if (held === 'live') throw new Broken(`${what}: it was turned away, and is held all the same`);
}

const now = (caller: Caller): number => caller.world.clock.wallMs();

export const BOOK_LINES: readonly CheckLine[] = [
  {
    promise: 'answers a probe',
    async check(caller) {
      const ended = await caller.probe();
      const status = ended.got === 'answer' ? ended.status : ended.why;
      if (typeof status === 'number' && status >= 200 && status <= 299) return;
      throw new Broken(`wanted 200, found ${status}`);
    },
  },
  {
    promise: 'turns away a call with a wrong signature, or with none',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      const body = caller.bodyOf('apply', [attempt]);
      const wrong: [string, readonly string[]][] = [
        ['another secret', signed([Buffer.from('no such secret')], 'id 1', now(caller), body)],
        ['another body', signed(caller.keys, 'id 2', now(caller), `${body} `)],
        ['no signature', ['webhook-id', 'id 3', 'webhook-timestamp', String(now(caller))]],
      ];
      for (const [what, headers] of wrong) {
        await turnedAway(caller, what, attempt, await caller.raw('apply', body, headers));
      }
    },
  },
  {
    promise: 'turns away a call of ten minutes ago, and one from ten minutes ahead',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      const body = caller.bodyOf('apply', [attempt]);
      for (const byMs of [-10 * MINUTE_MS, 10 * MINUTE_MS]) {
        const headers = signed(caller.keys, `old ${byMs}`, now(caller) + byMs, body);
        const ended = await caller.raw('apply', body, headers);
        await turnedAway(caller, `${byMs / MINUTE_MS} minutes`, attempt, ended);
      }
    },
  },
  {
    promise: 'takes a call that one of several signatures fits, so that secrets can be changed',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      const body = caller.bodyOf('apply', [attempt]);
      const both = [Buffer.from('the next secret'), ...caller.keys];
      const headers = signed(both, 'id both', now(caller), body);
      wants('apply', caller.word(await caller.raw('apply', body, headers)), 'stored');
    },
  },
  {
    promise: 'keeps the mark that comes with attempts, with undos, and alone',
    needs: 'mark',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      const sendings = [
        () => caller.apply(attempt),
        () => caller.undo(attempt),
        () => caller.markOnly(),
      ];
      for (const send of sendings) {
        const mark = caller.nextMark();
        await send();
        wants('mark', (await caller.told(false))?.mark ?? null, mark);
      }
    },
  },
  {
    promise: 'a new session turns away calls of the one before',
    needs: 'session',
    async check(caller) {
      const attempt = caller.attempt(caller.key());
      const late = caller.bodyOf('apply', [attempt]);
      const before = caller.session;
      await caller.open();
      if (caller.session === before) throw new Broken('open: the session stayed the same');
      const ended = await caller.raw('apply', late);
      wants('status', ended.got === 'answer' ? ended.status : ended.why, 412);
      const [held = ''] = await caller.holds(attempt);
      if (held === 'live') throw new Broken('it was turned away, and is held all the same');
      wants('apply', await caller.apply(caller.attempt(caller.key())), ['stored']);
    },
  },
  {
    promise: 'looking at the mark does not end the session',
    needs: 'session',
    async check(caller) {
      const told = await caller.told(false);
      wants('session', told?.session, caller.session);
      wants('apply', await caller.apply(caller.attempt(caller.key())), ['stored']);
    },
  },
];

/** Comes last: only then it is known whether the server answers later at all. */
export const CALLBACK_LINE: CheckLine = {
  promise: 'answers by callback what it took with 202: signed, and within the deadline',
  async check(caller) {
    if (caller.later === 0) return 'it answers everything at once';
    const attempts = [1, 2, 3].map(() => caller.attempt(caller.key()));
    for (const attempt of attempts) wants('apply', await caller.apply(attempt), ['stored']);
    return undefined;
  },
};
