/**
 * Fills variables into one text value: `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `$$`. It
 * works on values after the YAML has been parsed, so what a variable holds can never become
 * structure; `${{ ... }}` is CEL and stays apart, so what a variable holds can never become an
 * expression.
 */

/** A text that is used as it stands, or an expression to evaluate later. */
export type Part = string | { readonly cel: string };

export interface Filled {
  readonly parts: readonly Part[];
  /** True when a variable was filled in: the text then takes the type of its field. */
  readonly variable: boolean;
  readonly faults: readonly { readonly detail: string; readonly hint: string }[];
}

/** What a variable holds; `defaulted` says that the text has a default for one that is not set. */
export type Variables = (name: string, defaulted: boolean) => string | undefined;

const REFERENCE = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([-?])([^}]*))?\}/;

/**
 * The end of a `${{` expression that starts at `from` (after the braces): the first `}}` outside
 * quotes and inner braces; -1 when there is none.
 */
export function expressionEnd(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"' || char === "'") {
      at = quoteEnd(text, at);
      if (at < 0) return -1;
    } else if (char === '{') {
      depth += 1;
    } else if (char === '}') {
      if (depth > 0) depth -= 1;
      else if (text[at + 1] === '}') return at;
    }
  }
  return -1;
}

/** Index of the last quote of the CEL string that starts at `from`; -1 when it never ends. */
function quoteEnd(text: string, from: number): number {
  const quote = text[from] ?? '';
  const raw = /[rR]/.test(text[from - 1] ?? '') && !/\w/.test(text[from - 2] ?? '');
  const fence = text.startsWith(quote.repeat(3), from) ? quote.repeat(3) : quote;
  for (let at = from + fence.length; at < text.length; at += 1) {
    if (!raw && text[at] === '\\') at += 1;
    else if (text.startsWith(fence, at)) return at + fence.length - 1;
  }
  return -1;
}

/** Splits `text` into literal parts and expressions, variables filled in. Never throws. */
export function fill(text: string, variables: Variables): Filled {
  const parts: Part[] = [];
  const faults: { detail: string; hint: string }[] = [];
  let variable = false;
  let literal = '';
  let at = 0;
  while (at < text.length) {
    const dollar = text.indexOf('$', at);
    if (dollar < 0) break;
    literal += text.slice(at, dollar);
    at = dollar;
    if (text.startsWith('$$', at)) {
      literal += '$';
      at += 2;
    } else if (text.startsWith('${{', at)) {
      const end = expressionEnd(text, at + 3);
      if (end < 0) {
        faults.push({
          detail: 'an expression starts with ${{ and never ends',
          hint: 'Close it with }}.',
        });
        return { parts: [text], variable, faults };
      }
      if (literal !== '') parts.push(literal);
      literal = '';
      parts.push({ cel: text.slice(at + 3, end).trim() });
      at = end + 2;
    } else if (text.startsWith('${', at)) {
      const match = REFERENCE.exec(text.slice(at));
      if (match === null) {
        const detail = `"${text.slice(at, at + 24)}" is no variable`;
        faults.push({
          detail,
          hint: 'Write ${NAME}, ${NAME:-default} or ${NAME:?message}; $$ is a dollar.',
        });
        literal += '$';
        at += 1;
        continue;
      }
      const [whole, name = '', sign, rest = ''] = match;
      const value = variables(name, sign === '-');
      if (value !== undefined && (value !== '' || sign === undefined)) literal += value;
      else if (sign === '-') literal += rest;
      else faults.push(missing(name, sign === '?' ? rest : ''));
      variable = true;
      at += whole.length;
    } else {
      literal += '$';
      at += 1;
    }
  }
  literal += text.slice(at);
  if (literal !== '' || parts.length === 0) parts.push(literal);
  return { parts, variable, faults };
}

function missing(name: string, message: string): { detail: string; hint: string } {
  const why = message === '' ? '' : `: ${message}`;
  return {
    detail: `the variable ${name} is not set${why}`,
    hint: `Set it, or give a default: \${${name}:-value}.`,
  };
}
