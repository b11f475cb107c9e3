/** The pages on configuration and mapping: up to date, and every YAML block loads. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { STASH_ADAPTERS } from '../../src/adapters/registry.ts';
import { faultText } from '../../src/config/faults.ts';
import { checkDocument } from '../../src/config/load.ts';
import configurationDocs from './configuration.ts';

const SPECS = STASH_ADAPTERS.map((adapter) => adapter.spec);
const page = (path: string): Promise<string> =>
  readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

test('docs/CONFIGURATION.md is up to date and tells every stash', async () => {
  for (const [path, content] of Object.entries(await configurationDocs())) {
    assert.equal(await page(path), content, `${path} is out of date: npm run docs`);
    for (const { kind } of SPECS) assert.ok(content.includes(`### \`kind: ${kind}\``), kind);
  }
});

for (const path of ['docs/CONFIGURATION.md', 'docs/MAPPING.md']) {
  test(`every YAML block of ${path} is a configuration that loads`, async () => {
    const blocks = [...(await page(path)).matchAll(/```yaml\n(.*?)```/gs)];
    assert.ok(blocks.length > 0);
    for (const [, block = ''] of blocks) {
      const faults = checkDocument(block, path, SPECS);
      assert.deepEqual(faults.map(faultText), [], block);
    }
  });
}
