/** The conformance suite of State: one line per promise of src/contracts/state.ts. */
import assert from 'node:assert/strict';
import { HOSTILE_KEYS, START_MS } from './bench.ts';
import {
  JOURNAL,
  commit,
  documentRow,
  failed,
  failureRow,
  listed,
  once,
  paged,
  receiptRow,
  settled,
  used,
  written,
  type StateBench,
} from './state-rows.ts';
import { VIEW_LINES } from './state-views.ts';
import type { Line } from './suite.ts';

const COMMIT_LINES: readonly Line<StateBench>[] = [
  {
    promise: 'a new State is at position 0 and of no journal',
    async check({ state }) {
      assert.equal(await state.appliedTo(), 0);
      assert.equal(await state.journalId(), null);
    },
  },
  {
    promise: 'a commit moves the position and names the journal',
    async check({ state }) {
      await state.commit(JOURNAL, 2 ** 50, []);
      assert.equal(await state.appliedTo(), 2 ** 50);
      assert.equal(await state.journalId(), JOURNAL);
    },
  },
  {
    promise: 'a commit that cannot be applied whole is not applied at all',
    async check(bench) {
      await commit(bench, settled(receiptRow(1)));
      const changes = [
        settled(receiptRow(2)),
        written(documentRow('j', { body: () => 'no JSON' })),
      ];
      await assert.rejects(bench.state.commit(JOURNAL, 11, changes));
      assert.equal(await bench.state.receipt(2), null);
      assert.equal(await bench.state.appliedTo(), 10);
    },
  },
  {
    promise: 'the changes of one commit are applied in order',
    async check(bench) {
      await commit(bench, failed(failureRow(1)), { change: 'failure-gone', uow: 1 });
      assert.equal(await bench.state.failure(1), null);
    },
  },
  {
    promise: 'applying changes again gives the same tables',
    async check(bench) {
      const changes = [
        failed(failureRow(1)),
        settled(receiptRow(1, { outcome: 'refused' })),
        used(once('k')),
        written(documentRow('j')),
        { change: 'failure-gone', uow: 9 } as const,
        { change: 'document-gone', kind: 'job', id: 'none' } as const,
      ];
      await commit(bench, ...changes);
      await commit(bench, ...changes);
      assert.deepEqual(await bench.state.failure(1), failureRow(1));
      assert.equal(await bench.state.failureCount(), 1);
      assert.deepEqual(await bench.state.failuresOn('acme', 'orders', ['key 1']), [1]);
      const refused = await bench.state.rejections({}, null, 10);
      assert.equal(refused.items.length, 1);
      assert.deepEqual(await bench.state.document('job', 'j'), documentRow('j'));
    },
  },
  {
    promise: 'what was committed survives the death of the process',
    async check(bench) {
      await commit(bench, failed(failureRow(1)), settled(receiptRow(2)), used(once('k')));
      await bench.state.flush();
      await commit(bench, written(documentRow('j')));
      const again = await bench.reopen();
      assert.deepEqual(await again.failure(1), failureRow(1));
      assert.deepEqual(await again.receipt(2), receiptRow(2));
      assert.deepEqual(await again.idempotency('acme/orders', 'k', START_MS), once('k'));
      assert.deepEqual(await again.document('job', 'j'), documentRow('j'));
      assert.equal(await again.appliedTo(), 10);
      assert.equal(await again.journalId(), JOURNAL);
    },
  },
];

