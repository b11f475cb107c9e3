/** Writes over real sockets: TTL, conditions, preferences, receipts, faults. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { Fault } from '../../kernel/errors.ts';
import { fakeReceipt } from './fakes.testing.ts';
import { JSON_TYPE, problem, put, testServer } from './server.testing.ts';
import type { TestServer } from './server.testing.ts';

let server: TestServer;
before(async () => {
  server = await testServer();
});
after(() => server.stop());
beforeEach(() => {
  server.fakes.answer = null;
  server.fakes.requests.length = 0;
});

test('ttl: seconds, durations and none; everything else and too much is 400', async () => {
  const good: [string, number | null][] = [
    ['1', 1000],
    ['60', 60_000],
    ['250ms', 250],
    ['15s', 15_000],
    ['24h', 86_400_000],
    ['none', null],
  ];
  for (const [text, ms] of good) {
    assert.equal((await put(server, `default/k?ttl=${text}`)).status, 200);
    assert.equal(server.fakes.requests.at(-1)?.ttlMs, ms);
  }
  assert.equal((await put(server, 'default/k')).status, 200);
  assert.equal(server.fakes.requests.at(-1)?.ttlMs, undefined);
  for (const text of ['0', '-1', '1.5', '1w', '', '0s', '999999999999', '99999d', 'NONE', '1e3']) {
    const body = await problem(await put(server, `default/k?ttl=${text}`));
    assert.equal(body['code'], 'bad-parameter', text);
  }
  assert.equal((await put(server, 'small/k?ttl=1h')).status, 200);
  for (const text of ['61m', 'none']) {
    assert.equal((await put(server, `small/k?ttl=${text}`)).status, 400, text);
  }
});

test('conditions of a write reach the intake; weak tags of If-Match match nothing', async () => {
  const cases: [Record<string, string>, unknown[]][] = [
    [{ 'if-match': '*' }, [{ if: 'exists' }]],
    [{ 'if-none-match': '*' }, [{ if: 'absent' }]],
    [{ 'if-match': '"a", "b"' }, [{ if: 'match', etags: ['a', 'b'] }]],
    [{ 'if-match': 'W/"a"' }, [{ if: 'match', etags: [] }]],
    [{ 'if-none-match': 'W/"a","b"' }, [{ if: 'none-match', etags: ['b', 'a'] }]],
    [
      { 'if-match': '"x"', 'if-none-match': '"y"' },
      [
        { if: 'match', etags: ['x'] },
        { if: 'none-match', etags: ['y'] },
      ],
    ],
  ];
  for (const [headers, conditions] of cases) {
    assert.equal((await put(server, 'default/k', { headers })).status, 200);
    assert.deepEqual(server.fakes.requests.at(-1)?.conditions, conditions);
  }
  for (const value of ['a', '"a', '"a" "b"', '"a"b', ',', '*, "a"', 'w/"a"']) {
    const body = await problem(await put(server, 'default/k', { headers: { 'if-match': value } }));
    assert.equal(body['code'], 'bad-parameter', value);
  }
});

test('Prefer: what is asked reaches the intake and is named in the answer', async () => {
  const cases: [string | null, string | null, number, string | null][] = [
    [null, null, 10_000, null],
    ['respond-async', 'held', 10_000, 'respond-async'],
    ['wait=3', 'settled', 3000, 'wait=3'],
    ['respond-async, wait=3', 'settled', 3000, 'respond-async, wait=3'],
    ['wait=0', 'held', 0, 'wait=0'],
    ['wait="7"; foo', 'settled', 7000, 'wait=7'],
    ['wait=9999', 'settled', 300_000, 'wait=300'],
    ['wait=soon, return=minimal', null, 10_000, null],
    ['wait=1, wait=2', 'settled', 1000, 'wait=1'],
  ];
  for (const [prefer, respond, waitMs, applied] of cases) {
    const response = await put(server, 'default/k', prefer === null ? {} : { headers: { prefer } });
    const request = server.fakes.requests.at(-1);
    assert.equal(request?.respond, respond, prefer ?? '');
    assert.equal(request?.waitMs, waitMs, prefer ?? '');
    assert.equal(response.headers.get('preference-applied'), applied, prefer ?? '');
  }
});

test('a held write is 202 with Location; a replay says so', async () => {
  server.fakes.answer = (request) => {
    const receipt = { ...fakeReceipt(4711, request), state: 'held' as const, outcome: null };
    return { answer: 'held', receipt, replayed: true };
  };
  const response = await put(server, 'default/k', { headers: { prefer: 'respond-async' } });
  assert.equal(response.status, 202);
  assert.equal(response.headers.get('location'), '/v1/uow/4711');
  assert.equal(response.headers.get('idempotency-replayed'), 'true');
  assert.equal(response.headers.get('preference-applied'), 'respond-async');
  const receipt = (await response.json()) as Record<string, unknown>;
  assert.equal(receipt['outcome'], null);
});

test('what failed is told with uow, report, status and Retry-After in whole seconds', async () => {
  const report = [{ stash: 'crm', reply: 'failed' as const, status: 503, detail: 'no "quotes"' }];
  server.fakes.answer = (request) => ({
    answer: 'settled',
    receipt: { ...fakeReceipt(9, request), outcome: 'failed', report },
    replayed: false,
    existed: null,
    fault: new Fault('failed', 'crm: 503', { uow: 9, report, status: 503, retryAfterMs: 1200 }),
  });
  const response = await put(server, 'default/k');
  assert.equal(response.status, 503);
  assert.equal(response.headers.get('retry-after'), '2');
  const body = await problem(response);
  assert.equal(body['uow'], 9);
  assert.deepEqual(body['report'], report);
  server.fakes.answer = () => ({
    answer: 'turned-away',
    fault: new Fault('overloaded', 'too much', { retryAfterMs: 1 }),
  });
  const away = await put(server, 'default/k');
  assert.equal(away.status, 429);
  assert.equal(away.headers.get('retry-after'), '1');
});

test('receipts are valid JSON whatever stands in keys and details', async () => {
  const hard = '"\\\u2028\u0000\ud83d\ude00</script>';
  server.fakes.answer = (request) => ({
    answer: 'settled',
    receipt: {
      ...fakeReceipt(5, request),
      keys: [hard, 'b'],
      report: [
        { stash: 'a', reply: 'stored', status: '4"x', detail: hard, ms: 1.23456 },
        { stash: 'b', reply: 'declined' },
      ],
    },
    replayed: false,
    existed: true,
    fault: null,
  });
  const receipt = await (await put(server, 'default/k')).json();
  assert.deepEqual(receipt, {
    uow: 5,
    account: 'default',
    flow: 'default',
    keys: [hard, 'b'],
    state: 'settled',
    outcome: 'committed',
    durable: 'local',
    report: [
      { stash: 'a', reply: 'stored', status: '4"x', detail: hard, ms: 1.23 },
      { stash: 'b', reply: 'declined' },
    ],
    existed: true,
  });
});

test('delete says whether there was something; a body does not matter', async () => {
  await put(server, 'default/gone');
  const url = `${server.data}/default/gone`;
  const first = await fetch(url, { method: 'DELETE', body: 'ignored' });
  assert.equal(((await first.json()) as { existed: boolean }).existed, true);
  const second = await fetch(url, { method: 'DELETE' });
  assert.equal(second.status, 200);
  assert.equal(((await second.json()) as { existed: boolean }).existed, false);
});

test('Idempotency-Key: bare or quoted, 1 to 255 characters', async () => {
  const good: [string, string][] = [
    ['abc', 'abc'],
    ['"a b"', 'a b'],
    ['"a\\"b"', 'a"b'],
    ['x'.repeat(255), 'x'.repeat(255)],
  ];
  for (const [header, key] of good) {
    const response = await put(server, 'default/k', { headers: { 'idempotency-key': header } });
    assert.equal(response.status, 200);
    assert.equal(server.fakes.requests.at(-1)?.idempotencyKey, key);
  }
  for (const header of ['x'.repeat(256), 'a b', '"a', '""', 'a, b', '"a", "b"', '\u00e9']) {
    const response = await put(server, 'default/k', { headers: { 'idempotency-key': header } });
    assert.equal((await problem(response))['code'], 'bad-parameter', header);
  }
});

test('POST takes one JSON record; CloudEvents and multipart are told they are not', async () => {
  const url = `${server.data}/default`;
  const ok = await fetch(url, { method: 'POST', body: '{"id":1}', headers: JSON_TYPE });
  assert.equal(ok.status, 200);
  assert.equal(server.fakes.requests.at(-1)?.key, null);
  const guarded = { ...JSON_TYPE, 'if-match': '"a"' };
  const answer = await fetch(url, { method: 'POST', body: '{}', headers: guarded });
  assert.equal((await problem(answer))['code'], 'bad-parameter');
  const others: Record<string, string>[] = [
    { 'content-type': 'application/cloudevents+json' },
    { 'content-type': 'application/json', 'ce-specversion': '1.0', 'ce-id': '1' },
    { 'content-type': 'multipart/form-data; boundary=x' },
    { 'content-type': 'text/plain' },
  ];
  for (const headers of others) {
    const body = await problem(await fetch(url, { method: 'POST', body: '{}', headers }));
    assert.equal(body['code'], 'unsupported-media-type');
  }
});
