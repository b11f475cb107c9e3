/** Paths, parameters, methods and request ids, over real sockets. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { JSON_TYPE, problem, put, rawExchange, testServer } from './server.testing.ts';
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

test('keys with anything in them survive their way through the path', async () => {
  const keys = ['a/b', 'c:d', '{e}', '*', '%', '%2F', '😀', '?', '#', 'a b', '+', '...', '~'];
  keys.push(
    ' ',
    'k'.repeat(512),
    '😀'.repeat(128),
    '\u202e',
    '\t',
    '\u0001',
    '__proto__',
    'history',
  );
  for (const key of keys) {
    const path = `default/${encodeURIComponent(key)}`;
    const written = await put(server, path, { body: JSON.stringify(key) });
    assert.equal(written.status, 200, key);
    assert.deepEqual(((await written.json()) as { keys: string[] }).keys, [key]);
    assert.equal(await (await fetch(`${server.data}/${path}`)).json(), key);
  }
});

test('keys that cannot be used are 400 bad-key before anything is held', async () => {
  const bad = ['', 'a%00b', 'k'.repeat(513), '%ff', '%', '%zz', '%ed%a0%80', '%E2%82', '%2e', '..'];
  bad.push('%2e%2e', '%C0%AF', '\u00e9', 'a#b');
  for (const key of bad) {
    const text = await rawExchange(
      server.http.port,
      Buffer.from(
        `PUT /v1/data/default/default/${key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n` +
          'Content-Length: 1\r\n\r\n1',
        'latin1',
      ),
    );
    assert.match(text, /^HTTP\/1\.1 400 /, `${key}: ${text}`);
    if (text.includes('this is not a well-formed')) continue;
    assert.match(text, /"code":"bad-key"/, key);
  }
  assert.equal(server.fakes.requests.length, 0);
});

test('an unknown and a forbidden account or flow get the same words', async () => {
  const one = await problem(await fetch(`${server.http.url}/v1/data/nobody/default/k`));
  const two = await problem(await fetch(`${server.http.url}/v1/data/default/nothing/k`));
  const odd = await problem(await fetch(`${server.http.url}/v1/data/%ff/default/k`));
  for (const body of [one, two, odd]) delete body['instance'];
  assert.equal(one['status'], 404);
  assert.deepEqual(one, two);
  assert.deepEqual(one, odd);
});

test('query parameters: unknown and repeated ones are 400 everywhere', async () => {
  const cases: [string, string, string][] = [
    ['PUT', '/v1/data/default/default/k?tll=5', 'unknown-parameter'],
    ['PUT', '/v1/data/default/default/k?ttl=5&ttl=5', 'bad-parameter'],
    ['GET', '/v1/data/default/default/k?ttl=5', 'unknown-parameter'],
    ['DELETE', '/v1/data/default/default/k?x', 'unknown-parameter'],
    ['GET', '/v1/data/default/default?prefix=a&prefix=b', 'bad-parameter'],
    ['GET', '/v1/data/default/default?limit=0', 'bad-parameter'],
    ['GET', '/v1/data/default/default?limit=1001', 'bad-parameter'],
    ['GET', '/v1/data/default/default?cursor=%00', 'bad-cursor'],
    ['GET', '/v1/data/default/default?cursor=stale', 'bad-cursor'],
    ['GET', '/v1/data/default/default?prefix=%ff', 'bad-parameter'],
    ['GET', '/v1/data/default/default/k?at=2026-02-30T00:00:00Z', 'bad-parameter'],
    ['GET', '/v1/data/default/default/k?at=yesterday', 'bad-parameter'],
    ['GET', '/v1/data/default/default/k?atUow=1.5', 'bad-parameter'],
    ['GET', '/v1/data/default/default/k?at=2026-01-01T00:00:00Z&atUow=1', 'bad-parameter'],
    ['GET', '/live?x=1', 'unknown-parameter'],
    ['GET', '/metrics?x=1', 'unknown-parameter'],
    ['GET', '/openapi.json?__proto__=1', 'unknown-parameter'],
    ['GET', '/v1/failures?stauts=1', 'unknown-parameter'],
  ];
  for (const [method, path, code] of cases) {
    const init = method === 'PUT' ? { method, body: '1', headers: JSON_TYPE } : { method };
    const body = await problem(await fetch(server.http.url + path, init));
    assert.equal(body['code'], code, `${method} ${path}`);
  }
  assert.equal(server.fakes.requests.length, 0);
});

test('request ids are echoed where they can be, made up where not, never twice', async () => {
  const given = await put(server, 'default/k', { headers: { 'x-request-id': 'abc-1.2:3' } });
  assert.equal(given.headers.get('x-request-id'), 'abc-1.2:3');
  assert.equal(server.fakes.requests.at(-1)?.requestId, 'abc-1.2:3');
  const made = new Set<string>();
  for (const odd of ['a b', 'x'.repeat(129), '<x>', '"']) {
    const response = await put(server, 'default/k', { headers: { 'x-request-id': odd } });
    made.add(response.headers.get('x-request-id') ?? '');
    assert.notEqual(response.headers.get('x-request-id'), odd);
  }
  assert.equal(made.size, 4);
});

test('a request target in absolute form, as proxies send it, means the same', async () => {
  const text = await rawExchange(
    server.http.port,
    'PUT http://example.com/v1/data/default/default/k HTTP/1.1\r\nHost: example.com\r\n' +
      'Connection: close\r\nContent-Length: 1\r\n\r\n1',
  );
  assert.match(text, /^HTTP\/1\.1 200 /);
});

test('wrong methods are 405 with Allow, wrong paths 404', async () => {
  const cases: [string, string, number, string | null][] = [
    ['PATCH', '/v1/data/default/default/k', 405, 'GET, HEAD, PUT, DELETE'],
    ['PUT', '/v1/data/default/default', 405, 'GET, HEAD, POST'],
    ['POST', '/v1/data/default/default/k/history', 405, 'GET, HEAD'],
    ['OPTIONS', '/v1/reads', 405, 'POST'],
    ['DELETE', '/live', 405, 'GET, HEAD'],
    ['GET', '/v1/data/default', 404, null],
    ['GET', '/v1/data/default/default/k/attachments/a', 404, null],
    ['GET', '/v1/topology', 404, null],
    ['POST', '/v1/batches/default/default', 404, null],
    ['GET', '/%ff', 404, null],
    ['GET', '//', 404, null],
    ['GET', '/', 404, null],
  ];
  for (const [method, path, status, allow] of cases) {
    const response = await fetch(server.http.url + path, { method });
    assert.equal(response.status, status, `${method} ${path}`);
    assert.equal(response.headers.get('allow'), allow, `${method} ${path}`);
    await problem(response);
  }
});

test('the framework and the raw path give the same answers', async () => {
  const cases: [string, string, string | undefined][] = [
    ['PUT', '/v1/data/default/default/same', '{"a":1}'],
    ['GET', '/v1/data/default/default/same', undefined],
    ['GET', '/v1/data/default/default/%ff', undefined],
    ['PUT', '/v1/data/default/default/same?x=1', '1'],
    ['GET', '/v1/data/default', undefined],
  ];
  for (const [method, url, body] of cases) {
    const headers = { ...JSON_TYPE, 'x-request-id': 'same' };
    const given = body === undefined ? {} : { body };
    const inside = await server.http.app.inject({
      method: method as 'GET',
      url,
      headers,
      ...(body === undefined ? {} : { payload: body }),
    });
    const outside = await fetch(server.http.url + url, { method, headers, ...given });
    assert.equal(inside.statusCode, outside.status, url);
    const strip = (text: string): string => text.replace(/"uow":\d+/, '');
    assert.equal(strip(inside.body), strip(await outside.text()), url);
    assert.equal(inside.headers['content-type'], outside.headers.get('content-type'));
  }
});
