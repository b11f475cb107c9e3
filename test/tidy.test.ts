/**
 * The house rules as tests. Every rule first shows on its controls that it can fail, then looks at
 * the tree. Exceptions stand in test/tidy/exceptions.ts; one that is no longer needed fails too.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EXCEPTIONS, EXCEPTIONS_MAX } from './tidy/exceptions.ts';
import type { Exception } from './tidy/exceptions.ts';
import { importRules } from './tidy/imports.ts';
import { reachRules } from './tidy/reach.ts';
import { shapeRules } from './tidy/shape.ts';
import { textRules } from './tidy/text.ts';
import { realTree, Tree } from './tidy/tree.ts';
import type { Finding, Rule } from './tidy/tree.ts';

const RULES: readonly Rule[] = [...importRules, ...shapeRules, ...reachRules, ...textRules];

/** Findings that no exception covers, and exceptions that cover none. */
function judge(rule: Rule, found: readonly Finding[], exceptions: readonly Exception[]): string[] {
  const mine = exceptions.filter((exception) => exception.rule === rule.name);
  const broken = found
    .filter((finding) => !mine.some((exception) => exception.path === finding.path))
    .map((finding) => `${finding.path}:${finding.line} ${finding.words}`);
  const stale = mine
    .filter((exception) => !found.some((finding) => finding.path === exception.path))
    .map((exception) => `the exception for ${exception.path} is no longer needed`);
  return [...broken, ...stale];
}

describe('house rules', () => {
  const tree = realTree();

  for (const rule of RULES) {
    it(`${rule.name}: can fail`, () => {
      assert.ok(rule.bad.length > 0 && rule.good.length > 0);
      for (const files of rule.bad) {
        assert.notDeepEqual(rule.check(new Tree(files)), [], `not seen in ${show(files)}`);
      }
      for (const files of rule.good) {
        assert.deepEqual(rule.check(new Tree(files)), [], `false alarm in ${show(files)}`);
      }
    });

    it(rule.name, () => {
      const wrong = judge(rule, rule.check(tree), EXCEPTIONS);
      assert.ok(wrong.length === 0, `\n${wrong.join('\n')}\n`);
    });
  }
});

describe('exceptions to the house rules', () => {
  it('only shrink', () => {
    assert.equal(EXCEPTIONS.length, EXCEPTIONS_MAX, 'lower EXCEPTIONS_MAX; never raise it');
  });

  it('name a rule that exists and a reason', () => {
    for (const { rule, why } of EXCEPTIONS) {
      assert.ok(
        RULES.some(({ name }) => name === rule),
        `there is no rule "${rule}"`,
      );
      assert.ok(why.length > 20, `"${why}" is no reason`);
    }
  });

  it('cover one place, and fail when that place keeps the rule', () => {
    const [rule] = RULES;
    assert.ok(rule !== undefined);
    const exception = { rule: rule.name, path: 'a.ts', why: 'a control of the judge itself' };
    const finding = { path: 'a.ts', line: 1, words: 'wrong' };
    assert.deepEqual(judge(rule, [finding], [exception]), []);
    assert.equal(judge(rule, [], [exception]).length, 1);
    assert.equal(judge(rule, [{ ...finding, path: 'b.ts' }], [exception]).length, 2);
    assert.equal(judge(rule, [finding], []).length, 1);
  });
});

function show(files: object): string {
  return JSON.stringify(files).slice(0, 200);
}
