/**
 * Renders the texts with expressions that stores are given for their names (`template` options).
 */
import { compileExpression, ExpressionError } from './expression.ts';
import type { TextTemplate } from './field.ts';

export interface StoreNames {
  readonly account: string;
  readonly flow: string;
  readonly key: string;
}

/**
 * Compiles once, renders often. Rendering throws an ExpressionError when an expression gives
 * something other than a text or a whole number.
 */
export function textRenderer(template: TextTemplate): (names: StoreNames) => string {
  const parts = template.map((part) => (typeof part === 'string' ? () => part : leaf(part.cel)));
  return (names) => parts.map((part) => part(names)).join('');
}

function leaf(cel: string): (names: StoreNames) => string {
  const evaluate = compileExpression(cel, 'store');
  return (names) => {
    const value = evaluate({ ...names });
    if (typeof value === 'string' || typeof value === 'bigint') return String(value);
    throw new ExpressionError(`\${{ ${cel} }} gives ${typeof value} and not a text`);
  };
}
