/** The reader suite over every adapter that can be read. */
import { memoryBench, sqliteBench } from './benches.ts';
import { READER_LINES } from './reader.ts';
import { runLines } from './suite.ts';

runLines('reader: sqlite', READER_LINES, sqliteBench);
runLines('reader: memory', READER_LINES, memoryBench);
