/** The conformance lines of networked stashes, over real servers of Redis, Valkey and MongoDB. */
import { it } from 'node:test';
import { NETWORK_LINES } from '../contracts/network.ts';
import { runLines } from '../contracts/suite.ts';
import {
  networkBench,
  REDIS_MEMBER,
  REDIS_READER,
  SECANTUS,
  VALKEY_MEMBER,
  VALKEY_READER,
  type NetworkStore,
} from './network-stores.ts';
import { serversAreRequired, unavailable } from './servers/servers.ts';

const STORES: Readonly<Record<string, NetworkStore>> = {
  'redis as a member': REDIS_MEMBER,
  'redis as the reader': REDIS_READER,
  'valkey as a member': VALKEY_MEMBER,
  'valkey as the reader': VALKEY_READER,
  mongodb: SECANTUS,
};

for (const [name, store] of Object.entries(STORES)) {
  const why = await unavailable(store.server);
  if (why === null) {
    runLines(`network: ${name}`, NETWORK_LINES, () => networkBench(store));
  } else {
    it(`network: ${name} needs its server`, (t) => {
      if (serversAreRequired()) throw new Error(why);
      t.skip(why);
    });
  }
}
