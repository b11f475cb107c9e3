/** The HTTP stash against a server that answers, refuses, breaks off, stays silent, calls back. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { Mark, Stash } from '../../contracts/stash.ts';
import { realWorld } from '../../kernel/realworld.ts';
import { Callbacks } from '../../operate/callbacks.ts';
import { meaningOf, STATUS_ROWS } from './replies.ts';
import { attemptOf, SECRET, WireServer, type Heard, type Scripted } from './server.testing.ts';
import { keysOf, signed } from './signature.ts';
import { httpAdapter } from './spec.ts';

const MARK: Mark = { journalId: 'j', position: 5, from: 1 };
const world = realWorld();
let server: WireServer;
let callbacks: Callbacks;
let opened: Stash[];

beforeEach(async () => {
  server = await WireServer.start();
  callbacks = new Callbacks(world.clock);
  opened = [];
});
afterEach(async () => {
  for (const stash of opened) await stash.close();
  await server.stop();
});

/** A stash that takes calls, and the reasons it gave for being apart. */
async function join(options: Record<string, unknown> = {}): Promise<[Stash, string[]]> {
  const all = { url: server.url, secret: SECRET, insertOnly: true, timeout: 2000, ...options };
  const { stash } = await httpAdapter.open({
    id: 'crm',
    options: all,
    dataDirectory: '',
    world,
    role: 'member',
    connections: { epoch: 1, list: async () => [], record: async () => {}, forget: async () => {} },
    callbacks,
    render: () => '',
  });
  opened.push(stash);
  const told: string[] = [];
  stash.watch?.((why) => told.push(why));
  await stash.mark().catch(() => null);
  return [stash, told];
}

const on = (type: string, answer: (heard: Heard) => Scripted | 'silence' | null) => {
  server.play = (heard) => (heard.type === type ? answer(heard) : null);
};

test('each row of the table: what one attempt came to by its status alone', async (t) => {
  const [stash] = await join();
  for (const { from, to, means } of STATUS_ROWS) {
    for (const status of new Set([from, to])) {
      if (meaningOf(status) !== means || means === 'session') continue;
      on('apply', () => ({ status, headers: { 'retry-after': '3' } }));
      const [reply] = await stash.apply([attemptOf(1)], MARK);
      const shown = JSON.stringify(reply);
      const wanted = {
        later: 'unknown',
        done: 'stored',
        outage: 'failed',
        wait: 'failed',
        refused: 'refused',
        unknown: 'unknown',
      }[means];
      assert.equal(reply?.reply, wanted, `${status}: ${shown}`);
      const failed = reply?.reply === 'failed' ? reply : null;
      assert.equal(failed?.outage ?? false, means === 'outage', `${status}: ${shown}`);
      assert.equal(
        failed?.retryAfterMs,
        means === 'wait' ? 3000 : undefined,
        `${status}: ${shown}`,
      );
      if (failed !== null) assert.equal(failed.sent, true);
    }
  }
  t.diagnostic(`${STATUS_ROWS.length} rows`);
});

test('the word of a body goes before the status, and tells of each attempt by itself', async () => {
  const [stash] = await join();
  const replies = [
    { reply: 'declined' },
    { reply: 'refused', status: 'E7', detail: 'no such customer' },
    { reply: 'failed', detail: 'busy', retryAfter: 2 },
    { reply: 'stored' },
    { reply: 'whatever' },
  ];
  on('apply', () => ({ status: 503, body: JSON.stringify({ replies }) }));
  const found = await stash.apply(
    [1, 2, 3, 4, 5].map((uow) => attemptOf(uow)),
    MARK,
  );
  assert.deepEqual(found, [
    { reply: 'declined' },
    { reply: 'refused', status: 'E7', detail: 'no such customer' },
    { reply: 'failed', detail: 'busy', sent: true, retryAfterMs: 2000 },
    { reply: 'stored' },
    { reply: 'unknown', detail: 'the server said whatever' },
  ]);
});

test('a server that takes one at a time may answer one word without a list', async () => {
  const [stash] = await join();
  on('apply', () => ({ status: 422, body: '{"reply": "declined"}' }));
  assert.deepEqual(await stash.apply([attemptOf(1)], MARK), [{ reply: 'declined' }]);
});

