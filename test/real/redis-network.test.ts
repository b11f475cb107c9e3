/** The promises of a store behind a network, over a Redis whose fence stands beside each key. */
import { redisAdapter } from '../../src/adapters/redis/spec.ts';
import { NETWORK_LINES } from '../contracts/network.ts';
import { setupOf } from '../contracts/setup.ts';
import { runLines } from '../contracts/suite.ts';
import { NETWORK_OPTIONS, networkBench, type NetworkStore } from './network-stores.ts';
import { withServer } from './servers/servers.ts';

const BYTES_MAX = 9 * 1024 * 1024;

for (const role of ['reader', 'member'] as const) {
  const store: NetworkStore = {
    server: 'redis',
    bytesMax: BYTES_MAX,
    keeps: role === 'reader' ? 'newest' : 'before',
    open: (port, wishes) => {
      const url = `redis://127.0.0.1:${port}`;
      const options = { ...NETWORK_OPTIONS, maxValue: BYTES_MAX, url, fence: 'key' };
      return redisAdapter.open(setupOf({ id: 'front', role, options, ...wishes }));
    },
  };
  const lines = NETWORK_LINES.filter((line) => {
    return line.appliesTo?.({ keeps: store.keeps } as never) !== false;
  });
  await withServer('redis', () => {
    runLines(`network: redis as ${role}, fence: key`, lines, () => networkBench(store));
  });
}
