/**
 * Where the stores are: servers of the user, or those that this machine has, started here; the
 * partner and Holdfast itself as programs of their own. Whatever was started here is ended here.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { MongoClient } from 'mongodb';
import { ensure, type Server, type ServerName } from '../../test/real/servers/servers.ts';

const ROOT = join(import.meta.dirname, '../..');
const SECRET = Buffer.from('a secret for an example, no more');
/** A real one comes out of a secret store. */
const PARTNER_SECRET = `whsec_${SECRET.toString('base64')}`;

const started = new Set<ChildProcess>();
const folders = new Set<string>();
process.once('exit', () => {
  for (const child of started) child.kill('SIGKILL');
  for (const folder of folders) removeFolder(folder);
});

function newFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `holdfast-multi-destination-${name}-`));
  folders.add(folder);
  return folder;
}

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

/** A program of ours that says on stderr where it serves. */
export class Program {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  /** Rejects with what it said when it ends instead. */
  static async start(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Program> {
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
      // Ctrl-C is for us; we end it in our own order.
      detached: true,
    });
    started.add(child);
    child.once('exit', () => started.delete(child));
    const url = await new Promise<string>((found, failed) => {
      let said = '';
      child.stderr?.on('data', (piece: Buffer) => {
        said = (said + piece.toString()).slice(-4000);
        const address = /serves on (http:\S+)/.exec(said)?.[1];
        if (address !== undefined) found(address);
      });
      child.once('error', failed);
      child.once('exit', () => failed(new Error(`${args[0]} ended:\n${said}`)));
    });
    return new Program(child, url);
  }

  hang(): void {
    this.#child.kill('SIGSTOP');
  }

  /** SIGTERM, or SIGKILL where it shall have no time for anything. */
  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill(signal);
    await exit;
  }
}

/** A store that can be taken away. */
export interface Losable {
  /** Its name in holdfast.yaml. */
  readonly stash: string;
  readonly title: string;
  /** It takes connections and answers nothing. */
  hang(): void;
  kill(): Promise<void>;
  /** With the data that it had. */
  restart(): Promise<void>;
}

export interface Stores {
  readonly redisUrl: string;
  readonly mongodbUrl: string;
  readonly mongodbDatabase: string;
  partnerUrl(): string;
  readonly losable: Losable;
  dispose(): Promise<void>;
}

/** Servers of the user; null: one is started here. */
export interface Own {
  readonly redis: string | null;
  readonly mongodb: string | null;
}

const DATABASE = 'holdfast_example';

/** Rejects where a server cannot be had, or one of the user's is not empty. */
export async function openStores(own: Own): Promise<Stores> {
  const folder = newFolder('partner');
  const servers: Server[] = [];
  let partner: Program | null = null;
  const dispose = async (): Promise<void> => {
    await partner?.end('SIGKILL');
    for (const server of servers) await server.dispose();
    removeFolder(folder);
  };
  const startServer = async (name: ServerName): Promise<Server> => {
    const server = await ensure(name);
    servers.push(server);
    return server;
  };
  const startPartner = async (port: string): Promise<Program> => {
    const program = join(import.meta.dirname, 'partner.ts');
    return Program.start([program, port, join(folder, 'partner.log')], { PARTNER_SECRET });
  };
  try {
    if (own.redis !== null) await mustBeEmptyRedis(own.redis);
    if (own.mongodb !== null) await mustBeEmptyMongodb(own.mongodb);
    const redisUrl = own.redis ?? (await startServer('redis')).url;
    const mongodb = own.mongodb === null ? await startServer('secantus') : null;
    partner = await startPartner('0');
    const { port } = new URL(partner.url);
    const losablePartner: Losable = {
      stash: 'partner',
      title: 'the partner',
      hang: () => partner?.hang(),
      kill: async () => await partner?.end('SIGKILL'),
      restart: async () => void (partner = await startPartner(port)),
    };
    return {
      redisUrl,
      mongodbUrl: own.mongodb ?? mongodb?.url ?? '',
      mongodbDatabase: DATABASE,
      partnerUrl: () => `http://127.0.0.1:${port}`,
      losable: mongodb === null ? losablePartner : losableServer(mongodb),
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function losableServer(server: Server): Losable {
  return {
    stash: 'history',
    title: 'MongoDB',
    hang: () => server.stop(),
    kill: () => server.kill(),
    restart: () => server.restart(),
  };
}

async function mustBeEmptyRedis(url: string): Promise<void> {
  const client = createClient({ url, socket: { reconnectStrategy: false } });
  client.on('error', () => {});
  await client.connect();
  const names = await client.dbSize();
  client.destroy();
  if (names === 0) return;
  throw new Error(
    `this database of Redis holds ${names} names: give an empty one (redis://HOST:PORT/NUMBER)`,
  );
}

async function mustBeEmptyMongodb(url: string): Promise<void> {
  const client = await MongoClient.connect(url, { serverSelectionTimeoutMS: 2000 });
  try {
    const found = await client.db(DATABASE).listCollections().toArray();
    if (found.length === 0) return;
  } finally {
    await client.close();
  }
  throw new Error(`the database ${DATABASE} of MongoDB is there already: drop it first`);
}

/** Starts Holdfast over the stores. `port` 0 takes a free one. */
export async function startHoldfast(
  stores: Stores,
  port: number,
): Promise<{ url: string; stop(): Promise<void> }> {
  const folder = newFolder('data');
  const config = join(import.meta.dirname, 'holdfast.yaml');
  const args = ['--config', config, '--port', String(port), '--data-dir', folder];
  const env = {
    REDIS_URL: stores.redisUrl,
    MONGODB_URL: stores.mongodbUrl,
    MONGODB_DATABASE: stores.mongodbDatabase,
    PARTNER_URL: stores.partnerUrl(),
    PARTNER_SECRET,
  };
  try {
    const program = await Program.start([join(ROOT, 'bin/holdfast'), 'serve', ...args], env);
    return {
      url: program.url,
      async stop() {
        await program.end();
        removeFolder(folder);
      },
    };
  } catch (error) {
    removeFolder(folder);
    throw error;
  }
}
