/**
 * GET of one key out of Redis: Holdfast with Redis as the reader against webdis, an HTTP server in
 * C that does nothing but ask Redis, with one thread. Run:
 * npm run bench -- read [--dir FOLDER] [--seconds N] [--rounds N] [--draft]
 *
 * Both over the same Redis and the same 10,000 keys, which were written through Holdfast. --draft
 * leaves bench/results/ as it is.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensure } from '../test/real/servers/servers.ts';
import { bodyOf, generator, keyOf, type Load } from './load/load.ts';
import { compare, keepResults, machine, report } from './measure.ts';
import type { Comparison, Side } from './measure.ts';
import { costWords, diskWords, medianCost, serve, spend } from './server.ts';
import type { Cost, Server } from './server.ts';
import { startStores } from './stores.ts';

const CONNECTIONS = [1, 16, 64, 256];
const KEYS = 10_000;
const BODY_BYTES = 200;
const FLOOR = 0.9;
const AIM = 1.25;
const FILLERS = 64;
const TRIES_MAX = 200;

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
const folder = mkdtempSync(join(options.dir, 'holdfast-bench-'));

/** A server that is read from, and how it is asked for a key. */
interface Read {
  readonly server: Pick<Server, 'name' | 'pid'>;
  /** Everything before the key, and everything behind it. */
  readonly url: string;
  readonly suffix: string;
}

/** A side of a comparison that remembers what its requests cost and how long they took. */
class Reading implements Side {
  readonly name: string;
  readonly #pid: number;
  readonly #load: Load;
  readonly #costs: Cost[] = [];

  constructor({ server, url, suffix }: Read, connections: number) {
    this.name = server.name;
    this.#pid = server.pid;
    const size = { keys: KEYS, bodyBytes: BODY_BYTES };
    this.#load = { url, suffix, method: 'GET', connections, seconds, ...size };
  }

  /** Requests answered per second. */
  async run(): Promise<number> {
    const { requestsPerSecond, cost } = await spend(this.#pid, this.#load);
    this.#costs.push(cost);
    return requestsPerSecond;
  }

  get cost(): Cost {
    return medianCost(this.#costs);
  }
}

async function startHoldfast(redisUrl: string): Promise<Server> {
  const config = join(folder, 'holdfast.yaml');
  const lines = [
    'version: 1',
    `stashes: { reader: { kind: redis, url: "${redisUrl}" } }`,
    'accounts: { default: { flows: { default: { read: [reader] } } } }',
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  const main = join(import.meta.dirname, '../src/main.ts');
  const args = [main, 'serve', '--port', '0', '--data-dir', 'data', '--config', config];
  return serve('holdfast', args, { folder });
}

/** Writes every key; the first may have to wait until Redis was joined. */
async function fill(url: string): Promise<void> {
  let next = 1;
  const put = async (key: string): Promise<void> => {
    const init = { method: 'PUT', headers: { 'content-type': 'application/json' } };
    for (let tries = 1; ; tries += 1) {
      const answer = await fetch(`${url}${key}`, { ...init, body: bodyOf(key, BODY_BYTES) });
      const text = await answer.text();
      if (answer.status === 200) return;
      if (tries === TRIES_MAX) throw new Error(`${key}: ${answer.status} ${text}`);
    }
  };
  const filler = async (): Promise<void> => {
    while (next <= KEYS) {
      const key = keyOf(next);
      next += 1;
      await put(key);
    }
  };
  await Promise.all(Array.from({ length: FILLERS }, filler));
}

/** Reads some keys: a server that answers quickly and wrongly measures nothing. */
async function check({ server, url, suffix }: Read): Promise<void> {
  for (let number = 1; number <= KEYS; number += 499) {
    const key = keyOf(number);
    const found = await (await fetch(url + key + suffix)).text();
    if (found !== bodyOf(key, BODY_BYTES)) {
      throw new Error(`${key} came back from ${server.name} as ${found}`);
    }
  }
}

async function measure(reads: readonly Read[], stores: string): Promise<boolean> {
  const described = { ...machine(), generator, disk: diskWords(folder), stores };
  console.log(JSON.stringify(described));
  const comparisons: (Comparison & { costs: readonly Cost[] })[] = [];
  let passed = true;
  for (const connections of CONNECTIONS) {
    const sides = reads.map((read) => new Reading(read, connections));
    const name = `GET, ${connections} connections`;
    const judged = { rounds, floor: FLOOR, aim: AIM };
    const comparison = await compare(name, 'requests/s', sides, judged);
    passed = report(comparison, sides) && passed;
    for (const { name: side, cost } of sides) console.log(`  ${costWords(side, cost)}`);
    comparisons.push({ ...comparison, costs: sides.map((side) => side.cost) });
  }
  console.log(passed ? 'floor: met at each' : 'floor: NOT met at each');
  const load = { keys: KEYS, bodyBytes: BODY_BYTES, seconds, rounds };
  if (!options.draft) keepResults('read', { machine: described, load, comparisons });
  return passed;
}

const closing: (() => Promise<void>)[] = [];
try {
  const stores = await startStores(null);
  closing.push(() => stores.dispose());
  const holdfast = await startHoldfast(stores.reader.url);
  closing.push(() => holdfast.stop());
  const url = `${holdfast.url}/v1/data/default/default/`;
  await fill(url);
  const webdis = await ensure('webdis', { redisPorts: [stores.reader.port] });
  closing.push(() => webdis.dispose());
  const other = { name: webdis.name, pid: webdis.pid ?? 0 };
  const reads = [
    { server: holdfast, url, suffix: '' },
    { server: other, url: `${webdis.url}/GET/default:default:`, suffix: '.txt' },
  ];
  for (const read of reads) await check(read);
  process.exitCode = (await measure(reads, await stores.words())) ? 0 : 1;
} finally {
  for (const close of closing.reverse()) await close();
  rmSync(folder, { recursive: true, force: true });
}
