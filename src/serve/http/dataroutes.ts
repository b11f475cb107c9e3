/** The rows of the data resource; src/serve/http/data.ts answers them. */
import type { ErrorCode } from '../../kernel/errors.ts';
import type { QueryRow } from './query.ts';
import { BODY_FAULTS, LINK, PAGE, PAGE_FAULTS } from './route.ts';
import type { AnswerRow, HeaderRow, RouteRow } from './route.ts';

const TTL: QueryRow = {
  name: 'ttl',
  kind: 'ttl',
  doc: 'Time to live: whole seconds, a duration (`15s 5m 24h 30d`), or `none`.',
};
const CONDITIONS: readonly HeaderRow[] = [
  { name: 'If-Match', doc: 'Only if the value has one of these ETags; `*`: only if there is one.' },
  { name: 'If-None-Match', doc: '`*`: only if there is none; ETags: only if it has none of them.' },
];
const WRITE_HEADERS: readonly HeaderRow[] = [
  { name: 'Prefer', doc: '`respond-async`: answer 202 once held; `wait=N`: wait N seconds.' },
  { name: 'Idempotency-Key', doc: 'Up to 255 characters; the same key and body is one write.' },
];
const RECEIPT_HEADERS: readonly HeaderRow[] = [
  { name: 'Idempotency-Replayed', doc: '`true`: the receipt of an earlier, equal request.' },
  { name: 'Preference-Applied', doc: 'The preferences that were honoured.' },
];
const WRITE_ANSWERS: readonly AnswerRow[] = [
  { status: 200, doc: 'Committed in every store.', body: 'Receipt', headers: RECEIPT_HEADERS },
  {
    status: 202,
    doc: 'Held on disk; it goes on by itself.',
    body: 'Receipt',
    headers: [{ name: 'Location', doc: 'Where its receipt is.' }, ...RECEIPT_HEADERS],
  },
];
const WRITE_FAULTS: readonly ErrorCode[] = [
  'bad-request',
  'bad-parameter',
  'not-found',
  'in-flight',
  'key-parked',
  'superseded',
  'condition-failed',
  'idempotency-mismatch',
  'refused',
  'overloaded',
  'failed',
  'unavailable',
  'outcome-unknown',
  'timeout',
  'disk-full',
];
export const DATA_ROUTES = {
  put: {
    id: 'put',
    method: 'PUT',
    path: '/v1/data/{account}/{flow}/{key}',
    tag: 'Data',
    summary: 'Set one key',
    doc: 'The body is the value, byte for byte. It ends in every store of the flow, or in none.',
    query: [TTL],
    headers: [...CONDITIONS, ...WRITE_HEADERS],
    body: 'value',
    answers: WRITE_ANSWERS,
    faults: [...WRITE_FAULTS, ...BODY_FAULTS, 'bad-key', 'shape-invalid', 'shape-too-costly'],
    quiet: true,
  },
  post: {
    id: 'post',
    method: 'POST',
    path: '/v1/data/{account}/{flow}',
    tag: 'Data',
    summary: 'Send one record through the schema and the mapping of its flow',
    doc: 'One JSON record; the mapping makes its keys and its value.',
    query: [TTL],
    headers: WRITE_HEADERS,
    body: 'record',
    answers: WRITE_ANSWERS,
    faults: [...WRITE_FAULTS, ...BODY_FAULTS, 'shape-invalid', 'shape-too-costly'],
    quiet: true,
  },
  get: {
    id: 'get',
    method: 'GET',
    path: '/v1/data/{account}/{flow}/{key}',
    tag: 'Data',
    summary: 'Read one key',
    query: [
      { name: 'at', kind: 'time', doc: 'The value as it was at this time (RFC 3339).' },
      { name: 'atUow', kind: 'uow', doc: 'The value as it was after this write.' },
    ],
    headers: [
      { name: 'If-None-Match', doc: '304 if the value still has one of these ETags.' },
      { name: 'If-Match', doc: '412 unless the value has one of these ETags.' },
      { name: 'Holdfast-After', doc: 'Waits until this write is settled, then reads.' },
      { name: 'Prefer', doc: '`wait=N`: how many seconds Holdfast-After may wait.' },
    ],
    answers: [
      {
        status: 200,
        doc: 'The bytes as stored.',
        body: { type: '*/*' },
        headers: [
          { name: 'ETag', doc: 'Digest of the bytes.' },
          { name: 'Holdfast-TTL', doc: 'Seconds left, rounded up; absent: it stays.' },
          { name: 'Holdfast-Uow', doc: 'The write that put it there, where the reader keeps it.' },
        ],
      },
      { status: 304, doc: 'Not changed.', body: null },
    ],
    faults: [
      'bad-key',
      'bad-request',
      'bad-parameter',
      'not-found',
      'not-committed',
      'gone',
      'condition-failed',
      'unavailable',
      'timeout',
    ],
    quiet: true,
  },
  delete: {
    id: 'delete',
    method: 'DELETE',
    path: '/v1/data/{account}/{flow}/{key}',
    tag: 'Data',
    summary: 'Delete one key',
    doc: 'Deleting what is not there is 200 with `existed: false`.',
    query: [],
    headers: [...CONDITIONS, ...WRITE_HEADERS],
    answers: WRITE_ANSWERS,
    faults: [...WRITE_FAULTS, 'bad-key'],
    quiet: true,
  },
  list: {
    id: 'list',
    method: 'GET',
    path: '/v1/data/{account}/{flow}',
    tag: 'Data',
    summary: 'List keys',
    query: [{ name: 'prefix', kind: 'prefix', doc: 'Only keys that start so.' }, ...PAGE],
    answers: [{ status: 200, doc: 'Keys with their TTL.', body: 'KeyPage', headers: LINK }],
    faults: [...PAGE_FAULTS, 'not-found', 'unavailable', 'timeout'],
    quiet: true,
  },
  history: {
    id: 'history',
    method: 'GET',
    path: '/v1/data/{account}/{flow}/{key}/history',
    tag: 'Data',
    summary: 'Versions of one key, newest first',
    query: PAGE,
    answers: [{ status: 200, doc: 'Versions.', body: 'VersionPage', headers: LINK }],
    faults: [...PAGE_FAULTS, 'bad-key', 'bad-request', 'not-found', 'unavailable', 'timeout'],
    quiet: true,
  },
} as const satisfies Record<string, RouteRow>;
