/** Compiles what the configuration says of a flow into functions over a record. */
import type { MapSource, ShapeSource, Template } from '../../config/config.ts';
import { compileExpression, ExpressionError } from '../../config/expression.ts';
import type { Evaluate } from '../../config/expression.ts';
import { placeText } from '../../config/faults.ts';
import type { Place } from '../../config/faults.ts';
import { compileSchema } from '../../config/json-schema.ts';
import type { CheckSchema } from '../../config/json-schema.ts';
import type { FlowLimits } from '../../contracts/flow.ts';
import type { PointedError } from '../../kernel/errors.ts';
import { UnwritableValue } from './unwritable.ts';

export interface Names {
  readonly record: unknown;
  readonly account: string;
  readonly flow: string;
}

/** Gives the value of a template; throws a MappingFault. */
export type Render = (names: Names) => unknown;

export interface CompiledShape {
  readonly schema: CheckSchema | null;
  readonly valueSchema: CheckSchema | null;
  readonly map: CompiledMap | null;
  readonly limits: FlowLimits;
}

export interface CompiledMap {
  readonly keys: Render;
  readonly value: Render | null;
  readonly ttl: Render | null;
  readonly places: { readonly keys: Place; readonly value: Place; readonly ttl: Place };
}

/** A template that gave nothing usable for this record; says where in the file and why. */
export class MappingFault extends Error {
  readonly error: PointedError;
  constructor(place: Place, detail: string, pointer = '') {
    const whole = `${placeText(place)}: ${detail}`;
    super(whole);
    this.name = 'MappingFault';
    this.error = { pointer, detail: whole };
  }
}

/** Throws when a schema or expression does not compile: the configuration was not checked. */
export function compileShape(source: ShapeSource): CompiledShape {
  return {
    schema: source.schema === null ? null : compileSchema(source.schema.json),
    valueSchema: source.valueSchema === null ? null : compileSchema(source.valueSchema.json),
    map: source.map === null ? null : compileMap(source.map),
    limits: source.limits,
  };
}

function compileMap(map: MapSource): CompiledMap {
  const placeIn = (template: Template | null): Place =>
    template === null || template.kind === 'literal' ? map.place : template.place;
  return {
    keys: compileTemplate(map.keys),
    value: map.value === null ? null : compileTemplate(map.value),
    ttl: map.ttl === null ? null : compileTemplate(map.ttl),
    places: { keys: placeIn(map.keys), value: placeIn(map.value), ttl: placeIn(map.ttl) },
  };
}

function compileTemplate(template: Template): Render {
  switch (template.kind) {
    case 'literal': {
      const { value } = template;
      return () => value;
    }
    case 'expression':
      return compileLeaf(template.cel, template.place);
    case 'text': {
      const parts = template.parts.map((part) =>
        typeof part === 'string' ? part : compileText(part.cel, part.place),
      );
      return (names) =>
        parts.map((part) => (typeof part === 'string' ? part : part(names))).join('');
    }
    case 'list': {
      const items = template.items.map(compileTemplate);
      return (names) => items.map((item) => item(names));
    }
    case 'map': {
      const entries = template.entries.map(
        ([name, inner]) => [name, compileTemplate(inner)] as const,
      );
      return (names) => Object.fromEntries(entries.map(([name, inner]) => [name, inner(names)]));
    }
    default:
      return template satisfies never;
  }
}

function compileLeaf(cel: string, place: Place): Render {
  const evaluate: Evaluate = compileExpression(cel, 'record');
  return (names) => {
    try {
      return evaluate({ ...names });
    } catch (error) {
      throw mappingFault(error, cel, place);
    }
  };
}

/** An expression inside a text: texts, numbers and booleans have one obvious form. */
function compileText(cel: string, place: Place): Render {
  const leaf = compileLeaf(cel, place);
  return (names) => {
    const value = leaf(names);
    if (typeof value === 'string') return value;
    if (typeof value === 'boolean' || typeof value === 'bigint') return String(value);
    if (typeof value === 'number' && Number.isFinite(value)) return String(value);
    const kind = value === null ? 'null' : typeof value;
    throw new MappingFault(
      place,
      `\${{ ${shown(cel)} }} gives ${kind} inside a text`,
      pointerOf(cel),
    );
  };
}

/** What the engine says becomes a fault of the record; so does a stack or a text that ran over. */
function mappingFault(error: unknown, cel: string, place: Place): Error {
  if (error instanceof MappingFault) return error;
  if (error instanceof ExpressionError || error instanceof UnwritableValue) {
    const why = error.message.includes(INEXACT)
      ? 'it meets a number that a double cannot carry exactly'
      : error.message;
    return new MappingFault(place, `\${{ ${shown(cel)} }}: ${why}`, pointerOf(cel));
  }
  if (error instanceof RangeError) {
    return new MappingFault(place, `\${{ ${shown(cel)} }} passes a bound: ${error.message}`);
  }
  return error instanceof Error ? error : new Error(String(error));
}

/** Stands for a number that no double carries: naming it is a fault, not a wrong key. */
export class InexactNumber {}
const INEXACT = 'InexactNumber';

function shown(cel: string): string {
  return cel.length > 120 ? `${cel.slice(0, 120)}...` : cel;
}

const PLAIN_PATH = /^record((?:\.[A-Za-z_][A-Za-z0-9_]*|\[\d+\])+)/;

/** The place in the record that an expression starts from: `record.a.b.size()` reads /a/b. */
function pointerOf(cel: string): string {
  const path = PLAIN_PATH.exec(cel);
  if (path === null) return '';
  const calls = cel[path[0].length] === '(';
  const steps = [...(path[1] ?? '').matchAll(/\.([A-Za-z0-9_]+)|\[(\d+)\]/g)];
  if (calls) steps.pop();
  return steps.map((step) => `/${step[1] ?? step[2] ?? ''}`).join('');
}
