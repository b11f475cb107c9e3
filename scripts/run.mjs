/**
 * Runs the commands of package.json: `node scripts/run.mjs COMMAND [arguments]`. Each command first
 * makes sure of the locked dependencies and of the pinned Node, so that a fresh clone needs no more
 * than some Node from 20 on. Plain JavaScript, no dependency. One command more is for .ci/run:
 * `servers` installs what `test:real` runs against.
 */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { setUp } from './setup.mjs';
import { endAs, findNode, project, runChild, say, ToolchainError } from './toolchain.mjs';

const MINUTE_MS = 60_000;
const PARENT_LOOK_MS = 200;

/** Folders of tests that need servers, kills or a browser, and have a script of their own. */
const APART = ['test/real', 'test/crash', 'test/browser'];

/** Exit code of a test script that found nothing to run: no failure was seen, and no success. */
const NO_TESTS = 5;

const TSC = 'node_modules/typescript/bin/tsc';
const OXLINT = 'node_modules/oxlint/bin/oxlint';
const OXFMT = 'node_modules/oxfmt/bin/oxfmt';

const COMMANDS = {
  start: (args) => follow(findNode(), ['bin/holdfast', 'serve', ...args]),
  dev: (args) =>
    follow(pinnedNode(), ['--watch', '--watch-preserve-output', 'src/main.ts', 'serve', ...args]),
  build: () => build(),
  check: () =>
    steps([
      ['types', TSC, '-p', 'tsconfig.json'],
      ['lint', OXLINT, '--deny-warnings'],
      ['format', OXFMT, '--check'],
      ['tidy', '--test', '--test-reporter=dot', 'test/tidy.test.ts'],
    ]),
  fix: () =>
    steps([
      ['lint', OXLINT, '--fix', '--deny-warnings'],
      ['format', OXFMT],
    ]),
  test: (args) => test(args, ['src', 'client', 'scripts', 'test'], APART, 5 * MINUTE_MS),
  'test:real': (args) => test(['--test-concurrency=1', ...args], ['test/real'], [], 20 * MINUTE_MS),
  'test:crash': (args) => test(args, ['test/crash'], [], 20 * MINUTE_MS),
  'test:browser': (args) => test(args, ['test/browser'], [], 20 * MINUTE_MS),
  servers: () => script('test/real/servers/install.ts', []),
  'test:sim': (args) => script('test/sim/run.ts', args),
  bench: (args) => bench(args),
  docs: (args) => script('scripts/docs.ts', args),
};

async function main([name, ...args]) {
  const command = Object.hasOwn(COMMANDS, name ?? '') ? COMMANDS[name] : undefined;
  if (command === undefined) {
    throw new ToolchainError(`no such command; there are: ${Object.keys(COMMANDS).join(' ')}`, 2);
  }
  process.chdir(project);
  setUp();
  await command(args);
}

function pinnedNode() {
  return findNode({ exact: true });
}

/** Runs one file of the project with the pinned Node. */
async function script(file, args) {
  if (!existsSync(file)) throw new ToolchainError(`there is no ${file} yet`, 1);
  await follow(pinnedNode(), [file, ...args]);
}

/**
 * Runs a command and ends as it ends. npm passes SIGTERM to a shell that dies without passing it
 * on: when our parent is gone, the command is asked to end too, or it would run on unseen.
 */
async function follow(node, args) {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.emit('SIGTERM', 'SIGTERM');
  }, PARENT_LOOK_MS);
  const end = await runChild(node, args);
  clearInterval(watch);
  endAs(end);
}

/** Runs every step, also after one has failed, so that one run shows all that is wrong. */
async function steps(table) {
  const failed = [];
  for (const [name, ...args] of table) {
    say(name);
    const end = await runChild(pinnedNode(), args);
    if (end.signal) throw new ToolchainError(`${name} was ended by ${end.signal}`, 1);
    if (end.code !== 0) failed.push(name);
  }
  if (failed.length > 0) throw new ToolchainError(`failed: ${failed.join(', ')}`, 1);
}

/** Plain tsc: what is published is what was written, less the types. */
async function build() {
  rmSync('dist', { recursive: true, force: true });
  await steps([['build', TSC, '-p', 'tsconfig.build.json']]);
}

/**
 * Names are files or folders; flags, with a value after `=`, go to Node's test runner. Without
 * names, every test under `roots` is run.
 */
async function test(args, roots, apart, timeoutMs) {
  const flags = args.filter((arg) => arg.startsWith('-'));
  const names = args.filter((arg) => !arg.startsWith('-'));
  const files =
    names.length > 0 ? names.flatMap(named) : roots.flatMap((root) => testFiles(root, apart));
  if (files.length === 0) {
    throw new ToolchainError(
      `there are no tests in ${roots.join(', ')}: nothing was tested`,
      NO_TESTS,
    );
  }
  const runner = ['--test', '--test-reporter=spec', `--test-timeout=${timeoutMs}`];
  await follow(pinnedNode(), [...runner, ...flags, ...files]);
}

function named(name) {
  if (!existsSync(name)) throw new ToolchainError(`there is no ${name}`, 2);
  return statSync(name).isDirectory() ? testFiles(name, []) : [name];
}

function testFiles(root, apart) {
  return list(root)
    .filter((file) => file.endsWith('.test.ts'))
    .filter((file) => !apart.some((folder) => file.startsWith(`${folder}/`)));
}

/** Every file below a folder, with forward slashes, sorted; none when there is no such folder. */
function list(root) {
  if (!existsSync(root)) return [];
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative('.', join(entry.parentPath ?? entry.path, entry.name)))
    .map((path) => path.split(sep).join('/'))
    .sort();
}

async function bench([name, ...args]) {
  const file = `bench/${name}.ts`;
  if (name !== undefined && existsSync(file)) return script(file, args);
  const names = list('bench')
    .filter((path) => /^bench\/[^/]+\.ts$/.test(path))
    .map((path) => path.slice('bench/'.length, -'.ts'.length));
  const choice = names.length > 0 ? `name one of: ${names.join(' ')}` : 'there are none yet';
  throw new ToolchainError(`which benchmark? ${choice}`, 2);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ToolchainError)) throw error;
  say(error.message);
  process.exitCode = error.exitCode;
}
