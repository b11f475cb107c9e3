/**
 * Bad bodies: each gets a precise 4xx, none is held, none brings the server down. What is accepted
 * comes back byte for byte.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

import { problem, put, rawExchange, testServer } from './server.testing.ts';
import type { TestServer } from './server.testing.ts';

let server: TestServer;
before(async () => {
  server = await testServer();
});
after(() => server.stop());
beforeEach(() => {
  server.fakes.requests.length = 0;
});

async function refused(init: RequestInit, status: number, code: string, flow = 'default') {
  const response = await put(server, `${flow}/bad`, init);
  const body = await problem(response);
  assert.equal(body['code'], code, String(body['detail']));
  assert.equal(response.status, status);
  assert.equal(server.fakes.requests.length, 0, 'nothing may be held');
  return body;
}

test('malformed JSON is 400 with the place', async () => {
  for (const body of ['', ' ', '{', '{"a":}', "{'a':1}", '[1,]', 'nul', '1 2', '\ufeff1', '01']) {
    const answer = await refused({ body }, 400, 'bad-json');
    assert.match(String(answer['detail']), /byte \d+/, body);
  }
});

test('duplicate and reserved names, lone surrogates, NUL and bad UTF-8 are 400', async () => {
  const bodies: (string | Uint8Array)[] = [
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"__proto__":1}',
    '"\\ud800"',
    '"\u0000"',
    new Uint8Array([0x22, 0xff, 0x22]),
    new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]),
  ];
  for (const body of bodies) await refused({ body: body as string }, 400, 'bad-json');
});

test('too deep is 400 too-deep; as deep as may be is stored', async () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  await refused({ body: nested(65) }, 400, 'too-deep');
  await refused({ body: nested(500_000) }, 400, 'too-deep');
  await refused({ body: nested(6) }, 400, 'too-deep', 'small');
  assert.equal((await put(server, 'default/deep', { body: nested(64) })).status, 200);
});

test('numbers beyond doubles come back digit for digit', async () => {
  for (const body of ['9007199254740993', '1e400', '-0', '0.1000000000000000055511151231257827']) {
    assert.equal((await put(server, 'default/number', { body })).status, 200);
    assert.equal(await (await fetch(`${server.data}/default/number`)).text(), body);
  }
});

test('wrong types and charsets are 415', async () => {
  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json; charset=latin1',
    'application/json; charset="utf-16"',
    'application/xml+jsonx',
    'json',
    ';',
  ];
  for (const type of types) {
    await refused({ headers: { 'content-type': type } }, 415, 'unsupported-media-type');
  }
  for (const type of [
    'application/ld+json',
    'APPLICATION/JSON',
    'application/json;charset="UTF-8"',
  ]) {
    const response = await put(server, 'default/k', { headers: { 'content-type': type } });
    assert.equal(response.status, 200, type);
  }
});

test('too large is 413, with and without a length, and the connection survives', async () => {
  await refused({ body: `"${'x'.repeat(99)}"` }, 413, 'too-large', 'small');
  const chunks = (): ReadableStream<Uint8Array> =>
    new ReadableStream({
      start(controller) {
        for (let at = 0; at < 50; at += 1) controller.enqueue(new Uint8Array(100_000).fill(0x20));
        controller.close();
      },
    });
  const init = { body: chunks(), duplex: 'half' } as RequestInit;
  await refused(init, 413, 'too-large');
  assert.equal((await put(server, 'small/k', { body: `"${'x'.repeat(98)}"` })).status, 200);
});

test('a body that goes on for ever loses its connection after its answer', async () => {
  const { connect } = await import('node:net');
  const socket = connect(server.http.port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.on('error', () => undefined);
  socket.write(
    'PUT /v1/data/default/default/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n',
  );
  const chunk = Buffer.concat([
    Buffer.from('10000\r\n'),
    Buffer.alloc(0x10000, 0x20),
    Buffer.from('\r\n'),
  ]);
  let sent = 0;
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk)) sent += chunk.length;
    sent += chunk.length;
  };
  socket.on('drain', more);
  more();
  await closed;
  assert.match(text, /^HTTP\/1\.1 413 /);
  assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were taken`);
});

test('encodings: gzip, deflate and br are opened; bombs are 413, truncated ones 400', async () => {
  const body = JSON.stringify({ text: 'x'.repeat(1000) });
  const packed: [string, Buffer][] = [
    ['gzip', gzipSync(body)],
    ['x-gzip', gzipSync(body)],
    ['deflate', deflateSync(body)],
    ['br', brotliCompressSync(body)],
    ['identity', Buffer.from(body)],
  ];
  for (const [encoding, bytes] of packed) {
    const headers = { 'content-encoding': encoding };
    const response = await put(server, 'default/packed', { body: bytes as never, headers });
    assert.equal(response.status, 200, encoding);
    assert.equal(await (await fetch(`${server.data}/default/packed`)).text(), body);
  }
  server.fakes.requests.length = 0;
  const zeros = Buffer.alloc(200 * 1024 * 1024, 0x20);
  const bombs: [string, Buffer][] = [
    ['gzip', gzipSync(zeros)],
    ['br', brotliCompressSync(zeros.subarray(0, 50 * 1024 * 1024))],
  ];
  for (const [encoding, bytes] of bombs) {
    assert.ok(bytes.length < 1024 * 1024);
    const headers = { 'content-encoding': encoding };
    await refused({ body: bytes as never, headers }, 413, 'too-large');
  }
  for (const [encoding, bytes] of packed.slice(0, 4)) {
    const cut = bytes.subarray(0, bytes.length - 5);
    const headers = { 'content-encoding': encoding };
    await refused({ body: cut as never, headers }, 400, 'bad-encoding');
  }
  const gzip = { 'content-encoding': 'gzip' };
  await refused({ body: 'not gzip', headers: gzip }, 400, 'bad-encoding');
  const tail = Buffer.concat([gzipSync('1'), Buffer.from('tail')]);
  await refused({ body: tail as never, headers: gzip }, 400, 'bad-encoding');
  for (const encoding of ['zstd', 'gzip, br', 'constructor', 'snappy']) {
    const headers = { 'content-encoding': encoding };
    await refused({ headers }, 415, 'unsupported-media-type');
  }
});

test('a part of a value is refused', async () => {
  await refused({ headers: { 'content-range': 'bytes 0-0/5' } }, 400, 'bad-request');
});

test('what is not HTTP gets a problem and loses its socket', async () => {
  const long = `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`;
  const cases: [string, RegExp][] = [
    ['NONSENSE\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['GET / HTTP/1.1\r\nHost: x\r\nContent-Length: a\r\n\r\n', /^HTTP\/1\.1 400 /],
    [
      'PUT /v1/data/default/default/k HTTP/1.1\r\nHost: x\r\n' +
        'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
    [long, /^HTTP\/1\.1 431 /],
  ];
  for (const [bytes, expected] of cases) {
    const text = await rawExchange(server.http.port, bytes);
    assert.match(text, expected);
    assert.match(text, /application\/problem\+json/);
  }
});

test('a client that goes away in the middle of its body leaves nothing behind', async () => {
  const { connect } = await import('node:net');
  const socket = connect(server.http.port, '127.0.0.1');
  socket.write(
    'PUT /v1/data/default/default/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"half":',
  );
  await new Promise((resolve) => socket.once('ready', resolve));
  socket.destroy();
  assert.equal((await fetch(`${server.http.url}/live`)).status, 200);
  assert.equal(server.fakes.requests.length, 0);
});