test('nothing definite is unknown: too few replies, no JSON, nothing for many', async () => {
  const [stash, told] = await join();
  const bodies = [
    '{"replies": [{"reply": "stored"}]}',
    '<html>Welcome</html>',
    '',
    '{"replies": 7}',
  ];
  for (const body of bodies) {
    on('apply', () => ({ status: 200, body }));
    const found = await stash.apply([attemptOf(1), attemptOf(2)], MARK);
    assert.deepEqual(
      found.map(({ reply }) => reply),
      ['unknown', 'unknown'],
      body,
    );
  }
  on('apply', () => ({ status: 200, body: '<html>Welcome</html>' }));
  assert.equal((await stash.apply([attemptOf(1)], MARK))[0]?.reply, 'unknown');
  assert.deepEqual(told, [], 'the connection is fine');
});

test('refused as a whole: sent again one by one, and only the guilty is refused', async () => {
  const [stash] = await join();
  on('apply', ({ body }) => {
    const rows = body['attempts'] as { uow: number }[];
    return rows.some(({ uow }) => uow === 2)
      ? { status: 413, body: '{"detail": "too much"}' }
      : null;
  });
  const found = await stash.apply(
    [1, 2, 3].map((uow) => attemptOf(uow)),
    MARK,
  );
  assert.deepEqual(found, [
    { reply: 'stored' },
    { reply: 'refused', status: 413, detail: 'too much' },
    { reply: 'stored' },
  ]);
});

test('attempts of one key arrive in their order, others at once, within the bound', async () => {
  const [stash] = await join({ batch: 1, concurrency: 4 });
  let inFlight = 0;
  let most = 0;
  const order: number[] = [];
  server.play = (heard, res) => {
    if (heard.type !== 'apply') return null;
    inFlight += 1;
    most = Math.max(most, inFlight);
    const [row] = heard.body['attempts'] as { uow: number; keys: string[] }[];
    world.clock.after(row?.keys[0] === 'a' ? 1 : 5, () => {
      inFlight -= 1;
      if (row?.keys[0] === 'a') order.push(row.uow);
      res.end('{"replies": [{"reply": "stored"}]}');
    });
    return 'silence';
  };
  const attempts = Array.from({ length: 40 }, (_, at) => {
    return attemptOf(at + 1, at % 2 === 0 ? 'a' : `key ${at}`);
  });
  const found = await stash.apply(attempts, MARK);
  assert.ok(found.every(({ reply }) => reply === 'stored'));
  assert.deepEqual(
    order,
    [...order].sort((one, other) => one - other),
  );
  assert.ok(most > 1 && most <= 4, `${most} at once`);
});

test('a lost connection: unknown, apart, told once; silence until the mark is asked', async () => {
  const [stash, told] = await join({ batch: 1, concurrency: 1 });
  server.play = ({ type }, res) => {
    if (type !== 'apply') return null;
    res.destroy();
    return 'silence';
  };
  const found = await stash.apply([attemptOf(1), attemptOf(2)], MARK);
  assert.deepEqual(
    found.map(({ reply }) => reply),
    ['unknown', 'failed'],
  );
  assert.deepEqual(found[1]?.reply === 'failed' && [found[1].sent, found[1].apart], [false, true]);
  assert.equal(told.length, 1);
  server.play = () => null;
  const before = server.heard.length;
  assert.equal((await stash.apply([attemptOf(3)], MARK))[0]?.reply, 'failed');
  const [undone] = await stash.undo([attemptOf(3)], MARK);
  assert.deepEqual([undone?.reply, undone?.reply === 'failed' && undone.apart], ['failed', true]);
  assert.equal(server.heard.length, before);
  await stash.mark();
  assert.deepEqual(await stash.apply([attemptOf(3)], MARK), [{ reply: 'stored' }]);
  assert.equal(told.length, 1);
});

test('a server that stays silent costs no more than the time-out, and is unknown', async () => {
  const [stash, told] = await join({ timeout: 100 });
  on('apply', () => 'silence');
  const from = performance.now();
  assert.equal((await stash.apply([attemptOf(1)], MARK))[0]?.reply, 'unknown');
  assert.ok(performance.now() - from < 2000);
  assert.match(told[0] ?? '', /no answer within 100 ms/);
});

