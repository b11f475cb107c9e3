/** The options of a Redis stash as its parts take them, checked once. */
import { Fault } from '../../kernel/errors.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How every connection is made and how long anything may take. */
export interface Access {
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
  readonly tls: boolean;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
}

export interface RedisOptions {
  readonly access: Access;
  /** One for a single server; of a cluster, those that are asked for its map. */
  readonly seeds: readonly Address[];
  readonly cluster: boolean;
  readonly fence: 'connection' | 'key';
  readonly metadata: boolean;
  readonly valueBytesMax: number;
}

type Given = Readonly<Record<string, unknown>>;

const PORT = 6379;

/** Throws a Fault `bad-request` for what can never work. */
export function redisOptions(given: Given): RedisOptions {
  const url = textOf(given, 'url');
  const nodes = given['nodes'];
  const listed = Array.isArray(nodes) ? nodes.filter((node) => typeof node === 'string') : [];
  const from = url === null ? null : serverOf(url, 'url');
  if (from === null && listed.length === 0) {
    throw nonsense('neither `url` nor `nodes` says where Redis is');
  }
  const others = listed.map((node) => serverOf(node, 'nodes'));
  const all = from === null ? others : [from, ...others];
  const cluster = given['cluster'] === true || listed.length > 0;
  const database = from?.database ?? 0;
  if (cluster && database !== 0) throw nonsense('a cluster has the database 0 and no other');
  const tls = all.some((one) => one.tls);
  return {
    access: {
      username: textOf(given, 'username') ?? from?.username ?? null,
      password: textOf(given, 'password') ?? from?.password ?? null,
      database,
      tls,
      timeoutMs: numberOf(given, 'timeout', 5000),
      connectTimeoutMs: numberOf(given, 'connectTimeout', 2000),
    },
    seeds: all.map(({ host, port }) => ({ host, port })),
    cluster,
    fence: given['fence'] === 'key' ? 'key' : 'connection',
    metadata: given['metadata'] === true,
    valueBytesMax: numberOf(given, 'maxValue', 64 * 1024 * 1024),
  };
}

interface Server extends Address {
  readonly tls: boolean;
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
}

/** Reads `redis://`, `rediss://` or `host:port`. Never repeats the text: it may hold a password. */
function serverOf(text: string, option: string): Server {
  const full = /^rediss?:\/\//.test(text) ? text : `redis://${text}`;
  let url: URL;
  try {
    url = new URL(full);
  } catch {
    throw nonsense(`\`${option}\` is no redis:// or rediss:// address`);
  }
  const path = url.pathname.replace(/^\//, '');
  if (url.hostname === '') throw nonsense(`\`${option}\` names no host`);
  if (!/^\d{0,6}$/.test(path)) throw nonsense(`\`${option}\` ends in no number of a database`);
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? PORT : Number(url.port),
    tls: url.protocol === 'rediss:',
    username: url.username === '' ? null : decodeURIComponent(url.username),
    password: url.password === '' ? null : decodeURIComponent(url.password),
    database: Number(path),
  };
}

/** The store that options lead to, without its secrets: what two flows could collide in. */
export function storeOf(given: Given): string {
  const { seeds, cluster, access } = redisOptions(given);
  const names = seeds.map(({ host, port }) => `${host}:${port}`);
  return cluster ? `cluster ${names.sort().join(' ')}` : `${names[0]}/${access.database}`;
}

function textOf(given: Given, name: string): string | null {
  const value = given[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

function numberOf(given: Given, name: string, fallback: number): number {
  const value = given[name];
  return typeof value === 'number' ? value : fallback;
}

function nonsense(detail: string): Fault {
  return new Fault('bad-request', `Redis: ${detail}`, {
    hint: 'Give `url: redis://host:6379`, or `nodes: ["host:6379", ...]` for a cluster.',
  });
}
