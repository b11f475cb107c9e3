/** The promises of stashes and readers, held against a real PostgreSQL. */
import { READER_LINES } from '../contracts/reader.ts';
import { STASH_LINES } from '../contracts/stash.ts';
import { runLines } from '../contracts/suite.ts';
import { postgresBench } from './postgres-bench.ts';
import { withServer } from './servers/servers.ts';

await withServer('postgres', (server) => {
  runLines('stash: postgres', STASH_LINES, () => postgresBench(server().url));
  runLines('reader: postgres', READER_LINES, () => postgresBench(server().url));
});
