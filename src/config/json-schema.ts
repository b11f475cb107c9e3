/**
 * JSON Schema 2020-12, compiled: formats and patterns in linear time, no reference to anything
 * outside the schema, faults as JSON Pointers.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ErrorObject } from 'ajv/dist/2020.js';
import { fullFormats } from 'ajv-formats/dist/formats.js';
import type { PointedError } from '../kernel/errors.ts';
import { linearRegex } from './linear-regex.ts';
import type { LinearRegex } from './linear-regex.ts';

/** What is wrong with `value`, in the order found; empty when it fits. */
export type CheckSchema = (value: unknown) => readonly PointedError[];

const ERRORS_MAX = 50;
/** A hostile name may be a megabyte; fifty of them are no answer. */
const POINTER_CHARS_MAX = 1024;

/**
 * ajv's hook for `pattern` and `patternProperties`. ajv keeps one expression per text that
 * `toString` gives, so two patterns must never give the same.
 */
function regExp(pattern: string, flags: string): LinearRegex & { toString(): string } {
  const regex = linearRegex(pattern, flags);
  return { test: (value) => regex.test(value), toString: () => `/${pattern}/${flags}` };
}
regExp.code = 'linearRegex';

/**
 * Compiles a schema. Throws an Error that says why it cannot be used: unknown keywords, patterns
 * that RE2 does not take, references that leave the schema.
 */
export function compileSchema(schema: unknown): CheckSchema {
  if (typeof schema !== 'boolean' && (typeof schema !== 'object' || schema === null)) {
    throw new Error('a JSON Schema is an object, true or false');
  }
  const ajv = new Ajv2020({
    allErrors: true,
    strict: true,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    allowUnionTypes: true,
    validateFormats: true,
    ownProperties: true,
    messages: true,
    logger: false,
    code: { regExp },
  });
  for (const [name, format] of Object.entries(linearFormats())) ajv.addFormat(name, format);
  const validate = ajv.compile(schema);
  return (value) => {
    if (validate(value)) return [];
    return (validate.errors ?? []).slice(0, ERRORS_MAX).map(pointed);
  };
}

function pointed(error: ErrorObject): PointedError {
  const params = error.params as Record<string, unknown>;
  let detail = error.message ?? 'does not fit the schema';
  if (error.keyword === 'enum' || error.keyword === 'const') {
    detail += `: ${JSON.stringify(params.allowedValues ?? params.allowedValue).slice(0, 200)}`;
  }
  let pointer = error.instancePath;
  const extra = params.additionalProperty ?? params.unevaluatedProperty;
  if (typeof extra === 'string') {
    pointer += `/${extra.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    detail = 'is a name the schema does not know';
  }
  return { pointer: pointer.slice(0, POINTER_CHARS_MAX), detail };
}

type Format = Exclude<Parameters<Ajv2020['addFormat']>[1], string>;
type Check = (text: string) => boolean;

/** No date, time or URI of good faith is longer. */
const FORMAT_CHARS_MAX = 8192;

const DURATION = '^P((\\d+Y)?(\\d+M)?(\\d+D)?(T(\\d+H)?(\\d+M)?(\\d+S)?)?|(\\d+W)?)$';
const LABEL = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const BASE64 = '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$';

/**
 * The formats of ajv-formats; those that are regular expressions run in linear time, and the few
 * whose expressions look around, which RE2 does not take, are written out.
 */
function linearFormats(): Record<string, Format> {
  const formats: Record<string, Format> = {};
  for (const [name, format] of Object.entries(fullFormats)) {
    if (format instanceof RegExp) {
      formats[name] = text(lazy(format.source, format.flags));
    } else if (typeof format === 'object' && 'validate' in format) {
      // Dates and times: anchored expressions without inner repetition, over a bounded text.
      const check = format.validate as Check;
      formats[name] = text((value) => value.length <= FORMAT_CHARS_MAX && check(value));
    } else if (typeof format === 'boolean') {
      formats[name] = format;
    }
  }
  const duration = lazy(DURATION);
  const hostname = lazy(`^${LABEL}(\\.${LABEL})*\\.?$`);
  const scheme = lazy('^[A-Za-z][A-Za-z0-9+.-]*:');
  const reference = fullFormats['uri-reference'] as RegExp;
  const uriReference = lazy(reference.source, reference.flags);
  formats.duration = text((value) => value !== 'P' && !value.endsWith('T') && duration(value));
  formats.hostname = text((value) => value.length <= 254 && hostname(value));
  formats.uri = text((value) => scheme(value) && uriReference(value));
  formats.regex = text(isPattern);
  formats.byte = text(lazy(BASE64));
  formats.int32 = { type: 'number', validate: (value) => (value | 0) === value };
  formats.int64 = { type: 'number', validate: (value) => Number.isInteger(value) };
  delete formats.url;
  return formats;
}

function text(validate: Check): Format {
  return { type: 'string', validate };
}

/** Compiled at its first use: most schemas use few formats. */
function lazy(source: string, flags = ''): Check {
  let compiled: LinearRegex | null = null;
  return (value) => {
    compiled ??= linearRegex(source, flags);
    return compiled.test(value);
  };
}

function isPattern(value: string): boolean {
  try {
    linearRegex(value);
    return true;
  } catch {
    return false;
  }
}
