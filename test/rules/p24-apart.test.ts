/** Stores that come and go while the program runs: apart, refilled, joined again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecordedConnection } from '../../src/contracts/spec.ts';
import { Fault } from '../../src/kernel/errors.ts';
import { LIMITS } from '../../src/kernel/limits.ts';
import { ACCOUNT, House, lane } from './house.ts';
import { Store } from './store.ts';

interface Place {
  readonly house: House;
  readonly a: Store;
  readonly reader: Store;
}

async function build(overwrites = true): Promise<Place> {
  const a = new Store('a');
  const reader = new Store('reader', { overwrites });
  const house = new House({ before: [a], reader });
  await house.start();
  return { house, a, reader };
}

function joined({ house }: Place, id: string): boolean {
  return house.engine.fanout.driver(id).apart === null;
}

/** What a client of Holdfast reads: the value, null, or the code of the fault. */
async function read({ house }: Place, key: string): Promise<string | null> {
  const reader = house.engine.readers.get('reader');
  try {
    const found = await house.wait(
      reader?.get(ACCOUNT, 'settled', [key], () => true) ?? Promise.resolve([]),
    );
    const [first] = found;
    return first === null || first === undefined ? null : Buffer.from(first.value).toString();
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    return error.code;
  }
}

test('P24: a reader that lost everything at run time shows nothing until it is whole', async () => {
  const place = await build();
  const { house, a, reader } = place;
  for (const value of ['1', '2']) await house.putNow('k', value);
  await house.putNow('other', 'v');
  reader.forget();
  reader.away = true;
  reader.calls.length = 0;
  reader.part();
  assert.equal(await read(place, 'k'), 'unavailable');
  const turnedAway = await house.putNow('k', '3');
  assert.equal(turnedAway.code, 'unavailable', 'before it is held');
  assert.deepEqual(a.live(lane('k')).length, 2);
  reader.away = false;
  reader.hold();
  await house.pass(LIMITS.settleRetryMsMax);
  assert.equal(await read(place, 'k'), 'unavailable', 'being refilled');
  reader.release();
  await house.until('joined', () => joined(place, 'reader'));
  assert.equal(await read(place, 'k'), '2');
  assert.equal(await read(place, 'other'), 'v');
  // The newest of each key alone: it never showed an older one on the way.
  assert.equal(reader.calls.filter((call) => call.startsWith('apply')).length, 2);
  assert.equal((await house.putNow('k', '4')).outcome, 'committed');
});

test('P24: what was under way in a store that lost it is sent again before it joins', async () => {
  const place = await build();
  const { house, a, reader } = place;
  reader.hold();
  const asked = house.put('k', 'v');
  await house.until('a has it', () => a.calls.includes('apply 1.1'));
  await house.pass(20);
  a.forget();
  a.part();
  await house.until('joined', () => joined(place, 'a'));
  assert.deepEqual(a.live(lane('k')), ['1.1'], 'before the reader has answered');
  reader.release();
  await house.until('answered', () => asked.answer !== null);
  assert.equal(asked.outcome, 'committed');
});

test('P24: what was not sent when a store parts fails, and is undone in the others', async () => {
  const place = await build();
  const { house, a, reader } = place;
  a.hold();
  const first = house.put('k1', 'v');
  const { fanout, live } = house.engine;
  const sent = (): boolean => live.phases().applying === 1 && fanout.driver('a').depth === 0;
  await house.until('under way', sent);
  const second = house.put('k2', 'v');
  await house.until('queued', () => fanout.driver('a').depth === 1);
  a.away = true;
  a.part();
  await house.until('answered', () => second.answer !== null);
  assert.equal(second.outcome, 'failed');
  assert.deepEqual(reader.live(lane('k2')), []);
  a.release();
  a.away = false;
  // The one under way got no definite answer: it settles once the store is back.
  await house.until('answered', () => first.answer !== null);
  await house.quiet();
  const there = a.live(lane('k1')).length;
  assert.equal(there, first.outcome === 'committed' ? 1 : 0);
  assert.equal(reader.live(lane('k1')).length, there);
});

