/** The driver of one stash: batches, one call at a time, fences, pauses; and its breaker. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StillClock, turns } from '../../test/sim/bed.ts';
import { Connection, Store } from '../../test/rules/store.ts';
import { heldWrite } from '../../test/rules/writes.ts';
import type { Mark, Stash, StashReply } from '../contracts/stash.ts';
import type { HeldWrite } from '../intake/write.ts';
import { LIMITS } from '../kernel/limits.ts';
import { Breaker } from './breaker.ts';
import { settlePauseMs, StashDriver, type DriverEvents } from './driver.ts';

interface Place {
  readonly store: Store;
  readonly clock: StillClock;
  readonly driver: StashDriver;
  readonly told: [number, string][];
}

const MARK: Mark = { journalId: 'j', position: 1, from: 0 };

function build(wrap: (stash: Stash) => Stash = (stash) => stash): Place {
  const store = new Store('a');
  const clock = new StillClock();
  const told: [number, string][] = [];
  const events: DriverEvents = {
    applied: (_driver, writes, replies) => {
      for (const [at, write] of writes.entries()) {
        told.push([write.uow, replies[at]?.reply ?? 'nothing']);
      }
    },
    undone: (_driver, write, reply) => told.push([write.uow, `undo ${reply.reply}`]),
    unsent: (_driver, write) => write.mayAbort,
    batchTold: () => {},
  };
  const connection = wrap(
    new Connection(
      store,
      () => true,
      () => 0,
    ),
  );
  return { store, clock, told, driver: new StashDriver(connection, clock, () => MARK, events) };
}

function sends({ driver }: Place, writes: readonly HeldWrite[]): void {
  for (const write of writes) driver.apply(write);
  driver.kick();
}

test('one call is in flight; what arrives meanwhile shares the next', async () => {
  const place = build();
  place.store.hold();
  sends(place, [heldWrite(1)]);
  sends(place, [heldWrite(2)]);
  sends(place, [heldWrite(3)]);
  assert.equal(place.driver.depth, 2);
  place.store.release();
  await turns(5);
  assert.deepEqual(place.store.batches, [1, 2]);
  assert.deepEqual(
    place.told.map(([uow]) => uow),
    [1, 2, 3],
  );
  assert.deepEqual(place.store.mark, MARK, 'the mark goes behind every batch');
});

/** The same store, saying that it takes calls in the order in which they were made. */
function pipelined(stash: Stash): Stash {
  const traits = { ...stash.traits, pipelined: true };
  return new Proxy(stash, {
    get: (target, name) => {
      if (name === 'traits') return traits;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

test('a store that keeps the order of calls is sent several at once', async () => {
  const place = build(pipelined);
  place.store.hold();
  sends(
    place,
    Array.from({ length: 100 }, (_, at) => heldWrite(at)),
  );
  assert.equal(place.driver.depth, 0, 'shared out among the calls that may be under way');
  sends(place, [heldWrite(100)]);
  assert.equal(place.driver.depth, 1, 'and no more than those');
  place.store.release();
  await turns(8);
  assert.deepEqual(place.store.batches, [25, 25, 25, 25, 1]);
  const order = place.told.map(([uow]) => uow);
  assert.deepEqual(
    order,
    Array.from({ length: 101 }, (_, at) => at),
  );
});

test('a fence waits for all calls that are under way', async () => {
  const place = build(pipelined);
  place.store.hold();
  sends(place, [heldWrite(1)]);
  sends(place, [heldWrite(2)]);
  place.driver.applyAgain(heldWrite(3));
  place.clock.advance(LIMITS.settleRetryFirstMs);
  await turns(3);
  assert.equal(place.driver.depth, 1);
  place.store.release();
  await turns(8);
  assert.deepEqual(place.store.calls, ['apply 1.1', 'apply 2.1', 'fence', 'apply 3.1']);
});

test('a batch is bounded by count and by bytes, and one huge write still goes', async () => {
  const place = build();
  sends(
    place,
    Array.from({ length: LIMITS.batchWritesMax + 1 }, (_, at) => heldWrite(at)),
  );
  await turns(5);
  assert.deepEqual(place.store.batches, [LIMITS.batchWritesMax, 1]);
  const half = Buffer.alloc(LIMITS.batchBytesMax / 2);
  const huge = Buffer.alloc(LIMITS.batchBytesMax + 1);
  const values = [half, half, half, huge, half];
  sends(
    place,
    values.map((value, at) => heldWrite(at, { value, digest: 'd' })),
  );
  await turns(10);
  assert.deepEqual(place.store.batches.slice(2), [2, 1, 1, 1]);
});

test('what is sent again goes behind a fence, and after a pause that grows', async () => {
  const place = build();
  place.store.says = () => 'dropped';
  const write = heldWrite(1);
  sends(place, [write]);
  await turns(3);
  for (let tries = 1; tries <= 4; tries += 1) {
    place.driver.applyAgain(write);
    place.clock.advance(settlePauseMs(tries) - 1);
    await turns(3);
    assert.equal(place.store.calls.filter((call) => call === 'apply 1.1').length, tries);
    place.clock.advance(1);
    await turns(3);
  }
  const fences = place.store.calls.filter((call) => call === 'fence').length;
  assert.equal(fences, 4);
  assert.equal(settlePauseMs(1), LIMITS.settleRetryFirstMs);
  assert.equal(settlePauseMs(1000), LIMITS.settleRetryMsMax);
});

test('while the fence cannot be set nothing is sent', async () => {
  const place = build();
  place.store.fenceFails = true;
  place.driver.applyAgain(heldWrite(1));
  place.clock.advance(LIMITS.settleRetryFirstMs);
  sends(place, [heldWrite(2)]);
  for (let turn = 0; turn < 5; turn += 1) {
    await turns(3);
    place.clock.advance(LIMITS.settleRetryMsMax);
  }
  assert.ok(!place.store.calls.some((call) => call.startsWith('apply')));
  assert.ok(place.store.calls.length > 2);
  place.store.fenceFails = false;
  for (let turn = 0; turn < 3; turn += 1) {
    await turns(3);
    place.clock.advance(LIMITS.settleRetryMsMax);
  }
  assert.deepEqual(new Set(place.told.map(([uow]) => uow)), new Set([1, 2]));
});

test('a call that rejects or answers too little says nothing of any of its writes', async () => {
  const answers: (() => Promise<readonly StashReply[]>)[] = [
    () => Promise.reject(new Error('away')),
    () => Promise.resolve([{ reply: 'stored' }]),
  ];
  for (const answer of answers) {
    const place = build((stash) => Object.assign(Object.create(stash) as Stash, { apply: answer }));
    sends(place, [heldWrite(1), heldWrite(2)]);
    await turns(3);
    assert.deepEqual(place.told, [
      [1, 'unknown'],
      [2, 'unknown'],
    ]);
  }
});

test('undos go before applies; one that rejects or is not answered counts as failed', async () => {
  const place = build();
  place.store.hold();
  sends(place, [heldWrite(1)]);
  place.driver.apply(heldWrite(2));
  place.driver.undo(heldWrite(3));
  place.store.release();
  await turns(5);
  assert.deepEqual(place.store.calls, ['apply 1.1', 'undo 3.1', 'apply 2.1']);
  for (const undo of [() => Promise.reject(new Error('away')), () => Promise.resolve([])]) {
    const bad = build((stash) => Object.assign(Object.create(stash) as Stash, { undo }));
    bad.driver.undo(heldWrite(4));
    bad.driver.kick();
    await turns(3);
    assert.deepEqual(bad.told, [[4, 'undo failed']]);
  }
});

test('a driver that was stopped sends nothing more', async () => {
  const place = build();
  place.driver.stop();
  sends(place, [heldWrite(1)]);
  await turns(3);
  assert.deepEqual(place.store.calls, []);
});

test('the breaker opens after outages in a row, lets one lot look, closes on success', () => {
  const clock = new StillClock();
  const breaker = new Breaker(clock);
  for (let at = 1; at < LIMITS.breakerFailuresMax; at += 1) breaker.failed();
  assert.equal(breaker.open, false);
  breaker.succeeded();
  for (let at = 1; at < LIMITS.breakerFailuresMax; at += 1) breaker.failed();
  assert.equal(breaker.open, false, 'only those in a row count');
  breaker.failed();
  assert.equal(breaker.open, true);
  assert.equal(breaker.openForMs, LIMITS.breakerOpenMs);
  clock.advance(LIMITS.breakerOpenMs);
  assert.equal(breaker.open, false, 'a look is due');
  breaker.failed();
  assert.equal(breaker.open, true, 'one more failure is enough then');
  breaker.succeeded();
  assert.equal(breaker.openForMs, 0);
});

test('outages and lost replies count for the breaker, definite errors do not', async () => {
  for (const [say, opens] of [
    ['outage', true],
    ['dropped', true],
    ['failed', false],
  ] as const) {
    const place = build();
    place.store.says = () => say;
    sends(
      place,
      Array.from({ length: LIMITS.breakerFailuresMax }, (_, at) => heldWrite(at)),
    );
    await turns(3);
    assert.equal(place.driver.breaker.open, opens, say);
  }
});
