/** The OpenAPI 3.1 document, generated from the route table, the schemas and the catalogue. */
import { CATALOGUE } from '../../kernel/errors.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import { LIMITS } from '../../kernel/limits.ts';
import type { QueryKind } from './query.ts';
import type { AnswerRow, HeaderRow, RouteRow } from './route.ts';
import { COMMON_FAULTS, ROUTES } from './routes.ts';
import { SCHEMAS } from './schemas.ts';

type Json = Record<string, unknown>;

export interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Json };
}

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: Json;
  readonly responses: Readonly<Record<string, Json>>;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description: string;
  readonly schema: Json;
}

/** The document for this version of the program. */
export function openapiDocument(version: string): Document {
  const paths: Record<string, Record<string, Operation>> = {};
  for (const row of ROUTES) {
    const item = (paths[row.path] ??= {});
    item[row.method.toLowerCase()] = operation(row, row.id);
    if (row.method === 'GET') item['head'] = operation(row, `${row.id}-head`);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Holdfast',
      version,
      description:
        'Accept a change once. It becomes true in every store it was meant for, or in none.',
    },
    paths,
    components: { schemas: { ...SCHEMAS } },
  };
}

function operation(row: RouteRow, id: string): Operation {
  const body = bodyOf(row);
  return {
    operationId: id,
    tags: [row.tag],
    summary: row.summary,
    ...(row.doc === undefined ? {} : { description: row.doc }),
    parameters: parametersOf(row),
    ...(body === null ? {} : { requestBody: body }),
    responses: { ...answersOf(row.answers), ...faultsOf(row) },
  };
}

const PATH_DOCS: Readonly<Record<string, [string, Json]>> = {
  account: ['The account.', { type: 'string' }],
  flow: ['The flow of the account.', { type: 'string' }],
  key: [
    `1 to ${LIMITS.keyBytesMax} bytes of UTF-8, percent-encoded; neither \`.\` nor \`..\`, no NUL.`,
    { type: 'string', minLength: 1 },
  ],
  uow: ['The unit of work.', { type: 'integer', minimum: 0 }],
  id: ['The id of the plan.', { type: 'string' }],
  token: ['Of the call that is answered.', { type: 'string' }],
  code: ['The code of the error.', { enum: Object.keys(CATALOGUE) }],
};

const KINDS: Readonly<Record<QueryKind, Json>> = {
  text: { type: 'string', minLength: 1 },
  prefix: { type: 'string' },
  name: SCHEMAS.ReadRequest.properties?.['account'] as unknown as Json,
  time: { type: 'string', format: 'date-time' },
  uow: { type: 'integer', minimum: 0 },
  ttl: { type: 'string', pattern: '^(\\d+|\\d+(ms|s|m|h|d)|none)$' },
  limit: {
    type: 'integer',
    minimum: 1,
    maximum: LIMITS.pageItemsMax,
    default: LIMITS.pageItems,
  },
  cursor: { type: 'string' },
};

function parametersOf(row: RouteRow): Parameter[] {
  const inPath = [...row.path.matchAll(/\{(\w+)\}/g)].map((match): Parameter => {
    const name = match[1] as string;
    const [description, schema] = PATH_DOCS[name] ?? ['', { type: 'string' }];
    return { name, in: 'path', required: true, description, schema };
  });
  const inQuery = row.query.map(({ name, kind, doc }): Parameter => ({
    name,
    in: 'query',
    required: false,
    description: doc,
    schema: KINDS[kind],
  }));
  const inHeader = (row.headers ?? []).map(({ name, doc }): Parameter => ({
    name,
    in: 'header',
    required: false,
    description: doc,
    schema: { type: 'string' },
  }));
  return [...inPath, ...inQuery, ...inHeader];
}

function bodyOf(row: RouteRow): Json | null {
  if (row.body === undefined) return null;
  if (row.body === 'value') {
    const description = 'The value, in the media type of the flow; gzip, deflate and br are taken.';
    return { required: true, description, content: { 'application/json': {}, '*/*': {} } };
  }
  if (row.body === 'answer') {
    const description = 'The replies, signed as the call was; see docs/HTTP-STASH.md.';
    return { required: true, description, content: { 'application/json': {} } };
  }
  if (row.body === 'record') return { required: true, content: { 'application/json': {} } };
  return { required: true, content: { 'application/json': { schema: refTo(row.body) } } };
}

function answersOf(rows: readonly AnswerRow[]): Record<string, Json> {
  return Object.fromEntries(
    rows.map((row) => {
      const content =
        row.body === null
          ? null
          : typeof row.body === 'string'
            ? { 'application/json': { schema: refTo(row.body) } }
            : { [row.body.type]: {} };
      const headers = [...(row.headers ?? []), REQUEST_ID];
      return [
        String(row.status),
        { description: row.doc, headers: headersOf(headers), ...(content && { content }) },
      ];
    }),
  );
}

const REQUEST_ID: HeaderRow = { name: 'X-Request-Id', doc: 'The request id, echoed or made up.' };

function headersOf(rows: readonly HeaderRow[]): Json {
  return Object.fromEntries(
    rows.map(({ name, doc }) => [name, { description: doc, schema: { type: 'string' } }]),
  );
}

/** Problems by status; the codes that a status may carry stand in its words and its schema. */
function faultsOf(row: RouteRow): Record<string, Json> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...row.faults, ...COMMON_FAULTS]) {
    const { status } = CATALOGUE[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const answers: Record<string, Json> = {};
  for (const [status, codes] of [...byStatus].sort(([one], [other]) => one - other)) {
    const taken = row.answers.some((answer) => answer.status === status);
    if (taken) continue;
    const schema = {
      allOf: [refTo('Problem'), { type: 'object', properties: { code: { enum: codes } } }],
    };
    answers[String(status)] = {
      description: codes.map((code) => `\`${code}\`: ${CATALOGUE[code].title}.`).join(' '),
      headers: headersOf([REQUEST_ID]),
      content: { 'application/problem+json': { schema } },
    };
  }
  return answers;
}

function refTo(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}
