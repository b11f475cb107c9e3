/** The intake log: State follows the journal, riders go with the next append; breaks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StillClock, turns } from '../../test/sim/bed.ts';
import { MemoryState } from '../adapters/memory/state.ts';
import { DiskFull, JournalBroken, type Journal } from '../contracts/journal.ts';
import type { StateChange } from '../contracts/state.ts';
import { IntakeLog, LOW_WATER_DOCUMENT, type LogEntry } from './log.ts';

interface Place {
  readonly log: IntakeLog;
  readonly clock: StillClock;
  readonly state: MemoryState;
  readonly appended: string[][];
  readonly kept: number[];
  readonly broken: Error[];
  readonly commits: number[];
  /** Ends the oldest append; an error rejects it. */
  synced(error?: Error): Promise<void>;
  fails: boolean;
}

function build(): Place {
  const clock = new StillClock();
  const state = new MemoryState();
  const pending: {
    done: (first: number) => void;
    failed: (error: Error) => void;
    first: number;
  }[] = [];
  const journal = {
    id: 'j',
    next: 0,
    durable: 0,
    append(records: readonly Uint8Array[]) {
      place.appended.push(records.map((record) => Buffer.from(record).toString()));
      const first = journal.next;
      journal.next += records.length;
      return new Promise<number>((done, failed) => pending.push({ done, failed, first }));
    },
  };
  const commit = state.commit.bind(state);
  state.commit = (id, to, changes) => {
    place.commits.push(to);
    return place.fails ? Promise.reject(new Error('no room')) : commit(id, to, changes);
  };
  const place: Place = {
    clock,
    state,
    appended: [],
    kept: [],
    broken: [],
    commits: [],
    fails: false,
    log: new IntakeLog(journal as unknown as Journal, state, clock, {
      receiptKept: (uow) => place.kept.push(uow),
      lowWater: () => 7,
      broken: (cause) => place.broken.push(cause),
    }),
    async synced(error) {
      const call = pending.shift();
      assert.ok(call !== undefined, 'nothing was appended');
      if (error === undefined) {
        journal.durable = pending[0]?.first ?? journal.next;
        call.done(call.first);
      } else {
        call.failed(error);
      }
      await turns(2);
    },
  };
  return place;
}

function entry(name: string, changes: readonly StateChange[] = []): LogEntry {
  return { record: Buffer.from(name), changes };
}

function receipt(uow: number): StateChange {
  const row = { uow, attempt: 1, account: 'a', flow: 'f', kind: 'set', keys: ['k'] } as const;
  const rest = { outcome: 'committed', settledAt: 1, report: [], existed: null } as const;
  return { change: 'receipt', row: { ...row, ...rest } };
}

test('changes reach State once their record is on disk, with the low-water mark', async () => {
  const place = build();
  const done = place.log.append([entry('one', [receipt(1)]), entry('two', [receipt(2)])], 'admit');
  place.clock.advance(100);
  await turns(2);
  assert.equal(await place.state.appliedTo(), 0);
  await place.synced();
  assert.equal(await done, 0);
  assert.equal(place.log.lag, 2);
  place.clock.advance(20);
  await turns(2);
  assert.equal(await place.state.appliedTo(), 2);
  assert.deepEqual(place.kept, [1, 2]);
  assert.equal(place.log.lag, 0);
  const row = await place.state.document(LOW_WATER_DOCUMENT.kind, LOW_WATER_DOCUMENT.id);
  assert.deepEqual(row?.body, { position: 7 });
});

test('riders stand before what comes later and share its sync, or go by themselves', async () => {
  const place = build();
  place.log.appendRiding([entry('r1')]);
  place.log.appendRiding([entry('r2')]);
  assert.deepEqual(place.appended, []);
  void place.log.append([entry('next')], 'admit');
  assert.deepEqual(place.appended, [['r1', 'r2'], ['next']]);
  place.clock.advance(50);
  assert.equal(place.appended.length, 2, 'not again');
  place.log.appendRiding([entry('r3')]);
  place.clock.advance(10);
  assert.deepEqual(place.appended.at(-1), ['r3']);
});

test('who needs State to have a record waits for it, and no longer', async () => {
  const place = build();
  void place.log.append([entry('one'), entry('two')], 'settle');
  await place.synced();
  let has = false;
  const waiting = place.log.applied(1).then(() => {
    has = true;
  });
  assert.equal(has, false);
  await turns(2);
  await waiting;
  assert.ok(has, 'without waiting for the lot to fill');
  await place.log.applied(0);
});

test('a flush waits for the sync, for State, and for its disk', async () => {
  const place = build();
  place.log.appendRiding([entry('rider', [receipt(1)])]);
  let flushed = false;
  const flushing = place.log.flush().then(() => {
    flushed = true;
  });
  await turns(2);
  place.clock.advance(1);
  await turns(2);
  assert.equal(flushed, false);
  await place.synced();
  place.clock.advance(1);
  await turns(3);
  await flushing;
  assert.equal(place.state.unflushed, 0);
});

test('a broken journal is told once, and fails everyone who waits', async () => {
  const place = build();
  const one = place.log.append([entry('one')], 'admit');
  const two = place.log.append([entry('two')], 'admit');
  const waiting = place.log.applied(5);
  const ends = Promise.allSettled([one, two, waiting]);
  await place.synced(new JournalBroken('EIO'));
  await place.synced(new JournalBroken('EIO'));
  assert.deepEqual(
    (await ends).map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  );
  assert.equal(place.broken.length, 1);
  assert.ok(place.log.broken !== null);
  await assert.rejects(place.log.applied(9), JournalBroken);
  await assert.rejects(place.log.flush(), JournalBroken);
});

test('a full disk turns one append away; a decision that has no room breaks the log', async () => {
  const place = build();
  const away = assert.rejects(place.log.append([entry('one')], 'admit'), DiskFull);
  await place.synced(new DiskFull('no room'));
  await away;
  assert.deepEqual(place.broken, []);
  const sure = assert.rejects(place.log.appendSurely([entry('decision')]), DiskFull);
  await place.synced(new DiskFull('no room'));
  await sure;
  assert.equal(place.broken.length, 1);
  let then = false;
  place.log.appendThen([entry('more')], () => {
    then = true;
  });
  await place.synced(new DiskFull('no room'));
  assert.equal(then, false);
});

test('a State that fails counts as a broken journal', async () => {
  const place = build();
  place.fails = true;
  void place.log.append([entry('one')], 'settle');
  await place.synced();
  const waiting = assert.rejects(place.log.applied(0), JournalBroken);
  await turns(2);
  await waiting;
  assert.equal(place.broken.length, 1);
  place.clock.advance(1000);
  await turns(2);
  assert.equal(place.commits.length, 1, 'and is not tried again');
});

test('a State that lags far behind turns new work away', async () => {
  const place = build();
  let land = (): void => {};
  place.state.commit = () => new Promise((done) => (land = done));
  void place.log.append([entry('one', [receipt(1)])], 'settle');
  await place.synced();
  place.clock.advance(20);
  assert.equal(place.log.lagging, false);
  const many = Array.from({ length: 100_001 }, (_, at) => receipt(at));
  void place.log.append([entry('many', many)], 'settle');
  await place.synced();
  assert.equal(place.log.lagging, true);
  land();
  await turns(2);
  assert.equal(place.log.lagging, false, 'they are on their way');
});
