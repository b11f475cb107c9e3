/** docs/ERRORS.md is what the catalogue makes of it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { CATALOGUE } from '../../src/kernel/errors.ts';
import errorDocs from './errors.ts';

test('docs/ERRORS.md is up to date and has a row for every code', async () => {
  for (const [path, content] of Object.entries(await errorDocs())) {
    const committed = await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
    assert.equal(committed, content, `${path} is out of date: npm run docs`);
    for (const code of Object.keys(CATALOGUE)) assert.ok(content.includes(`| \`${code}\` |`), code);
  }
});
