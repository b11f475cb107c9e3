/** The command line against a running server of fakes: what it prints where, and its exit codes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { testServer } from '../http/server.testing.ts';
import type { TestServer } from '../http/server.testing.ts';
import { runCli } from './cli.ts';
import type { Bodies, ConfigFlags } from './cli.ts';
import type { CliIo } from './io.ts';

let server: TestServer;
before(async () => {
  server = await testServer();
});
after(() => server.stop());

const ESC = String.fromCodePoint(0x1b);

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** What the local commands were told. */
  readonly told: [string, ConfigFlags][];
}

async function run(
  argv: readonly string[],
  more: { stdin?: string; env?: Record<string, string>; tty?: boolean; exits?: number } = {},
): Promise<Ran> {
  const out: Buffer[] = [];
  let err = '';
  const told: [string, ConfigFlags][] = [];
  const io: CliIo = {
    stdout: { write: (text: string | Uint8Array) => out.push(Buffer.from(text as string)) },
    stderr: { write: (text: string) => (err += text), isTTY: more.tty === true },
    stdin: (async function* () {
      yield Buffer.from(more.stdin ?? '');
    })(),
    env: { HOLDFAST_SERVER: server.http.url, ...more.env },
    fetch,
  };
  const body = (name: string) => (flags: ConfigFlags) => {
    told.push([name, flags]);
    return Promise.resolve(more.exits ?? 0);
  };
  const bodies: Bodies = {
    version: '1.2.3',
    serve: body('serve'),
    validate: body('validate'),
    configPrint: body('configPrint'),
    configSchema: body('configSchema'),
    doctor: body('doctor'),
    stashCheck: (wish, tell) => {
      told.push(['stashCheck', wish as unknown as ConfigFlags]);
      const result = { promise: 'is sound', result: more.exits === 1 ? 'failed' : 'ok' } as const;
      tell(result);
      return Promise.resolve({ results: [result], left: 'nothing was stored' });
    },
  };
  const code = await runCli(argv, io, bodies);
  return { code, out: Buffer.concat(out).toString('utf8'), err, told };
}

test('set, get and delete a key; the value comes back byte for byte on stdout', async () => {
  const set = await run(['set', 'a/b ☀', '{"n": 1.0}', '--ttl', '60', '-o', 'json']);
  assert.deepEqual([set.code, set.err], [0, '']);
  assert.equal((JSON.parse(set.out) as { outcome: string }).outcome, 'committed');
  assert.equal(server.fakes.requests.at(-1)?.ttlMs, 60_000);
  const get = await run(['get', 'a/b ☀']);
  assert.deepEqual([get.code, get.out, get.err], [0, '{"n": 1.0}', '']);
  const piped = await run(['set', 'k', '-', '--async', '--wait', '2'], { stdin: '"piped"' });
  assert.equal(piped.code, 0);
  assert.equal(server.fakes.requests.at(-1)?.waitMs, 2000);
  assert.equal((await run(['get', 'k'])).out, '"piped"');
  const gone = await run(['delete', 'k', '-o', 'ndjson']);
  assert.equal((JSON.parse(gone.out) as { existed: boolean }).existed, true);
  const table = await run(['set', 'k', '1']);
  assert.match(table.out, /^uow +\d+\naccount +default\n/);
});

test('what the server refuses is told on stderr, with exit code 1', async () => {
  const none = await run(['get', 'nowhere']);
  assert.deepEqual([none.code, none.out], [1, '']);
  assert.match(none.err, /^error: There is nothing here: .*\nhint: /);
  const bad = await run(['set', 'k', '{']);
  assert.equal(bad.code, 1);
  assert.match(bad.err, /not acceptable JSON/);
});

test('nobody there is 69; wrong usage is 2; help is 0', async () => {
  const away = await run(['get', 'k', '--server', 'http://127.0.0.1:1']);
  assert.equal(away.code, 69);
  assert.match(away.err, /does not answer/);
  const usage = [['nonsense'], ['get'], ['set', 'k', '1', '--tll', '5'], ['get', 'k', '-o', 'xml']];
  usage.push(['serve', '--set', 'x'], ['get', 'k', '--server', 'nowhere'], []);
  for (const argv of usage) {
    const ran = await run(argv);
    assert.equal(ran.code, 2, argv.join(' '));
    assert.equal(ran.out, '', argv.join(' '));
    assert.notEqual(ran.err, '');
  }
  const help = await run(['--help']);
  assert.equal(help.code, 0);
  for (const name of [
    'serve',
    'validate',
    'config',
    'set',
    'get',
    'delete',
    'failures',
    'doctor',
  ]) {
    assert.match(help.out, new RegExp(`^ +${name}\\b`, 'm'));
  }
  assert.equal((await run(['version'])).out, '1.2.3\n');
  assert.equal((await run(['--version'])).out, '1.2.3\n');
});

