/**
 * The JSON Schema (2020-12) of a configuration, for editors: derived from the table of fields and
 * the specs of the adapters. Any value may also be a text with a variable, so it is generous where
 * `holdfast validate` is exact.
 */
import type { StashSpec } from '../contracts/spec.ts';
import type { Field, Fields } from './field.ts';
import { FIELDS } from './fields.ts';

type Schema = Record<string, unknown>;

export const SCHEMA_ID = 'urn:holdfast:configuration:1';

const VARIABLE = { type: 'string', pattern: '\\$\\{[A-Za-z_]' };
const NAME = '^[a-z0-9][a-z0-9_-]{0,62}$';

/** The whole schema, as `holdfast config schema` prints it. */
export function configSchema(adapters: readonly StashSpec[]): Schema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: SCHEMA_ID,
    title: 'Holdfast configuration',
    ...recordSchema(FIELDS, adapters),
  };
}

function recordSchema(fields: Fields, adapters: readonly StashSpec[]): Schema {
  const properties: Schema = {};
  const required: string[] = [];
  for (const [name, field] of Object.entries(fields)) {
    if (field.type === 'later') continue;
    const about: Schema = { description: field.doc };
    if ('default' in field && field.default !== undefined) about.default = field.default;
    if (field.example !== undefined) about.examples = [field.example];
    properties[name] = { ...about, ...fieldSchema(field, adapters) };
    if (field.required === true) required.push(name);
  }
  const nullable = required.length === 0;
  return {
    type: nullable ? ['object', 'null'] : 'object',
    properties,
    additionalProperties: false,
    ...(nullable ? {} : { required }),
  };
}

function fieldSchema(field: Field, adapters: readonly StashSpec[]): Schema {
  switch (field.type) {
    case 'record':
      return recordSchema(field.fields, adapters);
    case 'named':
      return {
        type: ['object', 'null'],
        propertyNames: { pattern: NAME },
        additionalProperties: fieldSchema(field.of, adapters),
      };
    case 'stash':
      return { oneOf: adapters.map((spec) => stashSchema(spec, adapters)) };
    case 'schema':
      return { type: ['string', 'object', 'boolean'] };
    case 'mapping':
      return {};
    case 'string':
      return field.pattern === undefined
        ? { type: ['string', 'number', 'boolean'] }
        : { anyOf: [{ type: 'string', pattern: field.pattern }, VARIABLE] };
    case 'template':
      return { type: 'string' };
    case 'integer': {
      const { min, max } = field;
      const bounds = {
        ...(min === undefined ? {} : { minimum: min }),
        ...(max === undefined ? {} : { maximum: max }),
      };
      return { anyOf: [{ type: 'integer', ...bounds }, VARIABLE] };
    }
    case 'boolean':
      return { anyOf: [{ type: 'boolean' }, VARIABLE] };
    case 'duration':
      return { anyOf: [{ type: 'string', pattern: '^\\d+(ms|s|m|h|d)$' }, VARIABLE] };
    case 'ttl':
      return {
        anyOf: [
          { type: 'string', pattern: '^(none|\\d+(ms|s|m|h|d))$' },
          { type: 'integer', minimum: 1 },
          VARIABLE,
        ],
      };
    case 'size':
      return { anyOf: [{ type: 'string', pattern: '^\\d+(B|KiB|MiB|GiB|TiB)$' }, VARIABLE] };
    case 'choice':
      return { anyOf: [{ enum: field.values }, VARIABLE] };
    case 'strings':
      return { anyOf: [{ type: 'array', items: { type: 'string' } }, VARIABLE] };
    case 'later':
      return { not: {} };
    default:
      return field satisfies never;
  }
}

function stashSchema(spec: StashSpec, adapters: readonly StashSpec[]): Schema {
  const schema = recordSchema(spec.fields, adapters);
  const properties = schema.properties as Schema;
  return {
    ...schema,
    type: 'object',
    title: spec.title,
    description: spec.doc,
    properties: { kind: { const: spec.kind, description: spec.title }, ...properties },
    required: ['kind', ...((schema.required as string[] | undefined) ?? [])],
  };
}
