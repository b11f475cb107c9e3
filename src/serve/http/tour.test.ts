/** Every shell block of docs/HTTP.md runs, in order, against a server, and all goes well. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { testServer } from './server.testing.ts';

const run = promisify(execFile);

test('the tour of docs/HTTP.md can be walked', async (t) => {
  const page = await readFile(new URL('../../../docs/HTTP.md', import.meta.url), 'utf8');
  const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] as string);
  assert.ok(blocks.length >= 10, `${blocks.length} blocks`);
  const server = await testServer();
  try {
    for (const block of blocks) {
      const script = block
        .replaceAll('http://127.0.0.1:4180', server.http.url)
        .replaceAll('curl -sS', 'curl -sS --fail-with-body');
      const { stdout } = await run('sh', ['-eu', '-c', script]);
      assert.notEqual(stdout, '', block);
    }
    t.diagnostic(`${blocks.length} blocks ran`);
  } finally {
    await server.stop();
  }
});
