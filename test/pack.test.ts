/**
 * The published package, tried as a user meets it: built, packed, installed by npm in an empty
 * folder and started from there. Types cannot be stripped below node_modules, so this is the test
 * that the built files work, and that the package holds all of them.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

const root = join(import.meta.dirname, '..');
const PACK_MS_MAX = 120_000;
const START_MS_MAX = 20_000;
const QUIET = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

function npm(args: readonly string[], cwd: string): string {
  return execFileSync('npm', [...args, ...QUIET], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Asks until the program answers; fails when it has ended or the time is over. */
async function answered(url: string, child: ChildProcess): Promise<number> {
  const deadline = performance.now() + START_MS_MAX;
  while (performance.now() < deadline) {
    assert.equal(child.exitCode, null, 'it ended before it answered');
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0,
    );
    if (status !== 0) return status;
    await pause(50);
  }
  throw new Error(`no answer from ${url} within ${START_MS_MAX} ms`);
}

describe('the packed package', { skip: skipped(), timeout: PACK_MS_MAX }, () => {
  let scratch = '';
  let packed: Packed;
  const holdfast = (): string => join(scratch, 'user/node_modules/.bin/holdfast');
  // This Node is fit, so nothing is fetched; were it not, nothing would land in the user's home.
  const env = (): NodeJS.ProcessEnv => ({
    ...process.env,
    PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
    XDG_CACHE_HOME: join(scratch, 'cache'),
  });

  before(() => {
    scratch = mkdtempSync(join(tmpdir(), 'holdfast-pack-'));
    const user = join(scratch, 'user');
    mkdirSync(user);
    writeFileSync(join(user, 'package.json'), '{ "private": true }\n');
    const told = npm(['pack', '--json', '--pack-destination', scratch], root);
    packed = firstOf(told);
    const tarball = join(scratch, packed.filename);
    npm(['install', '--no-save', '--prefer-offline', '--ignore-scripts', tarball], user);
  });

  after(() => {
    if (scratch !== '') rmSync(scratch, { recursive: true, force: true });
  });

  it('holds the built program and no sources or tests', () => {
    const paths = packed.files.map(({ path }) => path);
    for (const path of ['bin/holdfast', 'dist/src/main.js', 'dist/src/main.d.ts', 'LICENSE']) {
      assert.ok(paths.includes(path), `${path} is not in it`);
    }
    assert.deepEqual(
      paths.filter((path) => /^(?:src|test)\/|\.test\.|(?<!\.d)\.ts$/.test(path)),
      [],
    );
  });

  it('says its version', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      version: string;
    };
    const done = spawnSync(holdfast(), ['--version'], { encoding: 'utf8', env: env() });
    assert.equal(done.stderr, '');
    assert.match(done.stdout, new RegExp(`\\b${manifest.version.replaceAll('.', '\\.')}\\b`));
    assert.equal(done.status, 0);
  });

  it('serves, and ends with 0 on SIGTERM', async () => {
    const port = await freePort();
    const data = join(scratch, 'data');
    const child = spawn(holdfast(), ['serve', '--port', String(port), '--data-dir', data], {
      cwd: scratch,
      env: env(),
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const ended = once(child, 'exit');
    try {
      assert.equal(await answered(`http://127.0.0.1:${port}/live`, child), 200);
    } finally {
      child.kill('SIGTERM');
    }
    assert.deepEqual(await ended, [0, null]);
  });
});

/** npm says a list of one, or since npm 12 an object by name. */
function firstOf(told: string): Packed {
  const parsed = JSON.parse(told.slice(told.search(/^[[{]/m))) as Packed[] | Record<string, Packed>;
  const [packed] = Object.values(parsed);
  assert.ok(packed !== undefined);
  return packed;
}

function skipped(): string | false {
  return existsSync(join(root, 'src/main.ts')) ? false : 'there is no src/main.ts yet';
}
