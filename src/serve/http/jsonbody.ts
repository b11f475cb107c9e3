/** JSON bodies of administrative calls, checked by the schemas that document them. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv/dist/2020.js';

import { Fault } from '../../kernel/errors.ts';
import { LIMITS } from '../../kernel/limits.ts';
import type { Call } from './call.ts';
import { checkRecordMedia } from './media.ts';
import { jsonFault } from './put.ts';
import { SCHEMAS } from './schemas.ts';

const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true });
const CHECKS = {
  ReadRequest: ajv.compile(SCHEMAS.ReadRequest),
  DeletionRequest: ajv.compile(SCHEMAS.DeletionRequest),
} as const satisfies Record<string, ValidateFunction>;

/**
 * The body as the schema promises it. Throws `unsupported-media-type`, `bad-json`, `too-deep`, and
 * `bad-request` with a pointer to each part that does not fit.
 */
export function jsonBody(call: Call, body: Buffer, schema: keyof typeof CHECKS): unknown {
  checkRecordMedia(call.req.headers['content-type'], false);
  const fault = jsonFault(body, LIMITS.jsonDepthMax);
  if (fault !== null) throw fault;
  const value: unknown = JSON.parse(body.toString('utf8'));
  const check = CHECKS[schema];
  if (check(value)) return value;
  const errors = (check.errors ?? []).slice(0, 20).map((error) => ({
    pointer: error.instancePath,
    detail:
      error.keyword === 'additionalProperties'
        ? `unknown field ${JSON.stringify(error.params['additionalProperty'])}`
        : (error.message ?? 'does not fit'),
  }));
  const first = errors[0];
  const detail = `the body does not fit: ${first?.pointer ?? ''} ${first?.detail ?? ''}`;
  throw new Fault('bad-request', detail, { errors });
}
