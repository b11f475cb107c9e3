/** The Redis stash and reader on real servers: the suites, in every way it can be told to work. */
import { READER_LINES } from '../contracts/reader.ts';
import { STASH_LINES } from '../contracts/stash.ts';
import { runLines } from '../contracts/suite.ts';
import { linesFor, redisBench, type RedisWishes } from './redis-bench.ts';
import { withServer, type ServerName } from './servers/servers.ts';

const SERVERS: readonly ServerName[] = ['redis', 'valkey', 'redis-cluster'];

const WAYS: readonly (readonly [string, RedisWishes])[] = [
  ['the reader', { role: 'reader' }],
  ['the reader with metadata', { role: 'reader', options: { metadata: true } }],
  ['the reader with its fence beside each key', { role: 'reader', options: { fence: 'key' } }],
  ['a member', { role: 'member' }],
];

for (const name of SERVERS) {
  await withServer(name, (server) => {
    for (const [way, wishes] of WAYS) {
      const { role = 'member' } = wishes;
      const bench = () => redisBench(server(), wishes);
      runLines(`stash: ${name} as ${way}`, linesFor(STASH_LINES, role), bench);
      runLines(`reader: ${name} as ${way}`, linesFor(READER_LINES, role), bench);
    }
  });
}
