/**
 * The handler that a good engineer writes without Holdfast: Fastify takes a PUT, one store
 * gets it, then the one that is read from, then the caller is answered. No journal, no rollback:
 * what a store did not take, and what the others then hold, is left to the caller.
 *
 * In the environment: READER_URL (Redis), and either STORE_URL (Redis) or HISTORY_URL (MongoDB's
 * protocol; every write is a new document, majority and journalled). RECEIPT: the body of an answer
 * to a write that went well. LIMIT_MS: how long a store may take before the caller is told that it
 * failed; without it, as long as it likes. The address goes to stderr.
 *
 * Kept as lean as can be defended: the body is stored as it came and not looked at, and the history
 * has no index but that of its ids.
 */
import { createClient } from '@redis/client';
import { fastify } from 'fastify';
import { MongoClient } from 'mongodb';

const DATABASE = 'handler';

type Set = (key: string, value: string) => Promise<unknown>;

interface Store {
  readonly set: Set;
  readonly get: (key: string) => Promise<string | null>;
}

async function redis(url: string): Promise<Store> {
  const client = createClient({ url });
  // Without a listener a lost connection would end the process; the client connects again itself.
  client.on('error', () => {});
  await client.connect();
  return { set: (key, value) => client.set(key, value), get: (key) => client.get(key) };
}

async function history(url: string): Promise<Set> {
  const client = await new MongoClient(url).connect();
  const versions = client.db(DATABASE).collection('versions');
  const options = { writeConcern: { w: 'majority', j: true } } as const;
  return (key, value) => versions.insertOne({ key, value, at: new Date() }, options);
}

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

/** Gives up waiting; what was sent is not taken back. */
function limited(set: Set, ms: number): Set {
  return async (key, value) => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error(`no reply within ${ms} ms`)), ms);
    });
    try {
      await Promise.race([set(key, value), late]);
    } finally {
      clearTimeout(timer);
    }
  };
}

const receipt = process.env['RECEIPT'] ?? '{"outcome":"committed"}';
const reader = await redis(required('READER_URL'));
const historyUrl = process.env['HISTORY_URL'];
let setReader = reader.set;
let setStore =
  historyUrl === undefined ? (await redis(required('STORE_URL'))).set : await history(historyUrl);
const limitMs = Number(process.env['LIMIT_MS'] ?? 0);
if (limitMs > 0) {
  setReader = limited(setReader, limitMs);
  setStore = limited(setStore, limitMs);
}

const app = fastify();
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));

app.put<{ Params: { key: string } }>('/v1/data/default/default/:key', async (request, reply) => {
  const name = `default:default:${request.params.key}`;
  await setStore(name, request.body as string);
  await setReader(name, request.body as string);
  return reply.header('content-type', 'application/json').send(receipt);
});

app.get<{ Params: { key: string } }>('/v1/data/default/default/:key', async (request, reply) => {
  const value = await reader.get(`default:default:${request.params.key}`);
  if (value === null) return reply.code(404).send({ title: 'Not Found', status: 404 });
  return reply.header('content-type', 'application/json').send(value);
});

const address = await app.listen({ port: 0, host: '127.0.0.1' });
process.stderr.write(`handler serves on ${address}\n`);
process.on('SIGTERM', () => process.exit(0));
