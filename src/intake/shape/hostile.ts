/**
 * Records, schemas and mappings that try to stop a server, each with where the idea was published.
 * hostile.test.ts shapes every one and watches a server in the same process meanwhile.
 */
import type { HostileCase } from './hostile-case.ts';
import { HOSTILE_MAPPINGS } from './hostile-mappings.ts';
import { HOSTILE_SCHEMAS } from './hostile-schemas.ts';

export const HOSTILE: readonly HostileCase[] = [...HOSTILE_SCHEMAS, ...HOSTILE_MAPPINGS];
