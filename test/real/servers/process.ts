/**
 * One process that a test started, with all that it started in turn. It is ended by its own id, and
 * it cannot outlive the test: a small guard holds a pipe to us, and kills it and removes its folder
 * when the pipe breaks, whatever broke it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** The user it runs as; ours if not said. */
  readonly uid?: number;
}

const LOG_CHARS_MAX = 65_536;
const LOOK_MS = 5;
const GONE_MS_MAX = 10_000;

/** Reads until we are gone; then ends the process it was told, its children, and the folder. */
const GUARD =
  'read _; kill -STOP "$1"; kill -9 $(ps -o pid= --ppid "$1") "$1" 2>/dev/null; sleep 0.2; ' +
  'rm -rf "$2"';

export class OwnProcess {
  readonly #folder: string;
  #child: ChildProcess | null = null;
  #guard: ChildProcess | null = null;
  #log = '';

  /** The folder is removed if we die before we end the process. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  log(): string {
    return this.#log;
  }

  start(launch: Launch): void {
    if (this.#child !== null) throw new Error('it runs already');
    const child = spawn(launch.command, launch.args, {
      cwd: launch.cwd ?? this.#folder,
      env: launch.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...(launch.uid === undefined ? {} : { uid: launch.uid, gid: launch.uid }),
    });
    const heard = (chunk: string): void => {
      this.#log = (this.#log + chunk).slice(-LOG_CHARS_MAX);
    };
    child.stdout.setEncoding('utf8').on('data', heard);
    child.stderr.setEncoding('utf8').on('data', heard);
    // A server that a test forgot shall not keep its process alive; the guard ends it then.
    child.unref();
    for (const stream of [child.stdout, child.stderr]) (stream as Socket).unref();
    child.once('error', (error) => heard(`${String(error)}\n`));
    child.once('exit', (code, signal) => {
      heard(`[ended: ${signal ?? code}]\n`);
      this.#child = null;
      this.#guard?.kill('SIGKILL');
    });
    if (child.pid === undefined) return;
    this.#child = child;
    this.#guard = guardOf(child.pid, this.#folder);
  }

  /** To the process and all below it. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (this.pid !== null) for (const pid of family(this.pid)) send(pid, signal);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined) return;
    child.ref();
    send(child.pid, 'SIGSTOP');
    const pids = family(child.pid);
    const exit = once(child, 'exit');
    for (const pid of pids) send(pid, 'SIGKILL');
    await exit;
    const end = performance.now() + GONE_MS_MAX;
    while (pids.some(isAlive)) {
      if (performance.now() > end) throw new Error(`processes ${pids.join(' ')} do not end`);
      await pause(LOOK_MS);
    }
  }
}

function guardOf(pid: number, folder: string): ChildProcess {
  const guard = spawn('sh', ['-c', GUARD, 'guard', String(pid), folder], {
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.unref();
  return guard;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

/** Whether a process of this id runs; one that ended and was not yet waited for does not. */
export function isAlive(pid: number): boolean {
  return statOf(pid)?.alive ?? false;
}

/** The process and everything below it, parents first. */
function family(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    const stat = /^\d+$/.test(entry) ? statOf(Number(entry)) : null;
    if (stat === null) continue;
    children.set(stat.parent, [...(children.get(stat.parent) ?? []), Number(entry)]);
  }
  const found = [pid];
  for (const each of found) found.push(...(children.get(each) ?? []));
  return found;
}

function statOf(pid: number): { parent: number; alive: boolean } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { parent: Number(parent), alive: state !== 'Z' && state !== 'X' };
  } catch {
    return null;
  }
}
