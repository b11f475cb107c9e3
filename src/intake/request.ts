/**
 * What comes to the intake's door and what is answered there. HTTP, sources and the simulation all
 * speak this; none of them sees further in.
 */
import type { Fault } from '../kernel/errors.ts';
import type { EpochMs, Receipt, Uow, WriteKind } from '../kernel/words.ts';

/** A condition judged once, when the write's lane is granted, on the committed state. */
export type Condition =
  | { readonly if: 'match'; readonly etags: readonly string[] }
  /** If-Match: * — something must be there. */
  | { readonly if: 'exists' }
  /** If-None-Match: * — nothing may be there. */
  | { readonly if: 'absent' }
  /** If-None-Match: "a", "b" — the present value must be none of these. */
  | { readonly if: 'none-match'; readonly etags: readonly string[] };

export interface WriteRequest {
  readonly account: string;
  readonly flow: string;
  readonly kind: WriteKind;
  /** Given for PUT and DELETE; null when the mapping makes them out of `body`. */
  readonly key: string | null;
  /**
   * The body as received; for a PUT the value itself. Empty for a delete. Not changed afterwards.
   */
  readonly body: Uint8Array;
  /** The call's own TTL: milliseconds, null for `none`, undefined when it does not say. */
  readonly ttlMs: number | null | undefined;
  /** Absolute expiry: wins over ttlMs. Used by repairs. */
  readonly expiresAt?: EpochMs | null;
  readonly conditions: readonly Condition[];
  readonly idempotencyKey: string | null;
  /** `settled` waits up to `waitMs`; `held` answers once it is on disk; null: as the flow says. */
  readonly respond: 'settled' | 'held' | null;
  readonly waitMs: number;
  readonly requestId: string;
}

export type Answer =
  /** Never held: nothing was kept. */
  | { readonly answer: 'turned-away'; readonly fault: Fault }
  /** On disk, not settled yet (asked for, or the wait ended first): 202. */
  | { readonly answer: 'held'; readonly receipt: Receipt; readonly replayed: boolean }
  /** Settled. `fault` is null exactly when the outcome is `committed`. */
  | {
      readonly answer: 'settled';
      readonly receipt: Receipt;
      readonly replayed: boolean;
      readonly existed: boolean | null;
      readonly fault: Fault | null;
    };

/** What the front (HTTP, sources) may ask of the write path. Joined together in main. */
export interface WritePort {
  /** Calls `answer` exactly once, never before `submit` has returned. */
  submit(request: WriteRequest, answer: (answer: Answer) => void): void;
  /** The receipt of any write, in flight or settled; null: never heard of it; 'gone': too old. */
  receipt(uow: Uow): Promise<Receipt | 'gone' | null>;
  /** Resolves with the receipt once the write is settled, or null when `waitMs` ended first. */
  settled(uow: Uow, waitMs: number): Promise<Receipt | 'gone' | 'unknown' | null>;
}
