/** Reads over real sockets: bytes, conditions, waiting, history, pages. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { fakeReceipt } from './fakes.testing.ts';
import { problem, put, testServer } from './server.testing.ts';
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

test('a value comes back byte for byte, with digest, type, ttl and uow', async () => {
  const body = '{ "n": 12345678901234567890.10, "e": "\\u00e9" }\n';
  const written = await put(server, 'default/a?ttl=60', { body });
  assert.equal(written.status, 200);
  assert.equal(written.headers.get('vary'), 'Prefer');
  const receipt = (await written.json()) as Record<string, unknown>;
  assert.deepEqual(receipt['keys'], ['a']);
  assert.equal(receipt['outcome'], 'committed');
  const read = await fetch(`${server.data}/default/a`);
  assert.equal(await read.text(), body);
  assert.equal(read.headers.get('content-type'), 'application/json');
  assert.match(read.headers.get('etag') ?? '', /^"[\w-]{22}"$/);
  assert.equal(read.headers.get('holdfast-ttl'), '60');
  assert.equal(read.headers.get('holdfast-uow'), String(receipt['uow']));
  const head = await fetch(`${server.data}/default/a`, { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(body)));
  assert.equal(head.headers.get('etag'), read.headers.get('etag'));
  assert.equal(await head.text(), '');
});

test('reads with conditions: 304 for what is known, 412 for what is not there', async () => {
  await put(server, 'default/cond', { body: '"v"' });
  const url = `${server.data}/default/cond`;
  const etag = (await fetch(url)).headers.get('etag') ?? '';
  for (const value of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
    const response = await fetch(url, { headers: { 'if-none-match': value } });
    assert.equal(response.status, 304, value);
    assert.equal(response.headers.get('etag'), etag);
    assert.equal(await response.text(), '');
  }
  assert.equal((await fetch(url, { headers: { 'if-none-match': '"x"' } })).status, 200);
  assert.equal((await fetch(url, { headers: { 'if-match': etag } })).status, 200);
  assert.equal((await fetch(url, { headers: { 'if-match': `W/${etag}` } })).status, 412);
  const nothing = `${server.data}/default/nothing`;
  assert.equal((await fetch(nothing, { headers: { 'if-match': '*' } })).status, 412);
  assert.equal((await fetch(nothing)).status, 404);
});

test('a defect behind the door is a bare 500 and a whole log line', async () => {
  const { read } = server.fakes;
  const get = read.get.bind(read);
  server.fakes.read.get = () => Promise.reject(new TypeError('secret detail'));
  const broken = await fetch(`${server.data}/default/k`);
  assert.equal(broken.status, 500);
  const body = await problem(broken);
  assert.doesNotMatch(JSON.stringify(body), /secret/);
  const line = server.lines.find((candidate) => candidate['request'] === body['instance']);
  assert.match(String(line?.['stack']), /secret detail/);
  server.fakes.read.get = get;
});

test('Holdfast-After: waits, and tells what became of the write', async () => {
  await put(server, 'default/after', { body: '1' });
  const uow = [...server.fakes.receipts.keys()].at(-1) as number;
  const ask = (value: string): Promise<Response> =>
    fetch(`${server.data}/default/after`, { headers: { 'holdfast-after': value } });
  assert.equal((await ask(String(uow))).status, 200);
  assert.equal((await problem(await ask('999999')))['status'], 404);
  assert.equal((await problem(await ask('x')))['status'], 400);
  const receipt = fakeReceipt(7, { account: 'default', flow: 'default', key: 'after' });
  server.fakes.receipts.set(7, { ...receipt, outcome: 'refused' });
  const undone = await problem(await ask('7'));
  assert.equal(undone['code'], 'not-committed');
  assert.equal(undone['uow'], 7);
  server.fakes.receipts.set(8, { ...receipt, uow: 8, account: 'other' });
  assert.equal((await problem(await ask('8')))['status'], 404);
  const { write } = server.fakes;
  const settled = write.settled.bind(write);
  server.fakes.write.settled = () => Promise.resolve(null);
  assert.equal((await problem(await ask('7')))['status'], 504);
  server.fakes.write.settled = () => Promise.resolve('gone');
  assert.equal((await problem(await ask('7')))['status'], 410);
  server.fakes.write.settled = settled;
});

test('history, and the past by time or by write', async () => {
  await put(server, 'default/past', { body: '"x"' });
  const url = `${server.data}/default/past`;
  const page = (await (await fetch(`${url}/history`)).json()) as { items: { etag: string }[] };
  assert.equal(page.items.length, 1);
  assert.equal(page.items[0]?.etag, (await fetch(url)).headers.get('etag'));
  assert.equal((await fetch(`${url}?at=2026-01-31T12:00:00.5%2B01:00`)).status, 200);
  assert.equal((await fetch(`${url}?atUow=12`)).status, 200);
  const time = Date.UTC(2026, 0, 31, 11, 0, 0, 500);
  assert.deepEqual(server.fakes.calls.slice(-2), [
    `at past {"time":${time}}`,
    'at past {"uow":12}',
  ]);
  assert.equal((await fetch(`${url}/elsewhere`)).status, 404);
});

test('pages: every key once, Link leads to the next, the end has none', async () => {
  for (let at = 0; at < 25; at += 1) await put(server, `default/page-${at}`);
  const seen: string[] = [];
  let url: string | null = `${server.data}/default?prefix=page-&limit=10`;
  let pages = 0;
  while (url !== null) {
    const response: Response = await fetch(url);
    const body = (await response.json()) as { items: { key: string }[]; next: string | null };
    seen.push(...body.items.map((item) => item.key));
    const link = /^<([^>]+)>; rel="next"$/.exec(response.headers.get('link') ?? '');
    assert.equal(link === null, body.next === null);
    url = link === null ? null : new URL(link[1] as string, server.http.url).href;
    pages += 1;
  }
  assert.equal(pages, 3);
  assert.equal(new Set(seen).size, 25);
  assert.equal(seen.length, 25);
});

test('flows of other types: any bytes under their own type, handed out harmlessly', async () => {
  const bytes = new Uint8Array([0, 255, 10, 13, 128]);
  const type = { 'content-type': 'application/octet-stream' };
  assert.equal((await put(server, 'bytes/b', { body: bytes, headers: type })).status, 200);
  const read = await fetch(`${server.data}/bytes/b`);
  assert.deepEqual(new Uint8Array(await read.arrayBuffer()), bytes);
  assert.equal((await put(server, 'bytes/b', { body: bytes })).status, 415);
  const page = { 'content-type': 'text/html; charset=utf-8' };
  assert.equal((await put(server, 'page/p', { body: '<script>', headers: page })).status, 200);
  const html = await fetch(`${server.data}/page/p`);
  assert.equal(html.headers.get('x-content-type-options'), 'nosniff');
  assert.match(html.headers.get('content-security-policy') ?? '', /sandbox/);
});
