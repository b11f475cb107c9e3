/**
 * Every hostile case ends within its time, and a server in the same process goes on answering while
 * it runs: nothing of the shaping happens on this thread but copying and handing out.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { AddressInfo } from 'node:net';
import { ConfigError } from '../../config/faults.ts';
import { Fault } from '../../kernel/errors.ts';
import { HOSTILE } from './hostile.ts';
import type { HostileCase } from './hostile-case.ts';
import { bytesOf, testShaper } from './testing.ts';
import type { TestShaper } from './testing.ts';

/** Twice the time of a record: one may have to wait for the worker's replacement. */
const ENDS_MS = 10_000;
const GET_MS = 50;
/**
 * A GET that took longer counts only if this thread was at work meanwhile: with other programs on
 * the machine a GET may wait for a processor, and that says nothing about shaping.
 */
const OCCUPIED_MS = 20;
/** A case is tried again before it counts. */
const TRIES = 4;

const server = http.createServer((_request, response) => response.end('here'));
const agent = new http.Agent({ keepAlive: true });
let port = 0;

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
after(() => {
  agent.destroy();
  server.close();
});

interface Get {
  readonly ms: number;
  /** Processor time that this thread took in the meantime, the GET's own part included. */
  readonly occupiedMs: number;
}

function get(): Promise<Get> {
  const start = performance.now();
  const used = process.threadCpuUsage();
  return new Promise((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', agent }, (response) => {
      response.resume();
      response.on('end', () => {
        const { user, system } = process.threadCpuUsage(used);
        resolve({ ms: performance.now() - start, occupiedMs: (user + system) / 1000 });
      });
    });
    request.on('error', reject);
  });
}

interface Watched<T> {
  readonly result: T;
  readonly gets: number;
  readonly slowestMs: number;
  /** The longest GET that this thread is to blame for; 0 when there is none. */
  readonly heldUpMs: number;
}

/** Sends one GET after the other while `work` is under way. */
async function watched<T>(work: () => Promise<T>): Promise<Watched<T>> {
  let done = false;
  let gets = 0;
  let slowestMs = 0;
  let heldUpMs = 0;
  const asking = (async () => {
    while (!done) {
      const { ms, occupiedMs } = await get();
      slowestMs = Math.max(slowestMs, ms);
      if (occupiedMs > OCCUPIED_MS) heldUpMs = Math.max(heldUpMs, ms);
      gets += 1;
    }
  })();
  const result = await work().finally(() => {
    done = true;
  });
  await asking;
  return { result, gets, slowestMs, heldUpMs };
}

async function endOf(shaper: TestShaper, body: string): Promise<string> {
  try {
    await shaper.shape('f', body);
    return 'shaped';
  } catch (error) {
    if (error instanceof Fault) return error.code;
    throw error;
  }
}

test('there are at least forty cases, each with its source', () => {
  assert.ok(HOSTILE.length >= 40, String(HOSTILE.length));
  for (const one of HOSTILE) assert.ok(one.source.length > 5, one.name);
  assert.equal(new Set(HOSTILE.map((one) => one.name)).size, HOSTILE.length);
});

async function refusedConfiguration(one: HostileCase): Promise<void> {
  const start = performance.now();
  await assert.rejects(testShaper({ f: one.flow }), ConfigError);
  assert.ok(performance.now() - start < ENDS_MS);
}

for (const one of HOSTILE) {
  test(`${one.name} ends, and GETs go on`, async (t) => {
    if (one.refused === true) return refusedConfiguration(one);
    const flow = one.flow;
    const shaper = await testShaper({ f: flow, plain: { map: { keys: '${{ record.id }}' } } });
    try {
      await shaper.shape('plain', { id: 'warm' });
      const body = one.body();
      await get();
      let least = Infinity;
      for (let attempt = 0; attempt < TRIES && least > GET_MS; attempt += 1) {
        const start = performance.now();
        const { result, gets, slowestMs, heldUpMs } = await watched(() => endOf(shaper, body));
        const ms = performance.now() - start;
        assert.ok(ms < ENDS_MS, `it took ${ms} ms`);
        assert.ok(
          ['shaped', 'shape-invalid', 'shape-too-costly', 'bad-json', 'too-deep'].includes(result),
        );
        if (one.ends !== undefined) assert.equal(result, one.ends);
        assert.ok(gets > 0);
        least = Math.min(least, heldUpMs);
        t.diagnostic(`${result} after ${ms.toFixed(0)} ms, slowest GET ${slowestMs.toFixed(1)} ms`);
      }
      assert.ok(least <= GET_MS, `a GET was held up ${least} ms in the best of ${TRIES} tries`);
      const next = await shaper.shape('plain', { id: 'next' });
      assert.deepEqual(next.keys, ['next'], 'the shaper goes on');
    } finally {
      await shaper.shaper.close();
    }
  });
}

test('the control: the same work on this thread does hold up GETs', async () => {
  const { heldUpMs } = await watched(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    const start = performance.now();
    // A backtracking engine would do this by itself, given ^(a+)+$.
    while (performance.now() - start < 200);
  });
  assert.ok(heldUpMs > GET_MS);
});

test('a flood of costly records leaves the main thread free', async (t) => {
  const cost = HOSTILE.find((one) => one.name === 'nested comprehensions');
  assert.ok(cost);
  const shaper = await testShaper({ f: cost.flow, plain: { map: { keys: '${{ record.id }}' } } });
  const delay = monitorEventLoopDelay({ resolution: 5 });
  try {
    await shaper.shape('plain', { id: 0 });
    const body = cost.body();
    const wide = bytesOf({ id: 'k', text: 'x'.repeat(900_000) });
    delay.enable();
    const { result, slowestMs, heldUpMs } = await watched(async () => {
      const work = Array.from({ length: 8 }, () => endOf(shaper, body));
      const plain = Array.from({ length: 40 }, () => shaper.shape('plain', wide));
      return [await Promise.all(work), await Promise.all(plain)] as const;
    });
    delay.disable();
    assert.deepEqual(new Set(result[0]), new Set(['shape-too-costly']));
    assert.equal(result[1].length, 40);
    t.diagnostic(
      `slowest GET ${slowestMs.toFixed(1)} ms, loop delay p99 ${delay.percentile(99) / 1e6} ms`,
    );
    assert.ok(heldUpMs <= GET_MS, `a GET was held up ${heldUpMs} ms`);
  } finally {
    await shaper.shaper.close();
  }
});
