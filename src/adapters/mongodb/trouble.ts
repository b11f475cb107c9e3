/**
 * What the errors of MongoDB and of its driver mean for a call: whether anything was sent, whether
 * the server answered, and which of its codes prove that nothing was written.
 */
import { MongoError, MongoErrorLabel, MongoServerError, MongoWriteConcernError } from 'mongodb';
import type { StashReply } from '../../contracts/stash.ts';

/**
 * How a command ended without a reply that can be used. `not-sent`: nothing left this process.
 * `answered`: the server turned the command down, with `code`. `concern`: written, and not as
 * durably as asked. `lost`: nobody knows.
 */
export class Trouble extends Error {
  readonly how: 'not-sent' | 'answered' | 'concern' | 'lost';
  readonly code: number | undefined;

  constructor(how: Trouble['how'], detail: string, code?: number, cause?: unknown) {
    super(detail, { cause });
    this.name = 'Trouble';
    this.how = how;
    this.code = code;
  }
}

/** Errors of the driver that it raises before it writes to a socket. */
const NOT_SENT = new Set([
  'MongoServerSelectionError',
  'MongoPoolClearedError',
  'MongoPoolClosedError',
  'MongoServerClosedError',
  'MongoTopologyClosedError',
  'MongoNotConnectedError',
  'MongoWaitQueueTimeoutError',
]);

/** What the error of a command says. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof Trouble) return error;
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const shaking =
    error instanceof MongoError && error.hasErrorLabel(MongoErrorLabel.HandshakeError);
  if (error instanceof MongoWriteConcernError) {
    return new Trouble('concern', `not as durable as asked: ${message}`, codeOf(error), error);
  }
  if (shaking || NOT_SENT.has(name)) return new Trouble('not-sent', message, codeOf(error), error);
  if (error instanceof MongoServerError) {
    return new Trouble('answered', message, codeOf(error), error);
  }
  return new Trouble('lost', message, undefined, error);
}

function codeOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'number' ? code : undefined;
}

export const DUPLICATE_KEY = 11000;

const CREDENTIALS = new Set([13, 18, 33, 8000]);

/** The server is going down, or is not the one that takes writes any more. */
const STATE_CHANGES = new Set([91, 189, 10058, 10107, 11600, 11602, 13435, 13436]);

export function isStateChange(code: number | undefined): boolean {
  return code !== undefined && STATE_CHANGES.has(code);
}

export function isRejectedLogin(code: number | undefined): boolean {
  return code !== undefined && CREDENTIALS.has(code);
}

/**
 * Codes that a whole command is answered with before it has written anything: it was not allowed,
 * or not understood. Every other code may come after some of its documents were written.
 */
const BEFORE_WRITING = new Set([2, 9, 14, 20, 22, 48, 59, 72, 73, 79, 93, 100, 115, 166, 20_011]);

/** What one document was turned down with, for good. */
const NEVER_TAKEN = new Set([
  2, 9, 14, 15, 16, 17, 22, 52, 54, 55, 56, 57, 121, 164, 165, 171, 10334, 16_755, 17_280, 17_419,
]);

/** The store cannot write at all: no room, no memory, read-only. */
const UNABLE = new Set([37, 39, 146, 14031, 10003]);

/** The reply to what a whole command was answered with; null when it may have written something. */
export function replyToCommand(trouble: Trouble): StashReply | null {
  const { code, message: detail } = trouble;
  const status = code ?? 'error';
  if (isRejectedLogin(code)) return { reply: 'failed', status, detail, sent: true, outage: true };
  if (trouble.how !== 'answered' || code === undefined || !BEFORE_WRITING.has(code)) return null;
  // It would be the same with every command, whatever it carries.
  return { reply: 'failed', status, detail, sent: true, outage: true };
}

/** The reply to what one document was turned down with (no duplicate of its id). */
export function replyToDocument(code: number, detail: string): StashReply {
  if (code === DUPLICATE_KEY || code === 11001 || code === 12582) {
    const why = `another document has what a unique index forbids twice: ${detail}`;
    return { reply: 'refused', status: code, detail: why };
  }
  if (NEVER_TAKEN.has(code)) return { reply: 'refused', status: code, detail };
  const outage = UNABLE.has(code) || isRejectedLogin(code);
  return { reply: 'failed', status: code, detail, sent: true, ...(outage ? { outage } : {}) };
}
