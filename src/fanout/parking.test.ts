/** After a failure: parked keys, retry, skip, discard, and what they do when they meet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { House, lane, type Asked } from '../../test/rules/house.ts';
import { Store } from '../../test/rules/store.ts';
import { DiskFull } from '../contracts/journal.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import { retryPauseMs } from './parking.ts';

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

async function parkOne({ house, a }: Place): Promise<Asked> {
  a.says = () => 'failed';
  const asked = await house.putNow('k', 'v', { respond: 'held' });
  await house.until('parked', () => house.engine.parking.size === 1);
  return asked;
}

async function failOne({ house, a }: Place): Promise<Asked> {
  a.says = () => 'failed';
  const asked = await house.putNow('k', 'v');
  a.says = () => 'stored';
  return asked;
}

const faultOf = (found: unknown): string => (found instanceof Fault ? found.code : 'none');

async function rejectsWith(code: string, house: House, act: Promise<unknown>): Promise<void> {
  await assert.rejects(house.wait(act), (error: unknown) => faultOf(error) === code);
}

test('ten retries take two to three days, and none comes before the store asked', () => {
  const total = (fraction: number): number => {
    let sum = 0;
    for (let attempt = 1; attempt <= LIMITS.retriesMax; attempt += 1) {
      sum += retryPauseMs(attempt, 0, fraction);
    }
    return sum / 86_400_000;
  };
  assert.ok(total(0) > 1.9 && total(1) < 3.1, `${total(0)} to ${total(1)} days`);
  assert.ok(retryPauseMs(1, 0, 0) < retryPauseMs(1, 0, 1));
  assert.equal(retryPauseMs(1, 50_000, 0), 50_000);
  assert.equal(retryPauseMs(99, 0, 1), LIMITS.retryMsMax);
});

test('a parked key is listed with its reason and how many wait behind it', async () => {
  const place = await build();
  const { house } = place;
  const asked = await parkOne(place);
  for (const value of ['2', '3']) await house.putNow('k', value, { respond: 'held' });
  const [parked, ...others] = house.engine.parking.lanes();
  assert.deepEqual(others, []);
  assert.ok(parked !== undefined);
  const { key, uow, waiting, reason } = parked;
  assert.deepEqual(
    { key, uow, waiting, reason },
    {
      key: 'k',
      uow: asked.uow,
      waiting: 2,
      reason: 'a: broken inside',
    },
  );
  await house.pass(100);
  const row = await house.state.failure(asked.uow);
  assert.ok(row !== null && row.parked && row.retryAt === parked.retryAt);
});

test('retry of a parked write resolves once its next attempt is on disk', async () => {
  const place = await build();
  const { house, a } = place;
  const asked = await parkOne(place);
  a.says = () => 'stored';
  a.hold();
  const write = await house.wait(house.engine.parking.retry(asked.uow));
  assert.ok(!(write instanceof Fault) && write.attempt === 2);
  const story = await house.storyOf(asked.uow);
  assert.deepEqual(story, ['hold', 'parked', 'attempt']);
  a.release();
  await house.quiet();
  assert.equal(house.engine.parking.size, 0);
  assert.equal(await house.state.failure(asked.uow), null);
});

test('what is under way or was never there cannot be retried, skipped, discarded', async () => {
  const { house, a } = await build();
  a.hold();
  const asked = await house.putNow('k', 'v', { respond: 'held' });
  const { parking } = house.engine;
  assert.equal(faultOf(await house.wait(parking.retry(asked.uow))), 'conflict');
  await rejectsWith('conflict', house, parking.discard(asked.uow));
  await rejectsWith('not-found', house, parking.skip(asked.uow));
  assert.equal(faultOf(await house.wait(parking.retry(4711))), 'not-found');
  await rejectsWith('not-found', house, parking.skip(4711));
  await rejectsWith('not-found', house, parking.discard(4711));
});

test('skip lets the keys go and keeps the row; those behind go on', async () => {
  const place = await build();
  const { house, a } = place;
  const asked = await parkOne(place);
  const behind = await house.putNow('k', 'next', { respond: 'held' });
  a.says = () => 'stored';
  const receipt = await house.wait(house.engine.parking.skip(asked.uow));
  assert.equal(receipt.outcome, 'failed');
  await house.quiet();
  assert.equal(await house.outcomeOf(behind.uow), 'committed');
  assert.equal(await house.outcomeOf(asked.uow), 'superseded', 'by the one that came after it');
  await rejectsWith('not-found', house, house.engine.parking.skip(asked.uow));
});

test('skip keeps what nobody superseded, never to be tried by itself', async () => {
  const place = await build();
  const { house, a } = place;
  const asked = await parkOne(place);
  await house.wait(house.engine.parking.skip(asked.uow));
  await house.pass(100_000);
  assert.equal(a.calls.filter((call) => call.startsWith('apply')).length, 1);
  const row = await house.state.failure(asked.uow);
  assert.ok(row !== null && !row.parked && row.retryAt === null);
  await rejectsWith('conflict', house, house.engine.parking.skip(asked.uow));
});

test('discard drops a parked write, and a failed one, for good', async () => {
  const place = await build();
  const { house } = place;
  const parked = await parkOne(place);
  await house.wait(house.engine.parking.discard(parked.uow));
  const failed = await failOne(place);
  await house.wait(house.engine.parking.discard(failed.uow));
  for (const { uow } of [parked, failed]) {
    assert.equal(await house.state.failure(uow), null);
    assert.equal(await house.outcomeOf(uow), 'failed');
    assert.equal(faultOf(await house.wait(house.engine.parking.retry(uow))), 'not-found');
  }
  assert.equal(house.engine.failures, 0);
});

test('asked twice at once, one retry begins and the other hears so', async () => {
  const place = await build();
  const { house } = place;
  const { uow } = await failOne(place);
  await house.quiet();
  const { parking } = house.engine;
  const both = await house.wait(Promise.all([parking.retry(uow), parking.retry(uow)]));
  assert.deepEqual(both.map(faultOf).sort(), ['conflict', 'none']);
  await house.quiet();
  assert.equal(await house.outcomeOf(uow), 'committed');
});

/** State answers after `meanwhile` has happened. */
function slowly(house: House, meanwhile: () => Promise<unknown>): void {
  const { state } = house;
  const failure = state.failure.bind(state);
  state.failure = async (uow) => {
    const row = await failure(uow);
    state.failure = failure;
    await meanwhile();
    return row;
  };
}

