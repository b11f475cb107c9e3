/**
 * What PostgreSQL's errors mean for a write. An error that is answered to a statement outside of a
 * transaction block says that nothing of it was kept; what says that the server goes away, or may
 * be damaged, says nothing about the statement.
 */
import { DatabaseError } from 'pg';

export type Meaning =
  /** The row will never be taken. */
  | 'refused'
  /** Not this time. */
  | 'failed'
  /** The whole store takes nothing now, or not from us. */
  | 'outage'
  /** Our tables are not there any more. */
  | 'gone'
  /** Nothing definite. */
  | 'unknown';

/** By the beginning of the SQLSTATE, the longest first; see appendix A of PostgreSQL's manual. */
const MEANINGS: readonly (readonly [begins: string, meaning: Meaning])[] = [
  ['42P01', 'gone'],
  ['3F000', 'gone'],
  ['57014', 'failed'],
  ['57P', 'unknown'],
  ['08', 'unknown'],
  ['58', 'unknown'],
  ['XX', 'unknown'],
  ['22', 'refused'],
  ['23', 'refused'],
  ['44', 'refused'],
  ['54', 'refused'],
  ['P0', 'refused'],
  ['40', 'failed'],
  ['55', 'failed'],
  ['25', 'outage'],
  ['28', 'outage'],
  ['3D', 'outage'],
  ['42', 'outage'],
  ['53', 'outage'],
  ['0A', 'outage'],
  ['0L', 'outage'],
];

/** Of an error that the server answered with. */
export function meaningOf(code: string | undefined): Meaning {
  if (code === undefined) return 'unknown';
  return MEANINGS.find(([begins]) => code.startsWith(begins))?.[1] ?? 'failed';
}

/** The connection is no more, and no answer came. */
export class ConnectionLost extends Error {
  /** False when nothing was written to it. */
  readonly sent: boolean;
  constructor(why: string, sent: boolean) {
    super(why);
    this.name = 'ConnectionLost';
    this.sent = sent;
  }
}

/** A call that did not do what it should. */
export class Trouble extends Error {
  readonly meaning: Meaning;
  /** False when nothing of it left this process. */
  readonly sent: boolean;
  readonly status: string;
  constructor(meaning: Meaning, status: string, detail: string, sent: boolean) {
    super(detail);
    this.name = 'Trouble';
    this.meaning = meaning;
    this.status = status;
    this.sent = sent;
  }
}

/** What went wrong, in the words above. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof Trouble) return error;
  if (error instanceof ConnectionLost) {
    const meaning = error.sent ? 'unknown' : 'outage';
    return new Trouble(meaning, 'connection', error.message, error.sent);
  }
  if (error instanceof DatabaseError) {
    const status = error.code ?? 'unknown';
    const detail = [error.message, error.detail].filter(Boolean).join('; ').slice(0, 500);
    return new Trouble(meaningOf(error.code), status, detail, true);
  }
  const detail = error instanceof Error ? error.message : String(error);
  return new Trouble('unknown', 'connection', detail, true);
}
