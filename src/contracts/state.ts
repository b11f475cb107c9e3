/**
 * State: small durable tables (fail queue, receipts, idempotency, documents). It is a view of the
 * intake: every change stems from an intake record, each transaction stores `appliedTo`, and after
 * a crash the records from there on are applied again. Suite: test/contracts/state.ts.
 *
 * Promised: a `commit` is applied whole or not at all; commits survive a killed process in order,
 * so a power cut may lose only a suffix of them, and `appliedTo` says which; `flush` makes all of
 * them survive a power cut. Applying a change again gives the same tables.
 */
import type { EpochMs, Outcome, Position, ReportLine, Uow, WriteKind } from '../kernel/words.ts';

/** A failed write that waits: for its next try by itself (`retryAt`), or for a person. */
export interface FailureRow {
  uow: Uow;
  /** The attempt that failed last. */
  attempt: number;
  account: string;
  flow: string;
  kind: WriteKind;
  keys: readonly string[];
  firstFailedAt: EpochMs;
  lastFailedAt: EpochMs;
  /** True while its keys are held back for it. */
  parked: boolean;
  /** When it is tried again by itself; null: never, a person or a redrive decides. */
  retryAt: EpochMs | null;
  /** One line: which stash, which status, what it said. */
  reason: string;
  /** The stash that failed first, and its status. */
  stash: string;
  status: number | string | null;
  report: readonly ReportLine[];
  /** The write as the intake records it: what a retry needs, whole. */
  plan: Uint8Array;
}

export interface ReceiptRow {
  uow: Uow;
  attempt: number;
  account: string;
  flow: string;
  kind: WriteKind;
  keys: readonly string[];
  outcome: Outcome;
  settledAt: EpochMs;
  report: readonly ReportLine[];
  /** For a delete: whether there was something to delete. */
  existed: boolean | null;
}

export interface IdempotencyRow {
  /** `account/flow`. */
  scope: string;
  key: string;
  /** Digest of the request it was first used with. */
  digest: string;
  uow: Uow;
  until: EpochMs;
}

/** A small JSON document of some kind: a deletion plan, a job, a recorded connection. */
export interface DocumentRow {
  kind: string;
  id: string;
  account: string | null;
  body: unknown;
  /** Dropped by `sweep` after this; null: kept. */
  until: EpochMs | null;
}

export type StateChange =
  | { readonly change: 'failure'; readonly row: FailureRow }
  | { readonly change: 'failure-gone'; readonly uow: Uow }
  | { readonly change: 'receipt'; readonly row: ReceiptRow }
  | { readonly change: 'idempotency'; readonly row: IdempotencyRow }
  | { readonly change: 'document'; readonly row: DocumentRow }
  | { readonly change: 'document-gone'; readonly kind: string; readonly id: string };

export interface FailureFilter {
  account?: string;
  flow?: string;
  stash?: string;
  status?: string;
  /** Substring of key or reason. */
  q?: string;
  from?: EpochMs;
  to?: EpochMs;
}

export interface StatePage<T> {
  readonly items: readonly T[];
  /** Opaque; null at the end. */
  readonly cursor: string | null;
}

export interface State {
  /** Every intake record below this position is in the tables. 0 in a new State. */
  appliedTo(): Promise<Position>;
  /** The journal this State is a view of; null in a new one. */
  journalId(): Promise<string | null>;
  /**
   * Applies the changes and moves `appliedTo`, in one transaction. Rejects with DiskFull when there
   * is no room and nothing was kept; any other rejection means that State cannot be trusted.
   */
  commit(journalId: string, appliedTo: Position, changes: readonly StateChange[]): Promise<void>;
  flush(): Promise<void>;
  failure(uow: Uow): Promise<FailureRow | null>;
  /** Oldest failure first. Rows come without `plan` bytes (empty). */
  failures(
    filter: FailureFilter,
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<FailureRow>>;
  /** Uows of the failures that share a key of this account and flow, any order. */
  failuresOn(account: string, flow: string, keys: readonly string[]): Promise<readonly Uow[]>;
  failureCount(): Promise<number>;
  receipt(uow: Uow): Promise<ReceiptRow | null>;
  /** Refused writes, newest first. */
  rejections(
    filter: { account?: string; flow?: string },
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<ReceiptRow>>;
  /** Null when it is unknown or past its time. */
  idempotency(scope: string, key: string, now: EpochMs): Promise<IdempotencyRow | null>;
  document(kind: string, id: string): Promise<DocumentRow | null>;
  documents(kind: string, cursor: string | null, limit: number): Promise<StatePage<DocumentRow>>;
  /**
   * Drops what is past its time, at most `limit` rows a call: receipts settled before
   * `receiptsBefore`.
   */
  sweep(now: EpochMs, receiptsBefore: EpochMs, limit: number): Promise<number>;
  close(): Promise<void>;
}