const FAILURE_LINES: readonly Line<StateBench>[] = [
  {
    promise: 'a failure comes back whole, its plan byte for byte',
    async check(bench) {
      const row = failureRow(1, { keys: HOSTILE_KEYS, parked: true, retryAt: 5, status: 'ECONN' });
      await commit(bench, failed(row), failed(failureRow(2, { status: null })));
      assert.deepEqual(await bench.state.failure(1), row);
      assert.deepEqual(await bench.state.failure(2), failureRow(2, { status: null }));
      assert.equal(await bench.state.failure(3), null);
    },
  },
  {
    promise: 'a failure written again takes the place of the old one, keys included',
    async check(bench) {
      await commit(bench, failed(failureRow(1, { keys: ['a', 'b'] })));
      await commit(bench, failed(failureRow(1, { keys: ['b', 'c'], attempt: 2 })));
      assert.equal((await bench.state.failure(1))?.attempt, 2);
      assert.deepEqual(await bench.state.failuresOn('acme', 'orders', ['a']), []);
      assert.deepEqual(await bench.state.failuresOn('acme', 'orders', ['b', 'c']), [1]);
      assert.equal(await bench.state.failureCount(), 1);
    },
  },
  {
    promise: 'a failure that is gone is gone from every view',
    async check(bench) {
      await commit(bench, failed(failureRow(1)), failed(failureRow(2)));
      await commit(bench, { change: 'failure-gone', uow: 1 });
      assert.equal(await bench.state.failure(1), null);
      assert.deepEqual(await listed(bench, {}), [2]);
      assert.deepEqual(await bench.state.failuresOn('acme', 'orders', ['key 1']), []);
      assert.equal(await bench.state.failureCount(), 1);
    },
  },
  {
    promise: 'failures on keys are found by account, flow and exact key, each once',
    async check(bench) {
      await commit(
        bench,
        failed(failureRow(1, { keys: ['a', 'b'] })),
        failed(failureRow(2, { keys: ['b'] })),
        failed(failureRow(3, { keys: ['b'], flow: 'other' })),
        failed(failureRow(4, { keys: ['b'], account: 'other' })),
        failed(failureRow(5, { keys: ['B', '%', 'b '] })),
      );
      const found = await bench.state.failuresOn('acme', 'orders', ['a', 'b', 'none']);
      assert.deepEqual(
        [...found].sort((a, b) => a - b),
        [1, 2],
      );
    },
  },
  {
    promise: 'failures are listed oldest first, without their plans',
    async check(bench) {
      await commit(
        bench,
        failed(failureRow(1, { firstFailedAt: START_MS + 9 })),
        failed(failureRow(2, { firstFailedAt: START_MS + 3 })),
        failed(failureRow(3, { firstFailedAt: START_MS + 3 })),
      );
      const page = await bench.state.failures({}, null, 10);
      assert.deepEqual(
        page.items.map((row) => [row.uow, row.plan.length, row.report.length]),
        [
          [2, 0, 1],
          [3, 0, 1],
          [1, 0, 1],
        ],
      );
    },
  },
  {
    promise: 'failures are filtered by account, flow, stash, status, words and time',
    async check(bench) {
      const rows = [
        failureRow(1, { account: 'other' }),
        failureRow(2, { flow: 'other' }),
        failureRow(3, { stash: 'crm' }),
        failureRow(4, { status: 'timeout' }),
        failureRow(5, { reason: 'history: 100% full' }),
        failureRow(6, { keys: ['plain', '100% key'] }),
      ];
      await commit(bench, ...rows.map(failed));
      const { length } = rows;
      assert.deepEqual(await listed(bench, { account: 'other' }), [1]);
      assert.deepEqual(await listed(bench, { account: 'acme', flow: 'other' }), [2]);
      assert.deepEqual(await listed(bench, { stash: 'crm' }), [3]);
      assert.deepEqual(await listed(bench, { status: 'timeout' }), [4]);
      assert.equal((await listed(bench, { status: '503' })).length, length - 1);
      assert.deepEqual(await listed(bench, { q: '100%' }), [5, 6]);
      assert.deepEqual(await listed(bench, { q: '1_0' }), []);
      assert.deepEqual(await listed(bench, { from: START_MS + 3, to: START_MS + 5 }), [3, 4]);
    },
  },
  {
    promise: 'failures come page by page, each once',
    async check(bench) {
      const at = START_MS;
      const rows = Array.from({ length: 25 }, (_, n) => failureRow(n + 1, { firstFailedAt: at }));
      await commit(bench, ...rows.map(failed));
      const read = (cursor: string | null) => bench.state.failures({}, cursor, 4);
      const all = await paged(read, 4);
      assert.deepEqual(
        all.map((row) => row.uow),
        rows.map((row) => row.uow),
      );
    },
  },
];

/** Every line, in the order of the contract. */
export const STATE_LINES: readonly Line<StateBench>[] = [
  ...COMMIT_LINES,
  ...FAILURE_LINES,
  ...VIEW_LINES,
];
