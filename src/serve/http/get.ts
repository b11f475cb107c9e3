/** Reads of one key: the bytes as stored, their ETag, the time they have left, their history. */
import type { FlowPlan } from '../../contracts/flow.ts';
import type { Got } from '../../contracts/ports.ts';
import type { Moment } from '../../contracts/reader.ts';
import { Fault } from '../../kernel/errors.ts';
import type { Uow } from '../../kernel/words.ts';
import type { Call } from './call.ts';
import { afterOf, etagsOf, preferenceOf } from './headers.ts';
import { isJson } from './media.ts';
import { pageHeaders, pageOf } from './page.ts';
import type { Query } from './query.ts';

const HARMLESS = [
  'X-Content-Type-Options',
  'nosniff',
  'Content-Security-Policy',
  "default-src 'none'; sandbox",
];

/** GET and HEAD of one key. */
export function get(call: Call, flow: FlowPlan, key: string, query: Query): void {
  const { headers } = call.req;
  const after = afterOf(headers['holdfast-after'] as string | undefined);
  const moment = momentOf(query);
  if (after !== null) {
    waitFor(call, after)
      .then(() => fetchAt(flow, key, moment, call))
      .then((got) => give(call, flow, got))
      .catch((error: unknown) => call.fail(error));
    return;
  }
  // The hot path: one promise fewer than a catch behind the then.
  fetchAt(flow, key, moment, call).then(
    (got) => {
      try {
        give(call, flow, got);
      } catch (error) {
        call.fail(error);
      }
    },
    (error: unknown) => call.fail(error),
  );
}

/** Versions of one key, newest first. */
export async function history(
  call: Call,
  flow: FlowPlan,
  key: string,
  query: Query,
): Promise<void> {
  const { cursor, limit } = pageOf(query);
  const page = await call.door.ports.read.history(flow, key, cursor, limit);
  const items = page.items.map((version) => ({
    uow: version.uow,
    kind: version.kind,
    heldAt: new Date(version.heldAt).toISOString(),
    expiresAt: version.expiresAt === null ? null : new Date(version.expiresAt).toISOString(),
    etag: `"${version.digest}"`,
    bytes: version.bytes,
  }));
  call.json({ items, next: page.cursor }, 200, pageHeaders(call, page.cursor));
}

/** Keys of a flow, by prefix. */
export async function list(call: Call, flow: FlowPlan, query: Query): Promise<void> {
  const { cursor, limit } = pageOf(query);
  const prefix = (query['prefix'] as string | undefined) ?? '';
  const page = await call.door.ports.read.scan(flow, prefix, cursor, limit);
  const items = page.items.map((item) => ({ key: item.key, ttl: secondsOf(item.ttlMs) }));
  call.json({ items, next: page.cursor }, 200, pageHeaders(call, page.cursor));
}

/** Whole seconds left, rounded up so that what is there never shows 0; null: it stays. */
export function secondsOf(ttlMs: number | null): number | null {
  return ttlMs === null ? null : Math.max(1, Math.ceil(ttlMs / 1000));
}

function momentOf(query: Query): Moment | null {
  const { at, atUow } = query as { at?: number; atUow?: Uow };
  if (at !== undefined && atUow !== undefined) {
    throw new Fault('bad-parameter', 'at and atUow: only one of the two');
  }
  if (at !== undefined) return { time: at };
  return atUow === undefined ? null : { uow: atUow };
}

function fetchAt(
  flow: FlowPlan,
  key: string,
  moment: Moment | null,
  call: Call,
): Promise<Got | null> {
  const { read } = call.door.ports;
  return moment === null ? read.get(flow, key) : read.at(flow, key, moment);
}

/** Resolves once the write is committed; rejects with what the caller should be told otherwise. */
async function waitFor(call: Call, uow: Uow): Promise<void> {
  const { waitMs } = preferenceOf(call.req.headers['prefer'] as string | undefined);
  const receipt = await call.door.ports.write.settled(uow, waitMs);
  if (receipt === null) {
    throw new Fault('timeout', `write ${uow} was not settled within ${waitMs / 1000} s`, { uow });
  }
  if (receipt === 'gone') throw new Fault('gone', `the receipt of write ${uow} is no longer kept`);
  if (receipt === 'unknown' || receipt.account !== call.account) {
    throw new Fault('not-found', `There is no write ${uow} in this account.`);
  }
  if (receipt.outcome !== 'committed') {
    const detail = `write ${uow} was not committed: ${receipt.outcome ?? receipt.state}`;
    throw new Fault('not-committed', detail, { uow, report: receipt.report });
  }
}

function give(call: Call, flow: FlowPlan, got: Got | null): void {
  const { headers } = call.req;
  if (got === null) {
    if (headers['if-match'] !== undefined) {
      throw new Fault('condition-failed', 'If-Match: there is no value');
    }
    call.fail(new Fault('not-found', 'There is no value under this key.'));
    return;
  }
  const etag = `"${got.digest}"`;
  const told = ['ETag', etag];
  if (got.ttlMs !== null) told.push('Holdfast-TTL', String(secondsOf(got.ttlMs)));
  if (got.uow !== undefined) told.push('Holdfast-Uow', String(got.uow));
  const ifMatch = headers['if-match'];
  if (ifMatch !== undefined) {
    const tags = etagsOf('If-Match', ifMatch);
    if (!tags.any && !tags.strong.includes(got.digest)) {
      throw new Fault('condition-failed', `If-Match: the value has ${etag}`);
    }
  }
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch !== undefined) {
    const tags = etagsOf('If-None-Match', ifNoneMatch);
    if (tags.any || tags.strong.includes(got.digest) || tags.weak.includes(got.digest)) {
      call.bare(304, told);
      return;
    }
  }
  const type = got.mediaType ?? flow.mediaType;
  // Values are what callers sent: no browser may take them for a page of this origin.
  if (!isJson(type)) told.push(...HARMLESS);
  call.answer(200, type, got.value, told, got.uow);
}
