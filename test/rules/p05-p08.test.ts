/** Lanes and judging: order, one judgement, parked keys, hot keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plants } from '../../src/kernel/plants.ts';
import { digestOf } from '../../src/kernel/digest.ts';
import { LIMITS } from '../../src/kernel/limits.ts';
import { House, lane, type Asked } from './house.ts';
import { Store } from './store.ts';

function firstCalls(store: Store): string[] {
  return [...new Set(store.calls.filter((call) => call.startsWith('apply ')))];
}

const etagOf = (value: string): string => digestOf(Buffer.from(value));

test('P5: no write overtakes another on a shared key, and none wait in a circle', async () => {
  const store = new Store('a', { oneAttemptPerKey: true });
  const house = new House({ before: [store], reader: new Store('reader') });
  await house.start();
  store.hold();
  const asked = [
    house.send(['a', 'b'], '1'),
    house.send(['b', 'c'], '2'),
    house.send(['c', 'a'], '3'),
    house.send(['d'], '4'),
  ];
  await house.pass(20);
  store.release();
  await house.until('all answered', () => asked.every(({ answer }) => answer !== null));
  const order = firstCalls(store).map((call) => Number(call.slice(6).split('.')[0]));
  const [one, two, three, four] = asked.map(({ uow }) => uow) as [number, number, number, number];
  assert.ok(order.indexOf(one) < order.indexOf(two) && order.indexOf(two) < order.indexOf(three));
  assert.ok(order.indexOf(four) < order.indexOf(two), 'a key of its own waits for nobody');
  for (const { outcome } of asked) assert.equal(outcome, 'committed');
});

test('P5: while a write is not settled the next one of its key has not been sent', async () => {
  const store = new Store('a', { oneAttemptPerKey: true });
  const reader = new Store('reader', { overwrites: true });
  const house = new House({ before: [store], reader });
  await house.start();
  reader.hold();
  const first = house.put('k', '1');
  const second = house.put('k', '2');
  await house.pass(50);
  assert.equal(firstCalls(store).length, 1);
  reader.release();
  await house.until('both', () => first.answer !== null && second.answer !== null);
  assert.deepEqual(
    firstCalls(store),
    [first, second].map(({ uow }) => `apply ${uow}.1`),
  );
});

test('P5: with a lane let go early, the next write is sent too soon (the control)', async () => {
  const store = new Store('a', { oneAttemptPerKey: true });
  const reader = new Store('reader', { overwrites: true });
  const house = new House({ before: [store], reader });
  await house.start();
  plants.add('release-a-lane-early');
  try {
    reader.hold();
    house.put('k', '1');
    house.put('k', '2');
    await house.pass(50);
    assert.equal(firstCalls(store).length, 2);
  } finally {
    plants.delete('release-a-lane-early');
  }
});

test('P6: a condition is not judged again on the own value after a crash', async () => {
  const store = new Store('a');
  const reader = new Store('reader', { overwrites: true });
  const house = new House({ before: [store], reader });
  await house.start();
  await house.putNow('k', 'old');
  const conditions = [{ if: 'match', etags: [etagOf('old')] }] as const;
  // The reader has it, the outcome is not on disk: a second judgement would see `new` and say 412.
  reader.says = (attempt) => (Buffer.from(attempt.value).toString() === 'new' ? 'lost' : 'stored');
  const asked = house.put('k', 'new', { conditions, respond: 'held' });
  await house.until('sent', () => reader.newest(lane('k'))?.value === 'new');
  house.crash('power');
  reader.says = () => 'stored';
  const reads = reader.calls.filter((call) => call === 'get k').length;
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
  assert.equal(reader.calls.filter((call) => call === 'get k').length, reads, 'not read again');
  const story = await house.storyOf(asked.uow);
  assert.deepEqual(story, ['hold', 'verdict', 'committed']);
});

test('P6: the verdict is on disk before the first apply', async () => {
  const store = new Store('a');
  const house = new House({ before: [store], reader: new Store('reader') });
  await house.start();
  await house.putNow('k', 'old');
  let durable = -1;
  store.says = () => {
    durable = house.engine.log.journal.durable;
    return 'stored';
  };
  const asked = await house.putNow('k', '', { kind: 'delete' });
  const records = await house.records();
  const at = records.findIndex((record) => record.type === 'verdict' && record.u === asked.uow);
  assert.ok(at >= 0 && at < durable, `verdict ${at}, durable ${durable}`);
  assert.ok(asked.answer?.answer === 'settled' && asked.answer.existed === true);
});

test('P6: what a delete found is told the same after a crash', async () => {
  const reader = new Store('reader', { overwrites: true });
  const house = new House({ reader });
  await house.start();
  await house.putNow('k', 'old');
  reader.says = () => 'lost';
  const asked = house.put('k', '', { kind: 'delete', respond: 'held', idempotencyKey: 'once' });
  await house.until('deleted', () => reader.newest(lane('k'))?.kind === 'delete');
  house.crash('process');
  reader.says = () => 'stored';
  await house.start();
  await house.quiet();
  const again = house.put('k', '', { kind: 'delete', respond: 'held', idempotencyKey: 'once' });
  await house.until('again', () => again.answer !== null);
  assert.equal(again.uow, asked.uow);
  assert.ok(again.answer?.answer === 'settled' && again.answer.existed === true);
});

test('P6: of two writes on one ETag exactly one wins, whichever way they arrive', async () => {
  const house = new House({ before: [new Store('a')], reader: new Store('reader') });
  await house.start();
  await house.putNow('k', 'old');
  const conditions = [{ if: 'match', etags: [etagOf('old')] }] as const;
  const both = [house.put('k', 'x', { conditions }), house.put('k', 'y', { conditions })];
  await house.until('both', () => both.every(({ answer }) => answer !== null));
  const codes = new Set(both.map(({ code }) => code));
  assert.deepEqual(codes, new Set(['condition-failed', null]));
});

test('P7: a waiting call on a parked key is not held; a 202-call queues behind', async () => {
  const store = new Store('a');
  store.says = ({ attempt }) => (attempt === 1 ? 'failed' : 'stored');
  const house = new House({ before: [store], reader: new Store('reader') });
  await house.start();
  const parked = await house.putNow('k', '1', { respond: 'held' });
  await house.until('parked', () => house.engine.parking.size === 1);
  const { next } = house.engine.log.journal;
  const waiting = await house.putNow('k', '2');
  assert.equal(waiting.code, 'key-parked');
  assert.equal(house.engine.log.journal.next, next, 'nothing was held');
  // The control: another key of the same flow is not turned away.
  store.says = ({ attempt, keys }) => (attempt === 1 && keys[0] === 'k' ? 'failed' : 'stored');
  assert.equal((await house.putNow('other', '2')).outcome, 'committed');
  const behind = await house.putNow('k', '3', { respond: 'held' });
  store.says = () => 'stored';
  await house.quiet();
  await house.pass(2000);
  await house.quiet();
  assert.equal(await house.outcomeOf(parked.uow), 'committed');
  assert.equal(await house.outcomeOf(behind.uow), 'committed');
  const calls = firstCalls(store);
  const retried = calls.indexOf(`apply ${parked.uow}.2`);
  assert.ok(retried >= 0 && retried < calls.indexOf(`apply ${behind.uow}.1`));
});

test('P7: the queue behind a parked key is bounded', async () => {
  const store = new Store('a');
  store.says = () => 'failed';
  const house = new House({
    before: [store],
    reader: new Store('reader'),
    inFlightWritesMax: LIMITS.laneDepthMax * 2,
  });
  await house.start();
  await house.putNow('k', '1', { respond: 'held' });
  await house.until('parked', () => house.engine.parking.size === 1);
  const { lanes } = house.engine.fanout;
  lanes.depth = () => LIMITS.laneDepthMax;
  assert.equal((await house.putNow('k', '2', { respond: 'held' })).code, 'overloaded');
  lanes.depth = () => LIMITS.laneDepthMax - 1;
  assert.equal((await house.putNow('k', '2', { respond: 'held' })).answer?.answer, 'held');
});

/** Holds the stash back while `count` writes of one key arrive, then lets all go. */
async function hotKey(house: House, store: Store, count: number): Promise<Asked[]> {
  store.hold();
  const asked = Array.from({ length: count }, (_, at) => house.put('k', `v${at}`));
  await house.pass(30);
  store.release();
  await house.until('all', () => asked.every(({ answer }) => answer !== null));
  return asked;
}

