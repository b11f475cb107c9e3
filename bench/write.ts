/**
 * A write that is in both stores or in none, against the handler that a good engineer writes
 * without Holdfast (bench/peers/handler.ts): into two Redis, and into SecantusDB and Redis. Run:
 * npm run bench -- write [--dir FOLDER] [--seconds N] [--rounds N] [--draft]
 *   [--only redis|secantus] [--connections 1,16]
 *
 * Both sides in turns against the same servers, which are started empty for every run; a key of its
 * own for every write; a server process of its own for every run, warmed up by a second of the same
 * load. Holdfast's data lie under --dir, or where the system keeps temporary files, which should be
 * a disk. --draft leaves bench/results/ as it is; the last two options make a draft of it too.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ask } from '../test/real/servers/redis-wire.ts';
import { until } from '../test/real/servers/server.ts';
import { bodyOf, generate, generator, keyOf, type Load } from './load/load.ts';
import { compare, keepResults, machine, report } from './measure.ts';
import type { Comparison, Side } from './measure.ts';
import { costWords, diskWords, medianCost, serve, spend } from './server.ts';
import type { Cost, Server } from './server.ts';
import { startStores, type SecondKind, type Stores } from './stores.ts';

const BODY_BYTES = 200;
const PATH = '/v1/data/default/default/';
const WARM_SECONDS = 1;
const READY_MS_MAX = 30_000;
const FOUND_MS_MAX = 5000;
/** Where the keys of the load that warms up, and of the one that is measured, begin. */
const WARM_FROM = 10_000_000;
const FROM = 20_000_000;
/** How many of the keys written are read back from the reader after a run. */
const SAMPLES = 50;

interface Row {
  readonly connections: number;
  readonly floor: number;
  readonly aim: number;
}

const rows = (...each: readonly (readonly [number, number, number])[]): readonly Row[] =>
  each.map(([connections, floor, aim]) => ({ connections, floor, aim }));

const VARIANTS: readonly { second: SecondKind; words: string; rows: readonly Row[] }[] = [
  {
    second: 'redis',
    words: 'two Redis',
    rows: rows([1, 0.45, 0.6], [16, 0.4, 0.9], [64, 0.87, 1.3], [256, 1, 1.5]),
  },
  {
    second: 'secantus',
    words: 'SecantusDB and Redis',
    rows: rows([1, 0.7, 1], [16, 3.5, 4], [64, 11, 12], [256, 23, 25]),
  },
];

const { values: options } = parseArgs({
  options: {
    dir: { type: 'string', default: tmpdir() },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    draft: { type: 'boolean', default: false },
    only: { type: 'string' },
    connections: { type: 'string' },
  },
});
const chosen = options.connections?.split(',').map(Number);
const draft = options.draft || options.only !== undefined || chosen !== undefined;
const seconds = Number(options.seconds);
const rounds = Math.max(Number(options.rounds), draft ? 1 : 5);
const folder = mkdtempSync(join(options.dir, 'holdfast-bench-'));
let starts = 0;

type Start = (stores: Stores) => Promise<Server>;

/** A fresh data folder and a configuration of two stashes, of which one is the reader. */
async function startHoldfast({ reader, second }: Stores): Promise<Server> {
  starts += 1;
  const config = join(folder, `holdfast-${starts}.yaml`);
  const kind = second?.url.startsWith('mongodb:') ? 'mongodb' : 'redis';
  const stashes = [
    `  second: { kind: ${kind}, url: "${second?.url}" }`,
    `  reader: { kind: redis, url: "${reader.url}" }`,
  ];
  const flow = 'default: { write: [second], read: [reader] }';
  const accounts = ['accounts:', '  default:', '    flows:', `      ${flow}`];
  writeFileSync(config, ['version: 1', 'stashes:', ...stashes, ...accounts, ''].join('\n'));
  const main = join(import.meta.dirname, '../src/main.ts');
  const data = join(folder, `data-${starts}`);
  const args = [main, 'serve', '--port', '0', '--data-dir', data, '--config', config];
  const server = await serve('holdfast', args, { folder });
  const stop = async (): Promise<void> => {
    await server.stop();
    rmSync(data, { recursive: true, force: true });
  };
  return { ...server, stop };
}

function handlerWith(receipt: string): Start {
  return async ({ reader, second }) => {
    const url = second?.url ?? '';
    const other = url.startsWith('mongodb:') ? { HISTORY_URL: url } : { STORE_URL: url };
    const env = { READER_URL: reader.url, RECEIPT: receipt, ...other };
    return serve('handler', [join(import.meta.dirname, 'peers/handler.ts')], { folder, env });
  };
}

