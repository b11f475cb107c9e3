/** The lines of the State suite on receipts, idempotency, documents, cursors and sweeping. */
import assert from 'node:assert/strict';
import { HOSTILE_KEYS, START_MS } from './bench.ts';
import {
  JOURNAL,
  commit,
  documentRow,
  failed,
  failureRow,
  isBadCursor,
  once,
  paged,
  receiptRow,
  settled,
  used,
  written,
  type StateBench,
} from './state-rows.ts';
import type { Line } from './suite.ts';

const RECEIPT_LINES: readonly Line<StateBench>[] = [
  {
    promise: 'a receipt comes back whole',
    async check(bench) {
      const rows = [
        receiptRow(1, { keys: HOSTILE_KEYS, report: [] }),
        receiptRow(2, { kind: 'delete', existed: true, outcome: 'superseded' }),
        receiptRow(3, { existed: false, outcome: 'failed', attempt: 7 }),
        receiptRow(Number.MAX_SAFE_INTEGER, { settledAt: START_MS }),
      ];
      await commit(bench, ...rows.map(settled));
      for (const row of rows) assert.deepEqual(await bench.state.receipt(row.uow), row);
      assert.equal(await bench.state.receipt(4), null);
    },
  },
  {
    promise: 'the receipt of a later attempt takes the place of the earlier one',
    async check(bench) {
      await commit(bench, settled(receiptRow(1, { outcome: 'refused' })));
      await commit(bench, settled(receiptRow(1, { attempt: 2 })));
      assert.deepEqual(await bench.state.receipt(1), receiptRow(1, { attempt: 2 }));
      assert.deepEqual((await bench.state.rejections({}, null, 10)).items, []);
    },
  },
  {
    promise: 'rejections are the refused writes, newest first',
    async check(bench) {
      const settledAt = START_MS + 100;
      await commit(
        bench,
        settled(receiptRow(1, { outcome: 'refused' })),
        settled(receiptRow(2)),
        settled(receiptRow(3, { outcome: 'refused', settledAt })),
        settled(receiptRow(4, { outcome: 'failed' })),
        settled(receiptRow(5, { outcome: 'refused' })),
      );
      const page = await bench.state.rejections({}, null, 10);
      assert.deepEqual(
        page.items.map((row) => row.uow),
        [3, 5, 1],
      );
      assert.deepEqual(page.items[1], receiptRow(5, { outcome: 'refused' }));
    },
  },
  {
    promise: 'rejections are filtered by account and flow',
    async check(bench) {
      const outcome = 'refused';
      await commit(
        bench,
        settled(receiptRow(1, { outcome, account: 'other' })),
        settled(receiptRow(2, { outcome, flow: 'other' })),
        settled(receiptRow(3, { outcome })),
      );
      const uows = async (filter: { account?: string; flow?: string }): Promise<number[]> => {
        const page = await bench.state.rejections(filter, null, 10);
        return page.items.map((row) => row.uow);
      };
      assert.deepEqual(await uows({ account: 'acme' }), [3, 2]);
      assert.deepEqual(await uows({ account: 'acme', flow: 'orders' }), [3]);
      assert.deepEqual(await uows({ flow: 'orders' }), [3, 1]);
    },
  },
  {
    promise: 'rejections come page by page, each once',
    async check(bench) {
      const more = { outcome: 'refused', settledAt: START_MS } as const;
      const rows = Array.from({ length: 25 }, (_, n) => receiptRow(n + 1, more));
      await commit(bench, ...rows.map(settled));
      const all = await paged((cursor) => bench.state.rejections({}, cursor, 4), 4);
      assert.deepEqual(
        all.map((row) => row.uow),
        rows.map((row) => row.uow).reverse(),
      );
    },
  },
];

