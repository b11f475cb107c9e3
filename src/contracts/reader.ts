/**
 * Reader: the reading half of a store. The first entry of a flow's `read` path is the reader
 * proper, applied last, so everything it holds is committed; the others hide what `visible` does
 * not let through. Suite: test/contracts/reader.ts.
 *
 * Promised: values byte for byte as applied; nothing expired is ever found; a delete is not found;
 * `scan` shows each key at most once, in an order that is stable while nothing is written. A store
 * that is apart (src/contracts/stash.ts), or does not answer in time, makes a call reject with a
 * Fault `unavailable`; it never answers from a server that may have lost something.
 */
import type { EpochMs, Uow } from '../kernel/words.ts';

export interface Found {
  readonly value: Uint8Array;
  /** Milliseconds until it expires; null: never. Taken together with the value. */
  readonly ttlMs: number | null;
  /** The write that put it there, where the store keeps it. */
  readonly uow?: Uow;
  /** Digest of the value where the store keeps it; computed by the host otherwise. */
  readonly digest?: string;
}

/**
 * False for attempts that are not settled as committed: a version of theirs must be passed over.
 */
export type Visible = (uow: Uow, attempt: number) => boolean;

export interface ScanItem {
  readonly key: string;
  readonly ttlMs: number | null;
}

export interface ScanPage {
  readonly items: readonly ScanItem[];
  /** Opaque; null at the end. */
  readonly cursor: string | null;
}

export interface Version {
  readonly uow: Uow;
  readonly kind: 'set' | 'delete';
  readonly heldAt: EpochMs;
  readonly expiresAt: EpochMs | null;
  readonly digest: string;
  readonly bytes: number;
}

/** At most one of the two: the newest version held at or before a time, or at or below a uow. */
export type Moment = { readonly time: EpochMs } | { readonly uow: Uow };

export interface Reader {
  /** One answer per key, in order; null: not there. */
  get(
    account: string,
    flow: string,
    keys: readonly string[],
    visible: Visible,
  ): Promise<readonly (Found | null)[]>;
  /**
   * Keys that start with `prefix`, after `cursor`, at most `limit` (may be fewer before the end).
   */
  scan(
    account: string,
    flow: string,
    prefix: string,
    cursor: string | null,
    limit: number,
    visible: Visible,
  ): Promise<ScanPage>;
  /**
   * Present where the store keeps versions: newest first, `before` a uow (exclusive) for paging.
   */
  history?(
    account: string,
    flow: string,
    key: string,
    before: Uow | null,
    limit: number,
    visible: Visible,
  ): Promise<readonly Version[]>;
  /** Present where the store keeps versions: the value as it was; null where there was none. */
  at?(
    account: string,
    flow: string,
    key: string,
    moment: Moment,
    visible: Visible,
  ): Promise<Found | null>;
}
