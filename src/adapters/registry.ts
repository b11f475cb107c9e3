/** Every adapter there is: one line each. Only main.ts imports this file. */
import type { StashAdapter, StateAdapter } from '../contracts/spec.ts';
import { httpAdapter } from './http/spec.ts';
import { memoryAdapter } from './memory/spec.ts';
import { mongodbAdapter } from './mongodb/spec.ts';
import { postgresAdapter } from './postgres/spec.ts';
import { redisAdapter } from './redis/spec.ts';
import { sqliteAdapter } from './sqlite/spec.ts';
import { sqliteState } from './sqlite/state.ts';

export const STASH_ADAPTERS: readonly StashAdapter[] = [
  httpAdapter,
  memoryAdapter,
  mongodbAdapter,
  postgresAdapter,
  redisAdapter,
  sqliteAdapter,
];

export const STATE_ADAPTERS: readonly StateAdapter[] = [sqliteState];
