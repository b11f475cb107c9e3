/** Commit and abort: one decider, what was sent, deadlines, and what is synced when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plants } from '../../src/kernel/plants.ts';
import { House, lane } from './house.ts';
import { Store, type Say } from './store.ts';

function build(overwrites = true): { house: House; store: Store; reader: Store } {
  const store = new Store('a');
  const reader = new Store('reader', { overwrites });
  return { house: new House({ before: [store], reader }), store, reader };
}

for (const say of ['lost', 'dropped', 'late'] as const) {
  test(`P9: once the reader was sent it (${say}), only forward, behind a fence`, async () => {
    const { house, store, reader } = build();
    await house.start();
    const says: Say[] = [say, 'failed', 'refused', 'stored'];
    reader.says = ({ uow }, nth) => (uow === 1 ? (says[nth - 1] ?? 'stored') : 'stored');
    const asked = house.put('k', 'v');
    const next = house.put('k', 'later', { conditions: [{ if: 'exists' }] });
    await house.until('answers', () => asked.answer !== null && next.answer !== null);
    assert.equal(asked.outcome, 'committed');
    assert.ok(!store.calls.some((call) => call.startsWith('undo')), 'nothing was taken back');
    const mine = reader.calls.filter((call) => call === 'fence' || call.endsWith(`${asked.uow}.1`));
    const apply = `apply ${asked.uow}.1`;
    assert.deepEqual(mine, [apply, 'fence', apply, 'fence', apply, 'fence', apply]);
    const nextAt = reader.calls.indexOf(`apply ${next.uow}.1`);
    assert.ok(nextAt > reader.calls.lastIndexOf(apply), 'the lane was held until it was done');
    // What was on its way when the fence came never arrives.
    assert.equal(reader.deliverLate(), 0);
    assert.equal(reader.newest(lane('k'))?.value, 'later');
  });
}

test('P9: a definite error of the reader on its first sending aborts', async () => {
  for (const [say, outcome] of [
    ['refused', 'refused'],
    ['failed', 'failed'],
    ['not-sent', 'failed'],
  ] as const) {
    const { house, store, reader } = build();
    await house.start();
    reader.says = () => say;
    const asked = await house.putNow('k', 'v');
    assert.equal(asked.outcome, outcome, say);
    assert.ok(store.calls.includes(`undo ${asked.uow}.1`));
    assert.equal(store.live(lane('k')).length, 0);
  }
});

test('P9: equal bytes in the reader prove nothing: fence and apply again', async () => {
  const { house, reader } = build();
  await house.start();
  await house.putNow('k', 'same');
  reader.says = (_attempt, nth) => (nth === 1 ? 'dropped' : 'stored');
  const asked = await house.putNow('k', 'same');
  assert.equal(asked.outcome, 'committed');
  const mine = reader.calls.filter((call) => call === `apply ${asked.uow}.1`);
  assert.equal(mine.length, 2);
  assert.ok(!reader.calls.includes('get k'), 'the reader was not asked');
});

test('P10: not sent is a definite failure, sent without reply is unknown', async () => {
  const { house, store } = build();
  await house.start();
  store.says = () => 'not-sent';
  const unsent = await house.putNow('a', 'v');
  assert.equal(unsent.outcome, 'failed');
  assert.ok(!store.calls.includes(`undo ${unsent.uow}.1`), 'what was never sent needs no undo');
  store.says = (_attempt, nth) => (nth === 1 ? 'dropped' : 'stored');
  const unknown = await house.putNow('b', 'v');
  assert.equal(unknown.outcome, 'committed');
  assert.ok(store.calls.includes('fence'));
});

test('P10: an unknown of an aborted write is undone: its late arrival does nothing', async () => {
  const { store, reader } = build();
  const other = new Store('b');
  const house = new House({ before: [store, other], reader });
  await house.start();
  store.says = () => 'late';
  other.says = () => 'refused';
  const asked = await house.putNow('k', 'v');
  assert.equal(asked.outcome, 'refused');
  assert.ok(store.calls.includes(`undo ${asked.uow}.1`));
  assert.equal(store.deliverLate(), 1, 'it does arrive, after all');
  assert.equal(store.live(lane('k')).length, 0);
});

test('P12: the deadline decides nothing: 202, and the write goes on', async () => {
  const { house, store } = build();
  await house.start();
  store.hold();
  const asked = await house.putNow('k', 'v', { waitMs: 100 });
  assert.equal(asked.answer?.answer, 'held');
  assert.equal(asked.outcome, null);
  store.release();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
});

test('P12: what was told 202 is retried by itself, after a crash too', async () => {
  const { house, store } = build();
  await house.start();
  store.hold();
  store.says = ({ attempt }) => (attempt === 1 ? 'failed' : 'stored');
  const asked = await house.putNow('k', 'v', { waitMs: 100 });
  house.crash('power');
  await house.start();
  await house.quiet();
  await house.pass(5000);
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
  assert.deepEqual(store.live(lane('k')), [`${asked.uow}.2`]);
});

test('P13: nothing is acknowledged or applied before the sync of its hold', async () => {
  const { house, store } = build();
  await house.start();
  const { journal } = house.engine.log;
  const asked = house.put('k', 'v', { respond: 'held' });
  await house.until('written', () => journal.next > journal.durable);
  assert.equal(asked.answer, null);
  assert.deepEqual(
    store.calls.filter((call) => call.startsWith('apply')),
    [],
  );
  const end = journal.next;
  await house.until('answered', () => asked.answer !== null);
  assert.ok(journal.durable >= end);
});

test('P13: the decision to abort is on disk before the first undo', async () => {
  const { house, store, reader } = build();
  await house.start();
  reader.says = () => 'refused';
  let durable = -1;
  store.undoSays = () => {
    durable = house.engine.log.journal.durable;
    return 'undone';
  };
  const asked = await house.putNow('k', 'v');
  const records = await house.records();
  const at = records.findIndex((record) => record.type === 'abort' && record.u === asked.uow);
  assert.ok(at >= 0 && at < durable, `abort ${at}, durable ${durable}`);
});

test('P13: an undo that is sent before its decision is on disk is seen (the control)', async () => {
  const { house, store, reader } = build();
  await house.start();
  reader.says = () => 'refused';
  plants.add('undo-before-decision');
  try {
    let at = -1;
    let durable = -1;
    store.undoSays = () => {
      at = house.engine.log.journal.next;
      durable = house.engine.log.journal.durable;
      return 'undone';
    };
    await house.putNow('k', 'v');
    assert.ok(durable < at, 'the undo was sent while the decision was on its way to the disk');
  } finally {
    plants.delete('undo-before-decision');
  }
});

test('P13: a commit is told before its outcome is synced, and a crash keeps it true', async () => {
  const { house, store, reader } = build(false);
  await house.start();
  const asked = house.put('k', 'v');
  await house.until('answered', () => asked.answer !== null);
  assert.equal(asked.outcome, 'committed');
  assert.deepEqual(await house.storyOf(asked.uow), ['hold'], 'its outcome is not on disk');
  house.crash('power');
  store.says = () => 'stored';
  reader.says = () => 'stored';
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
  assert.equal(reader.newest(lane('k'))?.value, 'v');
});
