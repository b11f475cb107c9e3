/** The program as its user starts and ends it: what it prints, what it refuses, how it stops. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { Http, until } from './http.ts';
import { newFolder, Program, removeFolder, ROOT, run, serveArgs, type Serve } from './program.ts';

const LAUNCHER = join(ROOT, 'bin/holdfast');

/** A flow whose second store takes so long. */
function slow(delay: string, more = ''): string {
  return `
stashes: { store: { kind: sqlite }, slow: { kind: memory, delay: ${delay} } }
${more}
accounts: { default: { flows: { default: { write: [slow], read: [store] } } } }
`;
}

async function started(t: TestContext, how: Serve): Promise<{ program: Program; http: Http }> {
  const program = await Program.start(how);
  const http = new Http(program.url);
  t.after(async () => {
    http.close();
    await program.kill();
  });
  return { program, http };
}

/** An older Node on the PATH of this machine, which must find a fit one. */
function olderNode(): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const node = join(folder, 'node');
    if (!existsSync(node)) continue;
    const major = Number(
      /^v(\d+)/.exec(execFileSync(node, ['--version'], { encoding: 'utf8' }))?.[1],
    );
    if (major >= 20 && major < 24) return node;
  }
  return null;
}

describe('a start', { timeout: 60_000 }, () => {
  const folder = newFolder('start');
  after(() => removeFolder(folder));

  const older = olderNode();
  const launchers: [string, readonly string[] | null][] = [
    ['bin/holdfast', [LAUNCHER]],
    ['bin/holdfast on an older Node', older === null ? null : [older, LAUNCHER]],
  ];
  for (const [name, command] of launchers) {
    const skip = command === null ? 'there is none here' : false;
    it(`${name}: the commands it prints work as printed`, { skip }, async (t) => {
      const PATH = `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`;
      const { program } = await started(t, { folder, command: command ?? [], env: { PATH } });
      assert.match(program.words, new RegExp(`Data lies in ${join(folder, 'data')};`));
      const commands = program.words.split('\n').filter((line) => line.startsWith('  '));
      assert.equal(commands.length, 3, program.words);
      const [put, get, failures] = commands.map((line) =>
        execFileSync('sh', ['-c', line], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
      );
      assert.equal((JSON.parse(put ?? '') as { outcome: string }).outcome, 'committed');
      assert.match(get ?? '', /^HTTP\/1\.1 200 [\s\S]*\r\n\r\n\{"hello":"world"\}$/);
      assert.deepEqual(JSON.parse(failures ?? ''), { items: [], next: null });
      assert.deepEqual(await program.stop(), { code: 0, signal: null });
    });
  }

  it('on a port that is taken ends with 1 and says so', async (t) => {
    const { program } = await started(t, { folder });
    const other = newFolder('port');
    t.after(() => removeFolder(other));
    const args = serveArgs({ folder: other, port: program.port });
    const { code, stderr } = await run({ folder: other, args });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /port is taken/);
    assert.match(stderr, /--port/);
  });

  it('on a data folder in use ends and says so, and harms nobody', async (t) => {
    const { http } = await started(t, { folder });
    assert.equal((await http.put('/v1/data/default/default/a', 1)).status, 200);
    const { code, stderr } = await run({ folder, args: serveArgs({ folder }) });
    assert.notEqual(code, 0);
    assert.doesNotMatch(stderr, /\n\s+at /, 'a stack trace');
    assert.match(stderr, /another process|in use|locked/i);
    assert.equal((await http.put('/v1/data/default/default/a', 2)).status, 200);
  });
});

describe('a start on what is wrong', { timeout: 60_000 }, () => {
  it('damage in the journal: 74, with file and offset; nothing is changed', async (t) => {
    const folder = newFolder('damage');
    t.after(() => removeFolder(folder));
    const { program, http } = await started(t, { folder });
    for (let n = 0; n < 20; n += 1) await http.put(`/v1/data/default/default/k${n}`, { n });
    await program.stop();
    const intake = join(folder, 'data/intake');
    const isSegment = (name: string): boolean =>
      readFileSync(join(intake, name)).includes('{"n":7}');
    const segment = readdirSync(intake).find(isSegment);
    assert.ok(segment !== undefined, readdirSync(intake).join(' '));
    const file = join(intake, segment);
    const whole = join(folder, 'whole');
    copyFileSync(file, whole);
    const bytes = readFileSync(file);
    const at = bytes.indexOf('{"n":7}') + 5;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const { code, stderr } = await run({ folder, args: serveArgs({ folder }) });
    assert.equal(code, 74, stderr);
    assert.ok(stderr.includes(segment), stderr);
    assert.match(stderr, /(?:byte|offset)s? \d+/);
    assert.deepEqual(readFileSync(file), bytes);
    copyFileSync(whole, file);
    const again = await started(t, { folder });
    assert.equal((await again.http.ask('/v1/data/default/default/k7')).text, '{"n":7}');
  });

  it('faults of the configuration: 78, each with file, line, column and a hint', async (t) => {
    const folder = newFolder('faults');
    t.after(() => removeFolder(folder));
    const config = 'http:\n  prot: 4180\nstashes:\n  a: { kind: sqlite, keepVersions: many }\n';
    const args = serveArgs({ folder, config });
    const { code, stderr, stdout } = await run({ folder, args });
    assert.equal(code, 78, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /holdfast\.yaml:2:3/);
    assert.match(stderr, /holdfast\.yaml:4:36/);
    assert.match(stderr, /port/);
    assert.ok(!existsSync(join(folder, 'data')), 'a data folder was made');
  });
});

