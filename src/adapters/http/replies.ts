/**
 * What an answer of the server means. A table, read from the top, first match wins; the word of a
 * JSON body goes before the status. In doubt `unknown`: a bare 5xx proves nothing.
 */
import type { HoldsReply, StashReply, UndoReply } from '../../contracts/stash.ts';
import type { EpochMs } from '../../kernel/words.ts';
import type { Answer } from './connection.ts';
import { isObject, jsonOf } from './wire.ts';

/** What a status says where the body has no word. */
export type Meaning = 'later' | 'done' | 'session' | 'outage' | 'wait' | 'refused' | 'unknown';

export interface StatusRow {
  readonly from: number;
  readonly to: number;
  readonly means: Meaning;
  readonly why: string;
}

const row = (from: number, to: number, means: Meaning, why: string): StatusRow => {
  return { from, to, means, why };
};

export const STATUS_ROWS: readonly StatusRow[] = [
  row(202, 202, 'later', 'the answer comes by callback, within the deadline'),
  row(200, 299, 'done', 'stored, if one attempt was sent and the body is empty; else unknown'),
  row(303, 303, 'unknown', 'it may have been done before it was redirected'),
  row(300, 399, 'outage', 'redirects are not followed: the URL is wrong'),
  row(401, 401, 'outage', 'the secret or the static headers are not accepted'),
  row(403, 405, 'outage', 'not allowed, or nobody answers here: the URL is wrong'),
  row(407, 407, 'outage', 'a proxy wants credentials'),
  row(408, 408, 'wait', 'the request did not arrive in time'),
  row(412, 412, 'session', 'the session is not in force: the mark is asked again first'),
  row(425, 425, 'wait', 'asked to come later'),
  row(429, 429, 'wait', 'asked to come later'),
  row(400, 499, 'refused', 'will never be taken; of several attempts each is then sent alone'),
  row(501, 501, 'outage', 'the server does not know the call'),
  row(500, 599, 'unknown', 'nothing proves that nothing was kept'),
];

/** The row of a status. What is no HTTP status is in doubt. */
export function meaningOf(status: number): Meaning {
  return STATUS_ROWS.find(({ from, to }) => status >= from && status <= to)?.means ?? 'unknown';
}

/** The table as docs/HTTP-STASH.md shows it. */
export function statusTable(): string {
  const rows = STATUS_ROWS.map(({ from, to, means, why }) => {
    const status = from === to ? String(from) : `${from} to ${to}`;
    return `| ${status} | ${MEANINGS[means]} | ${why} |\n`;
  });
  return `| Status | Meaning | Why |\n|---|---|---|\n${rows.join('')}`;
}

const MEANINGS: Readonly<Record<Meaning, string>> = {
  later: 'wait',
  done: '`stored`',
  session: '`failed`',
  outage: '`failed`, the breaker counts it',
  wait: '`failed`, `Retry-After` honoured',
  refused: '`refused`',
  unknown: '`unknown`: sent again, or undone',
};

type Plain = Exclude<Meaning, 'later' | 'wait'>;

/** What one request came to; `reply` fits every attempt in it unless `words` has one for each. */
export type Verdict =
  | { readonly is: 'words'; readonly words: readonly Word[] }
  | { readonly is: Plain; readonly detail: string; readonly status: number }
  | { readonly is: 'not-sent' | 'lost' | 'late'; readonly detail: string };

/** What the server said of one attempt. Any text is a word; the readers below know some. */
export interface Word {
  readonly reply: string;
  readonly status: number | string | undefined;
  readonly detail: string;
  readonly retryAfterMs: number | undefined;
}

/** `count` attempts were sent; `now` is wall time, for a `Retry-After` that is a date. */
export function verdictOf(answer: Answer, count: number, now: EpochMs): Verdict {
  if (answer.got !== 'answer') return { is: answer.got, detail: answer.why };
  const { status, text, retryAfter } = answer;
  const waitMs = retryAfterMs(retryAfter, now);
  const body = jsonOf(text);
  const found = isObject(body) ? (body['replies'] ?? (count === 1 ? [body] : undefined)) : null;
  if (Array.isArray(found) && found.every(hasWord)) {
    if (found.length === count) {
      const words = found.map((each) => wordOf(each, waitMs));
      return { is: 'words', words };
    }
    const detail = `it answered ${found.length} replies to ${count} attempts`;
    return { is: 'unknown', status, detail };
  }
  const means = meaningOf(status);
  if (means === 'later') {
    return { is: 'unknown', status, detail: '202, and there is no way to call back' };
  }
  if (means === 'done' && (count !== 1 || text.trim() !== '')) {
    return { is: 'unknown', status, detail: `${status} without a reply: ${text.slice(0, 100)}` };
  }
  if (means === 'wait') {
    const detail = detailOf(body, text, status);
    const word = { reply: 'failed', status, detail, retryAfterMs: waitMs };
    return { is: 'words', words: Array.from({ length: count }, () => word) };
  }
  return { is: means, status, detail: detailOf(body, text, status) };
}

