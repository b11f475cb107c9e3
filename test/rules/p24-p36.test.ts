/** Stores that forgot, versions, TTL, reads; idempotency and superseded writes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryReader } from '../../src/adapters/memory/reader.ts';
import { MemoryStash } from '../../src/adapters/memory/stash.ts';
import type { Attempt } from '../../src/contracts/stash.ts';
import { Fault } from '../../src/kernel/errors.ts';
import { digestOf } from '../../src/kernel/digest.ts';
import { Read } from '../../src/read/read.ts';
import { StillClock } from '../sim/bed.ts';
import { ACCOUNT, House, lane } from './house.ts';
import { Connection, Store } from './store.ts';

interface Place {
  house: House;
  store: Store;
  reader: Store;
}

function build(overwrites = true): Place {
  const store = new Store('a');
  const reader = new Store('reader', { overwrites });
  return { house: new House({ before: [store], reader }), store, reader };
}

test('P24: a store that lost what it acknowledged is refilled before it serves', async () => {
  const { house, store, reader } = build();
  await house.start();
  for (const value of ['1', '2', '3']) await house.putNow('k', value);
  const other = await house.putNow('other', 'v');
  reader.says = ({ keys }) => (keys[0] === 'undone' ? 'refused' : 'stored');
  const undone = await house.putNow('undone', 'v');
  await house.quiet();
  await house.stop();
  for (const each of [store, reader]) {
    each.forget();
    each.calls.length = 0;
  }
  const engine = await house.start();
  assert.equal(reader.newest(lane('k'))?.value, '3');
  assert.equal(reader.newest(lane('other'))?.uow, other.uow);
  assert.equal(store.live(lane('k')).length, 3, 'every version');
  // What overwrites is sent the newest of each key alone, so it never shows an older one.
  const shown = reader.calls.filter((call) => call.startsWith('apply'));
  assert.equal(shown.length, 2, shown.join());
  // What was aborted is undone again: its apply may have outlived the loss on the way.
  assert.ok(store.calls.includes(`undo ${undone.uow}.1`));
  assert.deepEqual(
    engine.recovered.refilled,
    new Map([
      ['a', 5],
      ['reader', 2],
    ]),
  );
});

test('P24: a store whose mark stands where it was is sent nothing again', async () => {
  const { house, store, reader } = build();
  await house.start();
  await house.putNow('k', 'v');
  await house.quiet();
  await house.wait(house.engine.housekeeping.trim(1));
  await house.stop();
  for (const each of [store, reader]) each.calls.length = 0;
  await house.start();
  const again = [...store.calls, ...reader.calls].filter((call) => call.startsWith('apply'));
  assert.deepEqual(again, []);
});

test('P24: a store that is older than the intake reaches is told to the operator', async () => {
  const { house, store } = build();
  await house.start();
  for (let at = 0; at < 40; at += 1) await house.putNow(`k${at}`, 'x'.repeat(1500));
  await house.quiet();
  await house.wait(house.engine.housekeeping.trim(house.engine.log.journal.next));
  assert.ok(house.engine.log.journal.first > 0);
  await house.stop();
  store.forget();
  await house.start();
  assert.ok(
    house.warnings.some((warning) => warning.includes('"a"')),
    house.warnings.join(),
  );
});

function version(uow: number, value: string, expiresAt: number | null): Attempt {
  const bytes = Buffer.from(value);
  const own = { keys: ['k'], value: bytes, digest: digestOf(bytes), expiresAt, heldAt: 0 };
  const grant = { epoch: 1, counter: uow };
  return { uow, attempt: 1, grant, account: ACCOUNT, flow: 'settled', kind: 'set', ...own };
}

test('P26: a version whose TTL ended does not let the one before it rise', async () => {
  const clock = new StillClock();
  const stash = new MemoryStash({ id: 'm', clock, keepVersions: 1 });
  const reader = new MemoryReader(stash.versions, clock);
  const mark = { journalId: 'j', position: 0, from: 0 };
  await stash.apply([version(1, 'v1', null), version(2, 'v2', 1000)], mark);
  clock.advance(2000);
  const show = async (): Promise<unknown> => {
    return (await reader.get(ACCOUNT, 'settled', ['k'], () => true))[0];
  };
  for (let turn = 0; turn < 5; turn += 1) {
    assert.equal(await show(), null, `turn ${turn}`);
    await stash.prune(10);
  }
  assert.deepEqual(stash.versions.of(ACCOUNT, 'settled', 'k'), [], 'in the end all are gone');
});

test('P26: nothing at or above the oldest unsettled write is pruned', async () => {
  const { house, store } = build();
  await house.start();
  await house.putNow('k', 'v');
  store.hold();
  const open = await house.putNow('k', 'w', { respond: 'held' });
  await house.pass(50);
  store.calls.length = 0;
  const turn = house.engine.housekeeping.run();
  await house.pass(100);
  store.release();
  await house.wait(turn);
  const asked = store.calls.filter((call) => call.startsWith('prune'));
  assert.equal(asked.length, 1);
  assert.deepEqual(asked, [`prune ${open.uow}`]);
});

test('P27: a re-apply after a crash does not lengthen a TTL', async () => {
  const { house, reader } = build();
  await house.start();
  const heldAt = house.engine.clock.wallMs();
  reader.says = () => 'dropped';
  const asked = house.put('k', 'v', { ttlMs: 60_000, respond: 'held' });
  await house.until('sent', () => reader.calls.includes('apply 1.1'));
  house.crash('power');
  await house.pass(30_000);
  reader.says = () => 'stored';
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
  const { expiresAt } = reader.newest(lane('k')) ?? { expiresAt: null };
  assert.ok(expiresAt !== null && Math.abs(expiresAt - heldAt - 60_000) < 10);
});

test('P27: what expired before it was applied is committed, and is not there', async () => {
  const { house, reader } = build();
  await house.start();
  const asked = await house.putNow('k', 'v', { expiresAt: 1000 });
  assert.equal(asked.outcome, 'committed');
  const flow = house.flows.get(`${ACCOUNT}/settled`);
  assert.ok(flow !== undefined);
  const { clock } = house.engine;
  const read = new Read(
    new Map(
      house.stores.map((each) => [
        each.id,
        new Connection(
          each,
          () => true,
          () => clock.wallMs(),
        ),
      ]),
    ),
    house.engine.visible,
  );
  assert.equal(await read.get(flow, 'k'), null);
  assert.ok(reader.newest(lane('k')) !== null, 'it was applied like any write');
});

test('P33: a value that comes back has its ETag back; its TTL is of that moment', async () => {
  const { house } = build();
  await house.start();
  const tags: (string | undefined)[] = [];
  const flow = house.flows.get(`${ACCOUNT}/settled`);
  assert.ok(flow !== undefined);
  const { clock } = house.engine;
  const read = new Read(
    new Map(
      house.stores.map((each) => [
        each.id,
        new Connection(
          each,
          () => true,
          () => clock.wallMs(),
        ),
      ]),
    ),
    house.engine.visible,
  );
  for (const value of ['A', 'B', 'A']) {
    await house.putNow('k', value, { ttlMs: value === 'B' ? 5000 : null });
    const got = await read.get(flow, 'k');
    tags.push(got?.digest);
    assert.equal(got?.ttlMs === null, value !== 'B');
  }
  assert.equal(tags[0], tags[2]);
  assert.notEqual(tags[0], tags[1]);
  // So a condition on the first A holds on the second, as the docs say.
  const conditions = [{ if: 'match', etags: [tags[0] ?? ''] }] as const;
  assert.equal((await house.putNow('k', 'C', { conditions })).outcome, 'committed');
});

test('P33: who waits for a write that was undone hears its outcome', async () => {
  const { house, store, reader } = build();
  await house.start();
  store.hold();
  const asked = await house.putNow('k', 'v', { respond: 'held' });
  reader.says = () => 'refused';
  const waiting = house.engine.settled(asked.uow, 5000);
  const short = house.engine.settled(asked.uow, 10);
  assert.equal(await house.wait(short), null, 'its wait ended first');
  store.release();
  const receipt = await house.wait(waiting);
  assert.ok(receipt !== null && typeof receipt === 'object' && receipt.outcome === 'refused');
  assert.equal(await house.wait(house.engine.settled(asked.uow + 1000, 10)), 'unknown');
});

test('P33: a store before the reader shows no version of an unsettled write', async () => {
  const { house, store, reader } = build();
  await house.start();
  const first = await house.putNow('k', 'v1');
  reader.hold();
  const second = house.put('k', 'v2');
  await house.until('in the stash', () => store.newest(lane('k'))?.value === 'v2');
  assert.equal(store.newest(lane('k'), house.engine.visible)?.uow, first.uow);
  reader.release();
  await house.until('answered', () => second.answer !== null);
  assert.equal(store.newest(lane('k'), house.engine.visible)?.uow, second.uow);
});

test('P35: an Idempotency-Key has one effect, after a crash that cost State too', async () => {
  const { house, store } = build();
  await house.start();
  const first = await house.putNow('k', 'v', { idempotencyKey: 'once' });
  house.crash('power');
  await house.start();
  const again = await house.putNow('k', 'v', { idempotencyKey: 'once' });
  assert.equal(again.uow, first.uow);
  assert.ok(again.answer?.answer === 'settled' && again.answer.replayed);
  const other = await house.putNow('k', 'w', { idempotencyKey: 'once' });
  assert.equal(other.code, 'idempotency-mismatch');
  const elsewhere = await house.putNow('k', 'v', { idempotencyKey: 'once', flow: 'held' });
  assert.notEqual(elsewhere.uow, first.uow, 'its scope is the flow');
  assert.equal(store.live(lane('k')).length, 1);
});

test('P35: two at once under one key are one write', async () => {
  const { house, store } = build();
  await house.start();
  store.hold();
  const first = house.put('k', 'v', { idempotencyKey: 'once' });
  const second = house.put('k', 'v', { idempotencyKey: 'once' });
  await house.pass(5);
  assert.equal(second.code, 'in-flight');
  store.release();
  await house.until('first', () => first.answer !== null);
  assert.deepEqual(store.live(lane('k')), [`${first.uow}.1`]);
});

test('P35: what was turned away before it was held is not remembered', async () => {
  const { house, store } = build();
  await house.start();
  store.says = () => 'failed';
  await house.putNow('k', 'parked', { respond: 'held' });
  await house.until('parked', () => house.engine.parking.size === 1);
  const away = await house.putNow('k', 'v', { idempotencyKey: 'once' });
  assert.equal(away.code, 'key-parked');
  // Another body under the same key: nothing of the first one is known.
  store.says = () => 'stored';
  const other = await house.putNow('free', 'other', { idempotencyKey: 'once' });
  assert.equal(other.outcome, 'committed');
});

test('P35: the same key on a failed write is its next attempt, under the same number', async () => {
  const { house, store } = build();
  await house.start();
  store.says = () => 'failed';
  const first = await house.putNow('k', 'v', { idempotencyKey: 'once' });
  assert.equal(first.code, 'failed');
  house.crash('power');
  await house.start();
  store.says = () => 'stored';
  const again = await house.putNow('k', 'v', { idempotencyKey: 'once' });
  assert.equal(again.uow, first.uow);
  assert.equal(again.outcome, 'committed');
  assert.deepEqual(store.live(lane('k')), [`${first.uow}.2`]);
  assert.equal(house.engine.failures, 0);
});

test('P36: a commit ends older failed writes of any of its keys, whole', async () => {
  const { house, store } = build();
  await house.start();
  store.says = () => 'failed';
  const failed = house.send(['a', 'b'], 'old');
  await house.until('failed', () => failed.answer !== null);
  const younger = await house.putNow('c', 'old');
  store.says = () => 'stored';
  await house.putNow('b', 'new');
  await house.quiet();
  house.crash('power');
  await house.start();
  assert.equal(await house.outcomeOf(failed.uow), 'superseded');
  assert.equal(await house.state.failure(failed.uow), null);
  assert.equal(await house.outcomeOf(younger.uow), 'failed', 'the control: another key stays');
  const again = await house.wait(house.engine.parking.retry(failed.uow));
  assert.ok(again instanceof Fault && again.code === 'not-found');
  assert.equal(store.newest(lane('a')), null, 'not even its other key is written');
});

test('P36: a delete supersedes too', async () => {
  const { house, store } = build();
  await house.start();
  store.says = ({ kind }) => (kind === 'set' ? 'failed' : 'stored');
  const failed = await house.putNow('k', 'old');
  await house.putNow('k', '', { kind: 'delete' });
  await house.quiet();
  assert.equal(await house.outcomeOf(failed.uow), 'superseded');
});

test('P36: a retry that queues behind a newer write is checked at its turn', async () => {
  const { house, store, reader } = build();
  await house.start();
  store.says = () => 'failed';
  const failed = await house.putNow('k', 'old');
  store.says = () => 'stored';
  reader.hold();
  const newer = house.put('k', 'new');
  await house.pass(20);
  const again = await house.wait(house.engine.parking.retry(failed.uow));
  assert.ok(!(again instanceof Fault));
  reader.release();
  await house.until('newer', () => newer.answer !== null);
  await house.quiet();
  assert.equal(await house.outcomeOf(failed.uow), 'superseded');
  assert.equal(reader.newest(lane('k'))?.value, 'new');
  assert.ok(!store.calls.includes(`apply ${failed.uow}.2`));
});

test('P36: a write that fails after a later one of its run is superseded', async () => {
  const { house, store, reader } = build(false);
  await house.start();
  // Both run together; the older one has no reply yet when the newer one is committed.
  store.says = ({ uow }, nth) => {
    if (uow !== 1) return 'stored';
    return nth < 3 ? 'dropped' : 'failed';
  };
  const older = house.put('k', 'old');
  const newer = house.put('k', 'new');
  await house.until('both', () => older.answer !== null && newer.answer !== null);
  assert.equal(newer.outcome, 'committed');
  await house.quiet();
  store.says = () => 'stored';
  assert.equal(await house.outcomeOf(older.uow), 'superseded');
  const again = await house.wait(house.engine.parking.retry(older.uow));
  assert.ok(again instanceof Fault, 'an older write is not committed over a newer one');
  assert.equal(reader.newest(lane('k'))?.value, 'new');
});

test('P36: the same when a crash came between the later commit and the failure', async () => {
  const { house, store } = build(false);
  await house.start();
  store.says = ({ uow }) => (uow === 1 ? 'dropped' : 'stored');
  house.put('k', 'old');
  const newer = house.put('k', 'new');
  await house.until('newer', () => newer.answer !== null);
  await house.pass(100);
  house.crash('power');
  // It never reached the store, which proves it: so a failure may still abort it.
  store.says = ({ uow }) => (uow === 1 ? 'failed' : 'stored');
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(1), 'superseded');
  assert.equal(house.engine.failures, 0);
});