test('P24: a store that is away at the start joins when it comes; the rest is served', async () => {
  const place = await build();
  const { house, a, reader } = place;
  await house.putNow('k', 'v');
  await house.quiet();
  await house.stop();
  a.away = true;
  a.forget();
  await house.start();
  assert.ok(house.warnings.some((warning) => warning.includes('"a" cannot take part yet')));
  assert.equal(await read(place, 'k'), 'v', 'the reader is there');
  assert.equal((await house.putNow('k', '2')).code, 'unavailable');
  assert.deepEqual(reader.live(lane('k')), ['1.1']);
  a.away = false;
  await house.until('joined', () => joined(place, 'a'));
  assert.deepEqual(a.live(lane('k')), ['1.1'], 'refilled');
  assert.equal((await house.putNow('k', '3')).outcome, 'committed');
});

test('what a store failed is tried again when it comes back, not after its pause', async () => {
  const place = await build();
  const { house, a } = place;
  a.says = () => 'outage';
  const asked = house.put('k', 'v', { respond: 'held' });
  await house.until('answered', () => asked.answer !== null);
  const parked = (): boolean => house.engine.live.phases().parked === 1;
  // Twice failed, so that its pause is longer than anything this test waits for.
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    await house.until(
      'parked',
      () => parked() && house.engine.live.get(asked.uow)?.attempt === attempt,
    );
  }
  a.says = () => 'stored';
  a.part();
  await house.until('joined', () => joined(place, 'a'));
  const from = house.schedule.nowMs;
  await house.until('settled', () => house.engine.live.get(asked.uow)?.phase === 'settled');
  assert.ok(house.schedule.nowMs - from < 2000, `${house.schedule.nowMs - from} ms`);
  assert.equal(a.live(lane('k')).length, 1);
});

test('P4: a store that comes back with data of another journal stays out, told once', async () => {
  const place = await build();
  const { house, a } = place;
  await house.putNow('k', 'v');
  const { mark } = a;
  assert.ok(mark !== null);
  a.mark = { ...mark, journalId: 'f'.repeat(32) };
  a.part();
  await house.pass(LIMITS.settleRetryMsMax * 4);
  assert.ok(!joined(place, 'a'));
  const told = house.warnings.filter((warning) => warning.includes('cannot take part'));
  assert.equal(told.length, 1, told.join());
  a.mark = mark;
  await house.until('joined', () => joined(place, 'a'));
});

test('P21: nothing is trimmed while a store is apart', async () => {
  const { house, a } = await build();
  for (let at = 0; at < 40; at += 1) await house.putNow(`k${at}`, 'x'.repeat(1500));
  await house.quiet();
  const { housekeeping, log } = house.engine;
  a.away = true;
  a.part();
  await assert.rejects(house.wait(housekeeping.trim(log.journal.next)), Fault);
  assert.equal(log.journal.first, 0);
});

test('a stop does not wait for a store that is apart; the next start goes on', async () => {
  const { house, a, reader } = await build();
  a.says = () => 'dropped';
  house.put('k', 'v', { respond: 'held' });
  await house.until('sent', () => a.calls.includes('apply 1.1'));
  a.away = true;
  a.part();
  await house.pass(100);
  const before = house.schedule.nowMs;
  assert.deepEqual(await house.stop(20_000), { unsettled: 1 });
  assert.ok(house.schedule.nowMs - before < 5000);
  a.away = false;
  a.says = () => 'stored';
  await house.start();
  await house.quiet();
  assert.deepEqual([a.live(lane('k')), reader.live(lane('k'))], [['1.1'], ['1.1']]);
});

test('P25: a connection is on disk before it is used; the next start finds it', async () => {
  const { house } = await build();
  const connection: RecordedConnection = {
    node: '127.0.0.1:6379',
    server: 'a'.repeat(40),
    connection: '17',
    epoch: house.connections.of('a').epoch,
  };
  await house.wait(house.connections.of('a').record(connection));
  house.crash('power');
  await house.start();
  const book = house.connections.of('a');
  assert.ok(book.epoch > connection.epoch);
  assert.deepEqual(await book.list(), [connection]);
  assert.deepEqual(await house.connections.of('reader').list(), []);
  await house.wait(book.forget([connection]));
  house.crash('power');
  await house.start();
  assert.deepEqual(await house.connections.of('a').list(), []);
});

test('a store that was away for a moment takes part again in a moment', async () => {
  const place = await build();
  const { house, a } = place;
  a.away = true;
  a.part();
  await house.pass(100);
  assert.equal(joined(place, 'a'), false);
  a.away = false;
  await house.pass(500);
  assert.equal(joined(place, 'a'), true);
});
