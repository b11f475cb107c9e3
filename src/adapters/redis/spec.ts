/** What a Redis stash can be told, and how it is opened. */
import type { StashAdapter, StashSpec } from '../../contracts/spec.ts';
import { Fault } from '../../kernel/errors.ts';
import { aroundKey } from './names.ts';
import { redisOptions, storeOf } from './options.ts';
import { RedisReader } from './reader.ts';
import { RedisStash } from './stash.ts';
import { RedisStore } from './store.ts';

const SPEC: StashSpec = {
  kind: 'redis',
  title: 'Redis',
  doc:
    'Redis 7.0 or Valkey 7.2 and newer, one server or a cluster. As the reader of a flow it ' +
    'holds plain values that other programs may read; elsewhere it keeps what stood there ' +
    'before until a write is committed.',
  roles: ['stash', 'reader'],
  fields: {
    url: {
      type: 'string',
      sensitive: true,
      doc: 'Where it is: `redis://`, or `rediss://` for TLS, with user, password and database.',
      example: 'redis://127.0.0.1:6379',
    },
    nodes: {
      type: 'strings',
      doc: 'Some nodes of a cluster as `host:port`; the others are learnt from them.',
      example: ['10.0.0.1:6379', '10.0.0.2:6379'],
    },
    cluster: {
      type: 'boolean',
      default: false,
      doc: 'What `url` leads to is a node of a cluster. `nodes` says so too.',
    },
    username: { type: 'string', sensitive: true, doc: 'In place of the one in `url`.' },
    password: { type: 'string', sensitive: true, doc: 'In place of the one in `url`.' },
    keyName: {
      type: 'template',
      default: "${{ account + ':' + flow + ':' + key }}",
      doc: 'The name of a value in Redis. It must hold `key` once, as it is.',
    },
    fence: {
      type: 'choice',
      values: ['connection', 'key'],
      default: 'connection',
      doc:
        'What keeps a late command from taking effect: ending its connection, or the last grant ' +
        'beside each key where CLIENT KILL is forbidden or a proxy stands between.',
    },
    metadata: {
      type: 'boolean',
      default: false,
      doc: 'As the reader: keep the number of the write and the digest beside each value.',
    },
    timeout: {
      type: 'duration',
      default: '5s',
      min: '50ms',
      max: '5m',
      doc: 'How long any call may take; after that the connection is given up.',
    },
    connectTimeout: {
      type: 'duration',
      default: '2s',
      min: '50ms',
      max: '5m',
      doc: 'How long connecting and logging in may take.',
    },
    maxValue: {
      type: 'size',
      default: '64MiB',
      max: '512MiB',
      doc: 'A larger value is refused.',
    },
  },
  placeOf(options, names) {
    return { store: storeOf(options), ...aroundKey((key) => names('keyName', key)) };
  },
  oneRole: true,
};

/** The adapter as the registry lists it. `open` connects to nothing. */
export const redisAdapter: StashAdapter = {
  spec: SPEC,
  async open(setup) {
    if (setup.role === 'both') {
      throw new Fault(
        'bad-request',
        `"${setup.id}" is the reader of one flow, a stash of another`,
        {
          hint: 'Declare it twice, each with its own key names.',
        },
      );
    }
    const store = new RedisStore(setup, redisOptions(setup.options));
    return { stash: new RedisStash(store), reader: new RedisReader(store) };
  },
};
