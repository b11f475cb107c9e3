/** Each real server starts, answers, is killed, comes back with its data, and leaves nothing. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { Client } from 'pg';
import { isAlive } from './process.ts';
import { ask } from './redis-wire.ts';
import { serverOrSkip, type Server, type ServerName, type ServerOptions } from './servers.ts';

const GONE_MS_MAX = 10_000;

/** How one thing is left with a server and found again; null where it keeps nothing. */
interface Memory {
  put(server: Server): Promise<void>;
  find(server: Server): Promise<boolean>;
}

const inRedis: Memory = {
  async put({ nodes }) {
    for (const { port } of nodes) {
      const answers = await ask(port, undefined, ...NAMES.map((name) => ['SET', name, 'kept']));
      assert.ok(answers.includes('OK'));
    }
  },
  async find({ nodes }) {
    let found = 0;
    for (const { port } of nodes) {
      const answers = await ask(port, undefined, ...NAMES.map((name) => ['GET', name]));
      found += answers.filter((answer) => answer === 'kept').length;
    }
    assert.ok(found === 0 || found === NAMES.length, `${found} of ${NAMES.length}`);
    return found > 0;
  },
};

/** Of many slots: each is somewhere. */
const NAMES = Array.from({ length: 30 }, (_, at) => `name ${at}`);

async function inCollection<T>(
  url: string,
  work: (names: ReturnType<ReturnType<MongoClient['db']>['collection']>) => Promise<T>,
): Promise<T> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 5000 });
  try {
    return await work(client.db('test').collection('names'));
  } finally {
    await client.close();
  }
}

const inMongo: Memory = {
  put: ({ url }) => inCollection(url, async (names) => void (await names.insertOne({ at: 1 }))),
  find: ({ url }) => inCollection(url, async (names) => (await names.findOne({ at: 1 })) !== null),
};

async function sql(url: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

const inPostgres: Memory = {
  put: async ({ url }) => void (await sql(url, 'CREATE TABLE kept (at int)')),
  find: async ({ url }) =>
    (await sql(url, `SELECT 1 FROM pg_tables WHERE tablename = 'kept'`)).length > 0,
};

const STORES: readonly (readonly [ServerName, Memory])[] = [
  ['redis', inRedis],
  ['valkey', inRedis],
  ['redis-cluster', inRedis],
  ['secantus', inMongo],
  ['ferretdb', inMongo],
  ['postgres', inPostgres],
];

/** Ends it, and sees that no process and no folder of it is left. */
async function leavesNothing(server: Server): Promise<void> {
  const pids = server.nodes.map(({ pid }) => pid);
  const folders = server.nodes.map(({ folder }) => folder);
  assert.ok(pids.every((pid) => pid !== null && isAlive(pid)));
  assert.ok(folders.every((folder) => existsSync(folder)));
  await server.dispose();
  assert.ok(pids.every((pid) => pid !== null && !isAlive(pid)));
  assert.ok(folders.every((folder) => !existsSync(folder)));
}

describe('real servers', () => {
  for (const [name, memory] of STORES) {
    it(`${name} is killed, comes back with its data or empty, leaves nothing`, async (t) => {
      const server = await serverOrSkip(t, name);
      if (server === null) return;
      const { port } = server;
      await memory.put(server);
      await server.kill();
      await assert.rejects(memory.find(server));
      assert.equal(server.pid, null);
      await server.restart();
      assert.equal(server.port, port);
      assert.equal(await memory.find(server), true);
      server.stop();
      server.cont();
      assert.equal(await memory.find(server), true);
      await server.restart({ empty: true });
      assert.equal(await memory.find(server), false);
      await leavesNothing(server);
    });
  }

  it('a stopped server takes connections and answers nothing', async (t) => {
    const server = await serverOrSkip(t, 'redis');
    if (server === null) return;
    server.stop();
    await assert.rejects(ask(server.port, undefined, ['PING']), /no answer/);
    server.cont();
    assert.deepEqual(await ask(server.port, undefined, ['PING']), ['PONG']);
  });

  it('a node of a cluster is killed alone, and takes only its slots with it', async (t) => {
    const server = await serverOrSkip(t, 'redis-cluster');
    if (server === null) return;
    await inRedis.put(server);
    await server.nodes[1]!.kill();
    const { port } = server.nodes[0]!;
    const answers = await ask(port, undefined, ...NAMES.map((name) => ['GET', name]));
    assert.ok(answers.includes('kept'));
    await server.nodes[1]!.restart();
    assert.equal(await inRedis.find(server), true);
  });

  it('takes arguments and a password', async (t) => {
    const password = 'a secret/of:ours';
    const wishes: ServerOptions = { args: ['--maxmemory', '3mb'], password };
    const server = await serverOrSkip(t, 'redis', wishes);
    if (server === null) return;
    const question = ['CONFIG', 'GET', 'maxmemory'];
    assert.deepEqual(await ask(server.port, password, question), [['maxmemory', '3145728']]);
    const [refused] = await ask(server.port, undefined, question);
    assert.ok(refused instanceof Error && refused.message.startsWith('NOAUTH'));
    assert.equal(decodeURIComponent(new URL(server.url).password), password);
    await server.restart({ args: [] });
    assert.deepEqual(await ask(server.port, password, question), [['maxmemory', '0']]);
  });

  it('webdis and Camel work on the Redis servers that they are given', async (t) => {
    const first = await serverOrSkip(t, 'redis');
    const second = await serverOrSkip(t, 'valkey');
    if (first === null || second === null) return;
    const redisPorts = [first.port, second.port];
    const camel = await serverOrSkip(t, 'camel', { redisPorts });
    const webdis = await serverOrSkip(t, 'webdis', { redisPorts: redisPorts.slice(1) });
    if (camel === null || webdis === null) return;
    const post = { method: 'POST', headers: { 'x-id': 'name' }, body: 'both' };
    assert.equal((await fetch(`${camel.url}/in`, post)).status, 200);
    assert.deepEqual(await ask(first.port, undefined, ['GET', 'name']), ['both']);
    const read = await fetch(`${webdis.url}/GET/name`);
    assert.deepEqual(await read.json(), { GET: 'both' });
    await leavesNothing(camel);
    await leavesNothing(webdis);
  });

  it('no server outlives a test process that is killed', async (t) => {
    const server = await serverOrSkip(t, 'redis');
    if (server === null) return;
    const here = join(import.meta.dirname, 'servers.ts');
    const code =
      `const { ensure } = await import(${JSON.stringify(here)});` +
      `const { pid, folder } = await ensure('redis');` +
      `process.stdout.write(JSON.stringify({ pid, folder })); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = (await once(child.stdout, 'data')) as [Buffer];
    const { pid, folder } = JSON.parse(said.toString()) as { pid: number; folder: string };
    assert.ok(isAlive(pid) && existsSync(folder));
    child.kill('SIGKILL');
    const end = performance.now() + GONE_MS_MAX;
    while (isAlive(pid) || existsSync(folder)) {
      assert.ok(performance.now() < end, 'the guard did not end it');
      await pause(20);
    }
  });
});
