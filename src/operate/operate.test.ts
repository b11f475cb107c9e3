/** What operators see and do: the fail queue, parked lanes, deletes by pattern, status. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNT, House, lane } from '../../test/rules/house.ts';
import { Connection, Store } from '../../test/rules/store.ts';
import type { FlowPlan } from '../contracts/flow.ts';
import type { ReadPort } from '../contracts/ports.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import { compilePattern, Deletions } from './deletions.ts';
import { Failures } from './failures.ts';
import { Status } from './status.ts';

interface Place {
  readonly house: House;
  readonly a: Store;
  readonly reader: Store;
  readonly failures: Failures;
}

async function build(): Promise<Place> {
  const a = new Store('a');
  const reader = new Store('reader');
  const house = new House({ before: [a], reader });
  const engine = await house.start();
  return { house, a, reader, failures: new Failures(house.state, engine.log, engine.parking) };
}

test('a failure is listed once told, and retried, skipped, discarded by its number', async () => {
  const { house, a, failures } = await build();
  a.says = () => 'failed';
  const told = await house.putNow('k', 'v');
  const parked = await house.putNow('p', 'v', { respond: 'held' });
  await house.until('parked', () => house.engine.parking.size === 1);
  await house.pass(50);
  const page = await house.wait(failures.list({}, null, 10));
  const listed = new Set(page.items.map(({ uow }) => uow));
  assert.deepEqual(listed, new Set([told.uow, parked.uow]));
  assert.equal((await house.wait(failures.show(told.uow)))?.uow, told.uow);
  assert.equal(await house.wait(failures.show(4711)), null);
  assert.equal(await house.wait(failures.retry(4711)), null);
  assert.equal(await house.wait(failures.skip(4711)), false);
  assert.equal(await house.wait(failures.discard(4711)), false);
  await assert.rejects(house.wait(failures.skip(told.uow)), Fault);
  assert.equal(await house.wait(failures.skip(parked.uow)), true);
  a.says = () => 'stored';
  const receipt = await house.wait(failures.retry(told.uow));
  assert.equal(receipt?.uow, told.uow);
  await house.quiet();
  assert.equal(await house.wait(failures.discard(parked.uow)), true);
  assert.deepEqual((await house.wait(failures.list({}, null, 10))).items, []);
  a.hold();
  const open = await house.putNow('o', 'v', { respond: 'held' });
  await assert.rejects(house.wait(failures.retry(open.uow)), Fault);
});

test('refused writes are listed, and never in the fail queue', async () => {
  const { house, a, failures } = await build();
  a.says = () => 'refused';
  const asked = await house.putNow('k', 'v');
  const page = await house.wait(failures.rejections({}, null, 10));
  assert.deepEqual(
    page.items.map(({ uow }) => uow),
    [asked.uow],
  );
  assert.deepEqual((await house.wait(failures.list({}, null, 10))).items, []);
});

test('parked lanes come in pages of a stable order', async () => {
  const { house, a, failures } = await build();
  a.says = () => 'failed';
  for (const key of ['a', 'b', 'c']) await house.putNow(key, 'v', { respond: 'held' });
  await house.until('parked', () => house.engine.parking.size === 3);
  const first = await failures.parked(null, 2);
  const second = await failures.parked(first.cursor, 2);
  assert.deepEqual(
    [...first.items, ...second.items].map(({ key }) => key),
    ['a', 'b', 'c'],
  );
  assert.equal(second.cursor, null);
  await assert.rejects(failures.parked('x', 2), (error: unknown) => {
    return error instanceof Fault && error.code === 'bad-cursor';
  });
});

function deletionsOf(
  { house }: Place,
  keys: () => readonly string[],
): { port: Deletions; flow: FlowPlan } {
  const flow = house.flows.get(`${ACCOUNT}/settled`);
  assert.ok(flow !== undefined);
  const scan: ReadPort['scan'] = (_flow, prefix, cursor) => {
    const all = keys().filter((key) => key.startsWith(prefix));
    const from = cursor === null ? 0 : Number(cursor);
    const items = all.slice(from, from + 2).map((key) => ({ key, ttlMs: null }));
    return Promise.resolve({ items, cursor: from + 2 < all.length ? `${from + 2}` : null });
  };
  const { clock, log } = house.engine;
  const random = { bytes: (count: number) => new Uint8Array(count).fill(9), fraction: () => 0 };
  const port = new Deletions({
    world: { clock, random, disk: house.disk },
    log,
    state: house.state,
    flows: { find: (account, name) => house.flows.get(`${account}/${name}`) ?? null },
    read: { scan } as unknown as ReadPort,
    write: house.engine,
  });
  return { port, flow };
}

test('a delete by pattern is planned, run once, and touches what it matches alone', async () => {
  const place = await build();
  const { house, reader } = place;
  const keys = ['a1', 'a2', 'a3', 'b1'];
  for (const key of keys) await house.putNow(key, 'v');
  const { port, flow } = deletionsOf(place, () => keys);
  const plan = await house.wait(port.plan(flow, 'a*'));
  assert.deepEqual([plan.count, plan.sample, plan.state], [3, ['a1', 'a2', 'a3'], 'planned']);
  assert.equal(reader.newest(lane('a1'))?.kind, 'set', 'a plan deletes nothing');
  const started = await house.wait(port.run(plan.id));
  assert.equal(started?.state, 'running');
  await assert.rejects(house.wait(port.run(plan.id)), Fault);
  await house.quiet();
  const done = await house.wait(port.get(plan.id));
  assert.deepEqual([done?.state, done?.deleted], ['done', 3]);
  for (const key of keys) {
    assert.equal(reader.newest(lane(key))?.kind, key.startsWith('a') ? 'delete' : 'set', key);
  }
  assert.equal(await house.wait(port.run('unknown')), null);
  assert.equal(await house.wait(port.get('unknown')), null);
});

test('a delete by pattern says what it could not do, and a plan expires', async () => {
  const place = await build();
  const { house, a } = place;
  const { port, flow } = deletionsOf(place, () => ['a1']);
  const plan = await house.wait(port.plan(flow, 'a?'));
  a.says = () => 'refused';
  await house.wait(port.run(plan.id));
  await house.pass(500);
  const failed = await house.wait(port.get(plan.id));
  assert.equal(failed?.state, 'failed');
  assert.match(failed.detail ?? '', /refused/);
  await house.wait(port.plan(flow, 'a?'));
  await house.pass(16 * 60_000);
  assert.equal((await house.wait(port.get(plan.id)))?.state, 'expired');
});

test('patterns: * and ? match, a backslash quotes, and none costs too much', () => {
  const table: [string, string, boolean][] = [
    ['a*', 'abc', true],
    ['a*c', 'abcabc', true],
    ['a*c', 'abcab', false],
    ['a?c', 'a😀c', true],
    ['a?c', 'ac', false],
    ['a\\*', 'a*', true],
    ['a\\*', 'ab', false],
    ['*', '', true],
    ['a\\', 'a\\', true],
    ['[ab]', 'a', false],
  ];
  for (const [pattern, key, matches] of table) {
    assert.equal(compilePattern(pattern).test(key), matches, `${pattern} on ${key}`);
  }
  assert.equal(compilePattern('ab\\*c*d').prefix, 'ab*c');
  assert.equal(compilePattern(`${'*a'.repeat(60)}b`).test('a'.repeat(400)), false);
});

test('status: not started, ready, a stash down is a warning, the reader down is not', async () => {
  const { house, a, reader } = await build();
  const status = new Status({ shown: true });
  assert.equal(status.startup()[0]?.level, 'error');
  assert.equal((await status.ready())[0]?.level, 'error');
  assert.deepEqual(status.figures(), []);
  status.started(house.engine);
  assert.equal(status.startup()[0]?.level, 'ok');
  assert.deepEqual(status.live(), []);
  assert.deepEqual(
    (await status.ready()).map(({ level }) => level),
    ['ok'],
  );
  assert.deepEqual(status.config(), { shown: true });
  for (const [store, level] of [
    [a, 'warning'],
    [reader, 'error'],
  ] as const) {
    const { breaker } = house.engine.fanout.driver(store.id);
    for (let at = 0; at < LIMITS.breakerFailuresMax; at += 1) breaker.failed();
    const check = (await status.ready()).find(({ name }) => name === `stash ${store.id}`);
    assert.equal(check?.level, level);
    breaker.succeeded();
  }
  const find = { level: 'error', check: 'space', detail: 'full', hint: 'free some' } as const;
  for (const [store, level] of [
    [a, 'warning'],
    [reader, 'error'],
  ] as const) {
    const { stash } = house.engine.fanout.driver(store.id);
    assert.ok(stash instanceof Connection);
    stash.probe = () => Promise.resolve([find]);
    const check = (await status.ready()).find(({ name }) => name === `stash ${store.id}: space`);
    assert.equal(check?.level, level);
  }
});

test('status: a full or broken journal is told, and figures can be scraped', async () => {
  const { house } = await build();
  const status = new Status(null);
  status.started(house.engine);
  await house.putNow('k', 'v');
  const figures = new Map(status.figures().map((figure) => [figure.name, figure]));
  assert.ok((figures.get('holdfast_journal_syncs_total')?.samples[0]?.value ?? 0) > 0);
  assert.equal(figures.get('holdfast_stash_breaker_open')?.samples.length, 2);
  house.engine.log.journal.admits = () => false;
  assert.equal((await status.ready())[0]?.level, 'error');
  house.stateFails = true;
  house.put('k', 'w');
  await house.until('broken', () => house.broken !== null);
  assert.equal(status.live()[0]?.level, 'error');
  assert.equal((await status.ready())[0]?.level, 'error');
});
