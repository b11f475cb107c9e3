/** What travels between the shaper and its worker threads: plain data, few and large messages. */
import type { ShapeSource } from '../../config/config.ts';
import type { ErrorCode, PointedError } from '../../kernel/errors.ts';

export interface WorkerStart {
  readonly flows: readonly (readonly [name: string, source: ShapeSource])[];
  /** One Int32: the number of the record at work in the present batch, from 1; 0 when idle. */
  readonly progress: SharedArrayBuffer;
}

/** Records lie one after the other in `bytes`. */
export interface Batch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly tasks: readonly Task[];
}

export interface Task {
  readonly flow: string;
  readonly kind: 'record' | 'value';
  readonly start: number;
  readonly end: number;
}

/** Answers to some consecutive tasks of a batch, the first being task `first`. */
export interface Answers {
  readonly first: number;
  readonly answers: readonly TaskAnswer[];
}

export type TaskAnswer =
  | {
      readonly ok: true;
      /** Keys joined by NUL, which no key holds: one text costs less to send than a thousand. */
      readonly keys: string;
      /** Null: the record as it was sent. */
      readonly value: Uint8Array<ArrayBuffer> | null;
      readonly ttlMs: number | null | undefined;
    }
  | {
      readonly ok: false;
      readonly code: ErrorCode;
      readonly detail: string;
      readonly errors: readonly PointedError[];
    };

/** Compiled everything and waiting for batches. */
export type Ready = 'ready';
