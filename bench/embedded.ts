/**
 * Durable PUT and GET of Holdfast's embedded default against a plain `node:http` server that
 * answers the same bytes and keeps nothing, in turns, each in a process of its own. Run:
 * npm run bench -- embedded [--dir FOLDER] [--seconds N] [--rounds N] [--draft]
 *
 * The data folder is made under --dir, or where the system keeps temporary files: it should lie on
 * a disk, or a sync costs nothing. --draft leaves bench/results/ as it is.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bodyOf, generator, keyOf, type Load } from './load/load.ts';
import { compare, keepResults, machine, report } from './measure.ts';
import type { Comparison, Side } from './measure.ts';
import { costWords, diskWords, medianCost, serve, spend } from './server.ts';
import type { Cost, Server } from './server.ts';

const CONNECTIONS = [1, 16, 64, 256];
const KEYS = 10_000;
const BODY_BYTES = 100;
const FLOORS = { PUT: 0.25, GET: 0.5 } as const;
const FILLERS = 64;

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

/** A side of a comparison that remembers what its requests cost and how long they took. */
class Loading implements Side {
  readonly name: string;
  readonly #server: Server;
  readonly #load: Load;
  readonly #costs: Cost[] = [];

  constructor(server: Server, method: Load['method'], connections: number) {
    this.name = server.name;
    this.#server = server;
    const url = dataOf(server);
    this.#load = { url, method, connections, seconds, keys: KEYS, bodyBytes: BODY_BYTES };
  }

  /** Requests answered per second. */
  async run(): Promise<number> {
    const { requestsPerSecond, cost } = await spend(this.#server.pid, this.#load);
    this.#costs.push(cost);
    return requestsPerSecond;
  }

  get cost(): Cost {
    return medianCost(this.#costs);
  }
}

/** Everything before the key. */
function dataOf({ url }: Server): string {
  return `${url}/v1/data/default/default/`;
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
  const described = { ...machine(), generator, disk: diskWords(folder) };
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
      const costs = sides.map((side) => side.cost);
      for (const { name: side, cost } of sides) console.log(`  ${costWords(side, cost)}`);
      comparisons.push({ ...comparison, costs });
    }
  }
  console.log(passed ? 'floors: all met' : 'floors: NOT all met');
  const load = { keys: KEYS, bodyBytes: BODY_BYTES, seconds, rounds };
  if (!options.draft) keepResults('embedded', { machine: described, load, comparisons });
  return passed;
}

const folder = mkdtempSync(join(options.dir, 'holdfast-bench-'));
const servers: Server[] = [];
try {
  const main = join(import.meta.dirname, '../src/main.ts');
  const args = [main, 'serve', '--port', '0', '--data-dir', 'data'];
  const holdfast = await serve('holdfast', args, { folder });
  servers.push(holdfast);
  const receipt = await fill(dataOf(holdfast));
  const env = { PLAIN_RECEIPT: receipt, PLAIN_VALUE: bodyOf(keyOf(1), BODY_BYTES) };
  const plain = join(import.meta.dirname, 'peers/plain.ts');
  servers.push(await serve('plain', [plain], { folder, env }));
  const passed = await measure(servers);
  await check(dataOf(holdfast));
  process.exitCode = passed ? 0 : 1;
} finally {
  for (const server of servers) await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
