/**
 * Stash: a store inside the all-or-nothing set. It declines, stores, refuses or fails a write, and
 * can undo it. The conformance suite is test/contracts/stash.ts: one line per promise below.
 *
 * Promised by every stash
 * - `apply` and `undo` answer once per attempt, in the order given, and reject only when nothing at
 *   all can be said about any of them (the host then takes every one as `unknown`).
 * - Applying the same attempt twice is as good as once.
 * - A definite reply (`stored`, `declined`, `refused`, `failed`) is the truth about that sending:
 *   `stored` all keys hold it, the others no key does. Anything else must be said as `unknown`.
 * - After `undo` answered `undone`, the attempt has no effect on any of its keys, and no earlier or
 *   later `apply` of the same (uow, attempt) ever has one: that apply answers `failed`.
 * - Undoing what was never applied is `undone` as well, and binds later applies in the same way.
 * - `expiresAt` is absolute. An attempt that has already expired is stored and reads as absent.
 *
 * A store behind a network is **apart** until its mark was asked for the first time, and again as
 * soon as it may have lost something or an answer of it was lost with its connection: another
 * server process answers, the connection broke, a call ran out of time. While it is apart, `apply`
 * and `undo` send nothing and answer `failed` with `apart`, reading from it rejects, and the host
 * is told by `watch`. The host then asks for the mark until it gets it, makes the store whole
 * (P24), and only then sends anything else and lets anybody read.
 *
 * Promised by the host
 * - One `apply` or `undo` call at a time per key; attempts of one key are handed over in grant
 *   order.
 * - An attempt whose reply was `unknown` is either applied again after `fence()` resolved, or
 *   undone.
 */
import type { EpochMs, Grant, Position, Uow, WriteKind } from '../kernel/words.ts';

/** One try of one write, as a stash sees it. Identity is (uow, attempt). */
export interface Attempt {
  readonly uow: Uow;
  readonly attempt: number;
  /**
   * Rises with each attempt of a key. A counter below zero marks a refill: something the intake
   * knows to be committed, which a store that overwrites takes unless a later uow has its key.
   */
  readonly grant: Grant;
  readonly account: string;
  readonly flow: string;
  readonly kind: WriteKind;
  /** At least one, no two alike. */
  readonly keys: readonly string[];
  /** The bytes exactly as they will be read back; empty for a delete. */
  readonly value: Uint8Array;
  /** Digest of `value` as src/kernel/digest.ts makes it. */
  readonly digest: string;
  /** When the value ceases to be; null: never. */
  readonly expiresAt: EpochMs | null;
  /** Wall time at which the write was held; the time by which history is asked. */
  readonly heldAt: EpochMs;
}

export type StashReply =
  | { readonly reply: 'stored' }
  | { readonly reply: 'declined' }
  /** The store will never take it (its 4xx). */
  | { readonly reply: 'refused'; readonly status?: number | string; readonly detail: string }
  /** The store did not take it this time; no key holds it (its 5xx, or never sent). */
  | {
      readonly reply: 'failed';
      readonly status?: number | string;
      readonly detail: string;
      /** False when nothing of it left this process, so that no undo is needed. */
      readonly sent: boolean;
      /** The store asked for this much time (Retry-After), in milliseconds. */
      readonly retryAfterMs?: number;
      /** The store itself is out of reach or rejects our credentials: its breaker opens. */
      readonly outage?: boolean;
      /** Not sent, since the store is apart: it takes nothing until its mark was asked. */
      readonly apart?: boolean;
    }
  /** Sent, and nothing definite came back. */
  | { readonly reply: 'unknown'; readonly detail: string };

export type UndoReply =
  | { readonly reply: 'undone' }
  | { readonly reply: 'undo-conflict'; readonly detail: string }
  | {
      readonly reply: 'failed';
      readonly detail: string;
      readonly retryAfterMs?: number;
      /** Not sent, since the store is apart. */
      readonly apart?: boolean;
    };

/**
 * `never` is proof: the attempt is not there now, and no earlier sending of it can arrive any
 * more.
 */
export type HoldsReply = 'live' | 'tombstone' | 'never' | 'declines' | 'cannot-tell';

/** Whose data a stash holds, and up to where. */
export interface Mark {
  readonly journalId: string;
  /** Whatever was settled by a record below this position is in the stash. */
  readonly position: Position;
  /**
   * What is settled at or above `position` was held at or above this: where a refill reads from.
   */
  readonly from: Position;
}

export interface StashTraits {
  /** Versions are only ever added, so a later write of a key cannot collide with a pending undo. */
  readonly insertOnly: boolean;
  /** Takes one undecided attempt per key (before-image). */
  readonly oneAttemptPerKey: boolean;
  /**
   * Calls may be made while others are under way: they take effect in the order in which they were
   * made, or not at all, and when one of them is lost the store is apart.
   */
  readonly pipelined?: boolean;
}

export interface ProbeFinding {
  readonly level: 'ok' | 'warning' | 'error';
  /** What was looked at, in a few words. */
  readonly check: string;
  readonly detail: string;
  readonly hint?: string;
}

export interface Stash {
  /** The name given in the configuration. */
  readonly id: string;
  readonly kind: string;
  readonly traits: StashTraits;
  /**
   * Applies attempts; `mark` is stored behind them, or behind those of a call at most a second
   * later; always when there are none. One reply each, in order. Several attempts of one key may
   * stand in one call, in grant order: only the newest must be readable afterwards.
   */
  apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]>;
  undo(attempts: readonly Attempt[], mark: Mark): Promise<readonly UndoReply[]>;
  /**
   * Called after `fence()`. Any damage to certainty (the store lost what it had) is `cannot-tell`.
   */
  holds(attempts: readonly Attempt[]): Promise<readonly HoldsReply[]>;
  /** Resolves when nothing sent before the call can take effect any more. */
  fence(): Promise<void>;
  /**
   * The mark stored last, or null in a store that never had one; of several nodes the lowest. Of a
   * store that is apart: connects, fences what earlier connections sent (those of earlier starts
   * too), reads the mark, and takes calls from then on. Rejects while the store cannot be reached.
   */
  mark(): Promise<Mark | null>;
  /**
   * Present in stores that can be apart: `told` is called once each time the store becomes so,
   * with the reason in words.
   */
  watch?(told: (why: string) => void): void;
  /**
   * Resolves when all that was answered `stored` or `undone` before the call survives a power cut.
   * A store that cannot know or promise this resolves all the same, and its `probe` says so: what
   * it may lose is kept in the intake for `journal.keep`.
   */
  flush(): Promise<void>;
  /** Looks whether the store can keep its promises; never throws for a store that is down. */
  probe(): Promise<readonly ProbeFinding[]>;
  /**
   * Removes versions that history no longer owes: oldest first per key, only committed ones whose
   * uow lies below `belowUow`, never the newest; returns how many went. No-op without versions.
   */
  prune(belowUow: Uow): Promise<number>;
  close(): Promise<void>;
}
