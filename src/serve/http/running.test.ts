/** The running server: metrics, log lines, draining and closing. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';

import { figureText } from '../../telemetry/metrics.ts';
import { fakeReceipt } from './fakes.testing.ts';
import { problem, put, testServer } from './server.testing.ts';

test('metrics: all named holdfast_, unfit ones left out, writes and times counted', async () => {
  const server = await testServer();
  try {
    await put(server, 'default/k');
    await put(server, 'default/k', { body: '{' });
    await fetch(`${server.data}/default/none`);
    const response = await fetch(`${server.http.url}/metrics`);
    const text = await response.text();
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    const names = new Set(text.match(/^[a-zA-Z_:][\w:]*/gm) ?? []);
    assert.ok(names.size > 30, `${names.size} names`);
    for (const name of names) assert.match(name, /^holdfast_/);
    assert.doesNotMatch(text, /nodejs_active_\w+_total/);
    assert.match(text, /holdfast_writes_total\{outcome="committed"\} 1/);
    assert.match(text, /holdfast_writes_total\{outcome="turned-away"\} 1/);
    assert.match(text, /holdfast_build_info\{version="1\.2\.3",node="v\d+/);
    assert.match(text, /holdfast_nodejs_eventloop_lag_seconds/);
    const family = 'holdfast_http_request_duration_seconds';
    const labels = '\\{method="GET",route="/v1/data/{account}/{flow}/{key}",status="404"\\}';
    assert.match(text, new RegExp(`${family}_count${labels} 1`));
    const types = text.match(/^# TYPE \S+/gm) ?? [];
    assert.equal(new Set(types).size, types.length, 'one TYPE line per family');
  } finally {
    await server.stop();
  }
});

test('figures are written as Prometheus reads them', () => {
  const text = figureText({
    name: 'holdfast_sync_seconds',
    help: 'Time of one\nsync.',
    type: 'histogram',
    samples: [
      { labels: { engine: 'a"b' }, value: 1.5, bounds: [0.1, 1], counts: [1, 2], count: 3 },
    ],
  });
  assert.equal(
    text,
    '\n# HELP holdfast_sync_seconds Time of one\\nsync.\n# TYPE holdfast_sync_seconds histogram\n' +
      'holdfast_sync_seconds_bucket{engine="a\\"b",le="0.1"} 1\n' +
      'holdfast_sync_seconds_bucket{engine="a\\"b",le="1"} 2\n' +
      'holdfast_sync_seconds_bucket{engine="a\\"b",le="+Inf"} 3\n' +
      'holdfast_sync_seconds_sum{engine="a\\"b"} 1.5\n' +
      'holdfast_sync_seconds_count{engine="a\\"b"} 3\n',
  );
});

test('log: nothing per good data call, a line for all others; no values, no keys', async () => {
  const server = await testServer();
  try {
    await put(server, 'default/topsecret', { body: '"value"' });
    await fetch(`${server.data}/default/topsecret`);
    await fetch(`${server.data}/default/none`);
    assert.equal(server.lines.length, 0);
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const headers = { traceparent: `00-${trace}-00f067aa0ba902b7-01`, 'x-request-id': 'mine' };
    await put(server, 'default/topsecret', { body: '{"value":', headers });
    await fetch(`${server.http.url}/v1/failures`);
    assert.equal(server.lines.length, 2);
    const [bad, list] = server.lines;
    assert.equal(bad?.['operation'], 'put');
    assert.equal(bad['outcome'], 'bad-json');
    assert.equal(bad['request'], 'mine');
    assert.equal(bad['trace'], trace);
    assert.equal(typeof bad['ms'], 'number');
    assert.equal(list?.['operation'], 'failure-list');
    assert.doesNotMatch(JSON.stringify(server.lines), /topsecret|value/);
  } finally {
    await server.stop();
  }
});

