/** Recovery: forward, abort only with proof, undo to the end, quarantine, configuration. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JournalDamaged } from '../../src/contracts/journal.ts';
import { Fault } from '../../src/kernel/errors.ts';
import { LIMITS } from '../../src/kernel/limits.ts';
import { plants } from '../../src/kernel/plants.ts';
import { House, lane, type Asked } from './house.ts';
import { Store } from './store.ts';

interface Place {
  house: House;
  store: Store;
  other: Store;
  reader: Store;
}

function build(): Place {
  const store = new Store('a');
  const other = new Store('b');
  const reader = new Store('reader', { overwrites: true });
  return { house: new House({ before: [store, other], reader }), store, other, reader };
}

/** Held, in no store yet, and the process is dead. */
async function heldThenDead(place: Place): Promise<Asked> {
  const { house, store, other } = place;
  await house.start();
  store.hold();
  other.hold();
  const asked = await house.putNow('k', 'v', { respond: 'held' });
  house.crash('power');
  return asked;
}

test('P14: a write without outcome goes forward to every store', async () => {
  const place = build();
  const { house, store, other, reader } = place;
  const asked = await heldThenDead(place);
  const engine = await house.start();
  assert.equal(engine.recovered.counts.held, 1);
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
  for (const each of [store, other, reader]) {
    assert.deepEqual(each.live(lane('k')), [`${asked.uow}.1`], each.id);
  }
});

/** In both stashes and in the reader, no outcome on disk, and the process is dead. */
async function shownThenDead({ house, reader }: Place): Promise<Asked> {
  await house.start();
  reader.says = () => 'lost';
  const asked = await house.putNow('k', 'v', { respond: 'held' });
  await house.until('shown', () => reader.newest(lane('k')) !== null);
  house.crash('power');
  reader.says = () => 'stored';
  return asked;
}

test('P14: what the reader may have shown is never aborted, however long it takes', async () => {
  const place = build();
  const { house, store, reader } = place;
  const asked = await shownThenDead(place);
  store.says = (_attempt, nth) => (nth < 6 ? 'refused' : 'stored');
  const engine = await house.start();
  assert.equal(engine.recovered.counts.held, 0);
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
  assert.ok(!reader.calls.concat(store.calls).some((call) => call.startsWith('undo')));
  assert.ok(store.calls.filter((call) => call.startsWith('apply')).length >= 6);
});

test('P14: with the proof of one stash that it never held it, a refusal aborts', async () => {
  const place = build();
  const { house, store, other, reader } = place;
  const asked = await heldThenDead(place);
  store.says = () => 'refused';
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'refused');
  for (const each of [store, other, reader]) assert.deepEqual(each.live(lane('k')), [], each.id);
  assert.ok(other.calls.includes('fence'), 'the proof was asked behind a fence');
});

test('P14: a store that may have lost what it held proves nothing', async () => {
  const place = build();
  const { house, store, other } = place;
  const asked = await heldThenDead(place);
  store.provesNothing = true;
  other.provesNothing = true;
  store.says = (_attempt, nth) => (nth < 4 ? 'refused' : 'stored');
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
});

test('P14: neither does one that cannot be fenced or asked', async () => {
  for (const how of ['fence', 'holds'] as const) {
    const place = build();
    const { house, store, other } = place;
    const asked = await heldThenDead(place);
    for (const each of [store, other]) {
      each.fenceFails = how === 'fence';
      each.holdsFails = how === 'holds';
    }
    store.says = (_attempt, nth) => (nth < 4 ? 'refused' : 'stored');
    await house.start();
    for (const each of [store, other]) each.fenceFails = false;
    await house.quiet();
    assert.equal(await house.outcomeOf(asked.uow), 'committed', how);
  }
});

test('P14: an abort that was decided is completed, and not decided again', async () => {
  const place = build();
  const { house, store, other, reader } = place;
  await house.start();
  store.says = () => 'refused';
  other.hold();
  const asked = house.put('k', 'v', { respond: 'held' });
  await house.pass(20);
  other.undoSays = () => 'failed';
  other.release();
  await house.until('undoing', () => other.calls.includes(`undo ${asked.uow}.1`));
  house.crash('power');
  // This time the store would take it.
  store.says = () => 'stored';
  other.undoSays = () => 'undone';
  const engine = await house.start();
  assert.equal(engine.recovered.counts.undoing, 1);
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'refused');
  for (const each of [store, other, reader]) assert.deepEqual(each.live(lane('k')), [], each.id);
});

test('P14: what the dead process sent may still arrive; an undo covers it', async () => {
  const place = build();
  const { house, store, other } = place;
  await house.start();
  store.says = () => 'late';
  other.hold();
  const asked = house.put('k', 'v', { respond: 'held' });
  await house.until('on its way', () => store.calls.includes('apply 1.1'));
  house.crash('process');
  // The fence of this store has no effect on what is on its way: insert-only stores need none.
  store.fence = () => {};
  store.says = () => 'refused';
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'refused');
  store.deliverLate();
  assert.deepEqual(store.live(lane('k')), []);
});

