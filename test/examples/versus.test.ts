/** examples/versus judges by what was told and what is there; the runs are in test/real. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judge, toldWords } from '../../examples/versus/judge.ts';
import type { Both, Told } from '../../examples/versus/judge.ts';
import { isHoldfastRight, table, type Row } from '../../examples/versus/run.ts';

const told = (status: number | null, outcome: string | null = null): Told => {
  return { status, ms: 1500, outcome };
};
const BOTH: Both = { first: 'yes', second: 'yes' };
const NONE: Both = { first: 'no', second: 'no' };

const row = (contender: string, right: boolean): Row => {
  const verdict = { right, words: 'as it is' };
  const stores = { atOnce: NONE, after: NONE };
  return { contender, fault: 'killed', told: told(500), ...stores, verdict };
};

describe('the judge of examples/versus', () => {
  it('lets pass a write that is in both or in none, as was told', () => {
    assert.equal(judge(told(200), BOTH).right, true);
    assert.equal(judge(told(502), NONE).right, true);
    assert.equal(judge(told(202, 'committed'), BOTH).right, true);
    assert.equal(judge(told(202, 'failed'), NONE).right, true);
  });

  it('finds a write that only one store has, whatever was told', () => {
    for (const status of [200, 202, 500, null]) {
      assert.match(judge(told(status), { first: 'yes', second: 'no' }).words, /MIXED: the first/);
      assert.match(judge(told(status), { first: 'no', second: 'yes' }).words, /MIXED: the second/);
    }
  });

  it('finds a write that is there after failure was told, and one told as done and lost', () => {
    assert.match(judge(told(500), BOTH).words, /LATE/);
    assert.match(judge(told(202, 'failed'), BOTH).words, /LATE/);
    assert.match(judge(told(200), NONE).words, /LOST/);
    assert.match(judge(told(202, 'committed'), NONE).words, /LOST/);
  });

  it('does not take an open end or a silent store for an answer', () => {
    assert.equal(judge(told(202), BOTH).right, false);
    assert.equal(judge(told(null), NONE).right, false);
    assert.equal(judge(told(502), { first: 'no', second: 'hangs' }).right, false);
  });

  it('ends well only if Holdfast was there and right each time', () => {
    assert.equal(isHoldfastRight([row('Holdfast, a', true), row('plain handler', false)]), true);
    assert.equal(isHoldfastRight([row('Holdfast, a', true), row('Holdfast, b', false)]), false);
    assert.equal(isHoldfastRight([row('plain handler', true)]), false);
  });

  it('shows one line per run', () => {
    const lines = table([row('Holdfast', true), row('plain handler', false)]).split('\n');
    assert.equal(lines.length, 3);
    assert.match(lines[2] ?? '', /^plain handler \| killed +\| 500 after 1\.5 s/);
    assert.equal(toldWords(told(202, 'committed')), '202 after 1.5 s, then committed');
  });
});
