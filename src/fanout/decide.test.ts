/** The table of decisions: each row, the whole of it, each situation on the running path. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { House, lane } from '../../test/rules/house.ts';
import { Store, type Say } from '../../test/rules/store.ts';
import { LIMITS } from '../kernel/limits.ts';
import { DECISIONS, decide, decisionTable, rowFor, type Decision, type Facts } from './decide.ts';

const QUIET: Facts = {
  awaited: false,
  unknown: false,
  refused: false,
  failed: false,
  reader: 'not-sent',
  readerSentBefore: false,
  mayAbort: true,
};

interface Case {
  readonly row: number;
  readonly facts: Partial<Facts>;
  readonly decision: Decision;
  /** Facts that differ in one thing, and are another row. */
  readonly not: Partial<Facts>;
}

const CASES: readonly Case[] = [
  { row: 0, facts: { reader: 'stored', awaited: true }, decision: 'commit', not: {} },
  { row: 1, facts: { reader: 'awaited' }, decision: 'wait', not: { reader: 'stored' } },
  {
    row: 2,
    facts: { reader: 'unknown', refused: true },
    decision: 'reader-again',
    not: { reader: 'refused' },
  },
  {
    row: 3,
    facts: { reader: 'refused' },
    decision: 'abort-refused',
    not: { reader: 'refused', readerSentBefore: true },
  },
  {
    row: 4,
    facts: { reader: 'failed' },
    decision: 'abort-failed',
    not: { reader: 'failed', mayAbort: false },
  },
  {
    row: 5,
    facts: { reader: 'failed', readerSentBefore: true },
    decision: 'reader-again',
    not: { reader: 'failed' },
  },
  { row: 6, facts: { awaited: true, refused: true }, decision: 'wait', not: { refused: true } },
  {
    row: 7,
    facts: { refused: true, failed: true, unknown: true },
    decision: 'abort-refused',
    not: { failed: true },
  },
  {
    row: 8,
    facts: { failed: true, unknown: true },
    decision: 'abort-failed',
    not: { failed: true, mayAbort: false },
  },
  {
    row: 9,
    facts: { refused: true, mayAbort: false },
    decision: 'apply-again',
    not: { refused: true },
  },
  {
    row: 10,
    facts: { failed: true, mayAbort: false },
    decision: 'apply-again',
    not: { failed: true },
  },
  { row: 11, facts: { unknown: true }, decision: 'apply-again', not: {} },
  { row: 12, facts: {}, decision: 'apply-reader', not: { unknown: true } },
];

const BOTH = [false, true];
const VALUES: { readonly [K in keyof Facts]: readonly Facts[K][] } = {
  awaited: BOTH,
  unknown: BOTH,
  refused: BOTH,
  failed: BOTH,
  reader: ['not-sent', 'awaited', 'stored', 'refused', 'failed', 'unknown'],
  readerSentBefore: BOTH,
  mayAbort: BOTH,
};

/** Every combination of facts. */
function combinations(): Facts[] {
  let all: Facts[] = [QUIET];
  for (const [name, values] of Object.entries(VALUES)) {
    all = all.flatMap((facts) => values.map((value) => ({ ...facts, [name]: value })));
  }
  return all;
}

describe('the rows of the table', () => {
  for (const { row, facts, decision, not } of CASES) {
    const { situation } = DECISIONS[row] ?? { situation: 'no such row' };
    it(`${situation}: ${decision}`, () => {
      assert.equal(DECISIONS.indexOf(rowFor({ ...QUIET, ...facts })), row);
      assert.equal(decide({ ...QUIET, ...facts }), decision);
      assert.notEqual(DECISIONS.indexOf(rowFor({ ...QUIET, ...not })), row, 'the control');
    });
  }

  it('have a case here each', () => {
    assert.deepEqual(
      CASES.map(({ row }) => row),
      DECISIONS.map((_, at) => at),
    );
  });
});

