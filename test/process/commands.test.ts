/** The command line against a running server: data on stdout, words on stderr, exit codes. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { Http } from './http.ts';
import { freePort, newFolder, Program, removeFolder, run, type Ended } from './program.ts';

const CONFIG = `
stashes:
  store: { kind: sqlite }
  picky: { kind: memory, refuseKeys: [bad-], failKeys: [down-] }
accounts: { default: { flows: { default: { write: [picky], read: [store] } } } }
`;

describe('the command line', { timeout: 120_000 }, () => {
  const folder = newFolder('commands');
  let program: Program;
  let http: Http;

  before(async () => {
    program = await Program.start({ folder, config: CONFIG });
    http = new Http(program.url);
  });
  after(async () => {
    http.close();
    await program.kill();
    removeFolder(folder);
  });

  const cli = (args: readonly string[], input = ''): Promise<Ended> =>
    run({ folder, args, input, env: { HOLDFAST_SERVER: program.url } });

  it('set, get and delete: bytes as they are, receipts in every form', async () => {
    const value = '{"a": 1.50,\n "b":"ö"}';
    const [json, table, ndjson] = await Promise.all([
      cli(['set', 'k', '-o', 'json'], value),
      cli(['set', 'l', '2', '--ttl', '1h']),
      cli(['set', 'm', '3', '-o', 'ndjson', '--idempotency-key', 'once']),
    ]);
    assert.deepEqual([json.code, table.code, ndjson.code], [0, 0, 0], json.stderr);
    assert.equal((JSON.parse(json.stdout) as { outcome: string }).outcome, 'committed');
    assert.match(table.stdout, /^outcome +committed$/m);
    assert.equal(ndjson.stdout.split('\n').length, 2);
    const got = await cli(['get', 'k']);
    assert.deepEqual([got.code, got.stdout, got.stderr], [0, value, '']);
    const again = await cli(['set', 'm', '3', '-o', 'json', '--idempotency-key', 'once']);
    const uowOf = (text: string): unknown => (JSON.parse(text) as { uow: number }).uow;
    assert.equal(uowOf(again.stdout), uowOf(ndjson.stdout));
    const gone = await cli(['delete', 'k', '-o', 'json']);
    assert.equal((JSON.parse(gone.stdout) as { existed: boolean }).existed, true);
    const missing = await cli(['get', 'k']);
    assert.deepEqual([missing.code, missing.stdout], [1, '']);
    assert.match(missing.stderr, /nothing here|no value/i);
  });

  it('a refused and a failed write: 1, with the report of the store', async () => {
    const [refused, failed] = await Promise.all([
      cli(['set', 'bad-1', '1']),
      cli(['set', 'down-0', '1']),
    ]);
    assert.deepEqual([refused.code, failed.code], [1, 1]);
    assert.match(refused.stderr, /picky: refused \(422 told to refuse/);
    assert.match(failed.stderr, /picky: failed \(503 told to fail/);
    assert.equal(refused.stdout + failed.stdout, '');
  });

  it('failures: list, show, retry, skip, discard', async () => {
    const uows: number[] = [];
    for (const key of ['down-1', 'down-2']) {
      const { text } = await http.put(`/v1/data/default/default/${key}`, 1);
      uows.push((JSON.parse(text) as { uow: number }).uow);
    }
    const held = { prefer: 'respond-async' };
    const { text } = await http.put('/v1/data/default/default/down-3', 1, held);
    const parked = (JSON.parse(text) as { uow: number }).uow;
    const [first = 0, second = 0] = uows;
    const table = await cli(['failures', 'list']);
    assert.match(table.stdout, /^UOW +ACCOUNT/);
    assert.match(table.stdout, new RegExp(String.raw`^${first} +default +default +down-1 `, 'm'));
    const lines = (await cli(['failures', 'list', '-o', 'ndjson', '--q', 'down-2'])).stdout;
    assert.equal((JSON.parse(lines) as { uow: number }).uow, second);
    const show = await cli(['failures', 'show', String(first), '-o', 'json']);
    const row = JSON.parse(show.stdout) as { stash: string; report: unknown[] };
    assert.equal(row.stash, 'picky');
    assert.ok(row.report.length > 0);
    const retry = await cli(['failures', 'retry', String(first), '-o', 'json']);
    assert.equal(retry.code, 0, retry.stderr);
    const skip = await cli(['failures', 'skip', String(parked)]);
    assert.equal(skip.code, 0, skip.stderr);
    const discard = await cli(['failures', 'discard', String(second), String(parked)]);
    assert.equal(discard.code, 0, discard.stderr);
    const left = await http.all<{ uow: number }>('/v1/failures');
    assert.ok(left.some(({ uow }) => uow === first));
    assert.ok(!left.some(({ uow }) => uow === second || uow === parked));
    const unknown = await cli(['failures', 'show', '999999']);
    assert.equal(unknown.code, 1);
  });

  it('nobody there: 69; a wrong word: 2', async () => {
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const [away, wrong, flag, none] = await Promise.all([
      cli(['get', 'k', '--server', nobody]),
      cli(['gett', 'k']),
      cli(['get', 'k', '--attt', '1']),
      cli(['failures', 'retry', '1', '--server', nobody]),
    ]);
    assert.deepEqual([away.code, wrong.code, flag.code, none.code], [69, 2, 2, 69]);
    assert.match(away.stderr, /does not answer \(ECONNREFUSED\)[\s\S]*holdfast serve/);
  });

  it('validate, config print and schema, doctor', async () => {
    const file = ['--config', join(folder, 'holdfast.yaml')];
    const other = newFolder('doctor');
    const [fine, print, schema, doctor] = await Promise.all([
      cli(['validate', ...file]),
      cli(['config', 'print', ...file]),
      cli(['config', 'schema']),
      cli(['doctor', '--data-dir', other, '-o', 'ndjson']),
    ]);
    removeFolder(other);
    assert.deepEqual([fine.code, print.code, schema.code], [0, 0, 0], fine.stderr + print.stderr);
    const shown = parse(print.stdout) as { stashes: Record<string, { kind: string }> };
    assert.equal(shown.stashes['picky']?.kind, 'memory');
    assert.match(String((JSON.parse(schema.stdout) as { $schema: string }).$schema), /2020-12/);
    assert.equal(doctor.code, 0, doctor.stdout + doctor.stderr);
    const levels = doctor.stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { level: string }).level);
    assert.ok(levels.length > 0);
    const set = await cli(['validate', ...file, '--set', 'http.port=many']);
    assert.equal(set.code, 78);
    assert.match(set.stderr + set.stdout, /--http\.port/);
  });
});
