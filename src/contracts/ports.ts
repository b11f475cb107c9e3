/**
 * Ports: what the door (HTTP, CLI) may ask of the rooms behind it. Each is implemented by the room
 * it is named after and joined in main; the write path's own port stands in src/intake/request.ts.
 *
 * Promised by every port: a method that returns a promise rejects with a Fault for whatever the
 * caller should be told, and with anything else only for a defect (answered as 500 `internal`).
 * Promised by the caller: names, keys, limits and times were checked; `flow` came from FlowsPort.
 */
import type { FlowPlan } from './flow.ts';
import type { Moment, ScanPage, Version } from './reader.ts';
import type { CallbackAnswer } from './spec.ts';
import type { FailureFilter, FailureRow, ReceiptRow, StatePage } from './state.ts';
import type { EpochMs, Receipt, Uow } from '../kernel/words.ts';

/** The declared flows of the configuration now in force. */
export interface FlowsPort {
  /** Null for unknown ones; called once per request, so it must not be dearer than a map. */
  find(account: string, flow: string): FlowPlan | null;
}

/** A value as it is handed out. */
export interface Got {
  /** Byte for byte as it was applied; not changed afterwards. */
  readonly value: Uint8Array;
  /** As src/kernel/digest.ts makes it: the ETag without its quotes. */
  readonly digest: string;
  /** Milliseconds left, taken together with the value; null: it stays. */
  readonly ttlMs: number | null;
  readonly uow?: Uow;
  /** Where it differs from the flow's. */
  readonly mediaType?: string;
}

export interface ReadPort {
  /** Null: not there. Walks the read path of the flow. */
  get(flow: FlowPlan, key: string): Promise<Got | null>;
  /** One answer per key, in order. */
  getMany(flow: FlowPlan, keys: readonly string[]): Promise<readonly (Got | null)[]>;
  /** Keys that start with `prefix`; rejects with `bad-cursor` for one it never gave. */
  scan(flow: FlowPlan, prefix: string, cursor: string | null, limit: number): Promise<ScanPage>;
  /** Versions, newest first; rejects with `bad-request` where the flow keeps none. */
  history(
    flow: FlowPlan,
    key: string,
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<Version>>;
  /** The value as it was; null where there was none; `bad-request` where the flow keeps none. */
  at(flow: FlowPlan, key: string, moment: Moment): Promise<Got | null>;
}

export interface FailurePort {
  /** Oldest failure first. */
  list(filter: FailureFilter, cursor: string | null, limit: number): Promise<StatePage<FailureRow>>;
  /** Null: no such failure. */
  show(uow: Uow): Promise<FailureRow | null>;
  /** Tries it again now, as its next attempt; resolves once that is held. Null: not there. */
  retry(uow: Uow): Promise<Receipt | null>;
  /** Lets the keys go and keeps the row, never to be tried by itself. False: not there. */
  skip(uow: Uow): Promise<boolean>;
  /** Lets the keys go and drops the row. False: not there. */
  discard(uow: Uow): Promise<boolean>;
  /** Refused writes, newest first. */
  rejections(
    filter: { account?: string; flow?: string },
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<ReceiptRow>>;
}

/** A delete by pattern: planned, then run once. */
export interface Deletion {
  readonly id: string;
  readonly account: string;
  readonly flow: string;
  readonly pattern: string;
  readonly state: 'planned' | 'running' | 'done' | 'failed' | 'expired';
  /** Keys that matched when it was planned. */
  readonly count: number;
  /** The first few of them. */
  readonly sample: readonly string[];
  readonly plannedAt: EpochMs;
  /** A plan that was not run by then is gone. */
  readonly expiresAt: EpochMs;
  /** Keys deleted so far. */
  readonly deleted: number;
  /** What went wrong, in one sentence; null while nothing did. */
  readonly detail: string | null;
}

export interface DeletionPort {
  /** `*` stands for any run of characters, `?` for one; a backslash takes the next one as it is. */
  plan(flow: FlowPlan, pattern: string): Promise<Deletion>;
  /** Starts it and resolves at once; `conflict` when it was started before. Null: no such plan. */
  run(id: string): Promise<Deletion | null>;
  get(id: string): Promise<Deletion | null>;
}

/** Takes the answers of stores that could not give them at once. */
export interface CallbackPort {
  /** False: nobody waits for this token (any more). */
  deliver(token: string, answer: CallbackAnswer): boolean;
}

/** A key that waits, and for what. */
export interface ParkedLane {
  readonly account: string;
  readonly flow: string;
  readonly key: string;
  /** The write that holds it. */
  readonly uow: Uow;
  readonly since: EpochMs;
  /** When that write is tried again by itself; null: a person decides. */
  readonly retryAt: EpochMs | null;
  readonly reason: string;
  /** Writes that queue behind it. */
  readonly waiting: number;
}

export interface LanesPort {
  /** In a stable order. */
  parked(cursor: string | null, limit: number): Promise<StatePage<ParkedLane>>;
}

export interface StatusCheck {
  readonly name: string;
  /** A `warning` is shown and does not make the answer a failure. */
  readonly level: 'ok' | 'warning' | 'error';
  readonly detail: string;
  readonly hint?: string;
}

export interface StatusPort {
  /** Touches no store. Empty or all ok: alive. */
  live(): readonly StatusCheck[];
  /** Journal writable and readers up; every other store is at most a warning. */
  ready(): Promise<readonly StatusCheck[]>;
  /** `error` until recovery is done. */
  startup(): readonly StatusCheck[];
  /** The configuration in force, secrets already replaced; plain JSON. */
  config(): unknown;
}

/** A number or a distribution that a room counts for itself and /metrics shows. */
export interface Figure {
  /** Starts with `holdfast_`; counters end in `_total`. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly FigureSample[];
}

export interface FigureSample {
  readonly labels: Readonly<Record<string, string>>;
  /** Of a counter or gauge; of a histogram the sum. */
  readonly value: number;
  /** Of a histogram: upper bounds in rising order and the count at or below each (cumulative). */
  readonly bounds?: readonly number[];
  readonly counts?: readonly number[];
  /** Of a histogram: all observations, those above the last bound included. */
  readonly count?: number;
}

export interface FiguresPort {
  /** Called when /metrics is read; must be cheap and never throw. */
  figures(): readonly Figure[];
}
