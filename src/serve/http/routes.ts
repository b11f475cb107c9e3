/**
 * The route table: every call of the surface, once. The server registers from it, checks query
 * parameters by it, and /openapi.json is generated from it, so that none of them can disagree.
 */
import type { ErrorCode } from '../../kernel/errors.ts';
import { DATA_ROUTES } from './dataroutes.ts';
import type { QueryRow } from './query.ts';
import { BODY_FAULTS, LINK, PAGE, PAGE_FAULTS } from './route.ts';
import type { RouteRow } from './route.ts';

const ACCOUNT: QueryRow = { name: 'account', kind: 'name', doc: 'Only of this account.' };
const FLOW: QueryRow = { name: 'flow', kind: 'name', doc: 'Only of this flow.' };

const UOW_FAULTS: readonly ErrorCode[] = ['bad-parameter', 'not-found'];
const JSON_BODY_FAULTS: readonly ErrorCode[] = ['bad-request', ...BODY_FAULTS];

function probe(id: string, path: string, summary: string): RouteRow {
  return {
    id,
    method: 'GET',
    path,
    tag: 'Operation',
    summary,
    query: [],
    answers: [
      { status: 200, doc: 'Yes.', body: 'Status' },
      { status: 503, doc: 'No; the checks say why.', body: 'Status' },
    ],
    faults: [],
    quiet: true,
  };
}

function page(id: string, path: string, type: string, summary: string): RouteRow {
  const answers = [{ status: 200, doc: 'The page.', body: { type } }];
  return { id, method: 'GET', path, tag: 'Operation', summary, query: [], answers, faults: [] };
}

