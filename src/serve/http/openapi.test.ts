/** The OpenAPI document against the catalogue, the schemas and the running server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Ajv2020 } from 'ajv/dist/2020.js';

import { CATALOGUE } from '../../kernel/errors.ts';
import { ADMIN } from './admin.ts';
import { openapiDocument } from './openapi.ts';
import { ADMIN_ROUTES, COMMON_FAULTS, ROUTES } from './routes.ts';
import { SCHEMAS } from './schemas.ts';
import { JSON_TYPE, testServer } from './server.testing.ts';

const document = openapiDocument('1.2.3');

/** Every value under the name `$ref`, anywhere. */
function refsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === '$ref' ? [String(inner)] : refsIn(inner),
  );
}

test('every reference resolves, every schema is used and compiles', () => {
  const refs = new Set(refsIn(document));
  assert.ok(refs.size > 10, `${refs.size} references`);
  for (const ref of refs) {
    const name = /^#\/components\/schemas\/(\w+)$/.exec(ref)?.[1] ?? '';
    assert.ok(Object.hasOwn(document.components.schemas, name), ref);
  }
  for (const name of Object.keys(SCHEMAS)) {
    assert.ok(refs.has(`#/components/schemas/${name}`), `${name} is not used`);
  }
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false });
  ajv.addVocabulary(['components']);
  ajv.addSchema({ $id: 'all', components: document.components });
  for (const name of Object.keys(SCHEMAS)) {
    ajv.compile({ $ref: `all#/components/schemas/${name}` });
  }
});

test('documented codes are those of the catalogue, each somewhere', () => {
  const used = new Set([...COMMON_FAULTS, ...ROUTES.flatMap((row) => row.faults)]);
  assert.deepEqual([...used].sort(), Object.keys(CATALOGUE).sort());
});

test('operations have one id each, their path parameters, and an answer that is no fault', () => {
  const ids = new Set<string>();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const operation of Object.values(item)) {
      assert.ok(!ids.has(operation.operationId), operation.operationId);
      ids.add(operation.operationId);
      const names = operation.parameters.filter((one) => one.in === 'path').map((one) => one.name);
      assert.deepEqual(
        names,
        [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]),
      );
      for (const parameter of operation.parameters) assert.notEqual(parameter.description, '');
      assert.ok(Object.keys(operation.responses).some((status) => status.startsWith('2')));
    }
  }
  assert.ok(ids.size > 30, `${ids.size} operations`);
});

test('every row outside the data resource has its handler, and no handler is without a row', () => {
  assert.deepEqual(ADMIN_ROUTES.map((row) => row.id).sort(), Object.keys(ADMIN).sort());
});

test('every documented route answers as documented', async (t) => {
  const server = await testServer();
  try {
    const values: Record<string, string> = {
      account: 'default',
      flow: 'default',
      key: 'k',
      uow: '1',
      id: 'd1',
      code: 'not-found',
      token: 'waited-for',
    };
    let answered = 0;
    for (const row of ROUTES) {
      const path = row.path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => values[name] ?? '');
      const bodies: Record<string, string> = {
        value: '1',
        record: '{}',
        answer: '{"replies": []}',
        ReadRequest: '{"account":"default","flow":"default","keys":["k"]}',
        DeletionRequest: '{"account":"default","flow":"default","pattern":"a*"}',
      };
      const body = row.body === undefined ? {} : { body: bodies[row.body] as string };
      const init = { method: row.method, headers: JSON_TYPE, ...body };
      const response = await fetch(server.http.url + path, init);
      const documented = document.paths[row.path]?.[row.method.toLowerCase()]?.responses ?? {};
      const text = await response.text();
      const answer = documented[String(response.status)];
      assert.ok(answer !== undefined, `${row.id}: ${response.status} ${text}`);
      assert.notEqual(response.status, 405, row.id);
      assert.doesNotMatch(text, /No resource has this path/, row.id);
      answered += 1;
      // A parameter that is not in the table is refused by the server that was made from it.
      const odd = await fetch(`${server.http.url}${path}?not-documented=1`, init);
      assert.equal(odd.status, 400, row.id);
      await odd.arrayBuffer();
    }
    t.diagnostic(`${answered} routes answered`);
    assert.equal(answered, ROUTES.length);
  } finally {
    await server.stop();
  }
});

test('answers fit their schemas', async () => {
  const server = await testServer();
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false });
  ajv.addVocabulary(['components']);
  ajv.addSchema({ $id: 'all', components: document.components });
  const get = async (path: string, init: RequestInit = {}): Promise<unknown> =>
    (await fetch(server.http.url + path, init)).json();
  try {
    const wish = { account: 'default', flow: 'default', keys: ['k', 'none'] };
    const put = { method: 'PUT', body: '1', headers: JSON_TYPE };
    const post = { method: 'POST', body: JSON.stringify(wish), headers: JSON_TYPE };
    const cases: [string, unknown][] = [
      ['Receipt', await get('/v1/data/default/default/k?ttl=5', put)],
      ['KeyPage', await get('/v1/data/default/default')],
      ['VersionPage', await get('/v1/data/default/default/k/history')],
      ['Problem', await get('/v1/data/default/default/none')],
      ['ReadItems', await get('/v1/reads', post)],
      ['ParkedPage', await get('/v1/lanes/parked')],
      ['Status', await get('/ready')],
    ];
    for (const [name, body] of cases) {
      const check = ajv.compile({ $ref: `all#/components/schemas/${name}` });
      assert.ok(check(body), `${name}: ${JSON.stringify(check.errors)} ${JSON.stringify(body)}`);
      assert.ok(!check({ nothing: true }), `${name} takes anything`);
    }
  } finally {
    await server.stop();
  }
});
