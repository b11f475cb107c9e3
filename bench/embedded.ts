/**
 * Durable PUT and GET of Holdfast's embedded default against a plain `node:http` server that
 * answers the same bytes and keeps nothing, in turns, each in a process of its own. Run:
 * npm run bench -- embedded [--dir FOLDER] [--seconds N] [--rounds N] [--draft]
 *
 * The data folder is made under --dir, or where the system keeps temporary files: it should lie on
 * a disk, or a sync costs nothing. --draft leaves bench/results/ as it is.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bodyOf, generate, generator, keyOf, type Load } from './load/load.ts';
import { compare, keepResults, machine, median, report } from './measure.ts';
import type { Comparison, Side } from './measure.ts';

const CONNECTIONS = [1, 16, 64, 256];
const KEYS = 10_000;
const BODY_BYTES = 100;
const FLOORS = { PUT: 0.25, GET: 0.5 } as const;
const FILLERS = 64;
/** statfs says this of a file system that lives in memory. */
const TMPFS = 0x01021994;
/** Ticks of the kernel's account of a process, per second: fixed on Linux. */
const TICKS = 100;

const { values: options } = parseArgs({
  options: {
    dir: { type: 'string', default: tmpdir() },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    draft: { type: 'boolean', default: false },
  },
});
const seconds = Number(options.seconds);
const rounds = Math.max(Number(options.rounds), options.draft ? 1 : 5);

interface Server {
  readonly name: string;
  readonly child: ChildProcess;
  /** Everything before the key. */
  readonly url: string;
}

/** Starts a program and waits for the address that it says on stderr. */
async function serve(
  name: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Server> {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const address = await new Promise<string>((found, failed) => {
    let said = '';
    child.stderr?.on('data', (piece: Buffer) => {
      said += piece.toString();
      const url = /serves on (http:\S+)/.exec(said)?.[1];
      if (url !== undefined) found(url);
    });
    child.once('exit', () => failed(new Error(`${name} ended: ${said}`)));
  });
  return { name, child, url: `${address}/v1/data/default/default/` };
}

async function stop({ child }: Server): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  await ended;
}

/** CPU seconds that a process has used so far, all its threads; null where there is no /proc. */
function cpuSeconds({ child }: Server): number | null {
  try {
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
    // The second field is a name in brackets that may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  } catch {
    return null;
  }
}

/** A side of a comparison that remembers what its requests cost and how long they took. */
class Loading implements Side {
  readonly name: string;
  readonly cpu: number[] = [];
  readonly p99: number[] = [];
  readonly #server: Server;
  readonly #load: Load;

  constructor(server: Server, method: Load['method'], connections: number) {
    this.name = server.name;
    this.#server = server;
    const { url } = server;
    this.#load = { url, method, connections, seconds, keys: KEYS, bodyBytes: BODY_BYTES };
  }

  /** Requests answered per second. */
  async run(): Promise<number> {
    const before = cpuSeconds(this.#server);
    const loaded = await generate(this.#load);
    const after = cpuSeconds(this.#server);
    if (before !== null && after !== null) {
      this.cpu.push(((after - before) * 1000) / loaded.requests);
    }
    this.p99.push(loaded.p99Ms);
    return loaded.requests / loaded.seconds;
  }

  /** Medians over the rounds, the one to warm up left out. */
  get costs(): { cpuSecondsPer1000: number | null; p99Ms: number } {
    const cpu = median(this.cpu.slice(1));
    return { cpuSecondsPer1000: Number.isNaN(cpu) ? null : cpu, p99Ms: median(this.p99.slice(1)) };
  }
}

/** Writes every key once, and returns one receipt: what plain then answers. */
async function fill(url: string): Promise<string> {
  let next = 1;
  let receipt = '';
  const filler = async (): Promise<void> => {
    while (next <= KEYS) {
      const key = keyOf(next);
      next += 1;
      const headers = { 'content-type': 'application/json' };
      const body = bodyOf(key, BODY_BYTES);
      const answer = await fetch(`${url}${key}`, { method: 'PUT', headers, body });
      receipt = await answer.text();
      if (answer.status !== 200) throw new Error(`${key}: ${answer.status} ${receipt}`);
    }
  };
  await Promise.all(Array.from({ length: FILLERS }, filler));
  return receipt;
}

/** Reads some keys back: a server that answers quickly and wrongly measures nothing. */
async function check(url: string): Promise<void> {
  for (let number = 1; number <= KEYS; number += 499) {
    const key = keyOf(number);
    const found = await (await fetch(`${url}${key}`)).text();
    if (found !== bodyOf(key, BODY_BYTES)) throw new Error(`${key} came back as ${found}`);
  }
}

async function measure(servers: readonly Server[]): Promise<boolean> {
  const described = { ...machine(), generator, disk: diskWords() };
  console.log(JSON.stringify(described));
  const comparisons: (Comparison & { costs: unknown })[] = [];
  let passed = true;
  for (const method of ['PUT', 'GET'] as const) {
    for (const connections of CONNECTIONS) {
      const sides = servers.map((server) => new Loading(server, method, connections));
      const floor = FLOORS[method];
      const name = `${method}, ${connections} connections`;
      const comparison = await compare(name, 'requests/s', sides, { rounds, floor });
      passed = report(comparison, sides) && passed;
      const costs = sides.map((side) => side.costs);
      console.log(`  ${sides.map((side) => costWords(side)).join('; ')}`);
      comparisons.push({ ...comparison, costs });
    }
  }
  console.log(passed ? 'floors: all met' : 'floors: NOT all met');
  const load = { keys: KEYS, bodyBytes: BODY_BYTES, seconds, rounds };
  if (!options.draft) keepResults('embedded', { machine: described, load, comparisons });
  return passed;
}

function costWords({ name, costs }: Loading): string {
  const { cpuSecondsPer1000: cpu, p99Ms } = costs;
  const spent = cpu === null ? '' : `${(cpu * 1000).toFixed(1)} ms CPU per 1,000 requests, `;
  return `${name}: ${spent}99th percentile ${p99Ms.toFixed(2)} ms`;
}

function diskWords(): string {
  return statfsSync(folder).type === TMPFS ? 'in memory: syncs cost nothing here' : 'on disk';
}

const folder = mkdtempSync(join(options.dir, 'holdfast-bench-'));
const servers: Server[] = [];
try {
  const main = join(import.meta.dirname, '../src/main.ts');
  const holdfast = await serve('holdfast', [main, 'serve', '--port', '0', '--data-dir', 'data']);
  servers.push(holdfast);
  const receipt = await fill(holdfast.url);
  const answers = { PLAIN_RECEIPT: receipt, PLAIN_VALUE: bodyOf(keyOf(1), BODY_BYTES) };
  servers.push(await serve('plain', [join(import.meta.dirname, 'peers/plain.ts')], answers));
  const passed = await measure(servers);
  await check(holdfast.url);
  process.exitCode = passed ? 0 : 1;
} finally {
  for (const server of servers) await stop(server);
  rmSync(folder, { recursive: true, force: true });
}
