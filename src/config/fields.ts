/**
 * The one table of configuration fields. Types, defaults, checks, `holdfast config schema` and
 * docs/CONFIGURATION.md all come from here and from the specs of the adapters.
 */
import { LIMITS } from '../kernel/limits.ts';
import type { Checked, Fields } from './field.ts';
import { durationText, sizeText } from './units-text.ts';

const FLOW = {
  ttl: {
    type: 'ttl',
    doc: 'How long values live: a duration, or none. A TTL given by the write or its record wins.',
    example: '7d',
  },
  schema: {
    type: 'schema',
    doc:
      'JSON Schema (2020-12) of a record as received by POST: a path beside this file, or ' +
      'the schema itself.',
    example: './order.schema.json',
  },
  valueSchema: {
    type: 'schema',
    doc:
      'JSON Schema (2020-12) of a value as received by PUT: a path beside this file, or the ' +
      'schema itself.',
    example: { type: 'object' },
  },
  map: {
    type: 'record',
    optional: true,
    doc: 'How a record received by POST becomes keys, a value and a TTL (see MAPPING.md).',
    fields: {
      keys: {
        type: 'mapping',
        required: true,
        doc: 'The key or list of keys: each serves the same value.',
        example: '${{ record.id }}',
      },
      value: {
        type: 'mapping',
        doc: 'The value to store, with expressions. Absent: the bytes of the record as received.',
        example: { id: '${{ record.id }}' },
      },
      ttl: {
        type: 'mapping',
        doc:
          "The record's own TTL: seconds, a duration such as 15m, or none; null leaves it " +
          'to the flow.',
        example: '${{ record.ttl }}',
      },
    },
  },
  write: {
    type: 'strings',
    default: [],
    doc:
      'Stashes that must all take a write before the reader does: all or nothing, together ' +
      'with it.',
    example: ['history'],
  },
  read: {
    type: 'strings',
    doc:
      'Read path. The first is the reader, applied last; the others answer when it has ' +
      'nothing. May be left out when there is one stash.',
    example: ['cache', 'history'],
  },
  respond: {
    type: 'choice',
    values: ['settled', 'held'],
    default: 'settled',
    doc: 'When a write is answered: once it is settled (200), or as soon as it is on disk (202).',
  },
  mediaType: {
    type: 'string',
    default: 'application/json',
    pattern: '^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(; ?[A-Za-z0-9-]+=[A-Za-z0-9._-]+)*$',
    doc: 'Content-Type of the values. JSON types are checked to be JSON before they are kept.',
  },
  emit: { type: 'later', doc: 'Streams that committed writes go to.' },
  archive: { type: 'later', doc: 'The archive that keeps a second copy.' },
} as const satisfies Fields;

const ACCOUNT = {
  ttl: { type: 'ttl', doc: 'TTL of flows that say none themselves.', example: '30d' },
  flows: {
    type: 'named',
    noun: 'flow',
    doc: 'Declared paths of one kind of record each, by name.',
    of: { type: 'record', doc: 'One flow.', fields: FLOW },
  },
  streams: { type: 'later', doc: 'Journals of committed writes.' },
  sinks: { type: 'later', doc: 'Subscribers after the commit.' },
} as const satisfies Fields;