test('failures: list in every form, show, retry, skip, discard', async () => {
  const row = {
    uow: 41,
    attempt: 1,
    account: 'default',
    flow: 'default',
    kind: 'set' as const,
    keys: ['evil\u001b[2J\u202e'],
    firstFailedAt: 0,
    lastFailedAt: 1000,
    parked: true,
    retryAt: null,
    reason: 'crm: 503',
    stash: 'crm',
    status: 503,
    report: [],
    plan: new Uint8Array(0),
  };
  server.fakes.failureRows.set(41, row);
  const table = await run(['failures', 'list', '--stash', 'crm', '--limit', '5']);
  assert.equal(table.code, 0);
  assert.match(table.out, /^UOW +ACCOUNT/);
  assert.match(table.out, /evil\\u001b\[2J\\u202e/, 'control characters must not reach a terminal');
  assert.match(server.fakes.calls.at(-1) ?? '', /"stash":"crm"\} null 5/);
  const ndjson = await run(['failures', 'list', '-o', 'ndjson']);
  assert.equal((JSON.parse(ndjson.out) as { uow: number }).uow, 41);
  const json = await run(['failures', 'show', '41', '-o', 'json']);
  assert.equal((JSON.parse(json.out) as { stash: string }).stash, 'crm');
  assert.equal((await run(['failures', 'retry', '41'])).code, 0);
  assert.match((await run(['failures', 'skip', '41'])).out, /done +skipped/);
  assert.equal((await run(['failures', 'discard', '41'])).code, 0);
  assert.equal((await run(['failures', 'discard', '41'])).code, 1);
});

test('commands of this process get their flags and give their exit codes', async () => {
  const argv = ['serve', '-c', 'x.yaml', '--port', '0', '--set', 'logging.keys=true', 'a.b=c=d'];
  const serve = await run(argv, { exits: 74 });
  assert.equal(serve.code, 74);
  const flags = { 'http.port': '0', 'logging.keys': 'true', 'a.b': 'c=d' };
  assert.deepEqual(serve.told, [['serve', { file: 'x.yaml', flags, output: 'table' }]]);
  const others: [string[], string][] = [
    [['validate'], 'validate'],
    [['config', 'print'], 'configPrint'],
    [['config', 'schema'], 'configSchema'],
    [['doctor'], 'doctor'],
  ];
  for (const [line, name] of others) {
    const ran = await run(line, { exits: 78, env: { HOLDFAST_CONFIG: 'env.yaml' } });
    assert.deepEqual([ran.code, ran.told[0]?.[0]], [78, name]);
    assert.equal(ran.told[0]?.[1].file, 'env.yaml');
  }
});

test('colour only on a terminal, and never with NO_COLOR', async () => {
  assert.match(
    (await run(['get', 'nowhere'], { tty: true })).err,
    new RegExp(`^${ESC}\\[31merror:`),
  );
  assert.match(
    (await run(['get', 'nowhere'], { tty: true, env: { NO_COLOR: '1' } })).err,
    /^error:/,
  );
  assert.match((await run(['get', 'nowhere'])).err, /^error:/);
});

test('stash-check: a secret, a line for each promise, 1 if one is broken', async () => {
  const url = 'http://127.0.0.1:1/stash';
  const bare = await run(['stash-check', url]);
  assert.equal(bare.code, 2);
  assert.match(bare.err, /HOLDFAST_STASH_SECRET/);
  const env = { HOLDFAST_STASH_SECRET: ' whsec_c2VjcmV0 ' };
  const fine = await run(['stash-check', url, '--batch', '1', '--deadline', '3s'], { env });
  assert.deepEqual([fine.code, fine.out], [0, 'ok       is sound\n']);
  assert.match(fine.err, /1 kept, 0 broken, 0 not tried; nothing was stored/);
  const wish = fine.told[0]?.[1] as unknown as Record<string, unknown>;
  assert.deepEqual(
    [wish['secret'], wish['batch'], wish['deadlineMs']],
    ['whsec_c2VjcmV0', 1, 3000],
  );
  const broken = await run(['stash-check', url, '-o', 'ndjson'], { env, exits: 1 });
  assert.equal(broken.code, 1);
  assert.equal((JSON.parse(broken.out) as { result: string }).result, 'failed');
  for (const args of [['ftp://x'], [url, '--batch', '0'], [url, '--timeout', 'soon']]) {
    assert.equal((await run(['stash-check', ...args], { env })).code, 2);
  }
});
