/**
 * A server under a bench: a process of its own that says on stderr where it serves, and what the
 * kernel says it has used. What a bench forgets to stop is killed when the bench goes.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, statfsSync } from 'node:fs';
import { generate, type Load } from './load/load.ts';
import { median } from './measure.ts';

/** Ticks of the kernel's account of a process, per second: fixed on Linux. */
const TICKS = 100;
const KIB_PER_MIB = 1024;
/** statfs says this of a file system that lives in memory. */
const TMPFS = 0x01021994;

export interface Server {
  readonly name: string;
  readonly pid: number;
  /** Scheme, host and port. */
  readonly url: string;
  /** Asks it to end and waits until it has. */
  stop(): Promise<void>;
}

export interface ServeOptions {
  /** Where it runs. */
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The environment less what would configure the program. */
function cleanEnv(): NodeJS.ProcessEnv {
  const ours = /^(?:HOLDFAST|PORT$|LOG_LEVEL$|REDIS_|CLUSTER$|NODE_TEST_CONTEXT$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a program of node and waits for the address. Rejects with what it said when it ends. */
export async function serve(
  name: string,
  args: readonly string[],
  { folder, env = {} }: ServeOptions,
): Promise<Server> {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...cleanEnv(), ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const url = await new Promise<string>((found, failed) => {
    let said = '';
    child.stderr?.on('data', (piece: Buffer) => {
      said += piece.toString();
      const address = /serves on (http:\S+)/.exec(said)?.[1];
      if (address !== undefined) found(address);
    });
    child.once('error', failed);
    child.once('exit', () => failed(new Error(`${name} ended: ${said}`)));
  });
  return { name, url, pid: child.pid ?? 0, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  await ended;
}

/** What a load cost the process that answered it; null where there is no /proc. */
export interface Cost {
  readonly cpuSecondsPer1000: number | null;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The most memory that the process has ever had resident, up to the end of the load. */
  readonly peakMiB: number | null;
}

export interface Spent {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly cost: Cost;
}

/** Runs a load against a process. Throws when an answer was wrong. */
export async function spend(pid: number, load: Load): Promise<Spent> {
  const before = cpuSeconds(pid);
  const { requests, seconds, p50Ms, p99Ms } = await generate(load);
  const after = cpuSeconds(pid);
  const known = before !== null && after !== null;
  const cpuSecondsPer1000 = known ? ((after - before) * 1000) / requests : null;
  const cost = { cpuSecondsPer1000, p50Ms, p99Ms, peakMiB: peakMiB(pid) };
  return { requests, requestsPerSecond: requests / seconds, cost };
}

/** CPU seconds that a process has used so far, user and system, all its threads. */
function cpuSeconds(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is a name in brackets that may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  } catch {
    return null;
  }
}

function peakMiB(pid: number): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / KIB_PER_MIB;
  } catch {
    return null;
  }
}

/** Medians over the rounds; the first, which was to warm up, is left out. */
export function medianCost(costs: readonly Cost[]): Cost {
  const rounds = costs.slice(1);
  const of = (figure: (cost: Cost) => number | null): number | null => {
    const known = rounds.map(figure).filter((each) => each !== null);
    return known.length === 0 ? null : median(known);
  };
  return {
    cpuSecondsPer1000: of((cost) => cost.cpuSecondsPer1000),
    p50Ms: median(rounds.map((cost) => cost.p50Ms)),
    p99Ms: median(rounds.map((cost) => cost.p99Ms)),
    peakMiB: of((cost) => cost.peakMiB),
  };
}

/** One line about a side. */
export function costWords(name: string, cost: Cost): string {
  const { cpuSecondsPer1000: cpu, p50Ms, p99Ms, peakMiB: peak } = cost;
  const parts = [`p50 ${p50Ms.toFixed(2)} ms`, `p99 ${p99Ms.toFixed(2)} ms`];
  if (cpu !== null) parts.push(`${(cpu * 1000).toFixed(1)} ms CPU per 1,000 requests`);
  if (peak !== null) parts.push(`peak ${Math.round(peak)} MiB`);
  return `${name}: ${parts.join(', ')}`;
}

/** Says of a folder whether syncs there cost anything. */
export function diskWords(folder: string): string {
  return statfsSync(folder).type === TMPFS ? 'in memory: syncs cost nothing here' : 'on disk';
}
