/** Lanes: order per key, no circle, no overtaking. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { heldWrite } from '../../test/rules/writes.ts';
import type { HeldWrite } from '../intake/write.ts';
import { Lanes } from './lanes.ts';

const alone = (): Lanes =>
  new Lanes(
    () => false,
    () => false,
  );
const together = (): Lanes =>
  new Lanes(
    (write) => write.attempt === 1,
    () => true,
  );
const uows = (writes: readonly HeldWrite[]): number[] => writes.map(({ uow }) => uow);

test('a write is granted when it is head of all its lanes, and the next when it lets go', () => {
  const lanes = alone();
  const [one, two, three] = [['a', 'b'], ['b', 'c'], ['c']].map((keys, at) => {
    return heldWrite(at + 1, { keys });
  }) as [HeldWrite, HeldWrite, HeldWrite];
  lanes.enqueue([one, two, three]);
  assert.deepEqual(uows(lanes.takeGranted()), [1]);
  assert.deepEqual(lanes.takeGranted(), [], 'each is granted once');
  lanes.release(one);
  assert.deepEqual(uows(lanes.takeGranted()), [2]);
  lanes.release(two);
  assert.deepEqual(uows(lanes.takeGranted()), [3]);
  lanes.release(three);
  assert.equal(lanes.size, 0, 'an empty lane takes no memory');
  assert.equal(lanes.depth('acme', 'settled', 'a'), 0);
});

test('whatever keys writes have: all are granted, and those of one key in order', () => {
  const keys = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 });
  fc.assert(
    fc.property(
      fc.array(keys, { maxLength: 40 }),
      fc.boolean(),
      fc.infiniteStream(fc.nat()),
      (sets, shares, picks) => {
        const lanes = shares ? together() : alone();
        const writes = sets.map((set, at) => heldWrite(at + 1, { keys: set }));
        lanes.enqueue(writes);
        const running: HeldWrite[] = [...lanes.takeGranted()];
        const order: HeldWrite[] = [...running];
        while (running.length > 0) {
          const pick = Number(picks.next().value) % running.length;
          const [done] = running.splice(pick, 1) as [HeldWrite];
          if (!shares) {
            for (const other of running)
              assert.ok(!other.keys.some((key) => done.keys.includes(key)));
          }
          lanes.release(done);
          const granted = lanes.takeGranted();
          running.push(...granted);
          order.push(...granted);
        }
        assert.equal(order.length, writes.length);
        for (const key of ['a', 'b', 'c', 'd']) {
          const mine = uows(order.filter((write) => write.keys.includes(key)));
          assert.deepEqual(
            mine,
            mine.toSorted((a, b) => a - b),
            key,
          );
        }
        assert.equal(lanes.size, 0);
      },
    ),
    { numRuns: 200 },
  );
});

test('neighbours that may run together are granted so, in runs of bounded length', () => {
  const lanes = together();
  const writes = Array.from({ length: 600 }, (_, at) => heldWrite(at + 1));
  lanes.enqueue(writes);
  const first = lanes.takeGranted();
  assert.equal(first.length, 256);
  assert.ok(first.every((write) => write.run === first[0]?.run && write.run !== null));
  assert.equal(first[0]?.run?.undecided, 256);
  assert.equal(lanes.depth('acme', 'settled', 'k'), 600);
  for (const write of first.slice(1)) lanes.release(write);
  assert.deepEqual(lanes.takeGranted(), [], 'the next run waits for all of this one');
  lanes.release(first[0]);
  const second = lanes.takeGranted();
  assert.equal(second.length, 256);
  assert.notEqual(second[0]?.run, first[0]?.run);
  for (const write of second) lanes.release(write);
  assert.equal(lanes.takeGranted().length, 88);
});

test('a write that may not share its lane parts the run', () => {
  const lanes = together();
  const writes = [1, 2, 3, 4].map((uow) => heldWrite(uow, { attempt: uow === 3 ? 2 : 1 }));
  lanes.enqueue(writes);
  assert.deepEqual(uows(lanes.takeGranted()), [1, 2]);
  lanes.release(writes[0] as HeldWrite);
  lanes.release(writes[1] as HeldWrite);
  assert.deepEqual(uows(lanes.takeGranted()), [3]);
  lanes.release(writes[2] as HeldWrite);
  assert.deepEqual(uows(lanes.takeGranted()), [4]);
});

test('one of a run that failed stands back before those not granted, in its order', () => {
  const lanes = new Lanes(
    (write) => write.uow < 4 && write.attempt === 1,
    () => true,
  );
  const writes = [1, 2, 3, 4, 5].map((uow) => heldWrite(uow));
  lanes.enqueue(writes);
  const [one, two, three] = lanes.takeGranted() as [HeldWrite, HeldWrite, HeldWrite];
  two.attempt = 2;
  one.attempt = 2;
  assert.equal(lanes.requeue(two), true);
  assert.equal(lanes.requeue(one), true);
  assert.equal(lanes.requeue(three), false, 'the last of them has the lane to itself');
  lanes.release(three);
  const order: number[] = [];
  for (let granted = lanes.takeGranted(); granted.length > 0; granted = lanes.takeGranted()) {
    order.push(...uows(granted));
    for (const write of granted) lanes.release(write);
  }
  assert.deepEqual(order, [1, 2, 4, 5]);
});

test('a commit is noted for those beside it: an older one is outrun, a newer one is not', () => {
  const lanes = together();
  const writes = [1, 2, 3].map((uow) => heldWrite(uow));
  lanes.enqueue(writes);
  lanes.takeGranted();
  lanes.committed(writes[1] as HeldWrite);
  assert.deepEqual(
    writes.map((write) => write.outrun),
    [true, false, false],
  );
});
