/** docs/DECISIONS.md is what the tables make of it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { DECISIONS } from '../../src/fanout/decide.ts';
import { VERDICTS } from '../../src/journal/verdicts.ts';
import decisionDocs from './decisions.ts';

test('docs/DECISIONS.md is up to date and has every row of both tables', async () => {
  for (const [path, content] of Object.entries(await decisionDocs())) {
    const committed = await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
    assert.equal(committed, content, `${path} is out of date: npm run docs`);
    for (const { situation } of DECISIONS) assert.ok(content.includes(situation), situation);
    for (const { meaning } of VERDICTS) assert.ok(content.includes(meaning), meaning);
    const rows = content.split('\n').filter((line) => line.startsWith('| ')).length;
    assert.equal(rows, DECISIONS.length + VERDICTS.length + 2);
  }
});
