/**
 * State in SQLite (`state.db`): the fail queue, receipts, idempotency and documents.
 *
 * Receipts are the hot table: one row per write, appended in the order of uows, with everything
 * that is only shown packed into one JSON text.
 */
import { join } from 'node:path';
import type { SQLInputValue, StatementSync } from 'node:sqlite';
import { DiskFull } from '../../contracts/journal.ts';
import type { StateAdapter } from '../../contracts/spec.ts';
import type {
  DocumentRow,
  FailureFilter,
  FailureRow,
  IdempotencyRow,
  ReceiptRow,
  State,
  StateChange,
  StatePage,
} from '../../contracts/state.ts';
import type { EpochMs, Outcome, Position, Uow } from '../../kernel/words.ts';
import { cursorOf, documentOfCursor, pageOf, timeOfCursor } from '../cursor.ts';
import { Connection, SQLITE_FULL, StoreTrouble, type DatabaseShape } from './connection.ts';

const SHAPE: DatabaseShape = {
  applicationId: 0x48665374,
  version: 1,
  cacheKiB: 32 * 1024,
  tables: `
    CREATE TABLE meta (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      journal_id TEXT,
      applied_to INTEGER NOT NULL
    ) STRICT;
    INSERT INTO meta VALUES (1, NULL, 0);
    CREATE TABLE receipt (
      uow INTEGER PRIMARY KEY,
      outcome INTEGER NOT NULL,
      settled_at INTEGER NOT NULL,
      account TEXT NOT NULL,
      flow TEXT NOT NULL,
      body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX receipt_age ON receipt (settled_at);
    CREATE INDEX receipt_refused ON receipt (settled_at, uow) WHERE outcome = 1;
    CREATE INDEX receipt_refused_of ON receipt (account, flow, settled_at, uow) WHERE outcome = 1;
    CREATE TABLE failure (
      uow INTEGER PRIMARY KEY,
      first_failed_at INTEGER NOT NULL,
      account TEXT NOT NULL,
      flow TEXT NOT NULL,
      stash TEXT NOT NULL,
      status TEXT,
      reason TEXT NOT NULL,
      body TEXT NOT NULL,
      plan BLOB NOT NULL
    ) STRICT;
    CREATE INDEX failure_age ON failure (first_failed_at, uow);
    CREATE TABLE failure_key (
      account TEXT NOT NULL,
      flow TEXT NOT NULL,
      key TEXT NOT NULL,
      uow INTEGER NOT NULL,
      PRIMARY KEY (account, flow, key, uow)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX failure_key_uow ON failure_key (uow);
    CREATE TABLE idempotency (
      scope TEXT NOT NULL,
      key TEXT NOT NULL,
      digest TEXT NOT NULL,
      uow INTEGER NOT NULL,
      until INTEGER NOT NULL,
      PRIMARY KEY (scope, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX idempotency_until ON idempotency (until);
    CREATE TABLE document (
      kind TEXT NOT NULL,
      id TEXT NOT NULL,
      account TEXT,
      body TEXT NOT NULL,
      until INTEGER,
      PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX document_until ON document (until) WHERE until IS NOT NULL`,
};

const OUTCOMES: readonly Outcome[] = ['committed', 'refused', 'failed', 'superseded'];
const REFUSED = 1;
const NO_PLAN = new Uint8Array(0);

type Shown = Omit<FailureRow, 'plan'>;

