/** The stash suite over every adapter. */
import { memoryBench, sqliteBench } from './benches.ts';
import { STASH_LINES } from './stash.ts';
import { runLines } from './suite.ts';

runLines('stash: sqlite', STASH_LINES, sqliteBench);
runLines('stash: memory', STASH_LINES, memoryBench);
