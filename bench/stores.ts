/**
 * The stores of a bench: real servers of this machine, empty at the start of every run, told apart
 * by their part in a write: the reader comes last, the second store before it.
 */
import { readFileSync } from 'node:fs';
import { MongoClient } from 'mongodb';
import { ask } from '../test/real/servers/redis-wire.ts';
import { ensure, type Server } from '../test/real/servers/servers.ts';

export type SecondKind = 'redis' | 'secantus';

/**
 * In memory alone, so that no sync of Redis hides what a write costs before it gets there: the
 * setting in which a handler without a journal is fastest.
 */
const REDIS_ARGS = ['--appendonly', 'no', '--save', ''];
const SHOWN = ['appendonly', 'appendfsync', 'save', 'maxmemory-policy', 'io-threads'];

export interface Stores {
  readonly reader: Server;
  readonly second: Server | null;
  /** Starts all of them anew, without data. */
  empty(): Promise<void>;
  /** Keys in the reader; keys or documents in the second store. */
  count(): Promise<{ reader: number; second: number }>;
  /** Programs, versions and settings. */
  words(): Promise<string>;
  dispose(): Promise<void>;
}

/** Starts the servers; `null`: the reader alone. Rejects where one cannot be had. */
export async function startStores(kind: SecondKind | null): Promise<Stores> {
  const reader = await ensure('redis', { args: REDIS_ARGS });
  let second: Server | null = null;
  try {
    if (kind === 'redis') second = await ensure('redis', { args: REDIS_ARGS });
    if (kind === 'secantus') second = await ensure('secantus');
  } catch (error) {
    await reader.dispose();
    throw error;
  }
  const servers = second === null ? [reader] : [second, reader];
  return {
    reader,
    second,
    async empty() {
      for (const server of servers) await server.restart({ empty: true });
    },
    async count() {
      const counted = second === null ? 0 : await countOf(second);
      return { reader: await countOf(reader), second: counted };
    },
    async words() {
      const parts = await Promise.all(servers.map(wordsOf));
      return [...new Set(parts)].join('; ');
    },
    async dispose() {
      for (const server of servers) await server.dispose();
    },
  };
}

async function countOf(server: Server): Promise<number> {
  if (server.url.startsWith('redis:')) {
    const [count] = await ask(server.port, undefined, ['DBSIZE']);
    return Number(count);
  }
  const client = await new MongoClient(server.url).connect();
  try {
    const { databases } = await client.db().admin().listDatabases({ nameOnly: true });
    let documents = 0;
    for (const { name } of databases.filter((each) => !SYSTEM.includes(each.name))) {
      for (const collection of await client.db(name).collections()) {
        documents += await collection.countDocuments();
      }
    }
    return documents;
  } finally {
    await client.close();
  }
}

const SYSTEM = ['admin', 'config', 'local'];

async function wordsOf(server: Server): Promise<string> {
  if (!server.url.startsWith('redis:')) return `${server.name} ${flagsOf(server)}`;
  const commands = SHOWN.map((name) => ['CONFIG', 'GET', name]);
  const [info, ...settings] = await ask(server.port, undefined, ['INFO', 'server'], ...commands);
  const version = /redis_version:(\S+)/.exec(String(info))?.[1] ?? 'of unknown version';
  const shown = settings.map((pair) => {
    const [name, value] = Array.isArray(pair) ? (pair as string[]) : [];
    return `${name} ${value === '' ? '""' : value}`;
  });
  return `Redis ${version} (${shown.join(', ')})`;
}

/** What it was started with, less its places: those differ from run to run. */
function flagsOf({ pid, folder, port }: Server): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  const flags = words.slice(words.findIndex((word) => word.startsWith('--')));
  const told = flags.filter((word, at) => {
    const value = flags[at + 1] ?? '';
    const place = [value, word].some((each) => each.startsWith(folder) || each === `${port}`);
    return word !== '' && !place;
  });
  return `(${told.join(' ')})`;
}
