/** Starts and background turns: refill, groups, housekeeping, judging an ill reader. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { House, lane } from '../../test/rules/house.ts';
import { Store } from '../../test/rules/store.ts';
import { heldWrite } from '../../test/rules/writes.ts';
import { digestOf } from '../kernel/digest.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import { encode } from '../intake/records.ts';
import type { OpenWrite } from './replay.ts';
import { sharingKeys } from './resume.ts';

interface Place {
  readonly house: House;
  readonly a: Store;
  readonly reader: Store;
}

async function build(): Promise<Place> {
  const a = new Store('a');
  const reader = new Store('reader', { overwrites: true });
  const house = new House({ before: [a], reader });
  await house.start();
  return { house, a, reader };
}

/** Three committed writes and one that was aborted; then the store forgets all of it. */
async function forgotten(): Promise<Place> {
  const place = await build();
  const { house, a, reader } = place;
  for (const key of ['k1', 'k2', 'k3']) await house.putNow(key, 'v');
  reader.says = () => 'refused';
  await house.putNow('k4', 'v');
  await house.quiet();
  await house.stop();
  reader.says = () => 'stored';
  a.forget();
  a.calls.length = 0;
  return place;
}

test('a refill waits out outages and lost replies, and sends what was not taken', async () => {
  const { house, a } = await forgotten();
  a.says = ({ uow }, nth) => (uow === 2 && nth < 4 ? 'dropped' : 'stored');
  a.undoSays = (_attempt, nth) => (nth < 3 ? 'failed' : 'undone');
  a.rejects = true;
  const starting = house.begin();
  await house.pass(100);
  a.rejects = false;
  await house.wait(starting);
  for (const key of ['k1', 'k2', 'k3']) assert.equal(a.live(lane(key)).length, 1, key);
  const count = (name: string): number => a.calls.filter((call) => call === name).length;
  assert.deepEqual([count('apply 1.1'), count('undo 4.1')], [1, 2]);
  assert.ok(count('apply 2.1') >= 3 && a.calls.includes('fence'));
});

test('a store that refuses what it had acknowledged stops the start, which says so', async () => {
  const { house, a } = await forgotten();
  a.says = ({ uow }) => (uow === 2 ? 'refused' : 'stored');
  await assert.rejects(house.start(), (error: unknown) => {
    return (
      error instanceof Fault && error.message.includes('"a"') && /not this one/.test(error.message)
    );
  });
});

test('a store that takes no refill holds up a start for a while, and joins later', async () => {
  const { house, a, reader } = await forgotten();
  a.says = () => 'failed';
  await house.start();
  assert.ok(house.schedule.nowMs < LIMITS.stashJoinMs * 3);
  assert.match(house.engine.fanout.driver('a').apart ?? '', /must be refilled/);
  assert.equal((await house.putNow('k1', 'new')).code, 'unavailable');
  assert.equal(reader.newest(lane('k1'))?.value, 'v');
  a.says = () => 'stored';
  await house.until('joined', () => house.engine.fanout.driver('a').apart === null);
  assert.equal(a.live(lane('k1')).length, 1);
});

test('a store that declines what it is refilled with is whole without it', async () => {
  const { house, a } = await forgotten();
  a.says = () => 'declined';
  await house.start();
  assert.deepEqual(a.live(lane('k1')), []);
});

test('writes are tried apart in groups that share a key, directly or through others', () => {
  const open = (uow: number, ...keys: string[]): OpenWrite => {
    return { write: heldWrite(uow, { keys }), starts: 3, fatalTries: 2 };
  };
  const all = [open(1, 'a'), open(2, 'b'), open(3, 'c'), open(5, 'x'), open(4, 'a', 'c')];
  const groups = sharingKeys(all).map((group) => group.map(({ write }) => write.uow));
  assert.deepEqual(
    groups.sort((one, two) => (one[0] ?? 0) - (two[0] ?? 0)),
    [[1, 3, 4], [2], [5]],
  );
  assert.deepEqual(sharingKeys([]), []);
});

test('numbers of a second block are reserved on disk, and a start draws above them', async () => {
  const { house } = await build();
  const { log } = house.engine;
  const asked = await house.putNow('k', 'v');
  assert.equal(asked.uow, house.engine.recovered.uowFrom);
  // As if the running start had used half of its block.
  const record = { type: 'reserve', epoch: 1, uowFrom: 1_000_001, uowTo: 2_000_001 } as const;
  await house.wait(log.append([{ record: encode(record), changes: [] }], 'settle'));
  house.crash('power');
  await house.start();
  assert.ok((await house.putNow('k', 'v')).uow >= 2_000_001);
});