test('nobody there: certainly not sent, the mark rejects, a probe says so', async () => {
  const [stash, told] = await join();
  await server.stop();
  const [reply] = await stash.apply([attemptOf(1)], MARK);
  assert.equal(reply?.reply, 'failed');
  assert.deepEqual(reply?.reply === 'failed' && [reply.sent, reply.outage], [false, true]);
  assert.equal(told.length, 1);
  await assert.rejects(stash.mark(), { code: 'unavailable' });
  const [finding] = await stash.probe();
  assert.equal(finding?.level, 'error');
  assert.match(finding?.detail ?? '', /ECONNREFUSED/);
  server = await WireServer.start();
});

test('calls of an earlier session are turned away: a restart, a fence', async () => {
  const [stash, told] = await join();
  server.restart();
  const [reply] = await stash.apply([attemptOf(1)], MARK);
  assert.deepEqual(reply?.reply === 'failed' && [reply.sent, reply.apart], [true, true]);
  assert.equal(told.length, 1);
  assert.equal(await stash.mark(), null);
  on('apply', () => ({ status: 500 }));
  assert.equal((await stash.apply([attemptOf(1)], MARK))[0]?.reply, 'unknown');
  server.play = () => null;
  assert.deepEqual(await stash.holds([attemptOf(1)]), ['cannot-tell'], 'it may still arrive');
  const before = server.session;
  await stash.fence();
  assert.notEqual(server.session, before);
  assert.deepEqual(await stash.holds([attemptOf(1)]), ['never']);
  await stash.fence();
  assert.equal(server.of('mark').filter(({ body }) => body['open'] === true).length, 3);
});

test('no mark and no sessions: taken, and proves nothing; a wrong URL is not', async () => {
  server.session = null;
  const [stash] = await join();
  assert.equal(await stash.mark(), null);
  assert.deepEqual(await stash.apply([attemptOf(1)], MARK), [{ reply: 'stored' }]);
  assert.deepEqual(await stash.holds([attemptOf(1), attemptOf(2)]), ['live', 'cannot-tell']);
  const findings = await stash.probe();
  assert.ok(findings.some(({ level, check }) => level === 'warning' && check === 'mark'));
  server.play = () => ({ status: 404 });
  const [lost] = await join();
  await assert.rejects(lost.mark(), /probe: answered 404/);
});

test('undo: whatever is not plainly undone is asked for again', async () => {
  const [stash] = await join();
  const cases: [Scripted, string][] = [
    [{ status: 204 }, 'undone'],
    [{ status: 200, body: '{"reply": "undone"}' }, 'undone'],
    [{ status: 409, body: '{"reply": "undo-conflict", "detail": "changed"}' }, 'undo-conflict'],
    [{ status: 200, body: '{"reply": "stored"}' }, 'failed'],
    [{ status: 422 }, 'failed'],
    [{ status: 500 }, 'failed'],
    [{ status: 404 }, 'failed'],
  ];
  for (const [answer, wanted] of cases) {
    on('undo', () => answer);
    assert.equal((await stash.undo([attemptOf(1)], MARK))[0]?.reply, wanted, String(answer.status));
  }
});

test('an empty call carries the mark; a value too large is refused and not sent', async () => {
  const [stash] = await join({ maxValue: 20 });
  assert.deepEqual(await stash.apply([], { ...MARK, position: 9 }), []);
  assert.equal(server.mark?.position, 9);
  const large = attemptOf(2, 'b', 'x'.repeat(21));
  const found = await stash.apply([attemptOf(1), large, attemptOf(3)], MARK);
  assert.deepEqual(
    found.map(({ reply }) => reply),
    ['stored', 'refused', 'stored'],
  );
  assert.deepEqual(
    (await stash.apply([large], MARK)).map(({ reply }) => reply),
    ['refused'],
  );
});

/** Answers 202, and then by callback, as `how` makes it. */
function callingBack(how: (id: string, body: string) => [string, readonly string[]]): void {
  on('apply', ({ headers, body }) => {
    const id = String(headers['webhook-id']);
    const replies = (body['attempts'] as unknown[]).map(() => ({ reply: 'stored' }));
    const [text, list] = how(id, JSON.stringify({ replies }));
    const named: Record<string, string> = {};
    for (let at = 0; at < list.length; at += 2) named[list[at] ?? ''] = list[at + 1] ?? '';
    assert.equal(body['callback'], `http://here/v1/callbacks/${id}`);
    callbacks.deliver(id, { headers: named, body: Buffer.from(text) });
    return { status: 202 };
  });
}

