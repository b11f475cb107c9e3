/** Shapes one record: strict JSON, schema, mapping, bounds. Runs in a worker thread. */
import { Duration } from '@marcbachmann/cel-js/evaluator';
import { LIMITS } from '../../kernel/limits.ts';
import { checkJson } from '../../kernel/json.ts';
import type { JsonFault } from '../../kernel/json.ts';
import { inexact } from '../../kernel/json-number.ts';
import { keyFault } from '../../kernel/keys.ts';
import { durationMs } from '../../kernel/units.ts';
import { InexactNumber, MappingFault } from './compile.ts';
import type { CompiledMap, CompiledShape, Names } from './compile.ts';
import { UnwritableValue } from './unwritable.ts';
import type { TaskAnswer } from './wire.ts';
import { writeJson } from './write-json.ts';

/** Never throws for anything a record can hold; what it does throw is a defect. */
export function shapeRecord(
  shape: CompiledShape,
  account: string,
  flow: string,
  bytes: Uint8Array,
): TaskAnswer {
  const { map, schema, limits } = shape;
  const depthMax = limits.jsonDepthMax;
  const inexactFault = checkJson(bytes, { depthMax, exactNumbers: true });
  const lossy = inexactFault?.kind === 'inexact-number';
  if (inexactFault !== null && !lossy) return badJson(inexactFault);
  if (lossy) {
    // The rest of the text has not been looked at yet.
    const fault = checkJson(bytes, { depthMax });
    if (fault !== null) return badJson(fault);
  }
  const text = textOf(bytes);
  const parsed: unknown = JSON.parse(text);
  const errors = schema === null ? [] : schema(parsed);
  if (errors.length > 0) {
    return {
      ok: false,
      code: 'shape-invalid',
      detail: 'the record does not fit its schema',
      errors,
    };
  }
  if (map === null) {
    const detail = `the flow ${account}/${flow} has no mapping, so the record has no keys`;
    const hint = 'PUT the value under its key, or give the flow a map with keys';
    return refused(`${detail}; ${hint}`, []);
  }
  if (lossy && map.value !== null) {
    const { pointer, detail } = inexactFault;
    return refused('a number would not come back as it was sent', [{ pointer, detail }]);
  }
  const record = lossy ? parseExactly(text) : parsed;
  try {
    return mapped(map, shape, { record, account, flow });
  } catch (error) {
    if (error instanceof MappingFault) {
      return refused('the mapping of the flow does not fit the record', [error.error]);
    }
    if (error instanceof RangeError)
      return refused(`the mapping passes a bound: ${error.message}`, []);
    throw error;
  }
}

/** Checks a value that is kept as it is. */
export function checkValueBytes(shape: CompiledShape, bytes: Uint8Array): TaskAnswer {
  const fault = checkJson(bytes, { depthMax: shape.limits.jsonDepthMax });
  if (fault !== null) return badJson(fault);
  const errors = shape.valueSchema === null ? [] : shape.valueSchema(JSON.parse(textOf(bytes)));
  if (errors.length === 0) return { ok: true, keys: '', value: null, ttlMs: undefined };
  return { ok: false, code: 'shape-invalid', detail: 'the value does not fit its schema', errors };
}

function refused(
  detail: string,
  errors: readonly { pointer: string; detail: string }[],
): TaskAnswer {
  return { ok: false, code: 'shape-invalid', detail, errors };
}

