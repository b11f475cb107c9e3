/**
 * State in memory, for tests and the simulation: the contract with a power cut to order. What was
 * committed and not flushed can be taken away again, the last commit first, as a disk might.
 */
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
import type { EpochMs, Position, Uow } from '../../kernel/words.ts';
import { cursorOf, documentOfCursor, pageOf, timeOfCursor } from '../cursor.ts';

interface Commit {
  readonly journalId: string;
  readonly appliedTo: Position;
  readonly changes: readonly StateChange[];
}

/** The tables after some number of commits. */
class Tables {
  journalId: string | null = null;
  appliedTo: Position = 0;
  readonly failures = new Map<Uow, FailureRow>();
  readonly receipts = new Map<Uow, ReceiptRow>();
  readonly idempotency = new Map<string, IdempotencyRow>();
  readonly documents = new Map<string, DocumentRow>();

  apply({ journalId, appliedTo, changes }: Commit): void {
    this.journalId = journalId;
    this.appliedTo = appliedTo;
    for (const change of changes) this.#change(change);
  }

  #change(change: StateChange): void {
    switch (change.change) {
      case 'failure':
        this.failures.set(change.row.uow, change.row);
        return;
      case 'failure-gone':
        this.failures.delete(change.uow);
        return;
      case 'receipt':
        this.receipts.set(change.row.uow, change.row);
        return;
      case 'idempotency':
        this.idempotency.set(named(change.row.scope, change.row.key), change.row);
        return;
      case 'document':
        this.documents.set(named(change.row.kind, change.row.id), change.row);
        return;
      case 'document-gone':
        this.documents.delete(named(change.kind, change.id));
        return;
      default:
        change satisfies never;
    }
  }
}

function named(first: string, second: string): string {
  return JSON.stringify([first, second]);
}

const NO_PLAN = new Uint8Array(0);

export class MemoryState implements State {
  readonly #now = new Tables();
  readonly #durable = new Tables();
  #unflushed: Commit[] = [];

  /** Commits that a power cut may take away, oldest first. */
  get unflushed(): number {
    return this.#unflushed.length;
  }