function statementsOf(connection: Connection) {
  const write = (sql: string): StatementSync => connection.prepare(sql);
  return {
    meta: connection.prepare('SELECT journal_id, applied_to FROM meta'),
    applied: write('UPDATE meta SET journal_id = ?, applied_to = ?'),
    receipt: write('INSERT OR REPLACE INTO receipt VALUES (?, ?, ?, ?, ?, ?)'),
    failure: write('INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    failureGone: write('DELETE FROM failure WHERE uow = ?'),
    failureKey: write('INSERT OR IGNORE INTO failure_key VALUES (?, ?, ?, ?)'),
    failureKeysGone: write('DELETE FROM failure_key WHERE uow = ?'),
    idempotency: write('INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?)'),
    document: write('INSERT OR REPLACE INTO document VALUES (?, ?, ?, ?, ?)'),
    documentGone: write('DELETE FROM document WHERE kind = ? AND id = ?'),
    failureOf: connection.rows('SELECT body, plan FROM failure WHERE uow = ?'),
    failureCount: connection.rows('SELECT count(*) FROM failure'),
    failuresOn: connection.rows(
      'SELECT uow FROM failure_key WHERE account = ? AND flow = ? AND key = ?',
    ),
    receiptOf: connection.rows('SELECT * FROM receipt WHERE uow = ?'),
    idempotencyOf: connection.rows(
      'SELECT digest, uow, until FROM idempotency WHERE scope = ? AND key = ? AND until > ?',
    ),
    documentOf: connection.rows('SELECT * FROM document WHERE kind = ? AND id = ?'),
    documents: connection.rows(
      'SELECT * FROM document WHERE kind = ? AND id > ? ORDER BY id LIMIT ?',
    ),
    oldReceipts: write(
      `DELETE FROM receipt WHERE uow IN
       (SELECT uow FROM receipt WHERE settled_at < ? ORDER BY settled_at LIMIT ?)`,
    ),
    oldKeys: write(
      `DELETE FROM idempotency WHERE (scope, key) IN
       (SELECT scope, key FROM idempotency WHERE until <= ? ORDER BY until LIMIT ?)`,
    ),
    oldDocuments: write(
      `DELETE FROM document WHERE (kind, id) IN
       (SELECT kind, id FROM document WHERE until <= ? ORDER BY until LIMIT ?)`,
    ),
  };
}

/** Opens `state.db` in the data directory. */
export const sqliteState: StateAdapter = {
  engine: 'sqlite',
  async open(dataDirectory, world) {
    return new SqliteState(await Connection.open(join(dataDirectory, 'state.db'), SHAPE, world));
  },
};

export class SqliteState implements State {
  readonly #connection: Connection;
  readonly #statements: ReturnType<typeof statementsOf>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#statements = statementsOf(connection);
  }

  async appliedTo(): Promise<Position> {
    return Number(this.#statements.meta.get()?.['applied_to'] ?? 0);
  }

  async journalId(): Promise<string | null> {
    const id = this.#statements.meta.get()?.['journal_id'];
    return typeof id === 'string' ? id : null;
  }

  async commit(
    journalId: string,
    appliedTo: Position,
    changes: readonly StateChange[],
  ): Promise<void> {
    try {
      this.#commit(journalId, appliedTo, changes);
    } catch (error) {
      const noRoom = error instanceof StoreTrouble && error.status === SQLITE_FULL;
      if (noRoom && error.kept === 'nothing') throw new DiskFull(error.message);
      throw error;
    }
  }

  #commit(journalId: string, appliedTo: Position, changes: readonly StateChange[]): void {
    this.#connection.transact(() => {
      for (const change of changes) this.#apply(change);
      this.#statements.applied.run(journalId, appliedTo);
    });
  }

  #apply(change: StateChange): void {
    const { idempotency, document, documentGone, failureGone, failureKeysGone } = this.#statements;
    switch (change.change) {
      case 'receipt':
        this.#receipt(change.row);
        return;
      case 'failure':
        this.#failure(change.row);
        return;
      case 'failure-gone':
        failureGone.run(change.uow);
        failureKeysGone.run(change.uow);
        return;
      case 'idempotency': {
        const { scope, key, digest, uow, until } = change.row;
        idempotency.run(scope, key, digest, uow, until);
        return;
      }
      case 'document': {
        const { kind, id, account, body, until } = change.row;
        document.run(kind, id, account, JSON.stringify(body), until);
        return;
      }
      case 'document-gone':
        documentGone.run(change.kind, change.id);
        return;
      default:
        change satisfies never;
    }
  }

  #receipt(row: ReceiptRow): void {
    const { uow, attempt, account, flow, kind, keys, outcome, settledAt, report, existed } = row;
    const body = JSON.stringify([attempt, kind === 'delete' ? 1 : 0, existed, keys, report]);
    const outcomeAt = OUTCOMES.indexOf(outcome);
    this.#statements.receipt.run(uow, outcomeAt, settledAt, account, flow, body);
  }

  #failure(row: FailureRow): void {
    const { plan, ...shown } = row;
    const { uow, account, flow, stash, status, reason, firstFailedAt } = row;
    const { failure, failureKey, failureKeysGone } = this.#statements;
    const statusText = status === null ? null : String(status);
    const body = JSON.stringify(shown);
    failure.run(uow, firstFailedAt, account, flow, stash, statusText, reason, body, plan);
    failureKeysGone.run(uow);
    for (const key of row.keys) failureKey.run(account, flow, key, uow);
  }

  flush(): Promise<void> {
    return this.#connection.flush();
  }

  async failure(uow: Uow): Promise<FailureRow | null> {
    const row = this.#statements.failureOf.get(uow) as unknown as [string, Uint8Array] | undefined;
    return row === undefined ? null : { ...(JSON.parse(row[0]) as Shown), plan: row[1] };
  }

  async failures(
    filter: FailureFilter,
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<FailureRow>> {
    const { where, values } = whereOf(filter);
    if (cursor !== null) {
      const [at, uow] = timeOfCursor(cursor, 'failures');
      where.push('(first_failed_at, uow) > (?, ?)');
      values.push(at, uow);
    }
    const sql = `SELECT body FROM failure WHERE ${where.join(' AND ')}
      ORDER BY first_failed_at, uow LIMIT ?`;
    const rows = this.#connection.rows(sql).all(...values, limit + 1) as unknown as [string][];
    const found = rows.map(([body]) => ({ ...(JSON.parse(body) as Shown), plan: NO_PLAN }));
    return pageOf(found, limit, (last) => cursorOf('failures', last.firstFailedAt, last.uow));
  }

  async failuresOn(
    account: string,
    flow: string,
    keys: readonly string[],
  ): Promise<readonly Uow[]> {
    const found = new Set<Uow>();
    for (const key of keys) {
      const rows = this.#statements.failuresOn.all(account, flow, key) as unknown as [Uow][];
      for (const [uow] of rows) found.add(uow);
    }
    return [...found];
  }

  async failureCount(): Promise<number> {
    return (this.#statements.failureCount.get() as unknown as [number])[0];
  }

  async receipt(uow: Uow): Promise<ReceiptRow | null> {
    const row = this.#statements.receiptOf.get(uow) as unknown as PackedReceipt | undefined;
    return row === undefined ? null : receiptOf(row);
  }

  async rejections(
    filter: { account?: string; flow?: string },
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<ReceiptRow>> {
    const { where, values } = whereOf(filter);
    where.push(`outcome = ${REFUSED}`);
    if (cursor !== null) {
      const [at, uow] = timeOfCursor(cursor, 'rejections');
      where.push('(settled_at, uow) < (?, ?)');
      values.push(at, uow);
    }
    const sql = `SELECT * FROM receipt WHERE ${where.join(' AND ')}
      ORDER BY settled_at DESC, uow DESC LIMIT ?`;
    const rows = this.#connection.rows(sql).all(...values, limit + 1);
    const found = (rows as unknown as PackedReceipt[]).map(receiptOf);
    return pageOf(found, limit, (last) => cursorOf('rejections', last.settledAt, last.uow));
  }

  async idempotency(scope: string, key: string, now: EpochMs): Promise<IdempotencyRow | null> {
    const row = this.#statements.idempotencyOf.get(scope, key, now);
    if (row === undefined) return null;
    const [digest, uow, until] = row as unknown as [string, Uow, EpochMs];
    return { scope, key, digest, uow, until };
  }

  async document(kind: string, id: string): Promise<DocumentRow | null> {
    const row = this.#statements.documentOf.get(kind, id) as unknown as PackedDocument | undefined;
    return row === undefined ? null : documentOf(row);
  }

  async documents(
    kind: string,
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<DocumentRow>> {
    const after = cursor === null ? '' : documentOfCursor(cursor, kind);
    const rows = this.#statements.documents.all(kind, after, limit + 1);
    const found = (rows as unknown as PackedDocument[]).map(documentOf);
    return pageOf(found, limit, (last) => cursorOf('documents', kind, last.id));
  }

  async sweep(now: EpochMs, receiptsBefore: EpochMs, limit: number): Promise<number> {
    const { oldReceipts, oldKeys, oldDocuments } = this.#statements;
    return this.#connection.transact(() => {
      let gone = Number(oldReceipts.run(receiptsBefore, limit).changes);
      if (gone < limit) gone += Number(oldKeys.run(now, limit - gone).changes);
      if (gone < limit) gone += Number(oldDocuments.run(now, limit - gone).changes);
      return gone;
    });
  }

  async close(): Promise<void> {
    if (!this.#connection.isOpen) return;
    this.#connection.checkpoint();
    await this.#connection.close();
  }
}

type PackedReceipt = [Uow, number, EpochMs, string, string, string];
type PackedDocument = [string, string, string | null, string, EpochMs | null];

function receiptOf([uow, outcome, settledAt, account, flow, body]: PackedReceipt): ReceiptRow {
  const [attempt, isDelete, existed, keys, report] = JSON.parse(body) as [
    number,
    number,
    boolean | null,
    string[],
    ReceiptRow['report'],
  ];
  const kind = isDelete === 1 ? 'delete' : 'set';
  const word = OUTCOMES[outcome] ?? 'failed';
  return { uow, attempt, account, flow, kind, keys, outcome: word, settledAt, report, existed };
}

function documentOf([kind, id, account, body, until]: PackedDocument): DocumentRow {
  return { kind, id, account, body: JSON.parse(body) as unknown, until };
}

/** Conditions and their values; `from` is taken in, `to` is not. */
function whereOf(filter: FailureFilter): { where: string[]; values: SQLInputValue[] } {
  const where = ['true'];
  const values: SQLInputValue[] = [];
  const add = (sql: string, ...given: SQLInputValue[]): void => {
    where.push(sql);
    values.push(...given);
  };
  if (filter.account !== undefined) add('account = ?', filter.account);
  if (filter.flow !== undefined) add('flow = ?', filter.flow);
  if (filter.stash !== undefined) add('stash = ?', filter.stash);
  if (filter.status !== undefined) add('status = ?', filter.status);
  if (filter.from !== undefined) add('first_failed_at >= ?', filter.from);
  if (filter.to !== undefined) add('first_failed_at < ?', filter.to);
  if (filter.q !== undefined) {
    const key = 'SELECT 1 FROM failure_key k WHERE k.uow = failure.uow AND instr(k.key, ?) > 0';
    add(`(instr(reason, ?) > 0 OR EXISTS (${key}))`, filter.q, filter.q);
  }
  return { where, values };
}