/** Writes one key until that is answered with 200; returns the answer. */
async function firstReceipt({ name, url }: Server): Promise<string> {
  const end = performance.now() + READY_MS_MAX;
  const body = bodyOf(keyOf(1), BODY_BYTES);
  const headers = { 'content-type': 'application/json' };
  for (;;) {
    const answer = await fetch(url + PATH + keyOf(1), { method: 'PUT', headers, body });
    const text = await answer.text();
    if (answer.status === 200) return text;
    if (performance.now() > end) throw new Error(`${name}: ${answer.status} ${text}`);
  }
}

/** A side of a comparison: every run of it begins with empty stores and a new process. */
class Contender implements Side {
  readonly name: string;
  readonly #start: Start;
  readonly #stores: Stores;
  readonly #connections: number;
  readonly #costs: Cost[] = [];

  constructor(name: string, start: Start, stores: Stores, connections: number) {
    this.name = name;
    this.#start = start;
    this.#stores = stores;
    this.#connections = connections;
  }

  /** Writes answered per second. */
  async run(): Promise<number> {
    await this.#stores.empty();
    const server = await this.#start(this.#stores);
    try {
      await firstReceipt(server);
      const load = this.#load(server);
      const warm = { ...load, seconds: WARM_SECONDS, distinctFrom: WARM_FROM };
      const { requests: warmed } = await generate(warm);
      const spent = await spend(server.pid, { ...load, distinctFrom: FROM });
      await check(this.#stores, warmed, spent.requests);
      this.#costs.push(spent.cost);
      return spent.requestsPerSecond;
    } finally {
      await server.stop();
    }
  }

  #load({ url }: Server): Load {
    const connections = this.#connections;
    const counts = { connections, seconds, keys: 0, bodyBytes: BODY_BYTES };
    return { url: url + PATH, method: 'PUT', ...counts };
  }

  get cost(): Cost {
    return medianCost(this.#costs);
  }
}

/**
 * A server that answers quickly and wrongly measures nothing: what it answered must be there, also
 * those last keys whose answers the generator did not wait for.
 */
async function check(stores: Stores, warmed: number, measured: number): Promise<void> {
  const { reader, second } = await stores.count();
  if (Math.min(reader, second) < warmed + measured) {
    throw new Error(`${warmed + measured} answered, ${second} in the second, ${reader} readable`);
  }
  for (let sample = 0; sample < Math.min(SAMPLES, measured - 1); sample += 1) {
    // The first key may be one that the generator made to look at and never sent.
    const key = keyOf(FROM + 2 + Math.floor((measured * sample) / SAMPLES));
    await until(async () => {
      const [found] = await ask(stores.reader.port, undefined, ['GET', `default:default:${key}`]);
      if (found !== bodyOf(key, BODY_BYTES)) throw new Error(`${key} reads as ${String(found)}`);
    }, FOUND_MS_MAX);
  }
}

type Measured = Comparison & { costs: readonly Cost[] };

async function measure(variant: (typeof VARIANTS)[number], stores: Stores): Promise<Measured[]> {
  const holdfast = await startHoldfast(stores);
  let receipt: string;
  try {
    receipt = await firstReceipt(holdfast);
  } finally {
    await holdfast.stop();
  }
  const measured: Measured[] = [];
  for (const { connections, floor, aim } of variant.rows) {
    if (chosen?.includes(connections) === false) continue;
    const sides = [
      new Contender('holdfast', startHoldfast, stores, connections),
      new Contender('handler', handlerWith(receipt), stores, connections),
    ];
    const name = `${variant.words}, ${connections} connections`;
    const comparison = await compare(name, 'writes/s', sides, { rounds, floor, aim });
    report(comparison, sides);
    for (const { name: side, cost } of sides) console.log(`  ${costWords(side, cost)}`);
    measured.push({ ...comparison, costs: sides.map((side) => side.cost) });
  }
  return measured;
}

try {
  const comparisons: Measured[] = [];
  const described = { ...machine(), generator, disk: diskWords(folder) };
  const told: string[] = [];
  console.log(JSON.stringify(described));
  for (const variant of VARIANTS) {
    if (options.only !== undefined && options.only !== variant.second) continue;
    const stores = await startStores(variant.second);
    try {
      told.push(await stores.words());
      console.log(`${variant.words}: ${told.at(-1)}`);
      comparisons.push(...(await measure(variant, stores)));
    } finally {
      await stores.dispose();
    }
  }
  const passed = comparisons.every(({ ratio, floor }) => floor === null || ratio >= floor);
  console.log(passed ? 'floors: all met' : 'floors: NOT all met');
  const load = { distinctKeys: true, bodyBytes: BODY_BYTES, seconds, rounds };
  const stores = [...new Set(told.flatMap((each) => each.split('; ')))].join('; ');
  if (!draft) keepResults('write', { machine: { ...described, stores }, load, comparisons });
  process.exitCode = passed ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