  /**
   * The State a power cut leaves when the disk kept the first `keepCommits` of the unflushed
   * commits (all of them: a killed process). This one must not be used afterwards.
   */
  crash(keepCommits: number): MemoryState {
    const left = new MemoryState();
    const tables = [left.#now, left.#durable];
    for (const commit of this.#unflushed.slice(0, keepCommits)) this.#durable.apply(commit);
    for (const to of tables) copyTables(this.#durable, to);
    return left;
  }

  async appliedTo(): Promise<Position> {
    return this.#now.appliedTo;
  }

  async journalId(): Promise<string | null> {
    return this.#now.journalId;
  }

  async commit(
    journalId: string,
    appliedTo: Position,
    changes: readonly StateChange[],
  ): Promise<void> {
    const commit = { journalId, appliedTo, changes: structuredClone(changes) };
    this.#unflushed.push(commit);
    this.#now.apply(commit);
  }

  async flush(): Promise<void> {
    for (const commit of this.#unflushed) this.#durable.apply(commit);
    this.#unflushed = [];
  }

  async failure(uow: Uow): Promise<FailureRow | null> {
    return structuredClone(this.#now.failures.get(uow)) ?? null;
  }

  async failures(
    filter: FailureFilter,
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<FailureRow>> {
    const after = cursor === null ? null : timeOfCursor(cursor, 'failures');
    const found = [...this.#now.failures.values()]
      .filter((row) => isWanted(row, filter))
      .sort((a, b) => a.firstFailedAt - b.firstFailedAt || a.uow - b.uow)
      .filter((row) => after === null || isAfter([row.firstFailedAt, row.uow], after))
      .slice(0, limit + 1)
      .map((row) => ({ ...structuredClone(row), plan: NO_PLAN }));
    return pageOf(found, limit, (last) => cursorOf('failures', last.firstFailedAt, last.uow));
  }

  async failuresOn(
    account: string,
    flow: string,
    keys: readonly string[],
  ): Promise<readonly Uow[]> {
    const wanted = new Set(keys);
    return [...this.#now.failures.values()]
      .filter((row) => row.account === account && row.flow === flow)
      .filter((row) => row.keys.some((key) => wanted.has(key)))
      .map((row) => row.uow);
  }

  async failureCount(): Promise<number> {
    return this.#now.failures.size;
  }

  async receipt(uow: Uow): Promise<ReceiptRow | null> {
    return structuredClone(this.#now.receipts.get(uow)) ?? null;
  }

  async rejections(
    filter: { account?: string; flow?: string },
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<ReceiptRow>> {
    const after = cursor === null ? null : timeOfCursor(cursor, 'rejections');
    const found = [...this.#now.receipts.values()]
      .filter((row) => row.outcome === 'refused' && isOf(row, filter))
      .sort((a, b) => b.settledAt - a.settledAt || b.uow - a.uow)
      .filter((row) => after === null || isAfter(after, [row.settledAt, row.uow]))
      .slice(0, limit + 1);
    const copies = structuredClone(found);
    return pageOf(copies, limit, (last) => cursorOf('rejections', last.settledAt, last.uow));
  }

  async idempotency(scope: string, key: string, now: EpochMs): Promise<IdempotencyRow | null> {
    const row = this.#now.idempotency.get(named(scope, key));
    return row === undefined || row.until <= now ? null : { ...row };
  }

  async document(kind: string, id: string): Promise<DocumentRow | null> {
    return structuredClone(this.#now.documents.get(named(kind, id))) ?? null;
  }

  async documents(
    kind: string,
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<DocumentRow>> {
    const after = cursor === null ? null : documentOfCursor(cursor, kind);
    const found = [...this.#now.documents.values()]
      .filter((row) => row.kind === kind)
      .sort((a, b) => compareBytes(a.id, b.id))
      .filter((row) => after === null || compareBytes(row.id, after) > 0)
      .slice(0, limit + 1);
    return pageOf(structuredClone(found), limit, (last) => cursorOf('documents', kind, last.id));
  }

  /** Goes at once for good: what is swept again after a crash is swept in the same way. */
  async sweep(now: EpochMs, receiptsBefore: EpochMs, limit: number): Promise<number> {
    let gone = 0;
    for (const [uow, row] of this.#now.receipts) {
      if (gone < limit && row.settledAt < receiptsBefore) {
        this.#now.receipts.delete(uow);
        gone += 1;
      }
    }
    for (const table of [this.#now.idempotency, this.#now.documents]) {
      for (const [name, row] of table) {
        if (gone < limit && row.until !== null && row.until <= now) {
          table.delete(name);
          gone += 1;
        }
      }
    }
    return gone;
  }

  async close(): Promise<void> {}
}

function copyTables(from: Tables, to: Tables): void {
  to.journalId = from.journalId;
  to.appliedTo = from.appliedTo;
  for (const [key, row] of from.failures) to.failures.set(key, row);
  for (const [key, row] of from.receipts) to.receipts.set(key, row);
  for (const [key, row] of from.idempotency) to.idempotency.set(key, row);
  for (const [key, row] of from.documents) to.documents.set(key, row);
}

function isOf(
  row: { account: string; flow: string },
  filter: { account?: string; flow?: string },
): boolean {
  if (filter.account !== undefined && row.account !== filter.account) return false;
  return filter.flow === undefined || row.flow === filter.flow;
}

/** `from` is taken in, `to` is not. */
function isWanted(row: FailureRow, filter: FailureFilter): boolean {
  const { stash, status, q, from = -Infinity, to = Infinity } = filter;
  if (!isOf(row, filter)) return false;
  if (stash !== undefined && row.stash !== stash) return false;
  if (status !== undefined && (row.status === null || String(row.status) !== status)) return false;
  if (row.firstFailedAt < from || row.firstFailedAt >= to) return false;
  return q === undefined || row.reason.includes(q) || row.keys.some((key) => key.includes(q));
}

function isAfter([at, uow]: [number, number], [otherAt, otherUow]: [number, number]): boolean {
  return at > otherAt || (at === otherAt && uow > otherUow);
}

function compareBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
