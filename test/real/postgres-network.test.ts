/** The promises of a store behind a network, over a PostgreSQL of its own for each, and a proxy. */
import { describe, it } from 'node:test';
import { postgresAdapter } from '../../src/adapters/postgres/spec.ts';
import { Wall, worldOn, type StoreBench } from '../contracts/bench.ts';
import type { NetworkBench } from '../contracts/network-bench.ts';
import { NETWORK_LINES } from '../contracts/network.ts';
import { MemoryBook, setupOf } from '../contracts/setup.ts';
import { runLines } from '../contracts/suite.ts';
import { KEEP_VERSIONS } from './postgres-bench.ts';
import { startProxy } from './proxy.ts';
import { ensure, serversAreRequired, unavailable } from './servers/servers.ts';

const TIMEOUT_MS = 1500;
const BYTES_MAX = 16 * 1024 * 1024;

async function networkBench(): Promise<NetworkBench> {
  const server = await ensure('postgres');
  const proxy = await startProxy({ host: server.host, port: server.port });
  const url = new URL(server.url);
  url.port = String(proxy.port);
  const options = {
    url: url.href,
    keepVersions: KEEP_VERSIONS,
    keepFor: 1e12,
    maxValue: BYTES_MAX,
    timeout: TIMEOUT_MS,
    connectTimeout: TIMEOUT_MS,
    readConnections: 4,
  };
  const wall = new Wall();
  const opened: StoreBench[] = [];
  let book = new MemoryBook(1);
  const open = async (): Promise<StoreBench> => {
    const setup = setupOf({ id: 'history', options, world: worldOn(wall), connections: book });
    book = book.later();
    const { stash, reader } = await postgresAdapter.open(setup);
    if (reader === undefined) throw new Error('a PostgreSQL stash can be read');
    const dispose = (): Promise<void> => stash.close();
    const bench = { stash, reader, keepVersions: KEEP_VERSIONS, wall, reopen: null, dispose };
    opened.push(bench);
    return bench;
  };
  const first = await open();
  return {
    ...first,
    proxy,
    server,
    timeoutMs: TIMEOUT_MS,
    bytesMax: BYTES_MAX,
    openAgain: open,
    async dispose() {
      for (const one of opened) await one.dispose();
      await proxy.dispose();
      await server.dispose();
    },
  };
}

const why = await unavailable('postgres');
if (why === null) runLines('network: postgres', NETWORK_LINES, networkBench);
else {
  describe('network: postgres', () => {
    it('needs postgres', (t) => {
      if (serversAreRequired()) throw new Error(why);
      t.skip(why);
    });
  });
}