const OTHER_LINES: readonly Line<StateBench>[] = [
  {
    promise: 'an idempotency key is found by its scope and exact text until its time',
    async check(bench) {
      const keys = HOSTILE_KEYS.map((key, at) => once(key, { uow: at + 1 }));
      await commit(bench, ...keys.map(used), used(once('a', { scope: 'acme/other', uow: 900 })));
      for (const row of keys) {
        assert.deepEqual(await bench.state.idempotency(row.scope, row.key, START_MS + 99), row);
      }
      assert.equal((await bench.state.idempotency('acme/other', 'a', START_MS))?.uow, 900);
      assert.equal(await bench.state.idempotency('other', 'a', START_MS), null);
      assert.equal(await bench.state.idempotency('acme/orders', 'never', START_MS), null);
    },
  },
  {
    promise: 'an idempotency key past its time is unknown though it was not swept',
    async check(bench) {
      await commit(bench, used(once('k', { until: START_MS + 100 })));
      assert.equal(await bench.state.idempotency('acme/orders', 'k', START_MS + 100), null);
    },
  },
  {
    promise: 'a document comes back whole, is replaced, and goes',
    async check(bench) {
      const row = documentRow('j', { account: 'acme', until: START_MS });
      await commit(bench, written(row), written(documentRow('j', { kind: 'other', body: 1 })));
      assert.deepEqual(await bench.state.document('job', 'j'), row);
      await commit(bench, written({ ...row, body: null }));
      assert.deepEqual(await bench.state.document('job', 'j'), { ...row, body: null });
      await commit(bench, { change: 'document-gone', kind: 'job', id: 'j' });
      assert.equal(await bench.state.document('job', 'j'), null);
      assert.equal((await bench.state.document('other', 'j'))?.body, 1);
    },
  },
  {
    promise: 'documents of one kind come page by page, in a stable order, each once',
    async check(bench) {
      const rows = HOSTILE_KEYS.map((id) => documentRow(id));
      await commit(bench, ...rows.map(written), written(documentRow('x', { kind: 'other' })));
      const read = (cursor: string | null) => bench.state.documents('job', cursor, 7);
      const ids = (await paged(read, 7)).map((row) => row.id);
      assert.deepEqual([...ids].sort(), [...HOSTILE_KEYS].sort());
      const again = (await bench.state.documents('job', null, 1000)).items.map((row) => row.id);
      assert.deepEqual(again, ids);
    },
  },
  {
    promise: 'a cursor that is not ours, or of another listing, is turned away',
    async check({ state }) {
      const rows = [1, 2].map((uow) => failureRow(uow));
      const receipts = [1, 2].map((uow) => receiptRow(uow, { outcome: 'refused' }));
      const documents = ['a', 'b'].map((id) => documentRow(id));
      const changes = [...rows.map(failed), ...receipts.map(settled), ...documents.map(written)];
      await state.commit(JOURNAL, 1, changes);
      const a = (await state.failures({}, null, 1)).cursor;
      const b = (await state.rejections({}, null, 1)).cursor;
      const c = (await state.documents('job', null, 1)).cursor;
      assert.ok(a !== null && b !== null && c !== null);
      for (const bad of ['', 'x', '!', b, c]) {
        await assert.rejects(state.failures({}, bad, 1), isBadCursor);
      }
      for (const bad of ['', 'x', a, c]) {
        await assert.rejects(state.rejections({}, bad, 1), isBadCursor);
      }
      for (const bad of ['', 'x', a, b]) {
        await assert.rejects(state.documents('job', bad, 1), isBadCursor);
      }
      await assert.rejects(state.documents('other', c, 1), isBadCursor);
    },
  },
  {
    promise: 'sweep drops receipts settled before the moment given, and no others',
    async check(bench) {
      await commit(
        bench,
        settled(receiptRow(1, { settledAt: START_MS + 50 })),
        settled(receiptRow(2, { settledAt: START_MS + 10 })),
        settled(receiptRow(3, { settledAt: START_MS + 20, outcome: 'refused' })),
      );
      assert.equal(await bench.state.sweep(START_MS, START_MS + 20, 100), 1);
      assert.equal(await bench.state.receipt(2), null);
      assert.ok((await bench.state.receipt(1)) !== null && (await bench.state.receipt(3)) !== null);
    },
  },
  {
    promise: 'sweep drops idempotency keys and documents past their time, and no others',
    async check(bench) {
      await commit(
        bench,
        used(once('old', { until: START_MS })),
        used(once('new', { until: START_MS + 1 })),
        written(documentRow('old', { until: START_MS })),
        written(documentRow('new', { until: START_MS + 1 })),
        written(documentRow('kept')),
        failed(failureRow(1)),
      );
      assert.equal(await bench.state.sweep(START_MS, 0, 100), 2);
      assert.equal(await bench.state.idempotency('acme/orders', 'old', 0), null);
      assert.ok((await bench.state.idempotency('acme/orders', 'new', 0)) !== null);
      const { items } = await bench.state.documents('job', null, 10);
      assert.deepEqual(
        items.map((row) => row.id),
        ['kept', 'new'],
      );
      assert.equal(await bench.state.failureCount(), 1);
    },
  },
  {
    promise: 'sweep drops at most as many rows as it may, and comes to an end',
    async check(bench) {
      const rows = Array.from({ length: 25 }, (_, n) => receiptRow(n + 1));
      await commit(bench, ...rows.map(settled), used(once('k', { until: 1 })));
      const gone: number[] = [];
      for (let round = 0; round < 4; round += 1) {
        gone.push(await bench.state.sweep(START_MS, START_MS + 1000, 10));
      }
      assert.deepEqual(gone, [10, 10, 6, 0]);
    },
  },
];

export const VIEW_LINES: readonly Line<StateBench>[] = [...RECEIPT_LINES, ...OTHER_LINES];
