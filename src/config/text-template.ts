/**
 * Renders the texts with expressions that stores are given for their names (`template` options).
 */
import { compileExpression, ExpressionError, piecesOf } from './expression.ts';
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
  const parts = template.flatMap((part) =>
    typeof part === 'string' ? () => part : leaf(part.cel),
  );
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  return (names) => {
    let text = '';
    for (const part of parts) text += part(names);
    return text;
  };
}

type Part = (names: StoreNames) => string;

function leaf(cel: string): Part | Part[] {
  const evaluate = compileExpression(cel, 'store');
  const pieces = piecesOf(cel, 'store');
  if (pieces !== null) {
    return pieces.map((piece): Part => {
      if ('text' in piece) return () => piece.text;
      const name = piece.name as keyof StoreNames;
      return (names) => names[name];
    });
  }
  return (names) => {
    const value = evaluate({ ...names });
    if (typeof value === 'string' || typeof value === 'bigint') return String(value);
    throw new ExpressionError(`\${{ ${cel} }} gives ${typeof value} and not a text`);
  };
}