export const FIELDS = {
  version: {
    type: 'integer',
    default: 1,
    min: 1,
    max: 1,
    doc: 'Version of this document.',
  },
  http: {
    type: 'record',
    doc: 'Where HTTP is served.',
    fields: {
      host: {
        type: 'string',
        default: '127.0.0.1',
        doc: 'Address to listen on. Beyond loopback, access must be open.',
      },
      port: {
        type: 'integer',
        default: 4180,
        min: 0,
        max: 65535,
        doc: 'Port to listen on; 0 takes a free one.',
      },
      publicUrl: {
        type: 'string',
        pattern: String.raw`^https?://[^\s/?#@]+[^\s?#@]*$`,
        doc:
          'Where stores of kind http reach this server for their callbacks, if that is not the ' +
          'address it listens on.',
        example: 'https://holdfast.example.com',
      },
    },
  },
  access: {
    type: 'choice',
    values: ['open'],
    doc:
      'Who may call. Access keys come in a later version; until then, open lets everybody ' +
      'who reaches the port read and write. Absent: only callers on this machine.',
    later: ['keys'],
  },
  logging: {
    type: 'record',
    doc: 'What is logged.',
    fields: {
      level: {
        type: 'choice',
        values: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
        default: 'info',
        doc: 'The least severe level that is logged.',
      },
      keys: {
        type: 'boolean',
        default: false,
        doc: 'Whether keys may stand in log lines. Values never do.',
      },
    },
  },
  dataDir: {
    type: 'string',
    default: './data',
    doc:
      'Folder of the journal, the state and embedded stores, from the working directory. ' +
      'One process at a time.',
  },
  journal: {
    type: 'record',
    doc: 'The durable, ordered record of what was accepted and decided.',
    fields: {
      engine: {
        type: 'choice',
        values: ['files'],
        default: 'files',
        later: ['kafka'],
        doc: 'Where it is kept.',
      },
      keep: {
        type: 'duration',
        default: durationText(LIMITS.journalKeepMs),
        max: '3650d',
        doc: 'How long settled writes are kept for stores that lose what they acknowledged.',
      },
      segment: {
        type: 'size',
        default: sizeText(LIMITS.journalSegmentBytes),
        min: '1MiB',
        max: '1GiB',
        doc: 'Size of one journal file.',
      },
    },
  },
  state: {
    type: 'record',
    doc: 'Small durable tables: fail queue, receipts, idempotency.',
    fields: {
      engine: {
        type: 'choice',
        values: ['sqlite'],
        default: 'sqlite',
        later: ['postgres'],
        doc: 'Where they are kept.',
      },
    },
  },
  limits: {
    type: 'record',
    doc: 'Bounds, where the defaults do not fit.',
    fields: {
      body: {
        type: 'size',
        default: sizeText(LIMITS.bodyBytesMax),
        min: '1KiB',
        max: '8MiB',
        doc: 'Largest body of one write.',
      },
      keysPerRecord: {
        type: 'integer',
        default: LIMITS.keysPerRecordMax,
        min: 1,
        max: 10_000,
        doc: 'Keys that one record may carry.',
      },
      jsonDepth: {
        type: 'integer',
        default: LIMITS.jsonDepthMax,
        min: 1,
        max: 256,
        doc: 'Deepest nesting of JSON.',
      },
      ttl: {
        type: 'duration',
        default: durationText(LIMITS.ttlMsMax),
        min: '1s',
        max: durationText(LIMITS.ttlMsMax),
        doc: 'Longest TTL that a write may ask for.',
      },
      writeWait: {
        type: 'duration',
        default: durationText(LIMITS.writeWaitMs),
        min: '1ms',
        max: durationText(LIMITS.writeWaitMsMax),
        doc: 'How long a call waits for its outcome unless it says otherwise.',
      },
      shape: {
        type: 'duration',
        default: durationText(LIMITS.shapeMsMax),
        min: '10ms',
        max: '5s',
        doc: 'Time that schema and mapping of one record may take.',
      },
      inFlightWrites: {
        type: 'integer',
        default: LIMITS.inFlightWritesMax,
        min: 1,
        max: 1_000_000,
        doc: 'Writes under way at once; more are answered 429.',
      },
      drain: {
        type: 'duration',
        default: durationText(LIMITS.drainMs),
        min: '1s',
        max: '10m',
        doc: 'How long a stop waits for writes under way.',
      },
    },
  },
  stashes: {
    type: 'named',
    noun: 'stash',
    doc: 'Stores inside the all-or-nothing set, by name. None: one embedded store, named store.',
    of: { type: 'stash', doc: 'One store.' },
  },
  accounts: {
    type: 'named',
    noun: 'account',
    doc: 'Tenants, by name. None: account default with flow default.',
    of: { type: 'record', doc: 'One account.', fields: ACCOUNT },
  },
  sources: { type: 'later', doc: 'Queues and buses that writes come from.' },
  archives: { type: 'later', doc: 'Scheduled, verified second copies.' },
} as const satisfies Fields;

export type CheckedDocument = Checked<typeof FIELDS>;
export type CheckedAccount = Checked<typeof ACCOUNT>;
export type CheckedFlow = Checked<typeof FLOW>;
