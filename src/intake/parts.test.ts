/** The small parts of the intake: numbers, live writes, idempotency slots, answers, the view. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StillClock, turns } from '../../test/sim/bed.ts';
import { heldWrite } from '../../test/rules/writes.ts';
import { MemoryState } from '../adapters/memory/state.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { ReportLine } from '../kernel/words.ts';
import { BREAKER_OPEN, CONDITION_FAILED, faultOf, receiptOfRow } from './answers.ts';
import { Idempotency } from './idempotency.ts';
import { Live } from './live.ts';
import { Numbering } from './numbering.ts';
import type { WriteRequest } from './request.ts';
import { changesOf, failureOf } from './view.ts';
import { STATE_OF } from './write.ts';

test('numbers: none before its block is reserved, and a block is asked for in time', async () => {
  const asked: [number, number][] = [];
  let grant = (): void => {};
  const numbering = new Numbering(1, 10, 14, (from, to) => {
    asked.push([from, to]);
    return new Promise((done) => {
      grant = done;
    });
  });
  const drawn = [numbering.next(), numbering.next(), numbering.next(), numbering.next()];
  assert.deepEqual(drawn, [10, 11, 12, 13]);
  assert.deepEqual(asked, [[14, 14 + LIMITS.uowBlock]], 'asked once');
  assert.equal(numbering.left, 0);
  assert.throws(() => numbering.next(), RangeError);
  grant();
  await turns(1);
  assert.equal(numbering.next(), 14);
  assert.equal(numbering.upcoming, 15);
});

test('numbers: a reservation that failed is asked for again', async () => {
  let asked = 0;
  const numbering = new Numbering(1, 0, 10, () => {
    asked += 1;
    return Promise.reject(new Error('full'));
  });
  numbering.next();
  await turns(1);
  numbering.next();
  assert.equal(asked, 2);
  assert.equal(numbering.left, 8);
});

test('live: the low-water mark rises over what is settled and kept, as a prefix only', () => {
  const live = new Live(new StillClock(), 10);
  const writes = [5, 6, 7].map((uow) => heldWrite(uow));
  for (const write of writes) {
    live.admit(write);
    live.placed(write, write.uow);
  }
  const keep = (at: number): void => {
    const write = writes[at];
    assert.ok(write !== undefined);
    write.phase = 'settled';
    live.settled(write);
    live.forget(write.uow);
  };
  assert.equal(live.lowWater(100), 5);
  keep(1);
  assert.equal(live.lowWater(100), 5);
  keep(0);
  assert.equal(live.lowWater(100), 7);
  assert.equal(live.oldestUow(), 7);
  assert.deepEqual(
    live.below(8).map(({ uow }) => uow),
    [7],
  );
  assert.deepEqual(live.below(7), []);
  // Carried forward: its old place counts no more.
  live.placed(writes[2] ?? heldWrite(0), 50);
  assert.equal(live.lowWater(100), 50);
  keep(2);
  assert.equal(live.lowWater(100), 100);
  assert.equal(live.oldestUow(), Number.MAX_SAFE_INTEGER);
  assert.equal(live.bytes, 0);
});

test('live: the unsettled is not forgotten, and old places take no memory', () => {
  const live = new Live(new StillClock(), 10_000);
  const open = heldWrite(9999);
  for (let uow = 0; uow < 3000; uow += 1) {
    const write = heldWrite(uow);
    live.admit(write);
    live.placed(write, uow);
    write.phase = 'settled';
    live.settled(write);
    live.forget(uow);
  }
  live.admit(open);
  live.placed(open, 3000);
  live.forget(9999);
  assert.equal(live.get(9999), open);
  assert.equal(live.lowWater(4000), 3000);
  assert.deepEqual(live.phases(), { held: 1 });
  assert.equal(live.unsettled, 1);
});

test('live: bounded by count and by bytes', () => {
  const live = new Live(new StillClock(), 2);
  live.admit(heldWrite(1));
  assert.ok(live.fits(100));
  assert.ok(!live.fits(LIMITS.inFlightBytesMax));
  const second = heldWrite(2);
  live.admit(second);
  assert.ok(!live.fits(100));
  live.dropUnheld(second);
  assert.ok(live.fits(100));
});

test('live: each waiter is told once its time is over, and not when it was settled before', () => {
  const clock = new StillClock();
  const live = new Live(clock, 10);
  const [one, two] = [heldWrite(1), heldWrite(2)];
  const expired: number[] = [];
  for (const [write, until] of [
    [one, 100],
    [two, 200],
  ] as const) {
    live.admit(write);
    write.waitUntil = until;
    live.wait(write, ({ uow }) => expired.push(uow));
  }
  for (let at = 0; at < 3; at += 1) clock.advance(25);
  assert.deepEqual(expired, []);
  clock.advance(25);
  assert.deepEqual(expired, [1]);
  live.settled(two);
  for (let at = 0; at < 10; at += 1) clock.advance(25);
  assert.deepEqual(expired, [1]);
});

function request(over: Partial<WriteRequest> = {}): WriteRequest {
  return {
    account: 'acme',
    flow: 'settled',
    kind: 'set',
    key: 'k',
    body: Buffer.from('v'),
    ttlMs: undefined,
    conditions: [],
    idempotencyKey: 'i',
    respond: null,
    waitMs: 1000,
    requestId: 'r',
    ...over,
  };
}

test('idempotency: what decides the effect makes another request, nothing else does', () => {
  const digest = Idempotency.digest(request());
  const others = [
    { kind: 'delete' },
    { key: 'other' },
    { key: null },
    { body: Buffer.from('w') },
    { ttlMs: null },
    { ttlMs: 5 },
    { conditions: [{ if: 'absent' }] },
  ] as const;
  const digests = others.map((over) => Idempotency.digest(request(over)));
  assert.equal(new Set([digest, ...digests]).size, others.length + 1);
  assert.equal(Idempotency.digest(request({ requestId: 's', waitMs: 1, respond: 'held' })), digest);
});

test('idempotency: of two at once one is new; an ill State leaves no slot', async () => {
  const state = new MemoryState();
  const table = new Idempotency(state);
  const both = await Promise.all([
    table.claim(request(), 'i', 'd', 0),
    table.claim(request(), 'i', 'd', 0),
  ]);
  assert.deepEqual(
    both.map(({ claim }) => claim),
    ['new', 'slot'],
  );
  const write = heldWrite(1, { idempotent: { key: 'i', digest: 'd' } });
  table.bind(write);
  table.bind(heldWrite(2));
  table.bind(heldWrite(3, { idempotent: { key: 'unknown', digest: 'd' } }));
  const third = await table.claim(request(), 'i', 'd', 0);
  assert.ok(third.claim === 'slot' && third.slot.write === write);
  table.release('acme', 'settled', 'i');
  assert.equal((await table.claim(request(), 'i', 'd', 0)).claim, 'new');
  table.release('acme', 'settled', 'i');
  const row = { scope: 'acme/settled', key: 'i', digest: 'd', uow: 1, until: 1000 };
  await state.commit('j', 1, [{ change: 'idempotency', row }]);
  assert.equal((await table.claim(request(), 'i', 'd', 999)).claim, 'row');
  assert.equal((await table.claim(request(), 'i', 'd', 1000)).claim, 'new', 'its window is over');
  table.release('acme', 'settled', 'i');
  const broken = new Idempotency(
    Object.assign(Object.create(state) as MemoryState, {
      idempotency: () => Promise.reject(new Error('away')),
    }),
  );
  for (let turn = 0; turn < 2; turn += 1) {
    await assert.rejects(broken.claim(request(), 'i', 'd', 0), /away/);
  }
});

const says = (over: Partial<ReportLine>): ReportLine[] => [
  { stash: 'a', reply: 'failed', ...over },
];

test('answers: each outcome has its fault, a failure the status that fits best', () => {
  assert.equal(faultOf('committed', 1, []), null);
  assert.equal(faultOf('superseded', 1, [])?.code, 'superseded');
  const refused = faultOf('refused', 1, says({ reply: 'refused', detail: 'too red' }));
  assert.ok(refused?.code === 'refused' && refused.detail.includes('a: too red'));
  const condition = says({ reply: 'skipped', detail: CONDITION_FAILED });
  assert.equal(faultOf('refused', 1, condition)?.code, 'condition-failed');
  const statuses: [ReportLine[], number][] = [
    [says({ status: BREAKER_OPEN }), 503],
    [says({ reply: 'unknown' }), 504],
    // A store's own status is never the client's.
    [says({ status: 503 }), 502],
    [says({ status: 504 }), 502],
    [says({ status: 500 }), 502],
    [[], 502],
  ];
  for (const [report, status] of statuses)
    assert.equal(faultOf('failed', 1, report)?.status, status);
  assert.equal(
    faultOf('failed', 1, says({ status: BREAKER_OPEN }))?.retryAfterMs,
    LIMITS.breakerOpenMs,
  );
  assert.equal(faultOf('failed', 1, says({ status: BREAKER_OPEN }), 9000)?.retryAfterMs, 9000);
  assert.equal(faultOf('failed', 1, [])?.retryAfterMs, undefined);
});

test('view: what a record changes in State, and nothing for a write that nobody knows', () => {
  const write = heldWrite(1, { idempotent: { key: 'i', digest: 'd' } });
  const rep: ReportLine[] = [];
  const base = { u: 1, a: 1, at: 5, rep, existed: null, note: null };
  const names = (record: Parameters<typeof changesOf>[0], known = true): string[] => {
    return changesOf(record, known ? write : null).map(({ change }) => change);
  };
  assert.deepEqual(names({ type: 'hold', write }), ['idempotency']);
  assert.deepEqual(names({ type: 'hold', write: heldWrite(2) }), []);
  assert.deepEqual(names({ type: 'outcome', out: 'committed', ...base }), ['receipt']);
  assert.deepEqual(names({ type: 'outcome', out: 'failed', ...base }), ['receipt', 'failure']);
  assert.deepEqual(names({ type: 'outcome', out: 'failed', ...base }, false), []);
  const sup = [{ u: 9, a: 2, k: 'set', keys: ['k'] } as const];
  const over = names({ type: 'outcome', out: 'committed', ...base, sup });
  assert.deepEqual(over, ['receipt', 'failure-gone', 'receipt']);
  const parked = { type: 'parked' as const, u: 1, a: 1, at: 5, retryAt: 7, rep };
  assert.deepEqual(names(parked), ['failure']);
  assert.deepEqual(names(parked, false), []);
  assert.deepEqual(names({ type: 'discard', u: 1, at: 5 }), ['failure-gone']);
  for (const type of ['owned', 'trying', 'tried'] as const)
    assert.deepEqual(names({ type, u: 1 }), []);
  write.firstFailedAt = 3;
  const gone = names({ type: 'outcome', out: 'superseded', ...base });
  assert.deepEqual(gone, ['receipt', 'failure-gone']);
});

test('view: the fail queue names the store to blame, and how long it has been failing', () => {
  const write = heldWrite(1);
  const rep: ReportLine[] = [
    { stash: 'b', reply: 'undone' },
    { stash: 'c', reply: 'unknown' },
    { stash: 'a', reply: 'failed', status: 500, detail: 'broken' },
  ];
  const record = { type: 'parked' as const, u: 1, a: 2, at: 50, retryAt: 70, rep };
  const row = failureOf(write, record);
  assert.equal(row.reason, 'a: broken');
  assert.deepEqual([row.stash, row.status, row.parked, row.retryAt], ['a', 500, true, 70]);
  assert.deepEqual([row.firstFailedAt, row.lastFailedAt], [50, 50]);
  write.firstFailedAt = 10;
  const lost = failureOf(write, { ...record, rep: rep.slice(0, 2) });
  assert.deepEqual([lost.reason, lost.firstFailedAt, lost.status], ['c: unknown', 10, null]);
  const nothing = failureOf(write, { ...record, rep: [] });
  assert.deepEqual([nothing.reason, nothing.stash], ['failed', '']);
});

test('a receipt of State reads like the one of the running write', () => {
  const write = heldWrite(1);
  write.phase = 'settled';
  write.outcome = 'committed';
  const record = { type: 'outcome', u: 1, a: 1, out: 'committed', at: 5 } as const;
  const [change] = changesOf({ ...record, rep: write.report(), existed: null, note: null }, write);
  assert.ok(change?.change === 'receipt');
  assert.deepEqual(receiptOfRow(change.row), write.receipt());
  assert.equal(STATE_OF.judging, 'held');
});
