/**
 * Where servers are installed: a folder outside the tree, one folder in it per kind and version,
 * made once and used by every later test run. Only one process of the machine installs at a time.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const LOCK_LOOK_MS = 100;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

const exec = promisify(execFile);

/** HOLDFAST_TEST_SERVERS, or a folder in the user's cache. */
export function cacheFolder(): string {
  return process.env['HOLDFAST_TEST_SERVERS'] ?? join(homedir(), '.cache', 'holdfast-test-servers');
}

/**
 * The folder of `name` (which carries the version), filled by `make` if it was not yet. What a
 * failed or killed `make` left is removed first.
 */
export async function installed(
  name: string,
  make: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = join(cacheFolder(), name);
  const done = join(folder, '.installed');
  if (existsSync(done)) return folder;
  await alone(async () => {
    if (existsSync(done)) return;
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await make(folder);
    await writeFile(done, '');
  });
  return folder;
}

/** Runs `work` while no other process of the machine installs; the lock dies with its process. */
export async function alone(work: () => Promise<void>): Promise<void> {
  mkdirSync(cacheFolder(), { recursive: true });
  const lock = new DatabaseSync(join(cacheFolder(), 'lock.db'), { timeout: 0 });
  try {
    for (;;) {
      try {
        lock.exec('BEGIN EXCLUSIVE');
        break;
      } catch (error) {
        if (!/locked|busy/.test(String(error))) throw error;
        await pause(LOCK_LOOK_MS);
      }
    }
    await work();
  } finally {
    lock.close();
  }
}

/** Runs a command to its end; its output, or a rejection that carries it. */
export async function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; uid?: number; gid?: number } = {},
): Promise<string> {
  try {
    const { stdout } = await exec(command, args, { maxBuffer: OUTPUT_BYTES_MAX, ...options });
    return stdout;
  } catch (error) {
    const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
    const said = `${stdout}\n${stderr}`.trim().slice(-2000);
    throw new Error(`${command} ${args.join(' ')} failed: ${String(error)}\n${said}`);
  }
}

/** The program of this name on the PATH or in one of `more`; null where there is none. */
export function programOf(name: string, more: readonly string[] = []): string | null {
  const folders = [...more, ...(process.env['PATH'] ?? '').split(delimiter)];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

/**
 * The program that `find` looks for, from a Debian package where it is missing: installed as root;
 * others are told to. No service is started by the installation (run level 1 has none).
 */
export async function debian(name: string, find: () => string | null): Promise<string> {
  const there = find();
  if (there !== null) return there;
  if (process.getuid?.() !== 0 || programOf('apt-get') === null) {
    throw new Error(`${name} is not installed: apt-get install ${name}`);
  }
  await alone(async () => {
    if (find() !== null) return;
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const quiet = ['-q', '-o', 'DPkg::Lock::Timeout=300'];
    await run('apt-get', [...quiet, 'update'], { env });
    await run('apt-get', [...quiet, 'install', '-y', '--no-install-recommends', name], { env });
  });
  const now = find();
  if (now === null) throw new Error(`the package ${name} does not bring what is needed`);
  return now;
}
