/** What a PostgreSQL stash can be told, and how it is opened. */
import type { StashAdapter, StashSpec } from '../../contracts/spec.ts';
import { KEEPING_FIELDS, keepingOf } from '../keeping.ts';
import { addressOf, tableAt } from './address.ts';
import { PostgresReader } from './reader.ts';
import { PostgresStash } from './stash.ts';

const NAME = '^[a-z_][a-z0-9_]{0,47}$';

const SPEC: StashSpec = {
  kind: 'postgres',
  title: 'PostgreSQL',
  doc:
    'A table that keeps every version of every key, one row each. All or nothing per batch, with ' +
    'history, as a stash and as the reader.',
  roles: ['stash', 'reader'],
  fields: {
    url: {
      type: 'string',
      required: true,
      sensitive: true,
      doc:
        'Where the server is: postgres://user:password@host:5432/database, with ' +
        '?sslmode=require or verify-full (and sslrootcert=FILE) for TLS.',
      example: 'postgres://holdfast:${PGPASSWORD}@db.internal:5432/records?sslmode=verify-full',
    },
    schema: {
      type: 'string',
      default: 'holdfast',
      pattern: NAME,
      doc: 'The schema of the tables; made where it is missing.',
    },
    table: {
      type: 'string',
      default: 'version',
      pattern: NAME,
      doc: 'The table of the versions; one beside it ends in _mark. Both are made at first use.',
    },
    ...KEEPING_FIELDS,
    maxValue: {
      type: 'size',
      default: '64MiB',
      max: '200MiB',
      doc: 'A larger value is refused; one under several keys counts once for each.',
    },
    timeout: {
      type: 'duration',
      default: '5s',
      min: '10ms',
      max: '5m',
      doc: 'How long a call may take, and a second more for every 8 MiB it carries.',
    },
    connectTimeout: {
      type: 'duration',
      default: '2s',
      min: '10ms',
      max: '1m',
      doc: 'How long connecting may take.',
    },
    readConnections: {
      type: 'integer',
      default: 8,
      min: 1,
      max: 200,
      doc: 'Connections that read, at most, opened as they are wanted; one more writes.',
    },
  },
  sameStore: ({ url, schema, table }) => tableAt(String(url), String(schema), String(table)),
};

/** The adapter as the registry lists it. `open` reaches for nothing; it throws for a wrong url. */
export const postgresAdapter: StashAdapter = {
  spec: SPEC,
  async open({ id, options, world, connections }) {
    const number = (name: string, otherwise: number): number => {
      const value = options[name];
      return typeof value === 'number' ? value : otherwise;
    };
    const text = (name: string, otherwise: string): string => {
      const value = options[name];
      return typeof value === 'string' ? value : otherwise;
    };
    const stash = new PostgresStash({
      id,
      address: addressOf(text('url', ''), id),
      schema: text('schema', 'holdfast'),
      table: text('table', 'version'),
      ...keepingOf(options),
      valueBytesMax: number('maxValue', 64 * 1024 * 1024),
      timeoutMs: number('timeout', 5000),
      connectTimeoutMs: number('connectTimeout', 2000),
      readers: number('readConnections', 8),
      world,
      book: connections,
    });
    return { stash, reader: new PostgresReader(stash.session) };
  },
};
