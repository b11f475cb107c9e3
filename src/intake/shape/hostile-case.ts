/** What a hostile case is made of: builders for schemas, patterns, formats and mappings. */

export interface HostileCase {
  readonly name: string;
  /** Where this kind of attack is described. */
  readonly source: string;
  /** A flow as in a configuration. */
  readonly flow: Readonly<Record<string, unknown>>;
  /** The body; made when the case runs. */
  readonly body: () => string;
  /** Where the configuration itself is turned away before a record is seen. */
  readonly refused?: true;
  /** What it must end with, where that is part of the point. */
  readonly ends?: 'shaped' | 'shape-invalid' | 'shape-too-costly' | 'bad-json' | 'too-deep';
}

export const KEYS = { keys: '${{ record.id }}' };
export const CWE_1333 = 'CWE-1333 inefficient regular expression complexity';
export const CWE_674 = 'CWE-674 uncontrolled recursion';
export const CWE_770 = 'CWE-770 allocation of resources without limits';
export const CWE_407 = 'CWE-407 inefficient algorithmic complexity';

/** A schema whose one pattern meets one text. */
export function pattern(
  name: string,
  source: string,
  expression: string,
  text: () => string,
  ends: 'shaped' | 'shape-invalid' = 'shape-invalid',
): HostileCase {
  return {
    ends,
    name: `schema pattern: ${name}`,
    source,
    flow: { schema: { properties: { s: { type: 'string', pattern: expression } } }, map: KEYS },
    body: () => JSON.stringify({ id: 1, s: text() }),
  };
}

/** A mapping that matches a text of the record. */
export function matching(
  name: string,
  source: string,
  expression: string,
  text: () => string,
): HostileCase {
  const literal = JSON.stringify(expression);
  return {
    name: `matches(): ${name}`,
    source,
    flow: { map: { keys: `\${{ record.s.matches(${literal}) ? 'yes' : 'no' }}` } },
    body: () => JSON.stringify({ s: text() }),
    ends: 'shaped',
  };
}

export function format(name: string, source: string, text: () => string): HostileCase {
  return {
    name: `schema format: ${name}`,
    source,
    flow: { schema: { properties: { s: { type: 'string', format: name } } }, map: KEYS },
    body: () => JSON.stringify({ id: 1, s: text() }),
  };
}

export function schema(
  name: string,
  source: string,
  definition: unknown,
  record: () => unknown,
  ends?: HostileCase['ends'],
): HostileCase {
  const flow = { schema: definition, map: KEYS };
  const body = (): string => JSON.stringify(record());
  return { name, source, flow, body, ...(ends === undefined ? {} : { ends }) };
}

export function mapping(
  name: string,
  source: string,
  map: Readonly<Record<string, unknown>>,
  record: () => unknown,
  ends?: HostileCase['ends'],
): HostileCase {
  const body = (): string => {
    const made = record();
    return typeof made === 'string' ? made : JSON.stringify(made);
  };
  return { name, source, flow: { map }, body, ...(ends === undefined ? {} : { ends }) };
}

export const many = <T>(count: number, make: (at: number) => T): T[] =>
  Array.from({ length: count }, (_, at) => make(at));

/** References that each point at the next twice: 2^30 paths through thirty definitions. */
export function doubling(keyword: 'anyOf' | 'oneOf' | 'allOf', depth: number): unknown {
  const $defs: Record<string, unknown> = { d0: { type: 'string', const: 'never' } };
  for (let at = 1; at <= depth; at += 1) {
    const next = { $ref: `#/$defs/d${at - 1}` };
    $defs[`d${at}`] = { [keyword]: [next, { allOf: [next] }] };
  }
  return { $ref: `#/$defs/d${depth}`, $defs };
}

/** Binds that each double the one before. */
export function binds(depth: number, start: string, inside: (name: string) => string): string {
  let text = inside(`v${depth}`);
  for (let at = depth; at > 0; at -= 1) text = `cel.bind(v${at}, v${at - 1} + v${at - 1}, ${text})`;
  return `cel.bind(v0, ${start}, ${text})`;
}

export const nest = (open: string, close: string, depth: number): string =>
  open.repeat(depth) + close.repeat(depth);