test('P8: writes of a hot key share a batch; what overwrites gets only the newest', async () => {
  const store = new Store('a');
  const reader = new Store('reader', { overwrites: true });
  const house = new House({ before: [store], reader });
  await house.start();
  const asked = await hotKey(house, store, 50);
  assert.ok(store.batches.length <= 3, `sent in ${store.batches.length} batches`);
  assert.ok(asked.every(({ outcome }) => outcome === 'committed'));
  const sent = firstCalls(reader);
  assert.ok(sent.length <= 3, `the reader was sent ${sent.length} of 50`);
  assert.equal(sent.at(-1), `apply ${asked.at(-1)?.uow}.1`);
  assert.equal(reader.newest(lane('k'))?.value, 'v49');
  assert.equal(store.live(lane('k')).length, 50, 'each is a version of its own');
});

test('P8: the reader gets nothing of a run before all earlier ones are decided', async () => {
  const store = new Store('a');
  const reader = new Store('reader', { overwrites: true });
  const house = new House({ before: [store], reader });
  await house.start();
  // The first of the run has no reply yet; those behind it are stored.
  let first = -1;
  store.says = ({ uow }, nth) => {
    if (first < 0) first = uow;
    return uow === first && nth < 3 ? 'dropped' : 'stored';
  };
  const asked = [0, 1, 2].map((at) => house.put('k', `v${at}`));
  await house.until('the others stored', () => store.calls.includes(`apply ${first + 2}.1`));
  assert.deepEqual(firstCalls(reader), []);
  await house.until('all', () => asked.every(({ answer }) => answer !== null));
  assert.deepEqual(firstCalls(reader), [`apply ${first + 2}.1`]);
});

