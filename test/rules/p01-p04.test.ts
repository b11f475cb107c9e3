/** Identity: numbers, attempts, grants, and whose data it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JournalDamaged } from '../../src/contracts/journal.ts';
import type { Attempt } from '../../src/contracts/stash.ts';
import { Fault } from '../../src/kernel/errors.ts';
import { House, lane } from './house.ts';
import { Store } from './store.ts';

test('P1: a number that was read back unsynced and then lost is not used again', async () => {
  const store = new Store('a');
  const house = new House({ before: [store], reader: new Store('reader') });
  await house.start();
  const first = await house.putNow('k', 'v1');
  // Its bytes are written and never synced; the process dies, the page cache lives on.
  house.put('k', 'from the page cache');
  await house.pass(0.05);
  house.crash('process');
  await house.start();
  await house.quiet();
  const drawn = new Set([first.uow]);
  for (const versions of store.contents.values()) {
    for (const { uow } of versions.values()) drawn.add(uow);
  }
  const second = await house.putNow('k', 'v2');
  house.crash('power');
  await house.start();
  const third = await house.putNow('k', 'v3');
  assert.ok(!drawn.has(second.uow) && !drawn.has(third.uow), [...drawn].join());
  assert.ok(second.uow < third.uow);
  assert.equal(new Set([...drawn, second.uow, third.uow]).size, drawn.size + 2);
});

test('P1: every start reserves its numbers on disk before it hands one out', async () => {
  const house = new House({ reader: new Store('reader') });
  await house.start();
  const { uow } = await house.putNow('k', 'v');
  const start = (await house.records()).find((record) => record.type === 'start');
  assert.ok(start?.type === 'start' && start.uowFrom <= uow && uow < start.uowTo);
  house.crash('power');
  await house.start();
  const next = await house.putNow('k', 'v');
  assert.ok(next.uow >= start.uowTo, 'a block that was reserved is not drawn from again');
});

test('P2: a redrive does not meet its own tombstone', async () => {
  const failing = new Store('a');
  const other = new Store('b');
  failing.says = ({ attempt }) => (attempt === 1 ? 'failed' : 'stored');
  const house = new House({ before: [failing, other], reader: new Store('reader') });
  await house.start();
  const asked = await house.putNow('k', 'v');
  assert.equal(asked.code, 'failed');
  assert.ok(other.calls.includes(`undo ${asked.uow}.1`), 'its tombstone is there');
  const again = await house.wait(house.engine.parking.retry(asked.uow));
  assert.ok(!(again instanceof Fault));
  assert.equal(again.attempt, 2);
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
  assert.deepEqual(other.live(lane('k')), [`${asked.uow}.2`]);
  // The control: the same attempt once more does meet it, and does not count as stored.
  const old: Attempt = Object.assign(Object.create(again) as Attempt, { attempt: 1 });
  assert.equal(other.applyNow(old).reply, 'failed');
});

test('P2: the next attempt is on disk, whole, before its first apply', async () => {
  const store = new Store('a');
  store.says = ({ attempt }) => (attempt === 1 ? 'failed' : 'stored');
  const house = new House({ before: [store], reader: new Store('reader') });
  await house.start();
  const { uow } = await house.putNow('k', 'v');
  store.says = () => 'stored';
  store.hold();
  await house.wait(house.engine.parking.retry(uow));
  assert.ok(!store.calls.includes(`apply ${uow}.2`));
  house.crash('power');
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(uow), 'committed');
  assert.deepEqual(store.live(lane('k')), [`${uow}.2`]);
});

test('P3: a grant drawn later is greater, by epoch first, whatever the uows', async () => {
  const store = new Store('a');
  const grants: { uow: number; epoch: number; counter: number }[] = [];
  store.says = (attempt) => {
    grants.push({ uow: attempt.uow, ...attempt.grant });
    return attempt.uow === grants[0]?.uow && attempt.attempt === 1 ? 'failed' : 'stored';
  };
  const house = new House({ before: [store], reader: new Store('reader') });
  await house.start();
  const old = await house.putNow('a', 'v');
  await house.putNow('b', 'v');
  await house.wait(house.engine.parking.retry(old.uow));
  await house.quiet();
  house.crash('process');
  await house.start();
  await house.putNow('c', 'v');
  for (const [at, grant] of grants.entries()) {
    const before = grants[at - 1];
    if (before === undefined) continue;
    const later =
      grant.epoch > before.epoch ||
      (grant.epoch === before.epoch && grant.counter > before.counter);
    assert.ok(later, JSON.stringify(grants));
  }
  // The order of the numbers is another: the retry has the lowest one and came third.
  assert.equal(grants[2]?.uow, grants[0]?.uow);
  assert.ok((grants[3]?.epoch ?? 0) > (grants[0]?.epoch ?? 0));
});

test('P4: a stash of another journal refuses the start, and says whose it is', async () => {
  const store = new Store('a');
  const house = new House({ before: [store], reader: new Store('reader') });
  await house.start();
  await house.putNow('k', 'v');
  await house.stop();
  assert.ok(store.mark !== null);
  store.mark = { ...store.mark, journalId: 'f'.repeat(32) };
  await assert.rejects(house.start(), (error: unknown) => {
    return error instanceof JournalDamaged && error.message.includes('ffff');
  });
});

test('P4: a stash ahead of the journal refuses the start; one that lags does not', async () => {
  const store = new Store('a');
  const house = new House({ before: [store], reader: new Store('reader') });
  await house.start();
  await house.putNow('k', 'v');
  const { next } = house.engine.log.journal;
  await house.stop();
  const mark = store.mark;
  assert.ok(mark !== null);
  store.mark = { ...mark, position: next + 100 };
  await assert.rejects(house.start(), JournalDamaged);
  house.crash('process');
  store.mark = mark;
  await house.start();
});

test('P4: State of another journal refuses the start', async () => {
  const house = new House({ reader: new Store('reader') });
  await house.start();
  await house.putNow('k', 'v');
  await house.stop();
  await house.state.commit('e'.repeat(32), 1, []);
  await assert.rejects(house.start(), JournalDamaged);
});

test('P4: one process per data folder', async () => {
  const house = new House({ reader: new Store('reader') });
  await house.start();
  await assert.rejects(house.wait(house.begin()), (error: unknown) => {
    return error instanceof Fault && error.code === 'conflict';
  });
});