function hasWord(value: unknown): value is Readonly<Record<string, unknown>> {
  return isObject(value) && typeof value['reply'] === 'string';
}

function wordOf(found: Readonly<Record<string, unknown>>, waitMs: number | undefined): Word {
  const { reply, status, detail, retryAfter } = found;
  const seconds = typeof retryAfter === 'number' && retryAfter >= 0 ? retryAfter : null;
  return {
    reply: String(reply),
    status: typeof status === 'number' || typeof status === 'string' ? status : undefined,
    detail: typeof detail === 'string' ? detail : `the server said ${String(reply)}`,
    retryAfterMs: seconds === null ? waitMs : seconds * 1000,
  };
}

/** The words of a problem (RFC 9457) or of what is like one; else the start of the text. */
function detailOf(body: unknown, text: string, status: number): string {
  if (isObject(body)) {
    for (const name of ['detail', 'title', 'message', 'error']) {
      const value = body[name];
      if (typeof value === 'string' && value !== '') return value.slice(0, 500);
    }
  }
  const start = text.trim().slice(0, 200);
  return start === '' || start === '{}' ? `HTTP ${status}` : `HTTP ${status}: ${start}`;
}

/** Whole seconds or an HTTP date (RFC 9110 section 10.2.3); undefined for anything else. */
function retryAfterMs(text: string | undefined, now: EpochMs): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** One reply per attempt. A `refused` of several is not for here: each is to be sent alone. */
export function stashReplies(verdict: Verdict, count: number): StashReply[] {
  if (verdict.is === 'words') return verdict.words.map(stashReply);
  const reply = sharedReply(verdict);
  return Array.from({ length: count }, () => reply);
}

function stashReply(word: Word): StashReply {
  const { reply, detail, status, retryAfterMs: waitMs } = word;
  const code = status === undefined ? {} : { status };
  switch (reply) {
    case 'stored':
    case 'declined':
      return { reply };
    case 'refused':
      return { reply, detail, ...code };
    case 'failed': {
      const wait = waitMs === undefined ? {} : { retryAfterMs: waitMs };
      return { reply, detail, sent: true, ...code, ...wait };
    }
    default:
      return { reply: 'unknown', detail };
  }
}

function sharedReply(verdict: Exclude<Verdict, { is: 'words' }>): StashReply {
  const { is, detail } = verdict;
  switch (is) {
    case 'done':
      return { reply: 'stored' };
    case 'session':
      return { reply: 'failed', status: verdict.status, detail, sent: true, apart: true };
    case 'outage':
      return { reply: 'failed', status: verdict.status, detail, sent: true, outage: true };
    case 'refused':
      return { reply: 'refused', status: verdict.status, detail };
    case 'not-sent':
      return { reply: 'failed', detail, sent: false, outage: true, apart: true };
    case 'unknown':
    case 'late':
    case 'lost':
      return { reply: 'unknown', detail };
    default:
      return is satisfies never;
  }
}

/** One reply per attempt: whatever is not plainly done is asked for again. */
export function undoReplies(verdict: Verdict, count: number): UndoReply[] {
  if (verdict.is === 'words') {
    return verdict.words.map(({ reply, detail, retryAfterMs: waitMs }): UndoReply => {
      if (reply === 'undone') return { reply };
      if (reply === 'undo-conflict') return { reply, detail };
      return { reply: 'failed', detail, ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }) };
    });
  }
  const { is, detail } = verdict;
  const apart = is === 'session' || is === 'not-sent';
  const reply: UndoReply =
    is === 'done'
      ? { reply: 'undone' }
      : { reply: 'failed', detail, ...(apart ? { apart: true } : {}) };
  return Array.from({ length: count }, () => reply);
}

const HOLDS: readonly string[] = ['live', 'tombstone', 'never', 'declines'];

/** One reply per attempt; `never` is believed only where a session fences earlier calls. */
export function holdsReplies(verdict: Verdict, count: number, fenced: boolean): HoldsReply[] {
  if (verdict.is !== 'words') return Array.from({ length: count }, () => 'cannot-tell');
  return verdict.words.map(({ reply }) => {
    if (!HOLDS.includes(reply) || (reply === 'never' && !fenced)) return 'cannot-tell';
    return reply as HoldsReply;
  });
}
