/**
 * The catalogue of errors. A row is everything there is to say about one code: the answer's status,
 * its title, what to do about it, and whether trying the same again can help. HTTP answers, the
 * pages under /errors and docs/ERRORS.md all come from here.
 */
import type { ReportLine, Uow } from './words.ts';

interface Row {
  readonly status: number;
  readonly title: string;
  readonly hint: string;
  /** Whether the same request, unchanged, can succeed later. */
  readonly retry: boolean;
}

export const CATALOGUE = {
  'bad-request': {
    status: 400,
    title: 'The request cannot be understood',
    hint: 'Read the detail; it names the part that is wrong.',
    retry: false,
  },
  'unknown-parameter': {
    status: 400,
    title: 'Unknown query parameter',
    hint: 'Remove it or check its spelling; /docs lists what each call takes.',
    retry: false,
  },
  'bad-parameter': {
    status: 400,
    title: 'A query parameter or header has a wrong value',
    hint: 'Correct the value that the detail names.',
    retry: false,
  },
  'bad-cursor': {
    status: 400,
    title: 'The cursor is stale or not one of ours',
    hint: 'Start again without a cursor.',
    retry: false,
  },
  'bad-key': {
    status: 400,
    title: 'The key cannot be used',
    hint: 'Keys are 1 to 512 bytes of UTF-8 without NUL, and neither "." nor "..".',
    retry: false,
  },
  'bad-json': {
    status: 400,
    title: 'The body is not acceptable JSON',
    hint: 'Send one JSON text in UTF-8: no duplicate or reserved names, no lone surrogates.',
    retry: false,
  },
  'too-deep': {
    status: 400,
    title: 'The JSON is nested too deeply',
    hint: 'Flatten it; the limit is in the detail.',
    retry: false,
  },
  'bad-encoding': {
    status: 400,
    title: 'The body could not be decoded',
    hint: 'Send the body whole, in the Content-Encoding and charset that its headers name.',
    retry: false,
  },
  'key-required': {
    status: 401,
    title: 'An access key is required',
    hint: 'Send Authorization: Bearer hf_...',
    retry: false,
  },
  'not-found': {
    status: 404,
    title: 'There is nothing here',
    hint: 'Check the path: account, flow and key are case-sensitive.',
    retry: false,
  },
  'method-not-allowed': {
    status: 405,
    title: 'This method does nothing here',
    hint: 'The Allow header lists the methods that do.',
    retry: false,
  },
  conflict: {
    status: 409,
    title: 'The request does not fit the present state',
    hint: 'Read the detail, look at the resource, and send a request that fits it.',
    retry: false,
  },
  'in-flight': {
    status: 409,
    title: 'A request with this Idempotency-Key is still under way',
    hint: 'Send the same request again after Retry-After.',
    retry: true,
  },
  'key-parked': {
    status: 409,
    title: 'An earlier write of this key waits for its retry',
    hint:
      'Send it with Prefer: respond-async to queue behind it, or settle the earlier one ' +
      'under /v1/failures.',
    retry: true,
  },
  'not-committed': {
    status: 409,
    title: 'The write named by Holdfast-After was not committed',
    hint: 'Read its receipt under /v1/uow.',
    retry: false,
  },
  gone: {
    status: 410,
    title: 'It was here, and its retention has ended',
    hint: 'Receipts are kept for 24 hours.',
    retry: false,
  },
  'condition-failed': {
    status: 412,
    title: 'The condition does not hold',
    hint: 'Read the value again and decide on its present ETag.',
    retry: false,
  },
  'too-large': {
    status: 413,
    title: 'The body is too large',
    hint: 'The detail names the limit.',
    retry: false,
  },
  'unsupported-media-type': {
    status: 415,
    title: 'The body has a type this call does not take',
    hint: 'The detail names what it takes.',
    retry: false,
  },
  'shape-invalid': {
    status: 422,
    title: 'The record does not fit the schema or the mapping of its flow',
    hint: 'Each entry of "errors" points into the record.',
    retry: false,
  },
  'shape-too-costly': {
    status: 422,
    title: 'The record takes more work to shape than a flow may spend',
    hint: 'Make the record smaller or the mapping simpler.',
    retry: false,
  },
  'idempotency-mismatch': {
    status: 422,
    title: 'This Idempotency-Key was used with another request',
    hint: 'Use a new key for a new request.',
    retry: false,
  },
  refused: {
    status: 422,
    title: 'A store refused the write; it is in none of them',
    hint: 'The report says which store and why. Trying again unchanged cannot help.',
    retry: false,
  },
  superseded: {
    status: 409,
    title: 'A later write of the same key was committed first',
    hint: 'Nothing to do, unless the older value is the right one: then send it as a new write.',
    retry: false,
  },
  overloaded: {
    status: 429,
    title: 'Too much is under way',
    hint: 'Wait for Retry-After and send fewer at once.',
    retry: true,
  },
  failed: {
    status: 502,
    title: 'A store failed; the write is in none of them and waits in the fail queue',
    hint: 'The report says which store. Retry it under /v1/failures, or with its Idempotency-Key.',
    retry: true,
  },
  unavailable: {
    status: 503,
    title: 'Not now',
    hint: 'Wait for Retry-After; /ready says what is missing.',
    retry: true,
  },
  'outcome-unknown': {
    status: 503,
    title: 'The disk failed while the write was being kept; whether it was kept is unknown',
    hint: 'Send it again with the same Idempotency-Key once the program is back.',
    retry: true,
  },
  timeout: {
    status: 504,
    title: 'The wait ended first',
    hint: 'Ask again, or look at the receipt under /v1/uow.',
    retry: true,
  },
  'disk-full': {
    status: 507,
    title: 'No room to keep the write',
    hint: 'Free disk space; serving resumes by itself.',
    retry: true,
  },
  internal: {
    status: 500,
    title: 'A defect in Holdfast',
    hint: 'The log has a line with this request id. Please report it.',
    retry: false,
  },
} as const satisfies Record<string, Row>;

export type ErrorCode = keyof typeof CATALOGUE;

/** One fault inside a document: a JSON Pointer (RFC 6901) into it, and what is wrong there. */
export interface PointedError {
  readonly pointer: string;
  readonly detail: string;
}

export interface FaultExtras {
  readonly hint?: string;
  readonly errors?: readonly PointedError[];
  readonly uow?: Uow;
  readonly report?: readonly ReportLine[];
  readonly retryAfterMs?: number;
  /** Overrides the row's status where one code has several (a failure: 502, 503 or 504). */
  readonly status?: number;
  readonly cause?: unknown;
}

/** An error with a row in the catalogue. Thrown or returned; logged only where it is answered. */
export class Fault extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly hint: string;
  readonly errors: readonly PointedError[] | undefined;
  readonly uow: Uow | undefined;
  readonly report: readonly ReportLine[] | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, detail: string, extras: FaultExtras = {}) {
    super(detail, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.name = 'Fault';
    this.code = code;
    this.status = extras.status ?? CATALOGUE[code].status;
    this.hint = extras.hint ?? CATALOGUE[code].hint;
    this.errors = extras.errors;
    this.uow = extras.uow;
    this.report = extras.report;
    this.retryAfterMs = extras.retryAfterMs;
  }

  /** The sentence that says what happened here. */
  get detail(): string {
    return this.message;
  }
}
