/** Every adapter there is: one line each. Only main.ts imports this file. */
import type { StashAdapter, StateAdapter } from '../contracts/spec.ts';
import { memoryAdapter } from './memory/spec.ts';
import { sqliteAdapter } from './sqlite/spec.ts';
import { sqliteState } from './sqlite/state.ts';

export const STASH_ADAPTERS: readonly StashAdapter[] = [memoryAdapter, sqliteAdapter];

export const STATE_ADAPTERS: readonly StateAdapter[] = [sqliteState];
