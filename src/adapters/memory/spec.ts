/**
 * What a memory stash can be told: for trying things out and for tests, since a restart loses it.
 */
import type { StashAdapter, StashSpec } from '../../contracts/spec.ts';
import { MemoryReader } from './reader.ts';
import { MemoryStash } from './stash.ts';

const SPEC: StashSpec = {
  kind: 'memory',
  title: 'Memory',
  doc:
    'Versions in the memory of this process, lost when it ends and refilled from the intake as ' +
    'far as that reaches. Can refuse or fail writes on purpose, to see a rollback live.',
  roles: ['stash', 'reader'],
  fields: {
    refuseKeys: {
      type: 'strings',
      default: [],
      doc: 'Writes with a key that starts with one of these are refused, as by a 422.',
      example: ['bad-'],
    },
    failKeys: {
      type: 'strings',
      default: [],
      doc: 'Writes with a key that starts with one of these fail, as when a store answers 503.',
      example: ['down-'],
    },
    delay: {
      type: 'duration',
      default: '0s',
      max: '1h',
      doc: 'How long every write takes.',
    },
    keepVersions: {
      type: 'integer',
      default: 10,
      min: 1,
      max: 1_000_000,
      doc: 'How many committed versions of a key are kept, the current one included.',
    },
  },
};

/** The adapter as the registry lists it. */
export const memoryAdapter: StashAdapter = {
  spec: SPEC,
  async open({ id, options, world }) {
    const delay = options['delay'];
    const keepVersions = options['keepVersions'];
    const stash = new MemoryStash({
      id,
      clock: world.clock,
      refuseKeys: strings(options['refuseKeys']),
      failKeys: strings(options['failKeys']),
      delayMs: typeof delay === 'number' ? delay : 0,
      keepVersions: typeof keepVersions === 'number' ? keepVersions : 10,
    });
    return { stash, reader: new MemoryReader(stash.versions, world.clock) };
  },
};

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