describe('the end', { timeout: 60_000 }, () => {
  it('SIGTERM settles what is held, answers who waits, turns new work away: 0', async (t) => {
    const folder = newFolder('drain');
    t.after(() => removeFolder(folder));
    const { program, http } = await started(t, { folder, config: slow('400ms') });
    const held = await http.put('/v1/data/default/default/held', 1, { prefer: 'respond-async' });
    assert.equal(held.status, 202);
    const waiting = http.put('/v1/data/default/default/waiting', 2);
    await until('both are held', async () => {
      return (await http.figure('holdfast_writes_unsettled')) === 2;
    });
    const exit = program.stop();
    assert.equal((await waiting).status, 200);
    assert.deepEqual(await exit, { code: 0, signal: null });
    assert.equal((await program.line('stop'))['unsettled'], 0);
    const again = await started(t, { folder, config: slow('0s') });
    const { open } = await again.program.line('recovery');
    assert.deepEqual(new Set(Object.values(open as object)), new Set([0]));
    assert.equal((await again.http.ask('/v1/data/default/default/held')).text, '1');
    assert.equal((await again.http.ask('/v1/data/default/default/waiting')).text, '2');
  });

  it('SIGTERM drains no longer than its limit; the next start goes on', async (t) => {
    const folder = newFolder('limit');
    t.after(() => removeFolder(folder));
    const limits = 'limits: { drain: 1s }';
    const { program, http } = await started(t, { folder, config: slow('1h', limits) });
    await http.put('/v1/data/default/default/k', 1, { prefer: 'respond-async' });
    const from = performance.now();
    assert.deepEqual(await program.stop(), { code: 0, signal: null });
    assert.ok(performance.now() - from < 5000, 'it took longer than its limit');
    assert.equal((await program.line('stop'))['unsettled'], 1);
    const again = await started(t, { folder, config: slow('0s') });
    await until('it is committed', async () => {
      return (await again.http.ask('/v1/data/default/default/k')).text === '1';
    });
  });

  it('a second signal ends it at once, and what was held is kept', async (t) => {
    const folder = newFolder('twice');
    t.after(() => removeFolder(folder));
    const { program, http } = await started(t, { folder, config: slow('1h') });
    await http.put('/v1/data/default/default/k', 1, { prefer: 'respond-async' });
    program.signal('SIGTERM');
    const from = performance.now();
    // Signals closer together than half a second are copies that a shell sends along.
    const nag = setInterval(() => program.signal('SIGTERM'), 100);
    const exit = await program.exit();
    clearInterval(nag);
    assert.deepEqual(exit, { code: 1, signal: null });
    const took = performance.now() - from;
    assert.ok(took > 400 && took < 5000, `it took ${took} ms`);
    const again = await started(t, { folder, config: slow('0s') });
    await until('it is committed', async () => {
      return (await again.http.ask('/v1/data/default/default/k')).text === '1';
    });
  });

  it('does not wait for writes behind a parked key', async (t) => {
    const folder = newFolder('behind');
    t.after(() => removeFolder(folder));
    const config = slow('0s').replace('delay: 0s', 'failKeys: [down-]');
    const { program, http } = await started(t, { folder, config });
    const held = { prefer: 'respond-async' };
    await http.put('/v1/data/default/default/down-1', 1, held);
    await until('it is parked', async () => (await http.figure('holdfast_lanes_parked')) === 1);
    await http.put('/v1/data/default/default/down-1', 2, held);
    const from = performance.now();
    assert.deepEqual(await program.stop(), { code: 0, signal: null });
    assert.ok(performance.now() - from < 5000, 'it took longer than it needs');
  });
});
