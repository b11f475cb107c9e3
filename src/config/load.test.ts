/** Loading: order, environment, every fault with its place, what comes out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StashSpec } from '../contracts/spec.ts';
import { ConfigError, faultText, placeText } from './faults.ts';
import type { ConfigFault } from './faults.ts';
import { planFlows } from './flows.ts';
import { checkDocument, loadConfig } from './load.ts';
import type { Loading } from './load.ts';
import { printConfig } from './print.ts';
import { compileSchema } from './json-schema.ts';
import { configSchema } from './schema.ts';

const ADAPTERS: readonly StashSpec[] = [
  {
    kind: 'sqlite',
    title: 'SQLite',
    doc: 'A store.',
    roles: ['stash', 'reader'],
    fields: {
      file: { type: 'string', doc: 'Where.' },
      keep: { type: 'integer', default: 10, min: 1, doc: 'How many.' },
    },
  },
  {
    kind: 'shared',
    title: 'Shared',
    doc: 'A store with one place.',
    roles: ['stash', 'reader'],
    fields: {
      url: { type: 'string', required: true, doc: 'Where.' },
      token: { type: 'string', sensitive: true, doc: 'Secret.' },
      wait: { type: 'duration', default: '5s', min: '1s', max: '1m', doc: 'How long.' },
      room: { type: 'size', default: '1MiB', doc: 'How much.' },
      on: { type: 'boolean', default: true, doc: 'Whether.' },
      tags: { type: 'strings', default: [], doc: 'Words.' },
      name: { type: 'template', doc: 'Name of a key.' },
    },
  },
  { kind: 'sink', title: 'Sink', doc: 'Write only.', roles: ['stash'], fields: {} },
];

const load = (text: string | null, more: Partial<Loading> = {}) =>
  loadConfig({ env: {}, flags: {}, adapters: ADAPTERS, readFile: async () => text, ...more });

async function faultsOf(
  text: string,
  more: Partial<Loading> = {},
): Promise<readonly ConfigFault[]> {
  try {
    await load(text, { file: 'h.yaml', ...more });
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults;
  }
  return [];
}

test('without a file the embedded default serves', async () => {
  const config = await load(null);
  assert.equal(config.source, 'the embedded default');
  assert.deepEqual(
    [config.http.host, config.http.port, config.access],
    ['127.0.0.1', 4180, 'loopback'],
  );
  assert.deepEqual([...config.stashes.keys()], ['store']);
  assert.equal(config.stashes.get('store')?.kind, 'sqlite');
  assert.deepEqual(config.stashes.get('store')?.options, { keep: 10 });
  const plan = planFlows(config, 3).get('default/default');
  assert.deepEqual([plan?.reader, plan?.stashes, plan?.read], ['store', [], ['store']]);
  assert.deepEqual([plan?.generation, plan?.shaped, plan?.valueChecked], [3, false, false]);
});

test('a file that is named must be there; the others are looked for in order', async () => {
  const asked: string[] = [];
  const readFile = async (path: string): Promise<string | null> => {
    asked.push(path);
    return null;
  };
  await load(null, { readFile });
  assert.deepEqual(asked, ['./holdfast.yaml', '/etc/holdfast/holdfast.yaml']);
  for (const more of [{ file: 'x.yaml' }, { env: { HOLDFAST_CONFIG: 'x.yaml' } }]) {
    await assert.rejects(load(null, more), /x\.yaml: there is no such file/);
  }
  const locked = async (): Promise<string | null> => Promise.reject(new Error('EACCES'));
  await assert.rejects(load(null, { readFile: locked }), /cannot be read: EACCES/);
});

test('flag over environment over file over default', async () => {
  const file = 'http: { port: 1000 }';
  const env = { HOLDFAST_HTTP__PORT: '2000', PORT: '1500' };
  const port = async (more: Partial<Loading>) => (await load(file, more)).http.port;
  assert.equal(await port({}), 1000);
  assert.equal(await port({ env: { PORT: '1500' } }), 1500);
  assert.equal(await port({ env }), 2000);
  assert.equal(await port({ env, flags: { 'http.port': '3000' } }), 3000);
  assert.equal((await load(null)).http.port, 4180);
});

test('the environment reaches any field, secrets by file, and nothing else', async () => {
  const file =
    'stashes: { my-cache: { kind: shared, url: "x:" }, store: { kind: sqlite } }\n' +
    'accounts: { a: { flows: { f: { read: [store] } } } }';
  const env = {
    HOLDFAST__DATA_DIR: '/data',
    LOG_LEVEL: 'debug',
    HOLDFAST_STASHES__MY_CACHE__TOKEN_FILE: '/run/token',
    HOLDFAST_STASHES__MY_CACHE__WAIT: '7s',
    HOLDFAST_STASHES__MY_CACHE__TAGS: 'a, b',
    HOLDFAST_STASHES__MY_CACHE__ON: 'false',
    HOLDFAST_PORT: 'tcp://10.0.0.1:4180',
    HOLDFAST_SERVICE_HOST: '10.0.0.1',
    PORT: 'tcp://10.0.0.1:6379',
    HOLDFAST_CONFIG: 'h.yaml',
  };
  const readFile = async (path: string) => (path === '/run/token' ? 'secret\n' : file);
  const config = await load(null, { env, readFile });
  assert.deepEqual(
    [config.dataDir, config.logging.level, config.http.port],
    ['/data', 'debug', 4180],
  );
  const { options } = config.stashes.get('my-cache') ?? {};
  assert.deepEqual(options, {
    url: 'x:',
    token: 'secret',
    wait: 7000,
    room: 1024 * 1024,
    on: false,
    tags: ['a', 'b'],
  });
  const faults = await faultsOf(file, {
    env: { HOLDFAST_HTTP__PROT: '1', HOLDFAST_HTTP__PORT: 'x' },
  });
  assert.deepEqual(faults.map(placeText).sort(), ['HOLDFAST_HTTP__PORT', 'HOLDFAST_HTTP__PROT']);
  assert.match(faults.map(faultText).join(), /Did you mean "port"/);
});

test('a variable fills a value and takes the type of its field, quoted or not', async () => {
  const env = { P: '8080', EVIL: '1, host: 0.0.0.0 }\naccess: open' };
  for (const port of ['${P}', '"${P}"', "'${P}'", '${NONE:-8080}']) {
    assert.equal((await load(`http:\n  port: ${port}`, { env })).http.port, 8080, port);
  }
  const [fault, ...rest] = await faultsOf('http:\n  port: ${EVIL}', { env });
  assert.deepEqual(rest, []);
  assert.match(fault?.detail ?? '', /an integer is wanted here/);
  assert.equal((await load('dataDir: "${EVIL}"', { env })).dataDir, env.EVIL);
});

test('all faults are told at once, each with its place and a hint', async () => {
  const faults = await faultsOf(`version: 2
htpp: { port: 1 }
http: { port: 99999 }
journal: { engine: kafka, keep: soon }
state: { engine: postgres }
sources: {}
archives: {}
stashes:
  a: { kind: shraed }
  b: { kind: sqlite, fiel: x, keep: 0 }
  c: { kind: sink }
  d: { kind: shared, wait: 2m, name: "\${{ kye }}" }
accounts:
  acme:
    streams: {}
    sinks: {}
    flows:
      one: { read: [b, c], write: [nope], emit: [x], archive: y }
      two:
        read: [b]
        schema: { type: objekt }
        map:
          kees: 1
          value: { a: "\${{ record. }}" }
      Three: {}
      four: { read: [b], schema: { properties: { a: { pattern: "(?=x)" } } } }
      five: { ttl: forever, read: [] }
`);
  const lines = faults.map((fault) => `${fault.line}:${fault.col} ${fault.detail}`).sort();
  const wanted: readonly (readonly [string, RegExp])[] = [
    ['1:10', /2 is out of range/],
    ['2:1', /unknown field "htpp"/],
    ['3:15', /99999 is out of range/],
    ['4:20', /"kafka" is not in this version/],
    ['4:33', /a duration is wanted/],
    ['5:18', /"postgres" is not in this version/],
    ['6:10', /"sources" is not in this version/],
    ['7:11', /"archives" is not in this version/],
    ['9:14', /no stash of kind "shraed"/],
    ['10:22', /unknown field "fiel"/],
    ['10:37', /0 is out of range/],
    ['12:6', /"url" is missing/],
    ['12:28', /2m is out of range/],
    ['12:38', /kye/],
    ['15:14', /"streams" is not in this version/],
    ['16:12', /"sinks" is not in this version/],
    ['18:24', /cannot be read from/],
    ['18:36', /no stash "nope"/],
    ['18:49', /"emit" is not in this version/],
    ['18:63', /"archive" is not in this version/],
    ['21:17', /JSON Schema cannot be used/],
    ['23:11', /unknown field "kees"/],
    ['23:11', /"keys" is missing/],
    ['25:7', /cannot name a flow/],
    ['26:34', /JSON Schema cannot be used/],
    ['27:20', /a duration or none/],
  ];
  for (const [place, detail] of wanted) {
    const found = lines.some((line) => line.startsWith(`${place} `) && detail.test(line));
    assert.ok(found, `${place} ${detail}\n${lines.join('\n')}`);
  }
  assert.ok(faults.every((fault) => fault.file === 'h.yaml'));
  assert.match(
    faults.map((fault) => fault.hint).join(),
    /Did you mean "http"\?.*Did you mean "shared"\?/s,
  );
});

test('listening beyond this machine wants a word about access', async () => {
  const [fault, ...rest] = await faultsOf('http:\n  host: 0.0.0.0');
  assert.deepEqual(rest, []);
  assert.deepEqual([fault?.line, fault?.col], [2, 9]);
  assert.match(fault?.hint ?? '', /127\.0\.0\.1.*access: open.*later version/);
  assert.equal((await load('http: { host: 0.0.0.0 }\naccess: open')).access, 'open');
  for (const host of ['127.0.0.1', '127.8.0.1', '::1', 'localhost']) {
    assert.equal((await load(`http: { host: "${host}" }`)).access, 'loopback');
  }
  for (const host of ['::', '127.0.0.1.example.com', '10.0.0.1', '']) {
    assert.equal((await faultsOf(`http: { host: "${host}" }`)).length, 1, host);
  }
  const keys = await faultsOf('access: { keys: required }');
  assert.match(keys.map((one) => one.detail).join(), /not in this version/);
});

test('flows find their stashes: reader first, reader out of write, no two alike', async () => {
  const stashes = 'stashes: { a: { kind: sqlite }, b: { kind: sqlite }, c: { kind: sink } }\n';
  const flow = async (fields: string) =>
    (await load(`${stashes}accounts: { x: { ttl: 1h, flows: { y: ${fields} } } }`)).flows.get(
      'x/y',
    );
  const one = await flow('{ write: [b, c, a, b], read: [a, b] }');
  assert.deepEqual([one?.stashes, one?.reader, one?.read], [['b', 'c'], 'a', ['a', 'b']]);
  assert.equal(one?.ttlMs, 3_600_000);
  assert.equal((await flow('{ read: [a], ttl: none }'))?.ttlMs, null);
  assert.equal((await flow('{ read: [a], ttl: 90 }'))?.ttlMs, 90_000);
  await assert.rejects(flow('{ read: [a, b] }'), /"b" is read from but never written to/);
  await assert.rejects(flow('{}'), /several stashes can be read/);
  await assert.rejects(flow('{ read: [] }'), /needs a reader/);
});

test('schemas are read from files beside the document, strictly', async () => {
  const text = 'accounts: { x: { flows: { y: { schema: ./s.json, valueSchema: s2.json } } } }';
  const files: Record<string, string> = {
    '/etc/h/s.json': '{"type":"object"}',
    '/etc/h/s2.json': 'true',
  };
  const readFile = async (path: string): Promise<string | null> =>
    path === '/etc/h/h.yaml' ? text : (files[path] ?? null);
  const more = { file: '/etc/h/h.yaml', readFile };
  const config = await load(null, more);
  assert.deepEqual(config.flows.get('x/y')?.shape?.schema?.json, { type: 'object' });
  assert.equal(config.flows.get('x/y')?.shape?.valueSchema?.json, true);
  assert.equal(planFlows(config, 1).get('x/y')?.valueChecked, true);
  files['/etc/h/s.json'] = '{"type":"object",\n "type":"array"}';
  delete files['/etc/h/s2.json'];
  const faults = await faultsOf('', more);
  assert.deepEqual(faults.map(placeText), ['./s.json:2:2', '/etc/h/h.yaml:1:63']);
});

test('YAML that attacks its reader is a fault, soon', async () => {
  const laughs = Array.from({ length: 9 }, (_, at) =>
    at === 0 ? 'a0: &a0 [lol, lol]' : `a${at}: &a${at} [${`*a${at - 1},`.repeat(9)}]`,
  );
  const cases: Record<string, string> = {
    'billion laughs (CVE-2003-1564, CVE-2019-11253)': `x:\n  ${laughs.join('\n  ')}`,
    'an alias inside itself': 'accounts: &a { x: *a }',
    'brackets without end (CWE-674)': '['.repeat(100_000),
    'a deep mapping': `a: ${'{ b: '.repeat(5000)}1${' }'.repeat(5000)}`,
    'a name twice': 'http: { port: 1 }\nhttp: { port: 2 }',
    '__proto__ (CWE-1321)': 'http: { __proto__: { port: 1 } }',
    'a tag that runs code elsewhere (CWE-502)': 'http: !!js/function "x"',
    'two documents': 'version: 1\n---\nversion: 1',
    'a list': '- a',
    'a text': 'hello',
    'two megabytes': `# ${'x'.repeat(2 * 1024 * 1024)}`,
    'a mapping as a name': '? { a: b }\n: 1',
  };
  for (const [name, text] of Object.entries(cases)) {
    const start = performance.now();
    assert.ok((await faultsOf(text)).length > 0, name);
    assert.ok(performance.now() - start < 5000, `${name} took long`);
  }
  assert.deepEqual(await faultsOf('http: &h { port: 1 }\nlogging:\n\nstate:\n'), []);
});

test('examples in documents are checked without their files and variables', () => {
  const text =
    'stashes: { s: { kind: shared, url: "${URL}" } }\n' +
    'accounts: { x: { flows: { y: { schema: ./not-here.json } } } }';
  assert.deepEqual(checkDocument(text, 'README.md', ADAPTERS), []);
  const [fault] = checkDocument('\nprot: 1', 'README.md', ADAPTERS);
  assert.equal(fault && placeText(fault), 'README.md:2:1');
});

const FULL = `
http: { port: 80, host: "::1" }
dataDir: a$$b
stashes:
  s:
    kind: shared
    url: "redis://me:hunter2@h:1/0"
    token: t0ps3cret
    name: "\${{ account + '/' + flow + '/' + key }}"
  q: { kind: sqlite }
accounts:
  x:
    ttl: none
    flows:
      y:
        read: [q]
        ttl: 90m
        schema: { type: object, properties: { a: { pattern: "^a$" } } }
        map:
          keys: ["\${{ record.id }}", "k-\${{ record.n }}"]
          value: { cost: "$$5", n: 1, nested: ["\${{ record }}", null] }
`;

test('what is printed loads to the same flows, without secrets', async () => {
  const config = await load(FULL);
  const printed = printConfig(config, ADAPTERS);
  assert.doesNotMatch(printed, /hunter2|t0ps3cret/);
  assert.match(printed, /token: \(redacted\)/);
  assert.match(printed, /keep: 1h/);
  const again = await load(printed);
  assert.equal(again.dataDir, 'a$b');
  const withoutPlaces = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (name, inner: unknown) => (name === 'place' ? undefined : inner)),
    );
  assert.deepEqual(
    withoutPlaces([...again.flows.values()]),
    withoutPlaces([...config.flows.values()]),
  );
  assert.equal(printConfig(again, ADAPTERS), printed);
  const embedded = printConfig(await load(null), ADAPTERS);
  assert.match(embedded, /store:\n {4}kind: sqlite/);
});

test('the JSON Schema takes what loads and marks what does not', async () => {
  const schema = configSchema(ADAPTERS);
  const check = compileSchema(schema);
  const { parse } = await import('yaml');
  assert.deepEqual(check(parse(FULL)), []);
  assert.deepEqual(check(parse('http: { port: "${PORT:-1}" }')), []);
  assert.deepEqual(check(parse('http:\nstate: { engine: sqlite }')), []);
  for (const wrong of [
    'prot: 1',
    'http: { port: x }',
    'stashes: { a: { kind: no } }',
    'sources: {}',
  ]) {
    assert.ok(check(parse(wrong)).length > 0, wrong);
  }
});
