/**
 * The program as a process of its own: started in a folder of its own, watched through what it
 * prints, ended by signal. Whatever a test forgets to end is killed when the test process goes.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'src/main.ts');
const START_MS_MAX = 20_000;
const END_MS_MAX = 60_000;

/** One JSON line of the log. */
export interface LogLine {
  readonly type?: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Ended extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

export interface Launch {
  /** Working directory. */
  readonly folder: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Program and first arguments; if not said this Node on src/main.ts: the pid is its own. */
  readonly command?: readonly string[];
  /** What stdin gives; nothing if not said. */
  readonly input?: string;
}

const running = new Set<ChildProcess>();
/** Compiled code, so that of many short runs only the first compiles. */
const cache = newFolder('code');
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  removeFolder(cache);
});

/** A new folder under the system's own for such; `removeFolder` takes it away. */
export function newFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `holdfast-${name}-`));
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/** The environment without what would configure the program. */
function cleanEnv(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const ours = /^(?:HOLDFAST|PORT$|LOG_LEVEL$|REDIS_|CLUSTER$|NODE_TEST_CONTEXT$)/;
  const kept = Object.entries(process.env).filter(([name]) => !ours.test(name));
  return { ...Object.fromEntries(kept), NO_COLOR: '1', NODE_COMPILE_CACHE: cache, ...more };
}

function launch(how: Launch): ChildProcess {
  const [program = process.execPath, ...first] = how.command ?? [process.execPath, MAIN];
  const child = spawn(program, [...first, ...how.args], {
    cwd: how.folder,
    env: cleanEnv(how.env),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.stdin?.on('error', () => {});
  child.stdin?.end(how.input ?? '');
  return child;
}

/** Text of a stream as it grows. */
class Heard {
  text = '';
  constructor(stream: NodeJS.ReadableStream | null) {
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      this.text += chunk;
    });
  }
}

/** Runs a command line to its end. Rejects, and kills it, when that takes longer than a minute. */
export async function run(how: Launch): Promise<Ended> {
  const child = launch(how);
  const stdout = new Heard(child.stdout);
  const stderr = new Heard(child.stderr);
  const exit = await ended(child);
  return { ...exit, stdout: stdout.text, stderr: stderr.text };
}

function ended(child: ChildProcess): Promise<Exit> {
  return new Promise((done, failed) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      failed(new Error(`${child.spawnargs.join(' ')} did not end`));
    }, END_MS_MAX);
    child.once('error', failed);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      done({ code, signal });
    });
  });
}

/** A port of this machine where nobody listens. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export interface Serve {
  readonly folder: string;
  /** Text of a holdfast.yaml; the embedded default if not said. */
  readonly config?: string;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly command?: readonly string[];
  /** 0, a free one, if not said. */
  readonly port?: number;
}

/** The arguments that serve a folder; writes the configuration into it. */
export function serveArgs(how: Serve): string[] {
  const args = ['serve', '--data-dir', join(how.folder, 'data'), '--port', String(how.port ?? 0)];
  if (how.config !== undefined) {
    const file = join(how.folder, 'holdfast.yaml');
    writeFileSync(file, how.config);
    args.push('--config', file);
  }
  return [...args, ...(how.args ?? [])];
}

/** A server that said where it serves. */
export class Program {
  readonly url: string;
  readonly child: ChildProcess;
  readonly #stdout: Heard;
  readonly #stderr: Heard;
  readonly #closed: Promise<Exit>;

  private constructor(child: ChildProcess, url: string, heard: [Heard, Heard], end: Promise<Exit>) {
    this.child = child;
    this.url = url;
    [this.#stdout, this.#stderr] = heard;
    this.#closed = end;
  }

  /** Resolves once it serves; rejects with what it said when it ends before. */
  static async start(how: Serve): Promise<Program> {
    const { folder, env, command } = how;
    const child = launch({
      folder,
      args: serveArgs(how),
      ...(env === undefined ? {} : { env }),
      ...(command === undefined ? {} : { command }),
    });
    const stdout = new Heard(child.stdout);
    const stderr = new Heard(child.stderr);
    const closed = new Promise<Exit>((done) => {
      child.once('close', (code, signal) => done({ code, signal }));
    });
    const url = await new Promise<string>((done, failed) => {
      const fail = (why: string): void =>
        failed(new Error(`${why}\n${stdout.text}\n${stderr.text}`));
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        fail('it did not say where it serves');
      }, START_MS_MAX);
      child.stderr?.on('data', () => {
        const found = /serves on (http:\/\/\S+)/.exec(stderr.text)?.[1];
        if (found === undefined) return;
        clearTimeout(timer);
        done(found);
      });
      child.once('error', failed);
      child.once('close', (code) => {
        clearTimeout(timer);
        fail(`it ended with ${code}`);
      });
    });
    return new Program(child, url, [stdout, stderr], closed);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get words(): string {
    return this.#stderr.text;
  }

  /** Every whole line of the log so far. */
  log(): LogLine[] {
    const lines = this.#stdout.text.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as LogLine);
  }

  /** The first log line of this type; waits for it. */
  async line(type: string): Promise<LogLine> {
    const until = performance.now() + START_MS_MAX;
    for (;;) {
      const found = this.log().find((line) => line.type === type);
      if (found !== undefined) return found;
      if (performance.now() > until) throw new Error(`no log line of type ${type}`);
      await this.#more();
    }
  }

  #more(): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, 100);
      this.child.stdout?.once('data', () => {
        clearTimeout(timer);
        done();
      });
    });
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Resolves when it has ended and everything it printed is here. */
  exit(): Promise<Exit> {
    return this.#closed;
  }

  /** No chance to do anything more: what a power cut leaves of a process. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#closed;
  }

  /** SIGTERM, and the end of it. */
  async stop(): Promise<Exit> {
    this.signal('SIGTERM');
    return await this.#closed;
  }
}
