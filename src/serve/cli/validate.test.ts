/** The commands that read the configuration: what they print where, and how they end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StashSpec } from '../../contracts/spec.ts';
import { runConfigPrint, runConfigSchema } from './config.ts';
import { runValidate } from './validate.ts';
import type { CommandIo, ConfigArgs } from './validate.ts';

const ADAPTERS: readonly StashSpec[] = [
  {
    kind: 'sqlite',
    title: 'SQLite',
    doc: 'A store.',
    roles: ['stash', 'reader'],
    fields: { token: { type: 'string', sensitive: true, doc: 'Secret.' } },
  },
];

function recorded(): { io: CommandIo; out: () => string; err: () => string } {
  let out = '';
  let err = '';
  const io = {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
  };
  return { io, out: () => out, err: () => err };
}

const args = (text: string, more: Partial<ConfigArgs> = {}): ConfigArgs => ({
  file: 'h.yaml',
  env: {},
  flags: {},
  adapters: ADAPTERS,
  readFile: async () => text,
  ...more,
});

const GOOD = 'stashes: { s: { kind: sqlite, token: hush } }\naccounts: { a: { flows: { f: {} } } }';
const BAD = 'http: { prot: 1 }\ndataDir: []';

test('a good configuration is summed up on stdout with exit code 0', async () => {
  const { io, out, err } = recorded();
  assert.equal(await runValidate(args(GOOD), io), 0);
  assert.match(out(), /^ok: h\.yaml\n.*stash s \(sqlite\)\n.*flow a\/f: read s\n$/s);
  assert.equal(err(), '');
});

test('every fault goes to stderr with its place and hint, exit code 78', async () => {
  const { io, out, err } = recorded();
  assert.equal(await runValidate(args(BAD), io), 78);
  assert.equal(out(), '');
  assert.match(err(), /h\.yaml:1:9: unknown field "prot"\n {4}Did you mean "port"\?/);
  assert.match(err(), /h\.yaml:2:10: .*\n2 faults in the configuration\n$/s);
});

test('with json both are data on stdout', async () => {
  const good = recorded();
  assert.equal(await runValidate(args(GOOD, { output: 'json' }), good.io), 0);
  assert.equal((JSON.parse(good.out()) as { ok: boolean }).ok, true);
  const bad = recorded();
  assert.equal(await runValidate(args(BAD, { output: 'json' }), bad.io), 78);
  assert.equal((JSON.parse(bad.out()) as { faults: unknown[] }).faults.length, 2);
});

test('config print leaves secrets out, config schema is JSON', async () => {
  const printed = recorded();
  assert.equal(await runConfigPrint(args(GOOD), printed.io), 0);
  assert.doesNotMatch(printed.out(), /hush/);
  assert.match(printed.out(), /token: \(redacted\)/);
  const bad = recorded();
  assert.equal(await runConfigPrint(args(BAD), bad.io), 78);
  const schema = recorded();
  assert.equal(runConfigSchema(ADAPTERS, schema.io), 0);
  assert.match((JSON.parse(schema.out()) as { $schema: string }).$schema, /2020-12/);
});
