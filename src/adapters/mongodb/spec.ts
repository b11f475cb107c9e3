/** What a MongoDB stash can be told, and how it is opened. */
import type { StashAdapter, StashSpec } from '../../contracts/spec.ts';
import { KEEPING_FIELDS, keepingOf } from '../keeping.ts';
import { numberOr } from '../option.ts';
import { BESIDES_VALUE_BYTES_MAX, DOCUMENT_BYTES_MAX } from './documents.ts';
import { MongoReader } from './reader.ts';
import { MongoStash } from './stash.ts';

const DATABASE = 'holdfast';
const COLLECTION = 'versions';

const SPEC: StashSpec = {
  kind: 'mongodb',
  title: 'MongoDB',
  doc:
    'Every version of every key as a document of its own, acknowledged by the journals of a ' +
    'majority. A stash with history, and a reader.',
  roles: ['stash', 'reader'],
  fields: {
    url: {
      type: 'string',
      required: true,
      sensitive: true,
      pattern: '^mongodb(\\+srv)?://.+',
      doc: 'Where the server is, with user and password: mongodb:// or mongodb+srv://.',
      example: '${MONGODB_URL}',
    },
    database: {
      type: 'string',
      default: DATABASE,
      pattern: '^[^/\\\\. "$*<>:|?\\u0000]{1,63}$',
      doc: 'The database.',
    },
    collection: {
      type: 'string',
      default: COLLECTION,
      pattern: '^(?!system\\.)[A-Za-z_][A-Za-z0-9_.-]{0,99}$',
      doc: 'The collection of the versions; the mark stands beside it, in NAME_marks.',
    },
    ...KEEPING_FIELDS,
    maxValue: {
      type: 'size',
      default: '15MiB',
      max: '16380KiB',
      doc: 'A larger value is refused. A document with all its fields has at most 16 MiB.',
    },
    document: {
      type: 'boolean',
      default: false,
      doc: 'Also keeps values that are JSON as BSON, in the field `document`, to be queried.',
    },
    timeout: {
      type: 'duration',
      default: '5s',
      min: '50ms',
      max: '5m',
      doc: 'How long the server may take to answer a command.',
    },
    connectTimeout: {
      type: 'duration',
      default: '2s',
      min: '50ms',
      max: '1m',
      doc: 'How long it may take to find a server that takes writes and to connect to it.',
    },
  },
  sameStore: ({ url, database, collection }) => {
    // Hosts in any order are the same servers; user, password and options are none of a place.
    const hosts = /^mongodb(?:\+srv)?:\/\/(?:[^/?]*@)?([^/?]+)/.exec(String(url))?.[1] ?? '';
    const names = hosts.toLowerCase().split(',').sort().join(',');
    return `${names}/${textOr(database, DATABASE)}/${textOr(collection, COLLECTION)}`;
  },
};

/** The adapter as the registry lists it. `open` does not connect. */
export const mongodbAdapter: StashAdapter = {
  spec: SPEC,
  async open({ id, options, world, role, connections }) {
    const { clock } = world;
    const collection = textOr(options['collection'], COLLECTION);
    const valueBytesMax = numberOr(options['maxValue'], 15 * 1024 * 1024);
    const stash = new MongoStash({
      id,
      url: textOr(options['url'], ''),
      database: textOr(options['database'], DATABASE),
      collection,
      ...keepingOf(options),
      valueBytesMax: Math.min(valueBytesMax, DOCUMENT_BYTES_MAX - BESIDES_VALUE_BYTES_MAX),
      timeoutMs: numberOr(options['timeout'], 5000),
      connectTimeoutMs: numberOr(options['connectTimeout'], 2000),
      asDocument: options['document'] === true,
      isReader: role !== 'member',
      connections,
      world,
    });
    const reader = new MongoReader({ id, connection: stash.connection, collection, clock });
    return { stash, reader };
  },
};

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}
