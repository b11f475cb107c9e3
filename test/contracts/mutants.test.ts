/** For each line of each suite, an adapter that breaks its promise, and is noticed by that line. */
import { READER_MUTANTS } from './mutants/reader.ts';
import { storeMutants } from './mutants/mutate.ts';
import { STASH_APPLY_MUTANTS } from './mutants/stash-apply.ts';
import { STASH_BOOK_MUTANTS } from './mutants/stash-books.ts';
import { STASH_PRUNE_MUTANTS } from './mutants/stash-prune.ts';
import { stateMutants } from './mutants/state.ts';
import { READER_LINES } from './reader.ts';
import { STASH_LINES } from './stash.ts';
import { STATE_LINES } from './state.ts';
import { runMutants } from './suite.ts';

const STASH_MUTANTS = [...STASH_APPLY_MUTANTS, ...STASH_BOOK_MUTANTS, ...STASH_PRUNE_MUTANTS];

runMutants('stash', STASH_LINES, storeMutants(STASH_LINES, STASH_MUTANTS));
runMutants('reader', READER_LINES, storeMutants(READER_LINES, READER_MUTANTS));
runMutants('state', STATE_LINES, stateMutants(STATE_LINES));
