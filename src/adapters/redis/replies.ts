/** What the error replies of Redis mean for a write, as a table. */
import type { StashReply } from '../../contracts/stash.ts';

/** `sent: true` and no effect: an error reply means that the command was not executed. */
interface Meaning {
  readonly reply: 'refused' | 'failed';
  /** The whole store is unable, so its breaker opens. */
  readonly outage: boolean;
}

const FAILED: Meaning = { reply: 'failed', outage: false };
const OUTAGE: Meaning = { reply: 'failed', outage: true };
const REFUSED: Meaning = { reply: 'refused', outage: false };

const MEANINGS: Readonly<Record<string, Meaning>> = {
  /** `maxmemory` is reached and nothing may be evicted. */
  OOM: OUTAGE,
  READONLY: OUTAGE,
  LOADING: OUTAGE,
  MASTERDOWN: OUTAGE,
  NOREPLICAS: OUTAGE,
  /** The last snapshot or append-only write failed, so the server takes nothing. */
  MISCONF: OUTAGE,
  CLUSTERDOWN: OUTAGE,
  NOAUTH: OUTAGE,
  WRONGPASS: OUTAGE,
  NOPERM: OUTAGE,
  /** Our own word: the store became apart before it was sent where it belongs. */
  UNSENT: OUTAGE,
  /** A script runs for too long. */
  BUSY: OUTAGE,
  /** Slots on the move: asked again elsewhere first; these say that the rounds are over. */
  MOVED: FAILED,
  ASK: FAILED,
  TRYAGAIN: FAILED,
  /** Another program keeps something else under this name. */
  WRONGTYPE: REFUSED,
};

/** The first word of an error reply. */
export function codeOf(error: Error): string {
  return /^[A-Z]+/.exec(error.message)?.[0] ?? 'ERR';
}

/** What to answer for a write that met `error`, none of whose commands was executed. */
export function replyTo(error: Error): StashReply {
  const code = codeOf(error);
  const { reply, outage } = MEANINGS[code] ?? FAILED;
  const detail = error.message.slice(0, 300);
  if (reply === 'refused') return { reply, status: code, detail };
  const failed = { reply, status: code, detail, sent: true } as const;
  return outage ? { ...failed, outage } : failed;
}

/** Whether a server says that it follows another, or takes in the data of another. */
export function isNoMaster(error: Error): boolean {
  return /^(?:READONLY|LOADING|MASTERDOWN)\b/.test(error.message);
}

/** Says that the command was not executed here, and where it may be (P25: handled by us). */
export interface Redirect {
  readonly kind: 'moved' | 'ask' | 'again';
  readonly slot: number;
  /** `host:port`; empty for `again`, and the host is empty where it is the one that was asked. */
  readonly node: string;
}

export function redirectOf(error: Error): Redirect | null {
  if (error.message.startsWith('TRYAGAIN')) return { kind: 'again', slot: -1, node: '' };
  const match = /^(MOVED|ASK) (\d+) (\S*)/.exec(error.message);
  if (match === null) return null;
  const kind = match[1] === 'MOVED' ? 'moved' : 'ask';
  return { kind, slot: Number(match[2]), node: match[3] ?? '' };
}
