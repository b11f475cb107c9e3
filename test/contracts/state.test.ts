/** The State suite over every engine. */
import { memoryStateBench, sqliteStateBench } from './benches.ts';
import { STATE_LINES } from './state.ts';
import { runLines } from './suite.ts';

runLines('state: sqlite', STATE_LINES, sqliteStateBench);
runLines('state: memory', STATE_LINES, memoryStateBench);
