/** The intake: every exit before the hold keeps nothing; one place acknowledges. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { House } from '../../test/rules/house.ts';
import { Store } from '../../test/rules/store.ts';
import type { Shaper } from '../contracts/flow.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';

async function build(options: Partial<ConstructorParameters<typeof House>[0]> = {}): Promise<{
  house: House;
  store: Store;
}> {
  const store = new Store('a');
  const house = new House({ before: [store], reader: new Store('reader'), ...options });
  await house.start();
  return { house, store };
}

const codes = async (house: House, request: Parameters<House['submit']>[0]): Promise<unknown> => {
  const { next } = house.engine.log.journal;
  const asked = house.submit(request);
  assert.equal(asked.answer, null, 'never before submit has returned');
  await house.until('answer', () => asked.answer !== null);
  if (asked.code !== null) assert.equal(house.engine.log.journal.next, next, 'nothing is kept');
  return asked.code;
};

test('unknown flow, bad key, body too large: turned away with nothing kept', async () => {
  const { house } = await build();
  assert.equal(await codes(house, { flow: 'nowhere' }), 'not-found');
  assert.equal(await codes(house, { account: 'other' }), 'not-found');
  for (const key of ['', '.', '..', 'a\0b', '\ud800', 'x'.repeat(513)]) {
    assert.equal(await codes(house, { key }), 'bad-key', JSON.stringify(key));
  }
  assert.equal(await codes(house, { body: new Uint8Array(2049) }), 'too-large');
  assert.equal(await codes(house, { body: new Uint8Array(2048) }), null, 'the control');
});

test('what a shaper finds wrong is told as it says, and its own defect is internal', async () => {
  let fault: Error = new Fault('shape-invalid', 'no total');
  const shaper: Shaper = {
    shape: () => Promise.reject(fault),
    checkValue: () => Promise.reject(fault),
    close: () => Promise.resolve(),
  };
  const { house } = await build({ shaper, flow: { valueChecked: true } });
  const idempotencyKey = 'once';
  assert.equal(await codes(house, { key: null, idempotencyKey }), 'shape-invalid');
  assert.equal(await codes(house, { key: 'k' }), 'shape-invalid');
  fault = new TypeError('oops');
  assert.equal(await codes(house, { key: null, idempotencyKey }), 'internal');
  assert.equal(await codes(house, { key: 'k', kind: 'delete' }), null, 'a delete has no value');
});

test('more in flight than allowed is turned away with 429, and room comes back', async () => {
  const { house, store } = await build({ inFlightWritesMax: 3 });
  store.hold();
  for (const key of ['a', 'b', 'c']) house.put(key, 'v');
  await house.pass(5);
  assert.equal(await codes(house, { key: 'd' }), 'overloaded');
  store.release();
  await house.quiet();
  assert.equal(await codes(house, { key: 'd' }), null);
});

test('after stop everything new is turned away, what is held goes on', async () => {
  const { house, store } = await build();
  store.hold();
  const asked = house.put('k', 'v');
  await house.pass(5);
  const stopping = house.engine.stop(1000);
  assert.equal(await codes(house, { key: 'd' }), 'unavailable');
  store.release();
  assert.deepEqual(await house.wait(stopping), { unsettled: 0 });
  assert.equal(asked.outcome, 'committed');
});

test('a stop that runs out of time says what is left; the next start settles it', async () => {
  const { house, store } = await build();
  store.hold();
  const asked = await house.putNow('k', 'v', { respond: 'held' });
  assert.deepEqual(await house.stop(50), { unsettled: 1 });
  store.release();
  await house.start();
  await house.quiet();
  assert.equal(await house.outcomeOf(asked.uow), 'committed');
});

test('TTL: write before record before flow, none wins over all, capped by the limit', async () => {
  let recordTtl: number | null | undefined = undefined;
  const shaper: Shaper = {
    shape: () => Promise.resolve({ keys: ['k'], value: Buffer.from('v'), ttlMs: recordTtl }),
    checkValue: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const limits = { bodyBytesMax: 99, keysPerRecordMax: 1, jsonDepthMax: 1, ttlMsMax: 50_000 };
  const { house } = await build({ shaper, flow: { ttlMs: 5000, limits } });
  const ttlOf = async (ttlMs: number | null | undefined): Promise<number | null> => {
    const asked = house.submit({ key: null, ttlMs, respond: 'held' });
    await house.until('held', () => asked.answer !== null);
    const write = house.engine.live.get(asked.uow);
    assert.ok(write !== undefined);
    return write.expiresAt === null ? null : write.expiresAt - write.heldAt;
  };
  assert.equal(await ttlOf(undefined), 5000);
  recordTtl = 3000;
  assert.equal(await ttlOf(undefined), 3000);
  assert.equal(await ttlOf(1000), 1000);
  assert.equal(await ttlOf(null), null);
  recordTtl = null;
  assert.equal(await ttlOf(undefined), null);
  assert.equal(await ttlOf(1e9), 50_000);
});

test('everything that arrives in one turn is held by one append', async () => {
  const { house } = await build();
  const before = house.engine.log.journal.figures().syncs;
  const asked = Array.from({ length: 50 }, (_, at) =>
    house.put(`k${at}`, 'v', { respond: 'held' }),
  );
  await house.until('all', () => asked.every(({ answer }) => answer !== null));
  assert.equal(house.engine.log.journal.figures().syncs, before + 1);
});

test('a full disk while it is appended: 507, nothing kept, and its key is free again', async () => {
  const { house } = await build();
  house.engine.log.journal.admits = () => false;
  assert.equal(await codes(house, { idempotencyKey: 'once' }), 'disk-full');
  house.engine.log.journal.admits = () => true;
  assert.equal(await codes(house, { idempotencyKey: 'once' }), null);
});

test('who waits for a failure hears it only when State has it, however the wait ends', async () => {
  const { house, store } = await build();
  store.says = () => 'failed';
  house.stateStalls = true;
  const asked = house.put('k', 'v', { waitMs: 40 });
  await house.pass(500);
  assert.equal(asked.answer, null, 'the outcome is on disk, not yet in State');
  house.stateStalls = false;
  await house.until('told', () => asked.answer !== null);
  assert.equal(asked.code, 'failed');
  assert.ok((await house.state.failure(asked.uow)) !== null);
});

test('an Idempotency-Key on a held write answers its receipt, 409 to who would wait', async () => {
  const { house, store } = await build();
  store.hold();
  const held = await house.putNow('k', 'v', { idempotencyKey: 'i', respond: 'held' });
  const again = await house.putNow('k', 'v', { idempotencyKey: 'i' });
  assert.ok(again.answer?.answer === 'held' && again.answer.replayed && again.uow === held.uow);
  const waits = house.put('x', 'v', { idempotencyKey: 'j' });
  await house.pass(5);
  assert.equal((await house.putNow('x', 'v', { idempotencyKey: 'j' })).code, 'in-flight');
  const asks = await house.putNow('x', 'v', { idempotencyKey: 'j', respond: 'held' });
  assert.equal(asks.answer?.answer, 'held');
  assert.equal(
    (await house.putNow('x', 'w', { idempotencyKey: 'j' })).code,
    'idempotency-mismatch',
  );
  store.release();
  await house.until('done', () => waits.answer !== null);
  assert.equal(waits.outcome, 'committed');
});

test('an Idempotency-Key of a failed write retries it, as held where that is asked', async () => {
  const { house, store } = await build();
  store.says = () => 'failed';
  const failed = await house.putNow('k', 'v', { idempotencyKey: 'i' });
  store.says = () => 'stored';
  const again = await house.putNow('k', 'v', { idempotencyKey: 'i', respond: 'held' });
  assert.equal(again.answer?.answer, 'held');
  assert.equal(again.uow, failed.uow);
  await house.quiet();
  assert.equal(await house.outcomeOf(failed.uow), 'committed');
});

test('an Idempotency-Key whose write is gone from State answers 410', async () => {
  const { house } = await build();
  const asked = await house.putNow('k', 'v', { idempotencyKey: 'i' });
  await house.quiet();
  await house.state.sweep(0, Number.MAX_SAFE_INTEGER, 10);
  assert.equal((await house.putNow('k', 'v', { idempotencyKey: 'i' })).code, 'gone');
  assert.equal(await house.wait(house.engine.receipt(asked.uow)), 'gone');
  assert.equal(await house.wait(house.engine.receipt(asked.uow + 1)), null, 'never drawn');
});

test('Retry-After of a held key is at least a second and at most an hour', async () => {
  const { house, store } = await build();
  store.says = () => 'failed';
  await house.putNow('k', 'v', { respond: 'held' });
  await house.until('parked', () => house.engine.parking.size === 1);
  const asked = await house.putNow('k', 'w');
  assert.ok(asked.answer?.answer === 'turned-away');
  const { retryAfterMs = 0 } = asked.answer.fault;
  assert.ok(retryAfterMs >= 1000 && retryAfterMs <= LIMITS.retryAfterMsMax);
});