test('P8: a run goes on without one that fails; a refused newest gives way', async () => {
  const store = new Store('a');
  const reader = new Store('reader', { overwrites: true });
  const house = new House({ before: [store], reader });
  await house.start();
  store.says = ({ value }) => (Buffer.from(value).toString() === 'v1' ? 'failed' : 'stored');
  reader.says = ({ value }) => (Buffer.from(value).toString() === 'v3' ? 'refused' : 'stored');
  const asked = await hotKey(house, store, 4);
  assert.deepEqual(
    asked.map(({ outcome }) => outcome),
    ['committed', 'failed', 'committed', 'refused'],
  );
  await house.quiet();
  assert.equal(
    await house.outcomeOf(asked[1]?.uow ?? 0),
    'superseded',
    'v2 was committed after it',
  );
  assert.equal(reader.newest(lane('k'))?.value, 'v2');
  assert.deepEqual(
    store.live(lane('k')),
    [asked[0], asked[2]].map((each) => `${each?.uow}.1`),
  );
});

test('P8: a re-apply after a crash sends the store that overwrites only the newest', async () => {
  const store = new Store('a');
  const reader = new Store('reader', { overwrites: true });
  const house = new House({ before: [store], reader });
  await house.start();
  store.hold();
  const asked = [0, 1, 2, 3].map((at) => house.put('k', `v${at}`, { respond: 'held' }));
  await house.until('held', () => asked.every(({ answer }) => answer !== null));
  house.crash('power');
  await house.start();
  await house.quiet();
  assert.deepEqual(firstCalls(reader), [`apply ${asked[3]?.uow}.1`]);
  for (const { uow } of asked) assert.equal(await house.outcomeOf(uow), 'committed');
});

test('P8: a store with a before-image is given one undecided write per key', async () => {
  const store = new Store('a', { overwrites: true, oneAttemptPerKey: true });
  const house = new House({ before: [store], reader: new Store('reader') });
  await house.start();
  const asked = await hotKey(house, store, 10);
  assert.ok(store.batches.every((size) => size === 1));
  assert.equal(store.batches.length, asked.length);
});