test('P15: an undo is retried until every store has done it; then it is settled', async () => {
  const { house, store, other, reader } = build();
  await house.start();
  reader.says = () => 'failed';
  other.undoSays = (_attempt, nth) => (nth < 5 ? 'failed' : 'undone');
  const asked = house.put('k', 'v');
  await house.until('undoing', () => other.calls.includes('undo 1.1'));
  const receipt = await house.wait(house.engine.receipt(1));
  assert.ok(receipt !== null && receipt !== 'gone' && receipt.state === 'undoing');
  await house.until('answered', () => asked.answer !== null);
  assert.equal(asked.outcome, 'failed');
  assert.equal(other.calls.filter((call) => call === 'undo 1.1').length, 5);
  for (const each of [store, other]) assert.deepEqual(each.live(lane('k')), []);
});

test('P15: a stash forgotten in an undo keeps what nobody committed (the control)', async () => {
  const { house, store, reader } = build();
  await house.start();
  reader.says = () => 'failed';
  plants.add('forget-a-stash-in-undo');
  try {
    await house.putNow('k', 'v');
    assert.equal(store.live(lane('k')).length, 1);
  } finally {
    plants.delete('forget-a-stash-in-undo');
  }
});

test('P15: one dead store does not stall a key while only versions are undone', async () => {
  const { house, store, other, reader } = build();
  await house.start();
  store.says = ({ uow }) => (uow === 1 ? 'failed' : 'stored');
  other.undoSays = () => 'failed';
  const first = house.put('k', 'v1');
  await house.until('undoing', () => other.calls.includes('undo 1.1'));
  other.undoSays = ({ uow }) => (uow === 1 ? 'failed' : 'undone');
  const second = await house.putNow('k', 'v2');
  assert.equal(second.outcome, 'committed');
  assert.equal(first.answer, null, 'never "rolled back" too early');
  other.undoSays = () => 'undone';
  await house.until('first', () => first.answer !== null);
  assert.equal(first.outcome, 'superseded');
  assert.equal(reader.newest(lane('k'))?.value, 'v2');
});

test('P15: an open breaker turns new writes away before they are held', async () => {
  const { house, store } = build();
  await house.start();
  store.says = () => 'outage';
  for (let at = 0; at < LIMITS.breakerFailuresMax; at += 1) await house.putNow(`k${at}`, 'v');
  const { next } = house.engine.log.journal;
  const asked = await house.putNow('x', 'v');
  assert.equal(asked.code, 'unavailable');
  assert.ok(asked.answer?.answer === 'turned-away' && asked.answer.fault.retryAfterMs);
  assert.equal(house.engine.log.journal.next, next);
  store.says = () => 'stored';
  await house.pass(LIMITS.breakerOpenMs);
  assert.equal((await house.putNow('x', 'v')).outcome, 'committed');
});

/** Starts that the write kills as soon as a store gets it; returns after `count` of them. */
async function dies(place: Place, asked: Asked, count: number): Promise<void> {
  const { house, store } = place;
  for (let start = 0; start < count; start += 1) {
    let dead = false;
    store.says = ({ uow }) => {
      if (uow === asked.uow) dead = true;
      return 'late';
    };
    const starting = house.begin();
    starting.catch(() => {});
    await house.until('it died', () => dead);
    house.crash('process');
  }
  store.says = () => 'stored';
}

test('P16: a write on which three starts died holds its lane, with an alarm', async () => {
  const place = build();
  const { house, store, reader } = place;
  const asked = await heldThenDead(place);
  await dies(place, asked, 2 + LIMITS.quarantineStarts);
  await house.start();
  await house.pass(5000);
  assert.equal(await house.outcomeOf(asked.uow), 'parked');
  assert.ok(house.warnings.some((warning) => warning.includes(String(asked.uow))));
  assert.equal(house.engine.parking.lanes()[0]?.retryAt, null);
  assert.equal((await house.putNow('k', 'x')).code, 'key-parked');
  assert.equal(
    (await house.putNow('other', 'x')).outcome,
    'committed',
    'poison blocks nobody else',
  );
  // It ends by going forward, as the same attempt.
  const again = await house.wait(house.engine.parking.retry(asked.uow));
  assert.ok(!(again instanceof Fault) && again.attempt === 1);
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
  assert.deepEqual(store.live(lane('k')), [`${asked.uow}.1`]);
  assert.equal(reader.newest(lane('k'))?.value, 'v');
});

test('P16: starts that died of something else quarantine nothing', async () => {
  const place = build();
  const { house, store } = place;
  const asked = await heldThenDead(place);
  for (let start = 0; start < 6; start += 1) {
    store.says = () => 'dropped';
    const starting = house.begin();
    starting.catch(() => {});
    // It outlives its own try.
    await house.pass(3000);
    house.crash('process');
  }
  store.says = () => 'stored';
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
});

test('P17: a start refuses to drop a stash that unsettled work names, and says which', async () => {
  const place = build();
  const { house, store, reader } = place;
  const asked = await heldThenDead(place);
  const { stores } = house;
  house.stores = [store, reader];
  await assert.rejects(house.start(), (error: unknown) => {
    assert.ok(error instanceof JournalDamaged);
    assert.match(error.message, /"b"/);
    assert.match(error.message, new RegExp(`\\b${asked.uow}\\b`));
    return true;
  });
  house.crash('process');
  house.stores = stores;
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
  // The control: once nothing names it, it may go.
  await house.stop();
  house.stores = [store, reader];
  house.flows = house.flowsOf(['a'], 'reader');
  await house.start();
  assert.equal((await house.putNow('k', 'w')).outcome, 'committed');
});