describe('the table as a whole', () => {
  it('leaves no combination of facts without a row, and no row that none reaches', () => {
    const reached = new Set<number>();
    let count = 0;
    for (const facts of combinations()) {
      count += 1;
      reached.add(DECISIONS.indexOf(rowFor(facts)));
      assert.equal(decide(facts), rowFor(facts).decision);
      assert.equal(decide(facts), rowFor(facts).decision, 'and again, remembered');
    }
    assert.equal(count, 2 ** 6 * 6);
    assert.deepEqual(
      [...reached].sort((a, b) => a - b),
      DECISIONS.map((_, at) => at),
    );
  });

  it('never aborts what may not be aborted, nor what the reader may have', () => {
    for (const facts of combinations()) {
      const decision = decide(facts);
      if (decision !== 'abort-refused' && decision !== 'abort-failed') continue;
      assert.ok(facts.mayAbort, JSON.stringify(facts));
      assert.ok(!['stored', 'awaited', 'unknown'].includes(facts.reader), JSON.stringify(facts));
      if (facts.reader !== 'not-sent') assert.ok(!facts.readerSentBefore, JSON.stringify(facts));
    }
  });

  it('sends the reader nothing while a stash before it is not done with it', () => {
    for (const facts of combinations()) {
      if (decide(facts) !== 'apply-reader') continue;
      const { awaited, unknown, refused, failed, reader } = facts;
      assert.ok(!awaited && !unknown && !refused && !failed && reader === 'not-sent');
    }
  });

  it('is shown whole in the docs', () => {
    const lines = decisionTable().trimEnd().split('\n');
    assert.equal(lines.length, DECISIONS.length + 2);
    assert.match(decisionTable(), /\| reader: refused or failed \| reader-again \|/);
    assert.match(decisionTable(), /not sent before, may abort/);
  });
});

interface Place {
  readonly house: House;
  readonly a: Store;
  readonly b: Store;
  readonly reader: Store;
}

async function build(): Promise<Place> {
  const a = new Store('a');
  const b = new Store('b');
  const reader = new Store('reader', { overwrites: true });
  const house = new House({ before: [a, b], reader });
  await house.start();
  return { house, a, b, reader };
}

interface Situation {
  readonly name: string;
  readonly a?: Say;
  readonly b?: Say;
  readonly reader?: Say;
  readonly outcome: string;
}

const SITUATIONS: readonly Situation[] = [
  { name: 'every non-reader declined or stored', a: 'declined', outcome: 'committed' },
  { name: 'a refusal, no failure', a: 'refused', outcome: 'refused' },
  { name: 'a refusal among failures', a: 'failed', b: 'refused', outcome: 'refused' },
  { name: 'a refusal beside an unknown', a: 'late', b: 'refused', outcome: 'refused' },
  { name: 'a failure, no refusal', b: 'failed', outcome: 'failed' },
  { name: 'not sent is a definite failure', b: 'not-sent', outcome: 'failed' },
  { name: 'the reader refused at once', reader: 'refused', outcome: 'refused' },
  { name: 'the reader failed at once', reader: 'failed', outcome: 'failed' },
  { name: 'the reader declined', reader: 'declined', outcome: 'committed' },
];

