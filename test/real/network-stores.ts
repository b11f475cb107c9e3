/** Networked stores for the conformance lines: each on a server of its own, behind a proxy. */
import type { OpenStash } from '../../src/contracts/spec.ts';
import { mongodbAdapter } from '../../src/adapters/mongodb/spec.ts';
import { redisAdapter } from '../../src/adapters/redis/spec.ts';
import { Wall, worldOn, type Keeps, type StoreBench } from '../contracts/bench.ts';
import type { NetworkBench } from '../contracts/network-bench.ts';
import { MemoryBook, setupOf, type SetupWishes } from '../contracts/setup.ts';
import { startProxy, type Rewrite } from './proxy.ts';
import { ensure, type ServerName } from './servers/servers.ts';

const KEEP_VERSIONS = 3;
const TIMEOUT_MS = 1000;
const CONNECT_TIMEOUT_MS = 500;
const BYTES_MAX = 9 * 1024 * 1024;

/** How a process opens its store; `port` is the proxy's. */
export interface NetworkStore {
  readonly server: ServerName;
  open(port: number, wishes: Pick<SetupWishes, 'world' | 'connections'>): Promise<OpenStash>;
  readonly bytesMax: number | null;
  readonly keeps?: Keeps;
  readonly holdsConnections?: boolean;
}

/** What every networked adapter is opened with, unless a test is about something else. */
export const NETWORK_OPTIONS = {
  timeout: TIMEOUT_MS,
  connectTimeout: CONNECT_TIMEOUT_MS,
  keepVersions: KEEP_VERSIONS,
  keepFor: 1e12,
  maxValue: BYTES_MAX,
};

/** A server, a proxy before it, and the store opened through the proxy; its mark was not asked. */
export async function networkBench(store: NetworkStore, rewrite?: Rewrite): Promise<NetworkBench> {
  const server = await ensure(store.server);
  const proxy = await startProxy(server, rewrite);
  const wall = new Wall();
  const opened: OpenStash[] = [];
  let book = new MemoryBook(1);
  const open = async (): Promise<StoreBench> => {
    const one = await store.open(proxy.port, { world: worldOn(wall), connections: book });
    book = book.later();
    opened.push(one);
    const { stash, reader } = one;
    if (reader === undefined) throw new Error(`a ${store.server} stash can be read`);
    const dispose = (): Promise<void> => stash.close();
    return { stash, reader, keepVersions: KEEP_VERSIONS, wall, reopen: null, dispose };
  };
  const { bytesMax, keeps, holdsConnections } = store;
  return {
    ...(await open()),
    proxy,
    server,
    timeoutMs: TIMEOUT_MS,
    bytesMax,
    ...(keeps === undefined ? {} : { keeps }),
    ...(holdsConnections === undefined ? {} : { holdsConnections }),
    openAgain: open,
    async dispose() {
      for (const { stash } of opened) await stash.close();
      await proxy.dispose();
      await server.dispose();
    },
  };
}

/** A Redis or a Valkey, as the reader of a flow or as another stash of it. */
function redisStore(server: 'redis' | 'valkey', role: 'reader' | 'member'): NetworkStore {
  return {
    server,
    bytesMax: BYTES_MAX,
    keeps: role === 'reader' ? 'newest' : 'before',
    open: (port, wishes) =>
      redisAdapter.open(
        setupOf({
          id: 'front',
          role,
          options: { ...NETWORK_OPTIONS, url: `redis://127.0.0.1:${port}` },
          ...wishes,
        }),
      ),
  };
}

export const REDIS_MEMBER: NetworkStore = redisStore('redis', 'member');
export const REDIS_READER: NetworkStore = redisStore('redis', 'reader');
export const VALKEY_MEMBER: NetworkStore = redisStore('valkey', 'member');
export const VALKEY_READER: NetworkStore = redisStore('valkey', 'reader');

export const SECANTUS: NetworkStore = {
  server: 'secantus',
  bytesMax: BYTES_MAX,
  open: (port, wishes) =>
    mongodbAdapter.open(
      setupOf({
        id: 'history',
        options: {
          ...NETWORK_OPTIONS,
          url: `mongodb://127.0.0.1:${port}/?directConnection=true`,
          database: 'holdfast',
          collection: 'versions',
        },
        ...wishes,
      }),
    ),
};
