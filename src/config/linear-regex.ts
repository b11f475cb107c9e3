/**
 * Regular expressions in time linear in the text (RE2 by re2js). JavaScript's own engine
 * backtracks: `(a+)+$` on forty letters outlasts the sun (CWE-1333), so no pattern of a schema or a
 * mapping ever reaches it.
 */
import { RE2JS } from 're2js';

export interface LinearRegex {
  /** Whether the pattern is found anywhere in the text. */
  test(text: string): boolean;
}

/** Longer patterns, or ones that unfold (`(a{1000}){1000}`), are refused when they are compiled. */
const PATTERN_CHARS_MAX = 4096;

/**
 * Compiles a pattern; throws an Error that says what RE2 does not take (look-around, references).
 */
export function linearRegex(pattern: string, flags = ''): LinearRegex {
  if (pattern.length > PATTERN_CHARS_MAX) {
    throw new Error(`the pattern has more than ${PATTERN_CHARS_MAX} characters`);
  }
  let bits = 0;
  if (flags.includes('i')) bits |= RE2JS.CASE_INSENSITIVE;
  if (flags.includes('m')) bits |= RE2JS.MULTILINE;
  if (flags.includes('s')) bits |= RE2JS.DOTALL;
  const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern), bits);
  return { test: (text) => compiled.matcher(text).find() };
}