test('a retry does not begin when a later write was committed while State was asked', async () => {
  const place = await build();
  const { house, reader } = place;
  const { uow } = await failOne(place);
  await house.quiet();
  slowly(house, () => house.putNow('k', 'newer'));
  const retry = await house.wait(house.engine.parking.retry(uow));
  assert.equal(faultOf(retry), 'not-found');
  await house.quiet();
  assert.equal(reader.newest(lane('k'))?.value, 'newer');
  assert.equal(await house.outcomeOf(uow), 'superseded');
});

test('of a retry and a discard at once only one happens', async () => {
  const place = await build();
  const { house } = place;
  const { uow } = await failOne(place);
  await house.quiet();
  const { parking } = house.engine;
  slowly(house, () => house.wait(parking.discard(uow)));
  assert.equal(faultOf(await house.wait(parking.retry(uow))), 'not-found');
  const second = await failOne(place);
  await house.quiet();
  place.a.hold();
  slowly(house, () => house.wait(parking.retry(second.uow)));
  await rejectsWith('conflict', house, parking.discard(second.uow));
  place.a.release();
  await house.quiet();
  assert.equal(await house.outcomeOf(second.uow), 'committed');
  const third = await failOne(place);
  await house.quiet();
  slowly(house, async () => {
    await parking.retry(third.uow);
    await house.quiet();
  });
  await rejectsWith('not-found', house, parking.discard(third.uow));
  assert.equal(await house.outcomeOf(third.uow), 'committed');
});