test('housekeeping trims by age, tells of a failed turn, and goes on', async () => {
  const a = new Store('a');
  const house = new House({ before: [a], reader: new Store('reader'), journalKeepMs: 30_000 });
  await house.start();
  for (let at = 0; at < 40; at += 1) await house.putNow(`k${at}`, 'x'.repeat(1500));
  const { journal } = house.engine.log;
  await house.pass(LIMITS.housekeepingMs * 2);
  assert.equal(journal.first, 0, 'it is not old enough');
  const { state } = house;
  const sweep = state.sweep.bind(state);
  state.sweep = () => Promise.reject(new Error('busy'));
  a.rejects = true;
  await house.pass(LIMITS.housekeepingMs * 4);
  const told = house.warnings.filter((warning) => warning.startsWith('housekeeping'));
  assert.ok(
    told.includes('housekeeping: sweep') && told.includes('housekeeping: trim'),
    told.join(),
  );
  assert.equal(journal.first, 0);
  state.sweep = sweep;
  a.rejects = false;
  await house.putNow('more', 'v');
  await house.pass(LIMITS.housekeepingMs * 8);
  assert.ok(journal.first > 0);
});

test('housekeeping sweeps receipts past their time, and stops with the program', async () => {
  const { house } = await build();
  const { uow } = await house.putNow('k', 'v');
  house.wallJumpMs = LIMITS.receiptKeepMs + 1000;
  await house.pass(LIMITS.housekeepingMs * 2);
  assert.equal(await house.state.receipt(uow), null);
  const { housekeeping } = house.engine;
  const turn = housekeeping.run();
  const stopping = house.wait(housekeeping.stop());
  await house.wait(turn);
  await stopping;
  await house.wait(housekeeping.run());
});

test('while the reader cannot be read a condition waits, and nothing is sent', async () => {
  const { house, a, reader } = await build();
  reader.getFails = true;
  const asked = house.put('k', 'v', { conditions: [{ if: 'absent' }], waitMs: 60_000 });
  await house.pass(2000);
  assert.equal(asked.answer, null);
  assert.ok(reader.calls.filter((call) => call === 'get k').length > 3);
  assert.ok(!a.calls.some((call) => call.startsWith('apply')));
  reader.getFails = false;
  await house.until('answered', () => asked.answer !== null);
  assert.equal(asked.outcome, 'committed');
});

test('each condition is judged as HTTP defines it, on the committed value', async () => {
  const { house } = await build();
  const etags = [digestOf(Buffer.from('v'))];
  const judged = async (key: string, condition: Parameters<House['put']>[2]): Promise<boolean> => {
    return (await house.putNow(key, 'v', condition ?? {})).code === null;
  };
  const table: [Parameters<House['put']>[2], boolean, boolean][] = [
    [{ conditions: [{ if: 'exists' }] }, false, true],
    [{ conditions: [{ if: 'match', etags }] }, false, true],
    [{ conditions: [{ if: 'match', etags: ['other'] }] }, false, false],
    [{ conditions: [{ if: 'none-match', etags }] }, true, false],
    [{ conditions: [{ if: 'none-match', etags: ['other'] }] }, true, true],
    [{ conditions: [{ if: 'absent' }] }, true, false],
    [{ conditions: [{ if: 'exists' }, { if: 'match', etags: ['other'] }] }, false, false],
  ];
  await house.putNow('there', 'v');
  for (const [at, [options, whenAbsent, whenThere]] of table.entries()) {
    assert.equal(await judged(`absent${at}`, options), whenAbsent, `${at} absent`);
    assert.equal(await judged('there', options), whenThere, `${at} there`);
  }
});

test('a breaker that opens meanwhile fails the rest without sending them', async () => {
  for (const which of ['a', 'reader'] as const) {
    const place = await build();
    const { house } = place;
    const ill = place[which];
    ill.says = () => 'outage';
    const first = Array.from({ length: LIMITS.breakerFailuresMax }, (_, at) =>
      house.put(`k${at}`, 'v'),
    );
    // These wait behind the first on one key each, so they are sent after the breaker has opened.
    const behind = [0, 1, 2].map((at) => {
      return house.put(`k${at}`, 'w', { conditions: [{ if: 'absent' }] });
    });
    await house.until('all', () => [...first, ...behind].every(({ answer }) => answer !== null));
    for (const { code } of behind) assert.equal(code, 'failed');
    const sent = ill.calls.filter((call) => call.startsWith('apply')).length;
    assert.equal(sent, LIMITS.breakerFailuresMax, which);
    const { answer } = behind[0] ?? { answer: null };
    assert.ok(answer?.answer === 'settled');
    const line = answer.receipt.report.find(({ stash }) => stash === ill.id);
    assert.match(line?.detail ?? '', /not sent/);
  }
});
