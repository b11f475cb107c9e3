/** The table of statuses against its page, and against every status there is. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { holdsReplies, meaningOf, STATUS_ROWS, statusTable, verdictOf } from './replies.ts';

const PAGE = join(import.meta.dirname, '../../../docs/HTTP-STASH.md');

test('docs/HTTP-STASH.md shows the table as it is', () => {
  assert.ok(readFileSync(PAGE, 'utf8').includes(statusTable()), statusTable());
});

test('every status has a meaning, and every row one that only it gives', () => {
  for (let status = 200; status < 600; status += 1) {
    assert.ok(
      STATUS_ROWS.some(({ from, to }) => status >= from && status <= to),
      String(status),
    );
  }
  assert.equal(meaningOf(999), 'unknown');
  for (const [at, { from, to, means }] of STATUS_ROWS.entries()) {
    const statuses = Array.from({ length: to - from + 1 }, (_, step) => from + step);
    const firstOf = (status: number): number => {
      return STATUS_ROWS.findIndex((each) => status >= each.from && status <= each.to);
    };
    const own = statuses.filter((status) => firstOf(status) === at);
    assert.ok(own.length > 0, `row ${at} never applies`);
    for (const status of own) assert.equal(meaningOf(status), means);
  }
});

test('Retry-After: seconds, a date, nonsense', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const waits: [string | undefined, number | undefined][] = [
    ['3', 3000],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Thu, 01 Jan 2025 00:00:30 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
  ];
  for (const [retryAfter, wanted] of waits) {
    const answer = { got: 'answer', status: 429, text: '', retryAfter } as const;
    const verdict = verdictOf(answer, 1, now);
    assert.ok(verdict.is === 'words');
    assert.equal(verdict.words[0]?.retryAfterMs, wanted, String(retryAfter));
  }
});

test('holds: what is no word of ours cannot tell, never is believed behind a fence only', () => {
  const text = JSON.stringify({
    replies: [{ reply: 'never' }, { reply: 'live' }, { reply: 'so' }],
  });
  const answer = { got: 'answer', status: 200, text, retryAfter: undefined } as const;
  const verdict = verdictOf(answer, 3, 0);
  assert.deepEqual(holdsReplies(verdict, 3, true), ['never', 'live', 'cannot-tell']);
  assert.deepEqual(holdsReplies(verdict, 3, false), ['cannot-tell', 'live', 'cannot-tell']);
  const bare = { ...answer, text: '', status: 500 };
  assert.deepEqual(holdsReplies(verdictOf(bare, 2, 0), 2, true), ['cannot-tell', 'cannot-tell']);
});
