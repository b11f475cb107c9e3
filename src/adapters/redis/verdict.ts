/** One reply for an attempt whose keys went out in several parts. */
import type { StashReply } from '../../contracts/stash.ts';
import type { Result } from './sending.ts';
import { replyTo } from './replies.ts';

export const STORED: StashReply = { reply: 'stored' };

/**
 * All parts stored: stored. None stored and none in doubt: the gravest, since a refusal makes
 * trying again useless. Anything else would be half a truth, so it is `unknown`.
 */
export function jointReply(parts: readonly StashReply[]): StashReply {
  const [first] = parts;
  if (first === undefined) return STORED;
  if (parts.every(({ reply }) => reply === first.reply)) return first;
  const doubt = parts.find(({ reply }) => reply === 'unknown');
  if (doubt !== undefined) return doubt;
  if (parts.every(({ reply }) => reply !== 'stored')) {
    return parts.find(({ reply }) => reply === 'refused') ?? first;
  }
  const bad = parts.find(({ reply }) => reply !== 'stored');
  const why = bad !== undefined && 'detail' in bad ? bad.detail : '';
  return { reply: 'unknown', detail: `some of its keys were written and others not: ${why}` };
}

/** What a part that is no script says about the attempt. */
export function replyOf(result: Result): StashReply {
  if (result.state === 'unknown') return { reply: 'unknown', detail: result.why };
  if (result.state === 'not') return replyTo(result.error);
  const errors = result.replies.filter((reply) => reply instanceof Error);
  if (errors.length === 0) return STORED;
  const [error] = errors;
  if (errors.length === result.replies.length && error !== undefined) return replyTo(error);
  const detail = `some of its keys were written and others not: ${error?.message ?? ''}`;
  return { reply: 'unknown', detail };
}

/** The reply for everything while the store is apart. */
export function apartReply(why: string): StashReply {
  return { reply: 'failed', detail: `not sent: ${why}`, sent: false, outage: true, apart: true };
}
