/** Everything outside the data resource: the fail queue, deletions, reads, probes, pages. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import type { FailureRow } from '../../contracts/state.ts';
import { CATALOGUE } from '../../kernel/errors.ts';
import { JSON_TYPE, problem, put, testServer } from './server.testing.ts';
import type { TestServer } from './server.testing.ts';

let server: TestServer;
before(async () => {
  server = await testServer();
});
after(() => server.stop());
beforeEach(() => {
  server.fakes.calls.length = 0;
  server.fakes.trouble.length = 0;
});

const FAILED: FailureRow = {
  uow: 41,
  attempt: 1,
  account: 'default',
  flow: 'default',
  kind: 'set',
  keys: ['k'],
  firstFailedAt: 0,
  lastFailedAt: 1000,
  parked: true,
  retryAt: null,
  reason: 'crm: 503',
  stash: 'crm',
  status: 503,
  report: [{ stash: 'crm', reply: 'failed', status: 503 }],
  plan: new Uint8Array([1, 2, 3]),
};

function ask(path: string, method = 'GET', body?: unknown): Promise<Response> {
  const init = body === undefined ? {} : { body: JSON.stringify(body), headers: JSON_TYPE };
  return fetch(server.http.url + path, { method, ...init });
}

test('failures: listed without their plan, shown, retried, skipped, discarded', async () => {
  server.fakes.failureRows.set(41, FAILED);
  const query = 'account=default&stash=crm&status=503&q=k%20k&from=1970-01-01T00:00:01Z&limit=5';
  const list = (await (await ask(`/v1/failures?${query}`)).json()) as { items: unknown[] };
  const { plan: _plan, ...rest } = FAILED;
  const shown = {
    ...rest,
    firstFailedAt: '1970-01-01T00:00:00.000Z',
    lastFailedAt: '1970-01-01T00:00:01.000Z',
  };
  assert.deepEqual(list, { items: [shown], next: null });
  const filter = { account: 'default', stash: 'crm', status: '503', q: 'k k', from: 1000 };
  assert.deepEqual(server.fakes.calls, [`failures ${JSON.stringify(filter)} null 5`]);
  assert.deepEqual(await (await ask('/v1/failures/41')).json(), shown);
  const retried = await ask('/v1/failures/41/retry', 'POST');
  assert.equal(retried.status, 202);
  assert.equal(retried.headers.get('location'), '/v1/uow/41');
  const done = await (await ask('/v1/failures/41/skip', 'POST')).json();
  assert.deepEqual(done, { uow: 41, done: 'skipped' });
  assert.equal((await ask('/v1/failures/41/discard', 'POST')).status, 200);
  for (const verb of ['retry', 'skip', 'discard']) {
    assert.equal((await ask(`/v1/failures/41/${verb}`, 'POST')).status, 404, verb);
  }
  assert.equal((await ask('/v1/failures/41')).status, 404);
  assert.equal((await problem(await ask('/v1/failures/x')))['code'], 'bad-parameter');
  assert.equal((await ask('/v1/failures/groups')).status, 400);
});

test('receipts by uow: 200, 404, 410', async () => {
  const written = (await (await put(server, 'default/k')).json()) as { uow: number };
  assert.deepEqual(await (await ask(`/v1/uow/${written.uow}`)).json(), written);
  assert.equal((await ask('/v1/uow/999999')).status, 404);
  assert.equal((await ask('/v1/uow/9007199254740993')).status, 400);
  const { write } = server.fakes;
  const receipt = write.receipt.bind(write);
  server.fakes.write.receipt = () => Promise.resolve('gone');
  assert.equal((await problem(await ask('/v1/uow/1')))['code'], 'gone');
  server.fakes.write.receipt = receipt;
});

test('deletions: planned, run once, looked at; everything needs all', async () => {
  const wish = { account: 'default', flow: 'default', pattern: 'order-*' };
  const planned = await ask('/v1/deletions', 'POST', wish);
  assert.equal(planned.status, 201);
  const location = planned.headers.get('location') ?? '';
  const plan = (await planned.json()) as Record<string, unknown>;
  assert.equal(plan['expiresAt'], '1970-01-01T00:10:00.000Z');
  assert.equal((await ask(`${location}/run`, 'POST')).status, 202);
  assert.equal((await ask(`${location}/run`, 'POST')).status, 409);
  const shown = (await (await ask(location)).json()) as Record<string, unknown>;
  assert.equal(shown['state'], 'running');
  assert.equal((await ask('/v1/deletions/none')).status, 404);
  assert.equal((await ask('/v1/deletions/none/run', 'POST')).status, 404);
  assert.equal((await ask('/v1/deletions', 'POST', { ...wish, flow: 'none' })).status, 404);
  for (const pattern of ['*', '**']) {
    const answer = await problem(await ask('/v1/deletions', 'POST', { ...wish, pattern }));
    assert.equal(answer['code'], 'bad-request');
    const all = await ask('/v1/deletions', 'POST', { ...wish, pattern, all: true });
    assert.equal(all.status, 201);
  }
  const bad: [unknown, string][] = [
    [{ ...wish, patern: 'x' }, ''],
    [{ ...wish, pattern: '' }, '/pattern'],
    [{ ...wish, pattern: 7 }, '/pattern'],
    [{ account: 'default', flow: 'default' }, ''],
    [[], ''],
    [{ ...wish, pattern: 'a\u0000' }, '/pattern'],
  ];
  for (const [body, pointer] of bad) {
    const answer = await problem(await ask('/v1/deletions', 'POST', body));
    assert.equal(answer['code'], 'bad-request');
    const errors = answer['errors'] as { pointer: string }[];
    assert.equal(errors[0]?.pointer, pointer, JSON.stringify(body));
  }
});

test('reads: one item per key in order, numbers kept, bytes in base64', async () => {
  const body = '{"n":12345678901234567890}';
  await put(server, 'default/one?ttl=60', { body });
  const type = { 'content-type': 'application/octet-stream' };
  await put(server, 'bytes/text', { body: 'héllo', headers: type });
  await put(server, 'bytes/raw', { body: new Uint8Array([255, 0]), headers: type });
  const json = await ask('/v1/reads', 'POST', {
    account: 'default',
    flow: 'default',
    keys: ['one', 'none', 'one'],
  });
  const item = `{"key":"one","found":true,"encoding":"json","value":${body},"ttl":60}`;
  const none = '{"key":"none","found":false,"encoding":null,"value":null,"ttl":null}';
  assert.equal(await json.text(), `{"items":[${item},${none},${item}]}`);
  const bytes = await ask('/v1/reads', 'POST', {
    account: 'default',
    flow: 'bytes',
    keys: ['text', 'raw'],
  });
  const { items } = (await bytes.json()) as { items: Record<string, unknown>[] };
  assert.deepEqual(
    items.map(({ encoding, value }) => [encoding, value]),
    [
      ['utf8', 'héllo'],
      ['base64', '/wA='],
    ],
  );
  const keys = ['ok', 'a\u0000b'];
  const answer = await problem(
    await ask('/v1/reads', 'POST', { account: 'default', flow: 'default', keys }),
  );
  assert.equal(answer['code'], 'bad-key');
  assert.equal((answer['errors'] as { pointer: string }[])[0]?.pointer, '/keys/1');
  for (const count of [0, 1001]) {
    const wish = { account: 'default', flow: 'default', keys: Array(count).fill('k') };
    assert.equal((await ask('/v1/reads', 'POST', wish)).status, 400);
  }
});

test('reads stop before the values outgrow memory', async () => {
  const value = Buffer.alloc(1024 * 1024, 0x20);
  const { read } = server.fakes;
  const getMany = read.getMany.bind(read);
  let asked = 0;
  server.fakes.read.getMany = (_flow, keys) => {
    asked += keys.length;
    return Promise.resolve(keys.map(() => ({ value, digest: 'd', ttlMs: null })));
  };
  const keys = Array.from({ length: 1000 }, (_, at) => `k${at}`);
  const answer = await problem(
    await ask('/v1/reads', 'POST', { account: 'default', flow: 'bytes', keys }),
  );
  server.fakes.read.getMany = getMany;
  assert.equal(answer['code'], 'too-large');
  assert.ok(asked < 200, `${asked} keys were fetched`);
});

test('parked lanes and rejections are pages with times as text', async () => {
  const lanes = (await (await ask('/v1/lanes/parked')).json()) as { items: { since: string }[] };
  assert.equal(lanes.items[0]?.since, '1970-01-01T00:00:00.000Z');
  server.fakes.rejected.push({
    uow: 3,
    attempt: 1,
    account: 'default',
    flow: 'default',
    kind: 'set',
    keys: ['k'],
    outcome: 'refused',
    settledAt: 0,
    report: [],
    existed: null,
  });
  const page = await (await ask('/v1/rejections?flow=default')).json();
  assert.equal((page as { items: { uow: number }[] }).items[0]?.uow, 3);
});

test('probes: warnings do not fail, errors do, and nothing is cached', async () => {
  for (const path of ['/live', '/livez', '/healthz', '/ready', '/readyz', '/startup']) {
    const response = await ask(path);
    assert.equal(response.status, 200, path);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.equal(((await response.json()) as { status: string }).status, 'ok');
    assert.equal((await ask(path, 'HEAD')).status, 200);
  }
  server.fakes.trouble.push({ name: 'crm', level: 'warning', detail: 'down' });
  const warned = await ask('/ready');
  assert.equal(warned.status, 200);
  assert.equal(((await warned.json()) as { status: string }).status, 'warning');
  server.fakes.trouble.push({ name: 'reader', level: 'error', detail: 'down', hint: 'start it' });
  assert.equal((await ask('/ready')).status, 503);
  assert.equal((await ask('/live')).status, 200);
});

test('errors: a page for people, JSON for programs, one per code', async () => {
  const html = { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } };
  for (const [code, row] of Object.entries(CATALOGUE)) {
    const page = await fetch(`${server.http.url}/errors/${code}`, html);
    assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    assert.ok((await page.text()).includes(`Status ${row.status}.`));
    const json = (await (await ask(`/errors/${code}`)).json()) as Record<string, unknown>;
    assert.deepEqual(json, { type: `/errors/${code}`, code, ...row });
  }
  const all = (await (await ask('/errors')).json()) as { items: unknown[] };
  assert.equal(all.items.length, Object.keys(CATALOGUE).length);
  assert.equal((await ask('/errors/constructor')).status, 404);
  assert.match(await (await fetch(`${server.http.url}/docs`, html)).text(), /\/v1\/deletions/);
});

test('config is given as the port gives it', async () => {
  assert.deepEqual(await (await ask('/v1/config')).json(), { version: 1, access: 'open' });
});

test('callbacks: handed on byte for byte to the one who waits; 404 when nobody does', async () => {
  const body = '{"replies": [ {"reply": "stored"}]}';
  const post = (token: string) =>
    fetch(`${server.http.url}/v1/callbacks/${token}`, { method: 'POST', headers: JSON_TYPE, body });
  const taken = await post('waited-for');
  assert.deepEqual([taken.status, await taken.text()], [204, '']);
  assert.deepEqual(server.fakes.calls, [`callback waited-for application/json ${body}`]);
  const nobody = await post('another');
  assert.equal(nobody.status, 404);
  assert.equal((await problem(nobody))['code'], 'not-found');
  const large = await fetch(`${server.http.url}/v1/callbacks/waited-for`, {
    method: 'POST',
    headers: JSON_TYPE,
    body: 'x'.repeat(2 * 1024 * 1024),
  });
  assert.equal((await problem(large))['code'], 'too-large');
});
