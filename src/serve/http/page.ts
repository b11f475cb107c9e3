/** Pages: `limit` and `cursor` of the request, `next` and Link of the answer. */
import { LIMITS } from '../../kernel/limits.ts';
import type { Call, HeaderList } from './call.ts';
import type { Query } from './query.ts';

export function pageOf(query: Query): { cursor: string | null; limit: number } {
  return {
    cursor: (query['cursor'] as string | undefined) ?? null,
    limit: (query['limit'] as number | undefined) ?? LIMITS.pageItems,
  };
}

/** The Link header (RFC 8288): the same request with the next cursor; nothing at the end. */
export function pageHeaders(call: Call, next: string | null): HeaderList {
  if (next === null) return [];
  const url = call.req.url ?? '/';
  const mark = url.indexOf('?');
  const path = mark === -1 ? url : url.slice(0, mark);
  const rest = (mark === -1 ? '' : url.slice(mark + 1))
    .split('&')
    .filter((part) => part !== '' && !part.startsWith('cursor='));
  const query = [...rest, `cursor=${encodeURIComponent(next)}`].join('&');
  return ['Link', `<${path}?${query}>; rel="next"`];
}
