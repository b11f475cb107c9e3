/** Every call outside the data resource, by the id of its row in the route table. */
import type { Asked, Call } from './call.ts';
import { callback } from './callbacks.ts';
import { deletionPlan, deletionRun, deletionShow } from './deletions.ts';
import { docsPage } from './docspage.ts';
import { errorPage, errorsPage } from './errorpages.ts';
import {
  failureDiscard,
  failureList,
  failureRetry,
  failureShow,
  failureSkip,
  rejections,
} from './failures.ts';
import { lanesParked } from './lanes.ts';
import { openapiDocument } from './openapi.ts';
import { config, live, metrics, ready, startup } from './probes.ts';
import { reads } from './reads.ts';
import { uow } from './uow.ts';

/** Answers the call, or rejects with a Fault. */
export type AdminHandler = (call: Call, asked: Asked) => Promise<void> | void;

export const ADMIN: Readonly<Record<string, AdminHandler>> = {
  reads,
  'deletion-plan': deletionPlan,
  'deletion-run': deletionRun,
  'deletion-show': deletionShow,
  uow,
  'failure-list': failureList,
  'failure-show': failureShow,
  'failure-retry': failureRetry,
  'failure-skip': failureSkip,
  'failure-discard': failureDiscard,
  rejections,
  'lanes-parked': lanesParked,
  callback,
  config,
  live,
  livez: live,
  healthz: live,
  ready,
  readyz: ready,
  startup,
  metrics,
  openapi: (call) => call.json(openapiDocument(call.door.version)),
  docs: docsPage,
  errors: errorsPage,
  error: errorPage,
};
