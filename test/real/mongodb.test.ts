/**
 * The MongoDB stash over SecantusDB and over FerretDB: every line of both suites. FerretDB knows
 * neither pipeline updates nor transactions nor partial indexes, and takes several writers that
 * compare and set at once for winners; the stash uses only inserts, replacements by `_id`, deletes
 * by `_id` and one conditional update by a single writer (the mark), so that all lines apply.
 */
import { READER_LINES } from '../contracts/reader.ts';
import { STASH_LINES } from '../contracts/stash.ts';
import { runLines } from '../contracts/suite.ts';
import { mongoBench } from './mongodb-bench.ts';
import { withServer } from './servers/servers.ts';

/** No document of MongoDB holds so much; mongodb-faults.test.ts stores 15 MiB, and refuses more. */
const TOO_LARGE = 'stores a value of 16 MiB';

for (const name of ['secantus', 'ferretdb'] as const) {
  await withServer(name, (server) => {
    const make = () => mongoBench(server().url);
    const lines = STASH_LINES.filter((line) => line.promise !== TOO_LARGE);
    runLines(`stash: mongodb on ${name}`, lines, make);
    runLines(`reader: mongodb on ${name}`, READER_LINES, make);
  });
}
