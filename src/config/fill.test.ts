/** Variables in single values: what each form gives, and what can never come out of one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fill } from './fill.ts';

const variables = (name: string): string | undefined =>
  ({ A: 'one', EMPTY: '', EVIL: '${{ record }} ${A} $$ }}' })[name];
const filled = (text: string) => fill(text, variables);
const plain = (text: string): string =>
  filled(text)
    .parts.map((part) => (typeof part === 'string' ? part : `<${part.cel}>`))
    .join('|');

test('each form of a variable gives what it says', () => {
  assert.equal(plain('${A}-${A}'), 'one-one');
  assert.equal(plain('${NONE:-two words}'), 'two words');
  assert.equal(plain('${EMPTY:-two}'), 'two');
  assert.equal(plain('${EMPTY}'), '');
  assert.equal(plain('${A:?must be there}'), 'one');
  assert.equal(plain('${NONE:-}'), '');
  assert.equal(plain('costs $5, $$5, $${A}'), 'costs $5, $5, ${A}');
});

test('what is missing or malformed is told', () => {
  assert.match(filled('${NONE}').faults[0]?.detail ?? '', /NONE is not set/);
  assert.match(filled('${NONE:?give a url}').faults[0]?.detail ?? '', /give a url/);
  assert.match(filled('${EMPTY:?give a url}').faults[0]?.detail ?? '', /give a url/);
  assert.match(filled('${1x}').faults[0]?.detail ?? '', /no variable/);
  assert.match(filled('${{ record.id').faults[0]?.detail ?? '', /never ends/);
});

test('an expression stays whole, braces and quotes in it included', () => {
  assert.deepEqual(filled('${{ record.id }}').parts, [{ cel: 'record.id' }]);
  assert.deepEqual(filled("a ${{ {'b': {'c': 1}}['b'] }} z").parts, [
    'a ',
    { cel: "{'b': {'c': 1}}['b']" },
    ' z',
  ]);
  assert.deepEqual(filled(`\${{ "}}" + r'\\' + '\\'}}' }}`).parts, [
    { cel: `"}}" + r'\\' + '\\'}}'` },
  ]);
  assert.deepEqual(filled("${{ '''}}''' }}!").parts, [{ cel: "'''}}'''" }, '!']);
  assert.deepEqual(filled('${{ "${A}" }}').parts, [{ cel: '"${A}"' }]);
});

test('what a variable holds is never read again: not as a variable, not as an expression', () => {
  assert.deepEqual(filled('${EVIL}').parts, ['${{ record }} ${A} $$ }}']);
  assert.equal(filled('${EVIL}').variable, true);
});
