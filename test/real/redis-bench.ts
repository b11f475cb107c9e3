/** Redis stashes on real servers, as the suites work with them. */
import { redisAdapter } from '../../src/adapters/redis/spec.ts';
import type { StashRole, StashSetup } from '../../src/contracts/spec.ts';
import { realWorld } from '../../src/kernel/realworld.ts';
import { ServerWall, type StoreBench } from '../contracts/bench.ts';
import { MemoryBook, setupOf } from '../contracts/setup.ts';
import type { Line } from '../contracts/suite.ts';
import type { Server } from './servers/servers.ts';
import { ask } from './servers/redis-wire.ts';

export interface RedisWishes {
  readonly role?: StashRole;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly book?: MemoryBook;
  readonly render?: StashSetup['render'];
  /** True: the mark was not asked for yet. */
  readonly apart?: boolean;
  readonly id?: string;
}

const OPTIONS = { timeout: 2000, connectTimeout: 1000, maxValue: 64 * 1024 * 1024 };

/** Empties every node. */
export async function emptied({ nodes }: Pick<Server, 'nodes'>): Promise<void> {
  for (const { port } of nodes) await ask(port, undefined, ['FLUSHALL']);
}

/** What an entry for this server says. */
export function optionsFor(server: Server): Record<string, unknown> {
  const { nodes, url } = server;
  if (nodes.length === 1) return { ...OPTIONS, url };
  return { ...OPTIONS, nodes: nodes.map(({ host, port }) => `${host}:${port}`) };
}

/** A stash as a running program has it, on a server that something else may use as well. */
export async function openRedis(server: Server, wishes: RedisWishes = {}): Promise<StoreBench> {
  const { role = 'member', options = {}, book = new MemoryBook(1), id = 'cache' } = wishes;
  const { render } = wishes;
  const { stash, reader } = await redisAdapter.open(
    setupOf({
      id,
      role,
      connections: book,
      world: realWorld(),
      options: { ...optionsFor(server), ...options },
      ...(render === undefined ? {} : { render }),
    }),
  );
  if (reader === undefined) throw new Error('a Redis stash can be read');
  if (wishes.apart !== true) await stash.mark();
  return {
    stash,
    reader,
    keepVersions: 1,
    wall: new ServerWall(),
    keeps: role === 'reader' ? 'newest' : 'before',
    reopen: () => openRedis(server, { ...wishes, book: book.later() }),
    dispose: () => stash.close(),
  };
}

/** A fresh place: the suites count on an empty store. */
export async function redisBench(server: Server, wishes: RedisWishes = {}): Promise<StoreBench> {
  await emptied(server);
  return openRedis(server, wishes);
}

/** The lines that say something about such a store, so that no test is skipped for nothing. */
export function linesFor(
  lines: readonly Line<StoreBench>[],
  role: StashRole,
): readonly Line<StoreBench>[] {
  const traits = { insertOnly: false, oneAttemptPerKey: role === 'member' };
  const keeps = role === 'reader' ? 'newest' : 'before';
  const like = { keeps, stash: { traits }, reader: {} } as unknown as StoreBench;
  return lines.filter((line) => line.appliesTo?.(like) !== false);
}
