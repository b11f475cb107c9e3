/** The journal under the write path: syncs, torn tails, unclean starts, trim, State, space. */
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
  reader: Store;
}

function build(options: { keepMs?: number; reserveBytes?: number } = {}): Place {
  const store = new Store('a');
  const reader = new Store('reader');
  const house = new House({
    before: [store],
    reader,
    journalKeepMs: options.keepMs ?? LIMITS.journalKeepMs,
    journal: { reserveBytes: options.reserveBytes ?? 0 },
  });
  return { house, store, reader };
}

const LONG = 'x'.repeat(1500);

/** Fills several segments with writes that settle. */
async function fill(house: House, count = 40): Promise<void> {
  for (let at = 0; at < count; at += 1) await house.putNow(`fill${at}`, LONG);
  await house.pass(100);
}

test('P18: a batch is written only after the sync of the one before it', async () => {
  const { house } = build();
  await house.start();
  let syncing = -1;
  let batches = 0;
  const tooEarly: number[] = [];
  house.disk.inject = (call, path) => {
    if (!path.endsWith('.seg')) return undefined;
    const now = house.schedule.nowMs;
    if (call === 'write') batches += 1;
    // A sync of this disk takes a tenth of a millisecond.
    if (call === 'write' && syncing >= 0 && now < syncing + 0.0999) tooEarly.push(now);
    if (call === 'fdatasync') syncing = now;
    return undefined;
  };
  const asked: Asked[] = [];
  for (let at = 0; at < 30; at += 1) {
    asked.push(house.put(`k${at}`, 'v', { respond: 'held' }));
    await house.pass(0.03);
  }
  await house.until('held', () => asked.every(({ answer }) => answer !== null));
  assert.deepEqual(tooEarly, []);
  assert.ok(batches > 5, `${batches} batches`);
});

/** The bytes of the segment that holds the end of the journal. */
function lastSegment(house: House): { path: string; bytes: Uint8Array; end: number } {
  let found: { path: string; bytes: Uint8Array; end: number } | null = null;
  for (const path of house.disk.paths().filter((each) => each.endsWith('.seg'))) {
    const bytes = house.disk.bytesOf(path).slice();
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end -= 1;
    if (end > 512) found = { path, bytes, end };
  }
  if (found === null) throw new Error('there is no segment with frames');
  return found;
}

test('P19: a torn write that nobody was told of is cut, what was told is kept', async () => {
  const { house, store } = build();
  await house.start();
  const told = await house.putNow('k', 'told');
  await house.quiet();
  await house.pass(500);
  store.hold();
  const untold = house.put('k', LONG);
  const { journal } = house.engine.log;
  await house.until('written', () => journal.next > journal.durable);
  assert.equal(untold.answer, null);
  house.crash('process');
  const { path, bytes, end } = lastSegment(house);
  bytes.fill(0, end - 300);
  house.disk.plant(path, bytes);
  await house.start();
  assert.equal(await house.outcomeOf(told.uow), 'committed');
  await house.quiet();
  assert.equal((await house.storyOf(told.uow + 1)).length, 0, 'the torn one was never held');
});

test('P19: a changed byte of what was on disk refuses the start and names the place', async () => {
  const { house } = build();
  await house.start();
  for (let at = 0; at < 5; at += 1) await house.putNow(`k${at}`, 'v');
  await house.pass(500);
  house.crash('process');
  const { path, bytes, end } = lastSegment(house);
  const middle = 512 + Math.floor((end - 512) / 2);
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  house.disk.plant(path, bytes);
  await assert.rejects(house.start(), (error: unknown) => {
    assert.ok(error instanceof JournalDamaged);
    assert.match(error.place, /\.seg/);
    return true;
  });
  // The control: a start that skips what it cannot read goes on, and has lost what was told.
  house.crash('process');
  plants.add('skip-bad-record');
  try {
    await house.start();
  } finally {
    plants.delete('skip-bad-record');
  }
});