function badJson(fault: JsonFault): TaskAnswer {
  const { pointer, detail, line, col } = fault;
  const code = fault.kind === 'depth' ? 'too-deep' : 'bad-json';
  return {
    ok: false,
    code,
    detail: `line ${line}, column ${col}: ${detail}`,
    errors: [{ pointer, detail }],
  };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** Whole numbers within 64 bits become ints, so that keys made of them are exact. */
function parseExactly(text: string): unknown {
  type Reviver = (name: string, value: unknown, context: { source?: string }) => unknown;
  const revive: Reviver = (_name, value, { source }) => {
    if (typeof value !== 'number' || source === undefined || inexact(source) === null) return value;
    if (/^-?\d{1,20}$/.test(source)) {
      const whole = BigInt(source);
      if (BigInt.asIntN(64, whole) === whole) return whole;
    }
    return new InexactNumber();
  };
  return JSON.parse(text, revive as Parameters<typeof JSON.parse>[1]);
}

function mapped(map: CompiledMap, shape: CompiledShape, names: Names): TaskAnswer {
  const { limits } = shape;
  const keys = keysOf(map, names, limits.keysPerRecordMax);
  const ttlMs = map.ttl === null ? undefined : ttlOf(map, names, limits.ttlMsMax);
  if (map.value === null) return { ok: true, keys: keys.join('\0'), value: null, ttlMs };
  let value: Uint8Array<ArrayBuffer>;
  try {
    const text = writeJson(map.value(names), limits.bodyBytesMax, limits.jsonDepthMax);
    value = new TextEncoder().encode(text);
  } catch (error) {
    if (error instanceof UnwritableValue) throw new MappingFault(map.places.value, error.message);
    throw error;
  }
  if (value.byteLength > limits.bodyBytesMax) {
    const detail = `the value has ${value.byteLength} bytes, at most ${limits.bodyBytesMax} fit`;
    throw new MappingFault(map.places.value, detail);
  }
  return { ok: true, keys: keys.join('\0'), value, ttlMs };
}

/** At least one key, no two alike, in the order given. */
function keysOf(map: CompiledMap, names: Names, keysMax: number): string[] {
  const place = map.places.keys;
  const given = map.keys(names);
  const list: unknown[] = Array.isArray(given) ? (given as unknown[]) : [given];
  const keys = new Set<string>();
  for (const item of list) {
    const key = keyOf(item);
    if (key === null) {
      throw new MappingFault(place, `keys are texts or numbers, not ${described(item)}`);
    }
    const fault = key.length > LIMITS.keyBytesMax ? TOO_LONG : keyFault(key);
    if (fault !== null) throw new MappingFault(place, fault);
    keys.add(key);
    if (keys.size > keysMax) {
      throw new MappingFault(place, `a record has at most ${keysMax} keys; this one has more`);
    }
  }
  if (keys.size === 0) throw new MappingFault(place, 'the record has no keys');
  return [...keys];
}

const TOO_LONG = `a key has at most ${LIMITS.keyBytesMax} bytes of UTF-8; this one has more`;

function keyOf(item: unknown): string | null {
  if (typeof item === 'string') return item;
  if (typeof item === 'bigint') return String(item);
  return typeof item === 'number' && Number.isFinite(item) ? String(item) : null;
}

function described(item: unknown): string {
  if (item === null || item === undefined) return 'null';
  if (item instanceof InexactNumber) return 'a number that cannot be told exactly';
  if (Array.isArray(item)) return 'a list';
  if (typeof item === 'string') return `"${item.slice(0, 40)}"`;
  if (typeof item === 'object') return 'a map';
  return typeof item === 'symbol' ? 'a symbol' : `${item as number}`;
}

/** Seconds, digits, a duration text, a CEL duration or `none`; null leaves it to the flow. */
function ttlOf(map: CompiledMap, names: Names, ttlMsMax: number | null): number | null | undefined {
  const place = map.places.ttl;
  const given = map.ttl?.(names) ?? null;
  if (given === null) return undefined;
  if (given === 'none') return null;
  let ms: number | null = null;
  if (typeof given === 'bigint' || typeof given === 'number') ms = Number(given) * 1000;
  else if (typeof given === 'string') {
    ms = /^\d{1,12}$/.test(given)
      ? Number(given) * 1000
      : given.length > 20
        ? null
        : durationMs(given);
  } else if (given instanceof Duration) ms = given.valueOf();
  if (ms === null || !Number.isSafeInteger(ms) || ms <= 0) {
    const shown = described(given);
    throw new MappingFault(
      place,
      `a TTL is seconds, a duration such as 15m, or none, not ${shown}`,
    );
  }
  if (ttlMsMax !== null && ms > ttlMsMax) {
    throw new MappingFault(
      place,
      `the TTL is longer than the ${ttlMsMax / 1000} s that are allowed`,
    );
  }
  return ms;
}