test('a retry for which the disk has no room leaves the write where it was', async () => {
  const place = await build();
  const { house } = place;
  const { uow } = await failOne(place);
  await house.quiet();
  const { journal } = house.engine.log;
  const append = journal.append.bind(journal);
  journal.append = () => Promise.reject(new DiskFull('no room'));
  await assert.rejects(house.wait(house.engine.parking.retry(uow)), DiskFull);
  journal.append = append;
  assert.equal(house.engine.live.unsettled, 0);
  assert.equal(await house.outcomeOf(uow), 'failed');
  const again = await house.wait(house.engine.parking.retry(uow));
  assert.ok(!(again instanceof Fault));
  await house.quiet();
  assert.equal(await house.outcomeOf(uow), 'committed');
});

test('while a retry is on its way to the disk the receipt of the last attempt stands', async () => {
  const place = await build();
  const { house } = place;
  const { uow } = await failOne(place);
  await house.quiet();
  const retrying = house.engine.parking.retry(uow);
  await house.until('admitted', () => house.engine.live.get(uow) !== undefined);
  assert.equal(house.engine.live.get(uow)?.position, -1);
  const receipt = await house.engine.receipt(uow);
  assert.ok(receipt !== null && receipt !== 'gone' && receipt.outcome === 'failed');
  await house.wait(retrying);
});

test('failures of a flow that is gone cannot be retried, and say so', async () => {
  const place = await build();
  const { house } = place;
  const { uow } = await failOne(place);
  await house.stop();
  house.flows = new Map([...house.flows].filter(([name]) => !name.endsWith('/settled')));
  await house.start();
  assert.equal(faultOf(await house.wait(house.engine.parking.retry(uow))), 'conflict');
});

test('whose keys were let go early is superseded by a later commit, when skipped too', async () => {
  const place = await build();
  const { house, a, reader } = place;
  // Its caller waits, so its lanes are let go while the undo goes on; then the wait ends.
  reader.says = ({ uow }) => (uow === 1 ? 'failed' : 'stored');
  a.undoSays = () => 'failed';
  const asked = await house.putNow('k', 'old', { waitMs: 100 });
  assert.equal(asked.answer?.answer, 'held');
  a.undoSays = () => 'undone';
  await house.until('parked', () => house.engine.live.get(asked.uow)?.phase === 'parked');
  const newer = await house.putNow('k', 'new');
  assert.equal(newer.outcome, 'committed', 'its keys bar nobody');
  const receipt = await house.wait(house.engine.parking.skip(asked.uow));
  assert.equal(receipt.outcome, 'superseded');
  await house.quiet();
  assert.equal(await house.state.failure(asked.uow), null);
  assert.equal(reader.newest(lane('k'))?.value, 'new');
});

test('one that fails is retried alone, after its run, before those behind', async () => {
  const { house, a } = await build(false);
  a.says = ({ value, attempt }) => {
    return Buffer.from(value).toString() === 'v2' && attempt === 1 ? 'failed' : 'stored';
  };
  a.hold();
  const asked = ['v1', 'v2'].map((value) => house.put('k', value, { respond: 'held' }));
  await house.until('held', () => asked.every(({ answer }) => answer !== null));
  a.release();
  await house.until('parked', () => house.engine.parking.size === 1);
  const behind = await house.putNow('k', 'v3', { respond: 'held' });
  await house.pass(5000);
  await house.quiet();
  for (const { uow } of [...asked, behind]) assert.equal(await house.outcomeOf(uow), 'committed');
  const [, two] = asked;
  const order = a.calls.filter((call) => call.startsWith('apply'));
  assert.ok(order.indexOf(`apply ${two?.uow}.2`) < order.indexOf(`apply ${behind.uow}.1`));
});

test('a refusal that is known stays in the report when an undo follows it', async () => {
  const { house, a } = await build();
  a.hold();
  const asked = await house.putNow('k', 'v', { respond: 'held' });
  house.crash('power');
  a.says = () => 'refused';
  // After a start every store is asked to undo, also the one that refused.
  await house.start();
  await house.quiet();
  assert.ok(a.calls.includes(`undo ${asked.uow}.1`));
  const receipt = await house.wait(house.engine.receipt(asked.uow));
  assert.ok(receipt !== null && receipt !== 'gone');
  const line = receipt.report.find(({ stash }) => stash === 'a');
  assert.deepEqual([line?.reply, line?.status], ['refused', 422]);
});
