/**
 * One accepted write while it lives: from its hold in the intake to the moment its outcome is in
 * State. It is handed to stashes as the Attempt itself, so the hot path copies nothing.
 */
import type { FlowPlan } from '../contracts/flow.ts';
import type { Attempt } from '../contracts/stash.ts';
import type {
  EpochMs,
  Grant,
  Outcome,
  Position,
  Receipt,
  ReportLine,
  Uow,
  WriteKind,
  WriteState,
} from '../kernel/words.ts';
import type { Answer, Condition } from './request.ts';

/** Where a write is, finer than its public state. docs/ARCHITECTURE.md draws it. */
export type Phase =
  | 'held'
  | 'queued'
  | 'judging'
  | 'applying'
  | 'committing'
  | 'aborting'
  | 'undoing'
  | 'parked'
  | 'settled';

export const STATE_OF: Readonly<Record<Phase, WriteState>> = {
  held: 'held',
  queued: 'held',
  judging: 'held',
  applying: 'fanning-out',
  committing: 'fanning-out',
  aborting: 'undoing',
  undoing: 'undoing',
  parked: 'parked',
  settled: 'settled',
};

/** The stashes a write was accepted for: those before the reader, then the reader. */
export interface WritePlan {
  readonly stashes: readonly string[];
  readonly reader: string;
  readonly generation: number;
}

/** What a write to this flow is accepted for. */
export function planFor(flow: FlowPlan): WritePlan {
  return { stashes: flow.stashes, reader: flow.reader, generation: flow.generation };
}

export interface Idempotent {
  readonly key: string;
  readonly digest: string;
}

/** What was judged when the lanes were granted; judged once, kept in the intake. */
export interface Verdict {
  readonly existed: boolean | null;
}

export interface WriteFacts {
  uow: Uow;
  attempt: number;
  account: string;
  flow: string;
  kind: WriteKind;
  keys: readonly string[];
  value: Uint8Array;
  /** The record as received, where it is not the value itself. */
  raw: Uint8Array | null;
  digest: string;
  expiresAt: EpochMs | null;
  heldAt: EpochMs;
  plan: WritePlan;
  conditions: readonly Condition[];
  idempotent: Idempotent | null;
  /** When its first failed attempt was recorded; null while none has. */
  firstFailedAt: EpochMs | null;
  /** True once a caller was told 202 (or a queue was): Holdfast retries it by itself. */
  owned: boolean;
}

/** The note of a write that is parked because its undo found a later foreign change. */
export const UNDO_CONFLICT = 'undo-conflict';

const NO_GRANT: Grant = { epoch: 0, counter: 0 };

export class HeldWrite implements Attempt, WriteFacts {
  readonly uow: Uow;
  attempt: number;
  grant: Grant = NO_GRANT;
  readonly account: string;
  readonly flow: string;
  readonly kind: WriteKind;
  readonly keys: readonly string[];
  readonly value: Uint8Array;
  readonly raw: Uint8Array | null;
  readonly digest: string;
  readonly expiresAt: EpochMs | null;
  readonly heldAt: EpochMs;
  readonly plan: WritePlan;
  readonly conditions: readonly Condition[];
  readonly idempotent: Idempotent | null;
  firstFailedAt: EpochMs | null;
  owned: boolean;