describe('situations on the running path', () => {
  for (const { name, outcome, ...says } of SITUATIONS) {
    it(`${name}: ${outcome}, in all stores or in none`, async () => {
      const { house, a, b, reader } = await build();
      a.says = () => says.a ?? 'stored';
      b.says = () => says.b ?? 'stored';
      reader.says = () => says.reader ?? 'stored';
      const asked = await house.putNow('k', 'v');
      assert.equal(asked.outcome, outcome);
      a.deliverLate();
      const there = [a, b, reader].filter((store) => store.live(lane('k')).length > 0).length;
      const wanted = [says.a, says.b, says.reader].filter((say) => say !== 'declined').length;
      assert.equal(there, outcome === 'committed' ? wanted : 0);
    });
  }

  for (const say of ['lost', 'dropped', 'late'] as const) {
    it(`sent, no reply (${say}), not the reader: fence, then apply again`, async () => {
      const { house, a } = await build();
      a.says = (_attempt, nth) => (nth === 1 ? say : 'stored');
      assert.equal((await house.putNow('k', 'v')).outcome, 'committed');
      const applied = `apply 1.1`;
      assert.deepEqual(a.calls.slice(0, 3), [applied, 'fence', applied]);
    });

    it(`the reader: ${say}: forward only, lanes held`, async () => {
      const { house, a, reader } = await build();
      reader.says = (_attempt, nth) => (nth === 1 ? say : nth < 4 ? 'refused' : 'stored');
      assert.equal((await house.putNow('k', 'v')).outcome, 'committed');
      assert.ok(!a.calls.some((call) => call.startsWith('undo')));
    });
  }

  it('a breaker that opened: not sent, failed with the time to wait', async () => {
    const { house, a, reader } = await build();
    a.says = () => 'outage';
    const held = Array.from({ length: LIMITS.breakerFailuresMax + 5 }, (_, at) => {
      return house.put(`k${at}`, 'v', { conditions: [{ if: 'absent' }] });
    });
    reader.hold();
    await house.pass(5);
    reader.release();
    await house.until('all', () => held.every(({ answer }) => answer !== null));
    for (const { code } of held) assert.equal(code, 'failed');
    assert.ok(house.engine.fanout.driver('a').breaker.open);
  });

  it('the caller’s wait ends first: 202, and the write is ours from there', async () => {
    const { house, a } = await build();
    a.hold();
    const asked = await house.putNow('k', 'v', { waitMs: 50 });
    assert.equal(asked.answer?.answer, 'held');
    assert.ok((await house.storyOf(asked.uow)).includes('owned'), 'it is on disk that we own it');
    a.release();
    await house.quiet();
    assert.equal(await house.outcomeOf(asked.uow), 'committed');
  });

  it('the caller disconnects: the write goes on', async () => {
    const { house } = await build();
    house.engine.submit(
      {
        account: 'acme',
        flow: 'settled',
        kind: 'set',
        key: 'k',
        body: Buffer.from('v'),
        ttlMs: undefined,
        conditions: [],
        idempotencyKey: null,
        respond: null,
        waitMs: 1000,
        requestId: 'gone',
      },
      () => {},
    );
    await house.pass(100);
    assert.equal(await house.outcomeOf(1), 'committed');
  });

  it('failed, the caller was told: fail queue, lanes free, not retried by itself', async () => {
    const { house, a } = await build();
    a.says = () => 'failed';
    const asked = await house.putNow('k', 'v');
    assert.equal(asked.code, 'failed');
    const row = await house.state.failure(asked.uow);
    assert.ok(row !== null && !row.parked && row.retryAt === null && row.report.length > 0);
    a.says = () => 'stored';
    assert.equal((await house.putNow('k', 'w')).outcome, 'committed');
    await house.pass(100_000);
    assert.ok(!a.calls.includes(`apply ${asked.uow}.2`));
  });

  it('failed, acknowledged with 202: keys parked, retried, then waits for a person', async () => {
    const { house, a } = await build();
    a.says = () => 'failed';
    const asked = await house.putNow('k', 'v', { respond: 'held' });
    await house.until('parked', () => house.engine.parking.size === 1);
    await house.pass(1000 + 6000 + 36_000 + 1000);
    assert.ok(a.calls.includes(`apply ${asked.uow}.4`), 'three times by itself, ever later');
    // The other pauses take three days: a person cuts them short.
    for (let attempt = 5; attempt <= 1 + LIMITS.retriesMax; attempt += 1) {
      await house.wait(house.engine.parking.retry(asked.uow));
      await house.pass(100);
    }
    const tries = a.calls.filter((call) => call.startsWith('apply')).length;
    assert.equal(tries, 1 + LIMITS.retriesMax);
    const [parked] = house.engine.parking.lanes();
    assert.ok(parked !== undefined && parked.uow === asked.uow && parked.retryAt === null);
    assert.equal((await house.putNow('k', 'w')).code, 'key-parked');
  });

  it('429 from a store: a failure that asks for time, honoured before the next try', async () => {
    const { house, a } = await build();
    a.says = ({ attempt }) => (attempt === 1 ? 'busy' : 'stored');
    const asked = await house.putNow('k', 'v', { respond: 'held' });
    await house.until('parked', () => house.engine.parking.size === 1);
    const from = house.engine.clock.wallMs();
    assert.equal(house.engine.parking.lanes()[0]?.retryAt, from + 60_000);
    await house.pass(59_000);
    assert.ok(!a.calls.includes(`apply ${asked.uow}.2`));
    await house.pass(2000);
    assert.equal(await house.outcomeOf(asked.uow), 'committed');
    a.says = () => 'busy';
    const told = await house.putNow('x', 'v');
    assert.ok(told.answer?.answer === 'settled' && told.answer.fault?.retryAfterMs === 60_000);
  });

  it('start, no outcome and no abort: applied to all again, forward', async () => {
    const { house, a, b, reader } = await build();
    a.hold();
    const asked = await house.putNow('k', 'v', { respond: 'held' });
    house.crash('power');
    await house.start();
    await house.quiet();
    assert.equal(await house.outcomeOf(asked.uow), 'committed');
    for (const store of [a, b, reader]) assert.equal(store.live(lane('k')).length, 1);
  });

  it('start, abort decided: undo completed, settled', async () => {
    const { house, a, b } = await build();
    a.says = () => 'refused';
    b.undoSays = () => 'failed';
    const asked = await house.putNow('k', 'v', { respond: 'held' });
    await house.until('undo', () => b.calls.includes(`undo ${asked.uow}.1`));
    house.crash('process');
    b.undoSays = () => 'undone';
    await house.start();
    await house.quiet();
    assert.equal(await house.outcomeOf(asked.uow), 'refused');
    assert.deepEqual(b.live(lane('k')), []);
  });

  it('a delete: a marker where versions are kept, undone like any write', async () => {
    const { house, a, reader } = await build();
    const first = await house.putNow('k', 'v');
    reader.says = ({ kind }) => (kind === 'delete' ? 'refused' : 'stored');
    const refused = await house.putNow('k', '', { kind: 'delete' });
    assert.equal(refused.outcome, 'refused');
    assert.deepEqual(a.live(lane('k')), [`${first.uow}.1`]);
    reader.says = () => 'stored';
    const done = await house.putNow('k', '', { kind: 'delete' });
    assert.ok(done.answer?.answer === 'settled' && done.answer.existed === true);
    assert.equal(a.newest(lane('k'))?.kind, 'delete');
    const again = await house.putNow('k', '', { kind: 'delete' });
    assert.ok(again.answer?.answer === 'settled' && again.answer.existed === false);
  });

  it('undo finds a later foreign change: parked for a person, after a crash too', async () => {
    const { house, a, b } = await build();
    a.says = () => 'failed';
    b.undoSays = () => 'undo-conflict';
    const asked = await house.putNow('k', 'v', { respond: 'held' });
    await house.pass(100);
    for (const crashed of [false, true]) {
      if (crashed) {
        house.crash('power');
        await house.start();
      }
      const [parked] = house.engine.parking.lanes();
      assert.ok(parked !== undefined && parked.retryAt === null, `crashed: ${crashed}`);
      assert.equal(parked.reason, 'undo-conflict');
      const retried = await house.wait(house.engine.parking.retry(asked.uow));
      assert.ok('code' in retried && retried.code === 'conflict');
    }
    await house.wait(house.engine.parking.discard(asked.uow));
    assert.equal(await house.state.failure(asked.uow), null);
    assert.equal(house.engine.parking.size, 0);
  });
});
