/** Reading: the path of a flow from the reader on, and nothing that is not committed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StillClock } from '../../test/sim/bed.ts';
import { heldWrite } from '../../test/rules/writes.ts';
import { MemoryReader } from '../adapters/memory/reader.ts';
import { MemoryStash } from '../adapters/memory/stash.ts';
import type { FlowPlan } from '../contracts/flow.ts';
import type { Reader } from '../contracts/reader.ts';
import type { WriteFacts } from '../intake/write.ts';
import { digestOf } from '../kernel/digest.ts';
import { Fault } from '../kernel/errors.ts';
import { Read } from './read.ts';

const FLOW: FlowPlan = {
  account: 'acme',
  flow: 'settled',
  generation: 1,
  stashes: ['history'],
  reader: 'cache',
  read: ['cache', 'history'],
  respond: 'settled',
  ttlMs: null,
  mediaType: 'application/json',
  limits: { bodyBytesMax: 1, keysPerRecordMax: 1, jsonDepthMax: 1, ttlMsMax: null },
  shaped: false,
  valueChecked: false,
};
const MARK = { journalId: 'j', position: 0, from: 0 };

interface Place {
  readonly read: Read;
  readonly clock: StillClock;
  readonly unsettled: Set<number>;
  put(store: 'cache' | 'history', uow: number, facts?: Partial<WriteFacts>): Promise<void>;
}

/** A cache that keeps only the present value, and a history behind it. */
function build(cacheKeepsVersions = false): Place {
  const clock = new StillClock();
  const stores = {
    cache: new MemoryStash({ id: 'cache', clock }),
    history: new MemoryStash({ id: 'history', clock }),
  };
  const whole = new MemoryReader(stores.cache.versions, clock);
  const cache: Reader = { get: whole.get.bind(whole), scan: whole.scan.bind(whole) };
  const unsettled = new Set<number>();
  const readers = new Map<string, Reader>([
    ['cache', cacheKeepsVersions ? whole : cache],
    ['history', new MemoryReader(stores.history.versions, clock)],
  ]);
  return {
    clock,
    unsettled,
    read: new Read(readers, (uow) => !unsettled.has(uow)),
    async put(store, uow, facts) {
      await stores[store].apply([heldWrite(uow, facts)], MARK);
    },
  };
}

const shown = async (place: Place, key = 'k'): Promise<string | null> => {
  const got = await place.read.get(FLOW, key);
  return got === null ? null : Buffer.from(got.value).toString();
};

test('the reader answers first, the next store what it does not have', async () => {
  const place = build();
  await place.put('history', 1);
  assert.equal(await shown(place), 'v1');
  await place.put('cache', 2);
  assert.equal(await shown(place), 'v2');
  assert.equal(await shown(place, 'none'), null);
  const got = await place.read.get(FLOW, 'k');
  assert.equal(got?.digest, digestOf(Buffer.from('v2')));
  assert.equal(got?.uow, 2);
});

test('a store behind the reader shows the newest version that is committed', async () => {
  const place = build();
  await place.put('history', 1);
  await place.put('history', 2);
  place.unsettled.add(2);
  assert.equal(await shown(place), 'v1');
  place.unsettled.delete(2);
  assert.equal(await shown(place), 'v2');
});

test('a reader that knows a key as deleted or expired is not asked past', async () => {
  const place = build(true);
  await place.put('history', 1);
  assert.equal(await shown(place), 'v1');
  await place.put('cache', 2, { kind: 'delete', value: new Uint8Array(0) });
  assert.equal(await shown(place), null);
  await place.put('cache', 3, { keys: ['x'], expiresAt: 10 });
  await place.put('history', 1000, { keys: ['x'] });
  place.clock.advance(20);
  assert.equal(await shown(place, 'x'), null);
});

test('many keys: one answer each, in order, from wherever each is', async () => {
  const place = build();
  await place.put('cache', 1, { keys: ['a'] });
  await place.put('history', 2, { keys: ['b'] });
  const found = await place.read.getMany(FLOW, ['b', 'none', 'a', 'b']);
  const values = found.map((got) => (got === null ? null : Buffer.from(got.value).toString()));
  assert.deepEqual(values, ['v2', null, 'v1', 'v2']);
  assert.deepEqual(await place.read.getMany(FLOW, []), []);
});

test('a listing comes from the reader alone', async () => {
  const place = build();
  await place.put('cache', 1, { keys: ['a1'] });
  await place.put('history', 2, { keys: ['a2'] });
  const page = await place.read.scan(FLOW, 'a', null, 10);
  assert.deepEqual(
    page.items.map(({ key }) => key),
    ['a1'],
  );
});

test('history: from the first store that keeps it, newest first, committed only', async () => {
  const place = build();
  for (const uow of [1, 2, 3, 4]) await place.put('history', uow);
  place.unsettled.add(4);
  const first = await place.read.history(FLOW, 'k', null, 2);
  assert.deepEqual(
    first.items.map(({ uow }) => uow),
    [3, 2],
  );
  const second = await place.read.history(FLOW, 'k', first.cursor, 2);
  assert.deepEqual(
    second.items.map(({ uow }) => uow),
    [1],
  );
  assert.equal(second.cursor, null);
  await assert.rejects(place.read.history(FLOW, 'k', 'x1', 2), (error: unknown) => {
    return error instanceof Fault && error.code === 'bad-cursor';
  });
});

test('the value as it was at a write or a time, and none where there was none', async () => {
  const place = build();
  for (const uow of [1, 2, 3]) await place.put('history', uow, { heldAt: uow * 100 });
  const text = async (moment: { uow: number } | { time: number }): Promise<string | null> => {
    const got = await place.read.at(FLOW, 'k', moment);
    return got === null ? null : Buffer.from(got.value).toString();
  };
  assert.equal(await text({ uow: 2 }), 'v2');
  assert.equal(await text({ time: 299 }), 'v2');
  assert.equal(await text({ time: 50 }), null);
});

test('a flow without a store that keeps versions says so', async () => {
  const place = build();
  const flow = { ...FLOW, read: ['cache'] };
  for (const ask of [
    place.read.history(flow, 'k', null, 1),
    place.read.at(flow, 'k', { uow: 1 }),
  ]) {
    await assert.rejects(ask, (error: unknown) => {
      return error instanceof Fault && error.code === 'bad-request';
    });
  }
  await assert.rejects(place.read.get({ ...FLOW, read: ['nowhere'] }, 'k'), RangeError);
});