test('log at debug: a line per write with its uow; keys where they are asked for', async () => {
  const server = await testServer({ level: 'debug', keys: true });
  try {
    await put(server, 'default/k');
    const line = server.lines.at(-1);
    assert.equal(line?.['outcome'], 'committed');
    assert.equal(line['uow'], 1);
    assert.equal(line['key'], 'k');
    assert.equal(line['level'], 'debug');
  } finally {
    await server.stop();
  }
});

test('draining: ready says no, answers close their connection, new work is answered', async () => {
  const server = await testServer();
  try {
    assert.equal((await fetch(`${server.http.url}/ready`)).headers.get('connection'), 'keep-alive');
    server.http.drain();
    const ready = await fetch(`${server.http.url}/ready`);
    assert.equal(ready.status, 503);
    assert.equal(ready.headers.get('connection'), 'close');
    const written = await put(server, 'default/k');
    assert.equal(written.status, 200);
    assert.equal(written.headers.get('connection'), 'close');
  } finally {
    await server.stop();
  }
});

test('close waits for the request under way, answers it, and cuts nothing', async () => {
  const server = await testServer();
  let settle = (): void => undefined;
  server.fakes.write.submit = (request, answer) => {
    settle = () =>
      answer({
        answer: 'settled',
        receipt: fakeReceipt(1, request),
        replayed: false,
        existed: null,
        fault: null,
      });
    closing = server.http.close(10_000);
    // Closing has begun; only now the write is settled.
    setImmediate(settle);
  };
  let closing: Promise<number> | undefined;
  const response = await put(server, 'default/k');
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('connection'), 'close');
  await response.arrayBuffer();
  assert.equal(await closing, 0);
  await assert.rejects(fetch(`${server.http.url}/live`));
});

test('close does not wait for connections that are idle', async () => {
  const server = await testServer();
  const socket = connect(server.http.port, '127.0.0.1');
  const gone = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  const answered = new Promise((resolve) => socket.once('data', resolve));
  socket.write('GET /live HTTP/1.1\r\nHost: x\r\n\r\n');
  await answered;
  assert.equal(await server.http.close(60_000), 0);
  await gone;
});

test('a defect of the intake is answered 500 and does not end the process', async () => {
  const server = await testServer();
  try {
    server.fakes.write.submit = () => {
      throw new TypeError('defect');
    };
    assert.equal((await problem(await put(server, 'default/k')))['code'], 'internal');
    server.fakes.write.submit = (_request, answer) => queueMicrotask(() => answer(null as never));
    assert.equal((await problem(await put(server, 'default/k')))['code'], 'internal');
  } finally {
    await server.stop();
  }
});

test('close cuts what has not ended within its limit', async () => {
  const server = await testServer();
  const held = new Promise<void>((resolve) => {
    server.fakes.write.submit = () => resolve();
  });
  const socket = connect(server.http.port, '127.0.0.1');
  const gone = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.on('error', () => undefined);
  socket.write('PUT /v1/data/default/default/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1');
  await held;
  assert.equal(await server.http.close(50), 1);
  await gone;
});

test('an address that is taken is told, not waited for', async () => {
  const server = await testServer();
  try {
    const { startHttp } = await import('./http.ts');
    const { realWorld } = await import('../../kernel/realworld.ts');
    const { openLog } = await import('../../telemetry/log.ts');
    const { Metrics } = await import('../../telemetry/metrics.ts');
    const world = realWorld();
    const options = {
      host: '127.0.0.1',
      port: server.http.port,
      world,
      log: openLog({ level: 'silent', keys: false, clock: world.clock, to: { write: () => {} } }),
      metrics: new Metrics({ version: '0', node: '0' }, []),
      version: '0',
    };
    await assert.rejects(startHttp(server.fakes, options), { code: 'EADDRINUSE' });
    assert.equal((await problem(await fetch(`${server.http.url}/nope`)))['status'], 404);
  } finally {
    await server.stop();
  }
});
