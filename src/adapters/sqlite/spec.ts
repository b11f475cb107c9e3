/** What a SQLite stash can be told, and how it is opened. */
import { normalize, resolve } from 'node:path';
import type { StashAdapter, StashSpec } from '../../contracts/spec.ts';
import { KEEPING_FIELDS, keepingOf } from '../keeping.ts';
import { numberOr } from '../option.ts';
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
    ...KEEPING_FIELDS,
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
      ...keepingOf(options),
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