test('P20: what a start reads after a failed sync is on disk before it is applied', async () => {
  const { house, store } = build();
  await house.start();
  house.disk.inject = (call, path) => {
    return call === 'fdatasync' && path.endsWith('.seg') ? 'EIO' : undefined;
  };
  const asked = await house.putNow('k', 'v');
  assert.equal(asked.code, 'outcome-unknown');
  assert.ok(house.broken !== null, 'the program must end');
  assert.equal((await house.putNow('k', 'v')).code, 'outcome-unknown', 'nothing more is taken');
  house.crash('process');
  // The pages read as written and count as clean; only a new copy puts them on the platter.
  await house.start();
  await house.until('applied', () => store.calls.includes('apply 1.1'));
  house.crash('power');
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(1), 'committed');
});

async function trimNow(house: House): Promise<void> {
  const { housekeeping, log } = house.engine;
  await house.wait(housekeeping.trim(log.journal.next));
}

test('P21: trim takes a settled prefix, and carries a parked write forward whole', async () => {
  const { house, store } = build();
  await house.start();
  store.says = ({ keys }) => (keys[0] === 'k' ? 'failed' : 'stored');
  const asked = await house.putNow('k', 'kept', { respond: 'held' });
  await house.until('parked', () => house.engine.parking.size === 1);
  const parkedAt = house.engine.parking.lanes()[0]?.retryAt;
  await fill(house);
  const before = house.engine.log.journal.figures().segments;
  await trimNow(house);
  const { journal } = house.engine.log;
  assert.ok(journal.first > 5 && journal.figures().segments < before);
  const story = await house.storyOf(asked.uow);
  assert.ok(story.includes('carried') && !story.includes('hold'), story.join());
  house.crash('power');
  store.says = () => 'stored';
  await house.start();
  const [parked] = house.engine.parking.lanes();
  assert.equal(parked?.uow, asked.uow);
  assert.ok(parked.retryAt === parkedAt || parkedAt === undefined || parked.retryAt !== null);
  await house.pass(5000);
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
  assert.deepEqual(store.live(lane('k')), [`${asked.uow}.2`], 'as its second attempt');
});

test('P21: an undo that takes long is carried forward with its decision', async () => {
  const { house, store, reader } = build();
  await house.start();
  reader.says = ({ keys }) => (keys[0] === 'k' ? 'refused' : 'stored');
  store.undoSays = () => 'failed';
  const asked = house.put('k', 'v', { respond: 'held' });
  await house.until('undoing', () => store.calls.includes('undo 1.1'));
  await fill(house);
  await trimNow(house);
  assert.ok(!(await house.storyOf(asked.uow)).includes('abort'), 'the record itself is gone');
  house.crash('power');
  reader.says = () => 'stored';
  store.undoSays = () => 'undone';
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'refused');
  assert.deepEqual(store.live(lane('k')), []);
});

test('P21: a quarantined write stays one when it is carried forward', async () => {
  const { house, store, reader } = build();
  await house.start();
  store.hold();
  const asked = await house.putNow('k', 'v', { respond: 'held' });
  house.crash('power');
  for (let start = 0; start < 2 + LIMITS.quarantineStarts; start += 1) {
    let dead = false;
    store.says = () => {
      dead = true;
      return 'lost';
    };
    house.begin().catch(() => {});
    await house.until('it died', () => dead);
    house.crash('process');
  }
  store.says = () => 'stored';
  await house.start();
  await fill(house);
  await trimNow(house);
  house.crash('power');
  // Its first attempt stands in the store: a second one beside it would be one too many.
  await house.start();
  assert.match(house.engine.parking.lanes()[0]?.reason ?? '', /quarantined/);
  reader.says = ({ uow }) => (uow === asked.uow ? 'refused' : 'stored');
  const again = await house.wait(house.engine.parking.retry(asked.uow));
  assert.ok(!(again instanceof Fault));
  assert.equal(again.attempt, 1);
  await house.quiet();
  // The reader proves that it never had it, so this refusal may abort it: it is taken back whole.
  assert.equal(await house.outcomeOf(asked.uow), 'refused');
  assert.deepEqual(store.live(lane('k')), []);
});

