/**
 * Schemas of JSON bodies (JSON Schema 2020-12), for the OpenAPI document; those of requests also
 * check what comes in.
 */
import { CATALOGUE } from '../../kernel/errors.ts';
import { LIMITS } from '../../kernel/limits.ts';

/** As much of JSON Schema as is used here. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: Schema;
  readonly enum?: readonly (string | null)[];
  readonly format?: string;
  readonly minimum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly $ref?: string;
}

const TEXT: Schema = { type: 'string' };
const COUNT: Schema = { type: 'integer', minimum: 0 };
const FLAG: Schema = { type: 'boolean' };
const TIME: Schema = { type: 'string', format: 'date-time' };
const TIME_OR_NULL: Schema = { type: ['string', 'null'], format: 'date-time' };
const NAME: Schema = { type: 'string', pattern: '^[a-z0-9][a-z0-9_-]{0,62}$' };
const UOW: Schema = { type: 'integer', minimum: 0, description: 'The unit of work.' };
const SECONDS: Schema = { type: ['integer', 'null'], description: 'Seconds left; null: it stays.' };
const STATUS: Schema = { type: ['integer', 'string', 'null'], description: "The store's own." };
const OUTCOMES = ['committed', 'refused', 'failed', 'superseded'];

function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

function listOf(items: Schema): Schema {
  return { type: 'array', items };
}

/** An object all of whose properties are there, but for those named `optional`. */
function object(properties: Record<string, Schema>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

function pageOf(items: Schema): Schema {
  const next: Schema = { type: ['string', 'null'], description: 'The next cursor; null: the end.' };
  return object({ items: listOf(items), next });
}

const FAILURE = object({
  uow: UOW,
  attempt: COUNT,
  account: NAME,
  flow: NAME,
  kind: { enum: ['set', 'delete'] },
  keys: listOf(TEXT),
  firstFailedAt: TIME,
  lastFailedAt: TIME,
  parked: { type: 'boolean', description: 'Its keys are held back for it.' },
  retryAt: { ...TIME_OR_NULL, description: 'Its next try; null: a person decides.' },
  reason: TEXT,
  stash: TEXT,
  status: STATUS,
  report: listOf(ref('ReportLine')),
});

export const SCHEMAS = {
  ReportLine: object(
    {
      stash: TEXT,
      reply: {
        enum: [
          'declined',
          'stored',
          'refused',
          'failed',
          'unknown',
          'undone',
          'undo-conflict',
          'skipped',
        ],
      },
      status: STATUS,
      detail: TEXT,
      ms: { type: 'number', minimum: 0 },
    },
    ['status', 'detail', 'ms'],
  ),
  Receipt: object(
    {
      uow: UOW,
      account: NAME,
      flow: NAME,
      keys: listOf(TEXT),
      state: { enum: ['held', 'fanning-out', 'undoing', 'parked', 'settled'] },
      outcome: { enum: [...OUTCOMES, null] },
      durable: { enum: ['local', 'replicated'] },
      report: listOf(ref('ReportLine')),
      existed: { type: 'boolean', description: 'Of a delete: whether there was a value.' },
    },
    ['existed'],
  ),
  Problem: object(
    {
      type: { type: 'string', format: 'uri-reference' },
      code: { enum: Object.keys(CATALOGUE) },
      title: TEXT,
      status: COUNT,
      detail: TEXT,
      hint: TEXT,
      instance: { type: 'string', description: 'The request id.' },
      errors: listOf(object({ pointer: TEXT, detail: TEXT })),
      uow: UOW,
      report: listOf(ref('ReportLine')),
    },
    ['errors', 'uow', 'report'],
  ),
  KeyPage: pageOf(object({ key: TEXT, ttl: SECONDS })),
  VersionPage: pageOf(
    object({
      uow: UOW,
      kind: { enum: ['set', 'delete'] },
      heldAt: TIME,
      expiresAt: TIME_OR_NULL,
      etag: TEXT,
      bytes: COUNT,
    }),
  ),
  ReadRequest: {
    ...object({
      account: NAME,
      flow: NAME,
      keys: { type: 'array', items: TEXT, minItems: 1, maxItems: LIMITS.readKeysMax },
    }),
    additionalProperties: false,
  },
  ReadItems: object({
    items: listOf(
      object({
        key: TEXT,
        found: FLAG,
        encoding: { enum: ['json', 'utf8', 'base64', null] },
        value: { description: 'JSON as stored, text, or base64, as `encoding` says.' },
        ttl: SECONDS,
      }),
    ),
  }),
  DeletionRequest: {
    ...object(
      {
        account: NAME,
        flow: NAME,
        pattern: { type: 'string', minLength: 1, description: '`*` any run, `?` one character.' },
        all: { type: 'boolean', description: 'Needed where the pattern matches everything.' },
      },
      ['all'],
    ),
    additionalProperties: false,
  },
  Deletion: object({
    id: TEXT,
    account: NAME,
    flow: NAME,
    pattern: TEXT,
    state: { enum: ['planned', 'running', 'done', 'failed', 'expired'] },
    count: COUNT,
    sample: listOf(TEXT),
    plannedAt: TIME,
    expiresAt: TIME,
    deleted: COUNT,
    detail: { type: ['string', 'null'] },
  }),
  Failure: FAILURE,
  FailurePage: pageOf(ref('Failure')),
  Done: object({ uow: UOW, done: { enum: ['skipped', 'discarded'] } }),
  RejectionPage: pageOf(
    object({
      uow: UOW,
      account: NAME,
      flow: NAME,
      kind: { enum: ['set', 'delete'] },
      keys: listOf(TEXT),
      outcome: { enum: OUTCOMES },
      settledAt: TIME,
      report: listOf(ref('ReportLine')),
    }),
  ),
  ParkedPage: pageOf(
    object({
      account: NAME,
      flow: NAME,
      key: TEXT,
      uow: UOW,
      since: TIME,
      retryAt: TIME_OR_NULL,
      reason: TEXT,
      waiting: COUNT,
    }),
  ),
  Status: object({
    status: { enum: ['ok', 'warning', 'error'] },
    checks: listOf(
      object(
        { name: TEXT, level: { enum: ['ok', 'warning', 'error'] }, detail: TEXT, hint: TEXT },
        ['hint'],
      ),
    ),
  }),
  Anything: { description: 'Any JSON.' },
} as const satisfies Record<string, Schema>;

export type SchemaName = keyof typeof SCHEMAS;
