/**
 * The documents of a MongoDB stash: one for each key of each attempt. The `_id` is made of uow,
 * attempt and key, so that a second apply meets the first one, and an undo can leave its tombstone
 * under the very id that a late apply would need, also for a key that was never applied.
 */
import type { Attempt } from '../../contracts/stash.ts';
import type { EpochMs, Uow } from '../../kernel/words.ts';

/** A document as it comes from the server: what its fields hold is looked at before it is used. */
export type Bson = Record<string, unknown>;

export type Kind = 'set' | 'delete' | 'undone';

export interface VersionDocument {
  /** 16 digits of uow, 4 of attempt, the key: ids in order are uows in order. */
  readonly _id: string;
  readonly account: string;
  readonly flow: string;
  readonly key: string;
  readonly uow: Uow;
  readonly attempt: number;
  readonly kind: Kind;
  /** The bytes exactly; absent in a tombstone. */
  readonly value?: Uint8Array;
  /** Length of `value`. */
  readonly bytes?: number;
  readonly digest?: string;
  readonly heldAt: Date;
  /** Null: never. */
  readonly expiresAt: Date | null;
  /** The value as BSON, where the option `document` asks for it. */
  document?: unknown;
  /** Not removed before: something sent under this id may still be under way. */
  keepUntil?: Date;
}

/** Attempts one uow may have: their number takes four digits of the id. */
export const ATTEMPTS_MAX = 9999;

/** An acknowledged write is in the journals of a majority of the members. */
export const WRITE_CONCERN = { w: 'majority', j: true } as const;

/** The largest document a server takes. */
export const DOCUMENT_BYTES_MAX = 16 * 1024 * 1024;

/** What a document holds besides its value: never more than this, whatever its key. */
export const BESIDES_VALUE_BYTES_MAX = 4 * 1024;

/** Bytes that one command may carry; its body may be no larger than a document and 16 KiB. */
const LOT_BYTES_MAX = 12 * 1024 * 1024;
const LOT_DOCUMENTS_MAX = 10_000;

/** What every id of a uow begins with; less than every one of them. */
export function idFrom(uow: Uow): string {
  return String(uow).padStart(16, '0');
}

/** What every id of an attempt begins with. */
export function attemptId(uow: Uow, attempt: number): string {
  return `${idFrom(uow)}.${String(attempt).padStart(4, '0')}.`;
}

export function uowOfId(id: string): Uow {
  return Number(id.slice(0, 16));
}

/** One document for each key, sharing what is alike. */
export function versionsOf(attempt: Attempt, keepUntil: Date | null): VersionDocument[] {
  const { uow, attempt: number, account, flow, kind, value, digest } = attempt;
  const prefix = attemptId(uow, number);
  const heldAt = new Date(attempt.heldAt);
  const expiresAt = attempt.expiresAt === null ? null : new Date(attempt.expiresAt);
  const bytes = value.length;
  const documents: VersionDocument[] = [];
  for (const key of attempt.keys) {
    const _id = prefix + key;
    const document: VersionDocument = {
      _id,
      account,
      flow,
      key,
      uow,
      attempt: number,
      kind,
      value,
      bytes,
      digest,
      heldAt,
      expiresAt,
    };
    if (keepUntil !== null) document.keepUntil = keepUntil;
    documents.push(document);
  }
  return documents;
}

/** What stands under the id of an undone version: whose it was, and nothing of its value. */
export function tombstoneOf(
  { uow, attempt, account, flow, heldAt }: Attempt,
  key: string,
  keepUntil: Date | null,
): VersionDocument {
  const tombstone: VersionDocument = {
    _id: attemptId(uow, attempt) + key,
    account,
    flow,
    key,
    uow,
    attempt,
    kind: 'undone',
    heldAt: new Date(heldAt),
    // Pruning finds it by this when it need not stay any longer.
    expiresAt: keepUntil,
  };
  if (keepUntil !== null) tombstone.keepUntil = keepUntil;
  return tombstone;
}

/** Cuts into parts that fit into one command each; `bytesOf` rather too many. */
export function lotsOf<T>(items: readonly T[], bytesOf: (item: T) => number): (readonly T[])[] {
  const lots: (readonly T[])[] = [];
  let from = 0;
  let bytes = 0;
  for (const [at, item] of items.entries()) {
    const size = bytesOf(item);
    const full = bytes + size > LOT_BYTES_MAX || at - from >= LOT_DOCUMENTS_MAX;
    if (full && at > from) {
      lots.push(items.slice(from, at));
      from = at;
      bytes = 0;
    }
    bytes += size;
  }
  if (from < items.length) lots.push(from === 0 ? items : items.slice(from));
  return lots;
}

/** Bytes of a document on the wire, never too few; its `document` is counted by who adds it. */
export function sizeOf({ key, value }: VersionDocument): number {
  return (value?.length ?? 0) + 6 * key.length + 512;
}

/** A version as the index has it. */
export interface Head {
  readonly key: string;
  readonly uow: Uow;
  readonly attempt: number;
  readonly kind: Kind;
  readonly expiresAt: Date | null;
}

export function isThere({ kind, expiresAt }: Head, now: EpochMs): boolean {
  return kind === 'set' && (expiresAt === null || expiresAt.getTime() > now);
}

export function ttlOf({ expiresAt }: Head, now: EpochMs): number | null {
  return expiresAt === null ? null : expiresAt.getTime() - now;
}
