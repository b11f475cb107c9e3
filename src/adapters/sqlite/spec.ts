/** What a SQLite stash can be told, and how it is opened. */
import { normalize, resolve } from 'node:path';
import type { StashAdapter, StashSpec } from '../../contracts/spec.ts';
import { SqliteReader } from './reader.ts';
import { SqliteStash } from './stash.ts';

const SPEC: StashSpec = {
  kind: 'sqlite',
  title: 'SQLite',
  doc:
    'One file on this machine that keeps every version of every key. The embedded default, as a ' +
    'stash and as the reader.',
  roles: ['stash', 'reader'],
  fields: {
    file: {
      type: 'string',
      doc: 'The database file, from the data directory. If not said: the stash name and .db.',
      example: 'history.db',
    },
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
    maxValue: {
      type: 'size',
      default: '64MiB',
      max: '512MiB',
      doc: 'A larger value is refused.',
    },
  },
  sameStore: (options) => fileOf(options, options['id']),
};

/** The adapter as the registry lists it. `open` makes the file where it is missing. */
export const sqliteAdapter: StashAdapter = {
  spec: SPEC,
  async open({ id, options, dataDirectory, world }) {
    const stash = await SqliteStash.open({
      id,
      path: resolve(dataDirectory, fileOf(options, id)),
      keepVersions: numberOr(options['keepVersions'], 10),
      keepForMs: numberOr(options['keepFor'], 7 * 24 * 3_600_000),
      valueBytesMax: numberOr(options['maxValue'], 64 * 1024 * 1024),
      world,
    });
    return { stash, reader: new SqliteReader(stash.versions, world.clock) };
  },
};

/** From the data directory, written one way only. */
function fileOf(options: Readonly<Record<string, unknown>>, id: unknown): string {
  return normalize(typeof options['file'] === 'string' ? options['file'] : `${String(id)}.db`);
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}