test('P21: trim waits for State, and for the stores to have it on disk', async () => {
  const { house, store } = build();
  await house.start();
  await fill(house);
  house.stateStalls = true;
  await house.putNow('k', 'v');
  const { journal } = house.engine.log;
  let trimmed = false;
  const flushes = store.calls.filter((call) => call === 'flush').length;
  const trimming = house.engine.housekeeping.trim(journal.next).then(() => {
    trimmed = true;
  });
  await house.pass(2000);
  assert.ok(!trimmed && journal.first === 0);
  house.stateStalls = false;
  await house.wait(trimming);
  assert.ok(journal.first > 0);
  assert.equal(store.calls.filter((call) => call === 'flush').length, flushes + 1);
});

test('P22: a failure that was discarded does not come back after a crash', async () => {
  for (const how of ['process', 'power'] as const) {
    const { house, store } = build();
    await house.start();
    store.says = () => 'failed';
    const { uow } = await house.putNow('k', 'v');
    assert.ok((await house.state.failure(uow)) !== null, 'in State before the caller was told');
    await house.wait(house.engine.parking.discard(uow));
    house.crash(how);
    store.says = () => 'stored';
    await house.start();
    await house.quiet();
    assert.equal(await house.state.failure(uow), null, how);
    const again = await house.wait(house.engine.parking.retry(uow));
    assert.ok(again instanceof Fault && again.code === 'not-found');
  }
});

test('P22: State behind the journal is brought up to date before anything is served', async () => {
  const { house, store } = build();
  await house.start();
  store.says = () => 'failed';
  const { uow } = await house.putNow('k', 'v');
  house.crash('power');
  assert.equal(await house.state.failure(uow), null, 'State lost it with the power');
  await house.start();
  assert.ok((await house.state.failure(uow)) !== null);
});

test('P22: an error of State counts as one of the journal: nothing more is told', async () => {
  const { house, store } = build();
  await house.start();
  store.says = () => 'failed';
  house.stateFails = true;
  const asked = house.put('k', 'v');
  await house.until('broken', () => house.broken !== null);
  await house.pass(20_000);
  assert.notEqual(asked.outcome, 'failed', 'it is not in the fail queue, so nobody is told so');
  assert.equal((await house.putNow('x', 'v')).code, 'outcome-unknown');
  house.stateFails = false;
  house.crash('power');
  await house.start();
  await house.quiet();
  assert.ok(['failed', 'parked'].includes((await house.outcomeOf(1)) ?? ''));
});

test('P22: a State that is older than the intake reaches refuses the start', async () => {
  const { house } = build();
  await house.start();
  await fill(house);
  const old = house.state.crash(0);
  await trimNow(house);
  await house.stop();
  house.state = old;
  await assert.rejects(house.start(), (error: unknown) => {
    return error instanceof JournalDamaged && error.place === 'State';
  });
});

test('P23: a full disk turns new work away; what was admitted is settled', async () => {
  const { house, store, reader } = build({ reserveBytes: 64 * 1024 });
  await house.start();
  house.disk.capacityBytes = 200 * 1024;
  reader.says = () => 'refused';
  store.hold();
  const held: Asked[] = [];
  let full: Asked | null = null;
  for (let at = 0; at < 200 && full === null; at += 1) {
    const asked = await house.putNow(`k${at}`, LONG, { respond: 'held' });
    if (asked.code === 'disk-full') full = asked;
    else held.push(asked);
  }
  assert.ok(full !== null && held.length > 10, `${held.length} were held`);
  store.release();
  await house.quiet();
  for (const { uow } of held) assert.equal(await house.outcomeOf(uow), 'refused');
  assert.equal(house.broken, null);
  assert.equal((await house.putNow('x', LONG)).code, 'disk-full');
  // Serving resumes by itself once there is room.
  house.disk.capacityBytes = Number.POSITIVE_INFINITY;
  reader.says = () => 'stored';
  await house.pass(LIMITS.housekeepingMs * 2);
  assert.equal((await house.putNow('x', LONG)).outcome, 'committed');
});