test('202 and a signed callback: its word counts, even when it overtakes the 202', async () => {
  callbacks.reachedAt('http://here');
  const [stash] = await join({ deadline: 500 });
  callingBack((id, body) => [body, signed(keysOf(SECRET), id, Date.now(), body)]);
  const found = await stash.apply([attemptOf(1), attemptOf(2)], MARK);
  assert.deepEqual(found, [{ reply: 'stored' }, { reply: 'stored' }]);
});

test('a callback with a wrong signature, of another call or of long ago ends no wait', async () => {
  callbacks.reachedAt('http://here');
  const [stash, told] = await join({ deadline: 100 });
  const keys = keysOf(SECRET);
  const wrong: ((id: string, body: string) => readonly string[])[] = [
    (id, body) => signed(keysOf('another secret'), id, Date.now(), body),
    (id) => signed(keys, id, Date.now(), 'another body'),
    (_id, body) => signed(keys, 'another call', Date.now(), body),
    (id, body) => signed(keys, id, Date.now() - 3_600_000, body),
    () => [],
  ];
  for (const headers of wrong) {
    let calls = 0;
    callingBack((id, body) => {
      calls += 1;
      return [body, headers(id, body)];
    });
    const [reply] = await stash.apply([attemptOf(1)], MARK);
    assert.deepEqual([reply?.reply, calls], ['unknown', 1]);
    assert.match(reply?.reply === 'unknown' ? reply.detail : '', /no callback within/);
  }
  assert.deepEqual(told, [], 'a store that is late is not apart');
  on('apply', ({ headers, body }) => {
    const id = String(headers['webhook-id']);
    const text = JSON.stringify({
      replies: (body['attempts'] as unknown[]).map(() => ({ reply: 'declined' })),
    });
    const give = (list: readonly string[]): void => {
      const named = Object.fromEntries(
        list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1] ?? '']] : [])),
      ) as Record<string, string>;
      callbacks.deliver(id, { headers: named, body: Buffer.from(text) });
    };
    give(signed(keysOf('another secret'), id, Date.now(), text));
    world.clock.after(10, () => give(signed(keys, id, Date.now(), text)));
    return { status: 202 };
  });
  assert.deepEqual(await stash.apply([attemptOf(1)], MARK), [{ reply: 'declined' }]);
});

test('both secrets sign while one is changed for the other', async () => {
  const [stash] = await join({ secret: `whsec_bmV3IHNlY3JldCBuZXcgc2VjcmV0 ${SECRET}` });
  assert.deepEqual(await stash.apply([attemptOf(1)], MARK), [{ reply: 'stored' }]);
  const [away] = await join({ secret: 'whsec_bmV3IHNlY3JldCBuZXcgc2VjcmV0' });
  await assert.rejects(away.mark(), /401/);
  const [finding] = await away.probe();
  assert.equal(finding?.level, 'error');
});

test('a close ends what is under way at once', async () => {
  const [stash] = await join({ timeout: 60_000 });
  on('apply', () => 'silence');
  const applied = stash.apply([attemptOf(1)], MARK);
  while (server.of('apply').length === 0) await new Promise((done) => setImmediate(done));
  await stash.close();
  assert.equal((await applied)[0]?.reply, 'unknown');
  assert.equal((await stash.apply([attemptOf(2)], MARK))[0]?.reply, 'failed');
});

test('nonsense in the options is a fault that shows no secret', async () => {
  await assert.rejects(join({ secret: ' ' }), /no secret/);
  const secret = 'X-Key: \u0000s3cret';
  await assert.rejects(join({ headers: [secret] }), (error: Error) => {
    assert.doesNotMatch(error.message, /s3cret/);
    return true;
  });
  await assert.rejects(join({ headers: ['Webhook-Id: 1'] }), /cannot be sent along/);
  const [stash] = await join({ headers: ['X-Api-Key: 4711'] });
  await stash.apply([attemptOf(1)], MARK);
  assert.equal(server.of('apply')[0]?.headers['x-api-key'], '4711');
});
