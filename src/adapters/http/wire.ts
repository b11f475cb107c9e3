/**
 * The wire of the HTTP stash: what a request holds, and what a mark looks like in a reply.
 * docs/HTTP-STASH.md tells the same to those who write a server.
 */
import { isUtf8 } from 'node:buffer';
import type { Attempt, Mark } from '../../contracts/stash.ts';

/** Rises when a server that was written for an earlier one could misunderstand something. */
export const WIRE_VERSION = 1;

/** The journal that `holdfast stash-check` says it is: a mark of it is nobody's. */
export const CHECK_JOURNAL = 'holdfast-stash-check';

export type CallType = 'probe' | 'mark' | 'apply' | 'undo' | 'holds' | 'read';

/** What stands in a request beside its attempts. */
export interface CallHead {
  readonly stash: string;
  /** As the server gave it when its mark was asked; null: it has no sessions. */
  readonly session: string | null;
  readonly mark?: Mark;
  /** Where a server that answers 202 sends its answer; null: nowhere. */
  readonly callback?: string | null;
}

/** A request body. Values go along with `apply` only. */
export function bodyOf(
  type: CallType,
  head: CallHead,
  attempts: readonly Attempt[],
  more: Readonly<Record<string, unknown>> = {},
): string {
  const start = JSON.stringify({ version: WIRE_VERSION, type, ...head, ...more });
  if (type === 'probe' || type === 'mark' || type === 'read') return start;
  let text = `${start.slice(0, -1)},"attempts":[`;
  for (const [at, attempt] of attempts.entries()) {
    if (at > 0) text += ',';
    text += attemptText(attempt, type === 'apply');
  }
  return `${text}]}`;
}

function attemptText(attempt: Attempt, withValue: boolean): string {
  const { uow, attempt: number, grant, account, flow, kind, keys } = attempt;
  const { digest, expiresAt, heldAt } = attempt;
  const id = { uow, attempt: number, grant, account, flow, kind, keys, digest, expiresAt, heldAt };
  const text = JSON.stringify(id);
  return withValue ? `${text.slice(0, -1)},${valueText(attempt.value)}}` : text;
}

/** Text where the bytes are UTF-8, base64 where they are not or would grow: the same bytes. */
function valueText(value: Uint8Array): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (isUtf8(bytes)) {
    const text = JSON.stringify(bytes.toString('utf8'));
    if (text.length <= 2 * bytes.length + 2) return `"encoding":"utf8","value":${text}`;
  }
  return `"encoding":"base64","value":"${bytes.toString('base64')}"`;
}

/** What a server says of itself when its mark is asked. */
export interface Told {
  readonly mark: Mark | null;
  readonly session: string | null;
}

/** Null when the text is no such answer. */
export function toldOf(text: string): Told | null {
  const found = jsonOf(text);
  if (!isObject(found) || !('mark' in found)) return null;
  const { mark, session = null } = found;
  if (session !== null && typeof session !== 'string') return null;
  if (mark === null) return { mark: null, session };
  if (!isObject(mark)) return null;
  const { journalId, position, from } = mark;
  if (typeof journalId !== 'string' || !isCount(position) || !isCount(from)) return null;
  return { mark: { journalId, position, from }, session };
}

/** Undefined when the text is no JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