  /** Position of the record (hold, attempt or carried) that stands for it in the intake. */
  position: Position = -1;
  /** Its place in its lanes: the position it was first held (or retried by a person) at. */
  order: Position = -1;
  phase: Phase = 'held';
  outcome: Outcome | null = null;
  /** Its outcome and receipt are in State. */
  kept = false;
  verdict: Verdict | null = null;
  /** Decided (and appended) before any undo; null while it may still commit. */
  abort: 'refused' | 'failed' | null = null;
  /** What each stash of the plan said last, the reader at the end; null: nothing yet. */
  lines: (ReportLine | null)[];
  /** Bit i: stash i of the plan may hold it, so an abort must undo it there. */
  mayHold = 0;
  /** Bit i: an answer of stash i is awaited. */
  awaited = 0;
  /** False when recovery could not prove that the reader never had it: only forward. */
  mayAbort = true;
  /** True when a definite error of the reader no longer proves anything: it was sent before. */
  readerSent = false;
  /** A later write of one of its keys was committed while its undo went on. */
  overtaken = false;
  /** As a start found it: a later write of one of its keys was committed before this one was. */
  passed = false;
  /** When a parked write is tried again; null: a person decides. */
  retryAt: EpochMs | null = null;
  /** A condition did not hold, or why it is parked: shown in the report. */
  note: string | null = null;
  conditionFailed = false;
  /** Starts died on it (P16): held back, and sent forward again as the same attempt. */
  quarantined = false;
  /** Longest time a store asked for (Retry-After), and whether a store was out of reach. */
  retryAfterMs = 0;

  /** Lanes it stands in, and in how many of them it is not at the head. Kept by fanout/lanes. */
  lanes: Lane[] = [];
  /** The run it shares with its neighbours, where the reader overwrites; null: it goes alone. */
  run: Run | null = null;
  blockers = 0;
  /** Told once, when it is on disk, or could not be. */
  onHeld: ((answer: Answer) => void) | null = null;
  /** Told once, when it is settled (or parked, for those who wait for a retry). */
  onSettled: ((write: HeldWrite) => void) | null = null;
  watchers: ((write: HeldWrite) => void)[] | null = null;
  /** A caller waits for the outcome, until `waitUntil` (monotonic). */
  waits = false;
  waitUntil = 0;

  constructor(facts: WriteFacts) {
    this.uow = facts.uow;
    this.attempt = facts.attempt;
    this.account = facts.account;
    this.flow = facts.flow;
    this.kind = facts.kind;
    this.keys = facts.keys;
    this.value = facts.value;
    this.raw = facts.raw;
    this.digest = facts.digest;
    this.expiresAt = facts.expiresAt;
    this.heldAt = facts.heldAt;
    this.plan = facts.plan;
    this.conditions = facts.conditions;
    this.idempotent = facts.idempotent;
    this.firstFailedAt = facts.firstFailedAt;
    this.owned = facts.owned;
    this.lines = [null];
    for (let at = 0; at < facts.plan.stashes.length; at += 1) this.lines.push(null);
  }

  /** A new try of the same write: nothing of the last one's replies counts any more. */
  beginAttempt(attempt: number): void {
    this.attempt = attempt;
    this.abort = null;
    this.verdict = null;
    this.lines = this.lines.map(() => null);
    this.mayHold = 0;
    this.awaited = 0;
    this.mayAbort = true;
    this.readerSent = false;
    this.retryAt = null;
    this.note = null;
    this.retryAfterMs = 0;
  }

  /** A later write of one of its keys is committed already: if this one fails, it is superseded. */
  get outrun(): boolean {
    return this.passed || this.lanes.some((lane) => lane.committed > this.order);
  }

  report(): ReportLine[] {
    return this.lines.filter((line) => line !== null);
  }

  receipt(): Receipt {
    return {
      uow: this.uow,
      account: this.account,
      flow: this.flow,
      keys: this.keys,
      state: STATE_OF[this.phase],
      outcome: this.outcome,
      durable: 'local',
      report: this.report(),
    };
  }

  /** What one write weighs against the bounds on memory, in bytes. */
  get weight(): number {
    return this.value.length + (this.raw?.length ?? 0) + 512;
  }
}

/** The order of one key: entries below `head` are granted, `active` of those have not let go. */
export interface Lane {
  readonly name: string;
  queue: HeldWrite[];
  head: number;
  active: number;
  /** The place of the newest write that was committed in it; -1: none yet. */
  committed: Position;
}

/**
 * Writes of one key that run together into a reader that overwrites: the reader is sent the newest
 * of them, once all are decided (P8). The others ride along: readers pass over them.
 */
export interface Run {
  undecided: number;
  /** Decided, and waiting for the reader; in the order of the lane. */
  ready: HeldWrite[];
}
