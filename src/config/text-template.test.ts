/** Names in stores: the fast way of putting them together is the same as evaluating them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileExpression, piecesOf } from './expression.ts';
import { textRenderer } from './text-template.ts';

const NAMES = { account: 'acme', flow: 'orders', key: "a'b}${{ key }}" };
const PLACE = { file: 'holdfast.yaml', line: 1, column: 1 };

function rendered(...parts: readonly (string | { cel: string })[]): string {
  const template = parts.map((part) => {
    return typeof part === 'string' ? part : { ...part, place: PLACE };
  });
  return textRenderer(template)(NAMES);
}

test('texts and names put together are what evaluating the expression gives', () => {
  const plain = [
    "account + ':' + flow + ':' + key",
    'key',
    "'only a text'",
    "(flow + '/') + (key + account)",
    "'\\n' + key + r'\\d'",
  ];
  for (const cel of plain) {
    assert.ok(piecesOf(cel, 'store') !== null, cel);
    assert.equal(rendered({ cel }), compileExpression(cel, 'store')({ ...NAMES }), cel);
  }
});

test('what does more than that is evaluated', () => {
  const more = [
    "flow == 'orders' ? key : account",
    "key.size() > 3 ? 'long' : 'short'",
    'key.size()',
  ];
  for (const cel of more) {
    assert.equal(piecesOf(cel, 'store'), null, cel);
    assert.equal(rendered({ cel }), String(compileExpression(cel, 'store')({ ...NAMES })), cel);
  }
});

test('texts and expressions of a template stand in their order', () => {
  assert.equal(
    rendered('a-', { cel: 'flow' }, '-', { cel: "'x' + account" }, '-z'),
    'a-orders-xacme-z',
  );
  assert.equal(rendered('plain'), 'plain');
  assert.equal(rendered(), '');
});
