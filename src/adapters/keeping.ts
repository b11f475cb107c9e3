/** What every store with history can be told: how many versions of a key it keeps, and how long. */
import type { FieldSpec } from '../contracts/spec.ts';
import { numberOr } from './option.ts';

export const KEEPING_FIELDS = {
  keepVersions: {
    type: 'integer',
    default: 10,
    min: 1,
    max: 1_000_000,
    doc: 'How many committed versions of a key are kept, the current one included.',
  },
  keepFor: {
    type: 'duration',
    default: '7d',
    doc: 'How long a version is kept once a newer one has taken its place.',
  },
} as const satisfies Readonly<Record<string, FieldSpec>>;

export interface Keeping {
  readonly keepVersions: number;
  readonly keepForMs: number;
}

export function keepingOf(options: Readonly<Record<string, unknown>>): Keeping {
  return {
    keepVersions: numberOr(options['keepVersions'], 10),
    keepForMs: numberOr(options['keepFor'], 7 * 24 * 3_600_000),
  };
}