/** Everything outside the data resource; src/serve/http/admin.ts answers it. */
export const ADMIN_ROUTES: readonly RouteRow[] = [
  {
    id: 'reads',
    method: 'POST',
    path: '/v1/reads',
    tag: 'Data',
    summary: 'Read many keys, or keys that do not fit a path',
    query: [],
    body: 'ReadRequest',
    answers: [{ status: 200, doc: 'One item per key, in order.', body: 'ReadItems' }],
    faults: [...JSON_BODY_FAULTS, 'bad-key', 'not-found', 'unavailable', 'timeout'],
    quiet: true,
  },
  {
    id: 'deletion-plan',
    method: 'POST',
    path: '/v1/deletions',
    tag: 'Deletions',
    summary: 'Plan a delete by pattern',
    doc: 'Nothing is deleted before the plan is run. One that matches everything needs `all`.',
    query: [],
    body: 'DeletionRequest',
    answers: [
      {
        status: 201,
        doc: 'The plan.',
        body: 'Deletion',
        headers: [{ name: 'Location', doc: 'Where the plan is.' }],
      },
    ],
    faults: [...JSON_BODY_FAULTS, 'not-found', 'conflict', 'unavailable', 'disk-full'],
  },
  {
    id: 'deletion-run',
    method: 'POST',
    path: '/v1/deletions/{id}/run',
    tag: 'Deletions',
    summary: 'Run a planned deletion',
    query: [],
    answers: [
      {
        status: 202,
        doc: 'Started.',
        body: 'Deletion',
        headers: [{ name: 'Location', doc: 'Where its progress is.' }],
      },
    ],
    faults: ['not-found', 'gone', 'conflict', 'unavailable', 'disk-full'],
  },
  {
    id: 'deletion-show',
    method: 'GET',
    path: '/v1/deletions/{id}',
    tag: 'Deletions',
    summary: 'A planned, running or finished deletion',
    query: [],
    answers: [{ status: 200, doc: 'The deletion.', body: 'Deletion' }],
    faults: ['not-found', 'gone'],
  },
  {
    id: 'uow',
    method: 'GET',
    path: '/v1/uow/{uow}',
    tag: 'Writes',
    summary: 'The receipt of a write',
    query: [],
    answers: [{ status: 200, doc: 'The receipt as it is now.', body: 'Receipt' }],
    faults: [...UOW_FAULTS, 'gone'],
    quiet: true,
  },
  {
    id: 'failure-list',
    method: 'GET',
    path: '/v1/failures',
    tag: 'Failures',
    summary: 'The fail queue, oldest first',
    query: [
      ACCOUNT,
      FLOW,
      { name: 'stash', kind: 'name', doc: 'Only where this store failed first.' },
      { name: 'status', kind: 'text', doc: 'Only with this status of the store.' },
      { name: 'q', kind: 'text', doc: 'Only where key or reason holds this text.' },
      { name: 'from', kind: 'time', doc: 'Failed at or after this time.' },
      { name: 'to', kind: 'time', doc: 'Failed before this time.' },
      ...PAGE,
    ],
    answers: [{ status: 200, doc: 'Failed writes.', body: 'FailurePage', headers: LINK }],
    faults: PAGE_FAULTS,
  },
  {
    id: 'failure-show',
    method: 'GET',
    path: '/v1/failures/{uow}',
    tag: 'Failures',
    summary: 'One failed write with its report',
    query: [],
    answers: [{ status: 200, doc: 'The failed write.', body: 'Failure' }],
    faults: UOW_FAULTS,
  },
  {
    id: 'failure-retry',
    method: 'POST',
    path: '/v1/failures/{uow}/retry',
    tag: 'Failures',
    summary: 'Try a failed write again, now',
    query: [],
    answers: [
      {
        status: 202,
        doc: 'Held as the next attempt.',
        body: 'Receipt',
        headers: [{ name: 'Location', doc: 'Where its receipt is.' }],
      },
    ],
    faults: [...UOW_FAULTS, 'conflict', 'superseded', 'unavailable', 'disk-full'],
  },
  {
    id: 'failure-skip',
    method: 'POST',
    path: '/v1/failures/{uow}/skip',
    tag: 'Failures',
    summary: 'Let its keys go; keep the entry, never try it by itself',
    query: [],
    answers: [{ status: 200, doc: 'Done.', body: 'Done' }],
    faults: [...UOW_FAULTS, 'conflict', 'unavailable', 'disk-full'],
  },
  {
    id: 'failure-discard',
    method: 'POST',
    path: '/v1/failures/{uow}/discard',
    tag: 'Failures',
    summary: 'Let its keys go and drop the entry',
    query: [],
    answers: [{ status: 200, doc: 'Done.', body: 'Done' }],
    faults: [...UOW_FAULTS, 'conflict', 'unavailable', 'disk-full'],
  },
  {
    id: 'rejections',
    method: 'GET',
    path: '/v1/rejections',
    tag: 'Failures',
    summary: 'Refused writes, newest first',
    query: [ACCOUNT, FLOW, ...PAGE],
    answers: [{ status: 200, doc: 'Refused writes.', body: 'RejectionPage', headers: LINK }],
    faults: PAGE_FAULTS,
  },
  {
    id: 'lanes-parked',
    method: 'GET',
    path: '/v1/lanes/parked',
    tag: 'Failures',
    summary: 'Keys that wait, and for what',
    query: PAGE,
    answers: [{ status: 200, doc: 'Parked keys.', body: 'ParkedPage', headers: LINK }],
    faults: PAGE_FAULTS,
  },
  {
    id: 'callback',
    method: 'POST',
    path: '/v1/callbacks/{token}',
    tag: 'Operation',
    summary: 'The answer of a store that took a call with 202',
    doc: 'For stores of kind http: the token is in the URL they were given, the signature counts.',
    query: [],
    body: 'answer',
    answers: [{ status: 204, doc: 'Handed to the one who waits for it.', body: null }],
    faults: ['bad-encoding', 'too-large', 'unsupported-media-type', 'not-found'],
    quiet: true,
  },
  {
    id: 'config',
    method: 'GET',
    path: '/v1/config',
    tag: 'Operation',
    summary: 'The configuration in force, without its secrets',
    query: [],
    answers: [{ status: 200, doc: 'The configuration.', body: 'Anything' }],
    faults: [],
  },
  probe('live', '/live', 'Is the process alive? Touches no store'),
  probe('livez', '/livez', 'As /live'),
  probe('healthz', '/healthz', 'As /live'),
  probe('ready', '/ready', 'Can it take writes and answer reads?'),
  probe('readyz', '/readyz', 'As /ready'),
  probe('startup', '/startup', 'Is recovery done?'),
  { ...page('metrics', '/metrics', 'text/plain', 'Metrics for Prometheus'), quiet: true },
  page('openapi', '/openapi.json', 'application/json', 'This document'),
  page('docs', '/docs', 'text/html', 'This document, to read'),
  page('errors', '/errors', 'text/html', 'The catalogue of errors; JSON where Accept asks for it'),
  {
    ...page('error', '/errors/{code}', 'text/html', 'One error; JSON where Accept asks for it'),
    faults: ['not-found'],
  },
];

/** Codes that any call may answer. */
export const COMMON_FAULTS: readonly ErrorCode[] = [
  'unknown-parameter',
  'method-not-allowed',
  'key-required',
  'internal',
];

export const ROUTES: readonly RouteRow[] = [...Object.values(DATA_ROUTES), ...ADMIN_ROUTES];
