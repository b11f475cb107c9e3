/**
 * Writes what a mapping made as JSON, within a bound. The engine's own stringify has none: lists
 * that hold one another twice, thirty deep, are small in memory and gigabytes as text.
 */
import { Duration, UnsignedInt } from '@marcbachmann/cel-js/evaluator';
import { UnwritableValue } from './unwritable.ts';

interface Writing {
  readonly pieces: string[];
  left: number;
  depthLeft: number;
}

/** JSON text of at most `bytesMax` UTF-16 units; throws UnwritableValue when there is none. */
export function writeJson(value: unknown, bytesMax: number, depthMax: number): string {
  const writing: Writing = { pieces: [], left: bytesMax, depthLeft: depthMax };
  write(value, writing);
  return writing.pieces.join('');
}

const TOO_LARGE = 'the value is larger than a value may be';

function put(piece: string, writing: Writing): void {
  writing.left -= piece.length;
  if (writing.left < 0) throw new UnwritableValue(TOO_LARGE);
  writing.pieces.push(piece);
}

function write(value: unknown, writing: Writing): void {
  switch (typeof value) {
    case 'string':
      // Before it is looked at: a text that was doubled thirty times is not laid out until then.
      if (value.length > writing.left) throw new UnwritableValue(TOO_LARGE);
      if (!value.isWellFormed()) throw new UnwritableValue('a text holds a lone surrogate');
      return put(JSON.stringify(value), writing);
    case 'number':
      if (!Number.isFinite(value)) throw new UnwritableValue(`${value} is no JSON number`);
      return put(JSON.stringify(value), writing);
    case 'bigint':
    case 'boolean':
      return put(String(value), writing);
    case 'object':
      return value === null ? put('null', writing) : writeObject(value, writing);
    default:
      throw new UnwritableValue(`a ${typeof value} has no JSON`);
  }
}

function writeObject(value: object, writing: Writing): void {
  const scalar = scalarOf(value);
  if (scalar !== undefined) return write(scalar, writing);
  if (writing.depthLeft === 0) throw new UnwritableValue('the value is nested too deeply');
  writing.depthLeft -= 1;
  let first = true;
  if (Array.isArray(value)) {
    put('[', writing);
    for (const item of value as unknown[]) {
      if (!first) put(',', writing);
      first = false;
      write(item, writing);
    }
    put(']', writing);
  } else {
    put('{', writing);
    for (const [name, item] of entriesOf(value)) {
      if (!first) put(',', writing);
      first = false;
      if (typeof name !== 'string') throw new UnwritableValue('a name must be a text');
      write(name, writing);
      put(':', writing);
      write(item, writing);
    }
    put('}', writing);
  }
  writing.depthLeft += 1;
}

function entriesOf(value: object): Iterable<readonly [unknown, unknown]> {
  if (value instanceof Map) return value as Map<unknown, unknown>;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return Object.entries(value);
  throw new UnwritableValue(`a ${value.constructor.name} has no JSON`);
}

/** Times as RFC 3339, durations as seconds (`90s`), unsigned integers as numbers. */
function scalarOf(value: object): unknown {
  if (value instanceof Date) return value.toISOString();
  if (value instanceof UnsignedInt) return value.valueOf();
  if (value instanceof Duration) return `${value.valueOf() / 1000}s`;
  return undefined;
}
