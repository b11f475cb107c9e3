/**
 * The expressions of `${{ ... }}`: CEL with what it lacks for JSON records. Numbers of a record are
 * doubles and literals are ints, so arithmetic over both is given; lists have `sum()`; `matches` is
 * linear in time. Bytes are left out: they have no place in JSON and escape the heap bound of a
 * worker.
 */
import { Environment } from '@marcbachmann/cel-js';
import { linearRegex } from './linear-regex.ts';
import type { LinearRegex } from './linear-regex.ts';

/** Evaluates with the named values; throws an ExpressionError. */
export type Evaluate = (names: Readonly<Record<string, unknown>>) => unknown;

export class ExpressionError extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'ExpressionError';
  }
}

export const EXPRESSION = { charsMax: 4096, nodesMax: 2000, depthMax: 64 } as const;

/** What an expression may name. `record`: mappings; `store`: names inside a store. */
export type Scope = 'record' | 'store';

const SCOPES: Record<Scope, Readonly<Record<string, string>>> = {
  record: { record: 'dyn', account: 'string', flow: 'string' },
  store: { account: 'string', flow: 'string', key: 'string' },
};

const environments = new Map<Scope, Environment>();

const LINEAR = 'matchesInLinearTime';

function environmentOf(scope: Scope): Environment {
  const known = environments.get(scope);
  if (known !== undefined) return known;
  const environment = new Environment({
    homogeneousAggregateLiterals: false,
    limits: { maxAstNodes: EXPRESSION.nodesMax, maxDepth: EXPRESSION.depthMax },
  });
  for (const [name, type] of Object.entries(SCOPES[scope]))
    environment.registerVariable(name, type);
  registerNumbers(environment);
  environment.registerFunction('list.sum(): dyn', sum);
  environment.registerFunction(`string.${LINEAR}(string): bool`, matches);
  environment.registerFunction(`${LINEAR}(string, string): bool`, matches);
  environments.set(scope, environment);
  return environment;
}

/** Mixed arithmetic gives a double, as it does in JSON. */
function registerNumbers(environment: Environment): void {
  const operators: Record<string, (a: number, b: number) => number> = {
    '+': (a, b) => a + b,
    '-': (a, b) => a - b,
    '*': (a, b) => a * b,
    '/': (a, b) => a / b,
    '%': (a, b) => a % b,
  };
  const pairs = [
    ['double', 'int'],
    ['int', 'double'],
    ['double', 'uint'],
    ['uint', 'double'],
  ];
  for (const [sign, work] of Object.entries(operators)) {
    const mixed = (a: unknown, b: unknown): number => work(Number(a), Number(b));
    for (const [left, right] of pairs) {
      environment.registerOperator(`${left} ${sign} ${right}: double`, mixed);
    }
  }
  environment.registerOperator('double % double: double', (a: number, b: number) => a % b);
  environment.registerOperator('double == int: bool', (a: number, b: bigint) => Number(b) === a);
}

/** Ints add up to an int, anything with a double to a double; an empty list to 0. */
function sum(list: Iterable<unknown>): unknown {
  let whole = 0n;
  let fraction = 0;
  let mixed = false;
  for (const item of list) {
    if (typeof item === 'bigint') whole += item;
    else if (typeof item === 'number') {
      fraction += item;
      mixed = true;
    } else throw new ExpressionError('sum() takes a list of numbers');
  }
  if (mixed) return fraction + Number(whole);
  if (BigInt.asIntN(64, whole) !== whole) throw new ExpressionError('sum() passes 64 bits');
  return whole;
}

const PATTERNS_MAX = 256;
const patterns = new Map<string, LinearRegex>();

function matches(text: string, pattern: string): boolean {
  let compiled = patterns.get(pattern);
  if (compiled === undefined) {
    try {
      compiled = linearRegex(pattern);
    } catch (error) {
      throw new ExpressionError(`matches(): ${(error as Error).message}`);
    }
    if (patterns.size >= PATTERNS_MAX) patterns.clear();
    patterns.set(pattern, compiled);
  }
  return compiled.test(text);
}

/** Compiles and type-checks; throws an ExpressionError with what is wrong and where in `cel`. */
export function compileExpression(cel: string, scope: Scope): Evaluate {
  if (cel.length > EXPRESSION.charsMax) {
    throw new ExpressionError(`an expression has at most ${EXPRESSION.charsMax} characters`);
  }
  const environment = environmentOf(scope);
  try {
    const parsed = environment.parse(cel);
    rewrite(parsed.ast);
    const check = parsed.check();
    if (!check.valid) throw check.error ?? new ExpressionError('it does not type-check');
    return (names) => {
      try {
        return parsed(names) as unknown;
      } catch (error) {
        throw said(error);
      }
    };
  } catch (error) {
    throw said(error);
  }
}

/** One piece of a text: as it stands, or what a name stands for. */
export type Piece = { readonly text: string } | { readonly name: string };

/**
 * The pieces of an expression that only puts texts and names one behind the other, or null: joining
 * them is many times as fast as evaluating it.
 */
export function piecesOf(cel: string, scope: Scope): readonly Piece[] | null {
  const pieces: Piece[] = [];
  const open: unknown[] = [environmentOf(scope).parse(cel).ast];
  while (open.length > 0) {
    const { op, args } = open.pop() as { op?: unknown; args?: unknown };
    if (op === '+' && Array.isArray(args)) open.push(args[1], args[0]);
    else if (op === 'value' && typeof args === 'string') pieces.push({ text: args });
    else if (op === 'id' && typeof args === 'string') pieces.push({ name: args });
    else return null;
  }
  return pieces;
}

/**
 * The engine's own `matches` cannot be overridden by registration, so calls are renamed in the tree
 * before it is checked; macro bodies share their nodes with the tree walked here.
 */
function rewrite(node: unknown): void {
  const open: unknown[] = [node];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next !== 'object' || next === null) continue;
    if (next instanceof Uint8Array) throw new ExpressionError('bytes are not part of expressions');
    if (Array.isArray(next)) {
      for (const item of next as unknown[]) open.push(item);
      continue;
    }
    const { op, args } = next as { op?: unknown; args?: unknown };
    if (Array.isArray(args) && (op === 'rcall' || op === 'call')) {
      if (args[0] === 'bytes') throw new ExpressionError('bytes are not part of expressions');
      if (args[0] === 'matches') args[0] = LINEAR;
    }
    open.push(args);
  }
}

/** The first line of the engine's message; its picture of the expression is left to the place. */
function said(error: unknown): ExpressionError {
  if (error instanceof ExpressionError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const first = message.split('\n', 1)[0] ?? message;
  return new ExpressionError(first.replaceAll(LINEAR, 'matches').slice(0, 300));
}
