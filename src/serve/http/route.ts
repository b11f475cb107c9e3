/** Rows of the route table: what there is to say about one call, as data. */
import type { ErrorCode } from '../../kernel/errors.ts';
import type { QueryRow } from './query.ts';
import type { SchemaName } from './schemas.ts';

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

export interface HeaderRow {
  readonly name: string;
  readonly doc: string;
}

export interface AnswerRow {
  readonly status: number;
  readonly doc: string;
  /** A schema for JSON answers; a media type for others; null: no body. */
  readonly body: SchemaName | { readonly type: string } | null;
  readonly headers?: readonly HeaderRow[];
}

export interface RouteRow {
  /** Names the operation in the document, the log and the code that answers it. */
  readonly id: string;
  /** A GET answers HEAD as well. */
  readonly method: Method;
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly doc?: string;
  readonly query: readonly QueryRow[];
  readonly headers?: readonly HeaderRow[];
  /** A schema for JSON, `value` for bytes of a value, `answer` for a store's; absent: no body. */
  readonly body?: SchemaName | 'value' | 'record' | 'answer';
  readonly answers: readonly AnswerRow[];
  readonly faults: readonly ErrorCode[];
  /** Successes are on the hot path: logged at debug only. */
  readonly quiet?: boolean;
}

/** Parameters of every list. */
export const PAGE: readonly QueryRow[] = [
  { name: 'limit', kind: 'limit', doc: 'Items per page; 100 unless given, at most 1000.' },
  { name: 'cursor', kind: 'cursor', doc: 'Where the page before ended: its `next`.' },
];
export const LINK: readonly HeaderRow[] = [
  { name: 'Link', doc: 'rel="next" while there are more.' },
];
/** What can be wrong with a body. */
export const BODY_FAULTS: readonly ErrorCode[] = [
  'bad-json',
  'too-deep',
  'bad-encoding',
  'too-large',
  'unsupported-media-type',
];
export const PAGE_FAULTS: readonly ErrorCode[] = ['bad-parameter', 'bad-cursor'];
