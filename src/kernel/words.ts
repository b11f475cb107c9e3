/**
 * The words of Holdfast, as types. Each word means one thing everywhere; docs/ARCHITECTURE.md tells
 * the same story in prose.
 */

/** A unit of work: the integer below 2^53 that names one accepted write. Never used twice. */
export type Uow = number;

/** Place of a record in a journal: 0, 1, 2, ... without gaps. */
export type Position = number;

/** A moment on the wall clock: milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number;

/** How a write ends. Every accepted write ends in exactly one of these. */
export type Outcome = 'committed' | 'refused' | 'failed' | 'superseded';

/** Where a write is while it has not ended, and `settled` once it has. */
export type WriteState = 'held' | 'fanning-out' | 'undoing' | 'parked' | 'settled';

/** What one stash answered, as shown in a receipt. */
export type ReplyWord =
  | 'declined'
  | 'stored'
  | 'refused'
  | 'failed'
  | 'unknown'
  | 'undone'
  | 'undo-conflict'
  | 'skipped';

/** One line of a receipt: what one stash answered. `ms` is the time its reply took. */
export interface ReportLine {
  stash: string;
  reply: ReplyWord;
  /** The store's own status where it has one (HTTP status, error number). */
  status?: number | string;
  detail?: string;
  ms?: number;
}

/**
 * What the caller gets. `durable` says where the write is on disk: on this machine or on several.
 */
export interface Receipt {
  uow: Uow;
  account: string;
  flow: string;
  keys: readonly string[];
  state: WriteState;
  outcome: Outcome | null;
  durable: 'local' | 'replicated';
  report: readonly ReportLine[];
}

export type WriteKind = 'set' | 'delete';

/**
 * Draws the order of fences: compared by epoch, then counter. The epoch rises with every start, the
 * counter with every grant of lanes, so a grant drawn later is greater wherever it is compared.
 */
export interface Grant {
  readonly epoch: number;
  readonly counter: number;
}

/** The name of a key's lane: account and flow cannot hold `/`, so no two keys share one. */
export function laneKey(account: string, flow: string, key: string): string {
  return `${account}/${flow}/${key}`;
}
