/** Turns the `map:` of a flow from the document into templates, and plain values out of trees. */
import type { Place, FaultList } from './faults.ts';
import type { Template, TextPart } from './config.ts';
import type { ScalarTree, Tree } from './document.ts';
import { compileExpression, ExpressionError } from './expression.ts';
import type { Scope } from './expression.ts';

/** A template whose expressions all compile; every one that does not is a fault at its place. */
export function templateOf(tree: Tree, faults: FaultList): Template {
  const place = tree.place;
  if (tree.kind === 'list') {
    return { kind: 'list', items: tree.items.map((item) => templateOf(item, faults)), place };
  }
  if (tree.kind === 'map') {
    const entries = [...tree.entries].map(
      ([name, entry]) => [name, templateOf(entry.tree, faults)] as const,
    );
    return { kind: 'map', entries, place };
  }
  if (typeof tree.value !== 'string') return { kind: 'literal', value: literalOf(tree, faults) };
  const parts = tree.parts.map((part, at): TextPart => {
    if (typeof part === 'string') return part;
    const where = tree.partPlaces[at] ?? place;
    checkExpression(part.cel, 'record', where, faults);
    return { cel: part.cel, place: where };
  });
  const [only] = parts;
  if (parts.length === 1 && typeof only === 'object') return { kind: 'expression', ...only };
  if (parts.some((part) => typeof part === 'object')) return { kind: 'text', parts, place };
  return { kind: 'literal', value: tree.value };
}

/** Adds a fault when the expression does not compile. */
export function checkExpression(cel: string, scope: Scope, place: Place, faults: FaultList): void {
  try {
    compileExpression(cel, scope);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    faults.add(place, `the expression ${cel.slice(0, 120)} does not compile: ${error.message}`);
  }
}

/** A number must come out of JSON as it went in; infinities have no JSON at all. */
function literalOf(tree: ScalarTree, faults: FaultList): ScalarTree['value'] {
  if (typeof tree.value !== 'number') return tree.value;
  const unsafe = Number.isInteger(tree.value) && !Number.isSafeInteger(tree.value);
  if (!Number.isFinite(tree.value) || unsafe) {
    faults.add(tree.place, `${tree.text} cannot be kept exactly as a JSON number`, 'Quote it.');
  }
  return tree.value;
}

/** The plain JSON value of a tree; expressions in it are a fault. */
export function plainOf(tree: Tree, faults: FaultList): unknown {
  if (tree.kind === 'list') return tree.items.map((item) => plainOf(item, faults));
  if (tree.kind === 'map') {
    return Object.fromEntries(
      [...tree.entries].map(([name, entry]) => [name, plainOf(entry.tree, faults)]),
    );
  }
  if (tree.parts.some((part) => typeof part !== 'string')) {
    faults.add(tree.place, 'expressions are not evaluated here', 'Remove ${{ }}.');
  }
  return literalOf(tree, faults);
}
