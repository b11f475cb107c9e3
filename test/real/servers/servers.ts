/**
 * The real servers that tests run against, without a container engine: each is installed once into
 * a cache folder outside the tree, started on a free port with a folder of its own, and ended by
 * its own id. Where one cannot be had a test is skipped, or fails with HOLDFAST_REQUIRE_SERVERS=1.
 */
import { after, before, describe, it, type TestContext } from 'node:test';
import { camel } from './camel.ts';
import { ferretdb } from './ferretdb.ts';
import { postgres } from './postgres.ts';
import { redis, valkey } from './redis.ts';
import { redisCluster } from './redis-cluster.ts';
import { secantus } from './secantus.ts';
import { webdis } from './webdis.ts';
import type { Server, ServerKind, ServerNode, ServerOptions } from './server.ts';

export type { Server, ServerNode, ServerOptions };

export type ServerName =
  | 'redis'
  | 'valkey'
  | 'redis-cluster'
  | 'secantus'
  | 'ferretdb'
  | 'postgres'
  | 'webdis'
  | 'camel';

const KINDS: Readonly<Record<ServerName, ServerKind>> = {
  redis,
  valkey,
  'redis-cluster': redisCluster,
  secantus,
  ferretdb,
  postgres,
  webdis,
  camel,
};

export const SERVER_NAMES = Object.keys(KINDS) as ServerName[];

const INSTALLS = new Map<ServerName, Promise<string | null>>();

/** Installs what is missing, starts the server, waits until it is ready. */
export async function ensure(name: ServerName, options: ServerOptions = {}): Promise<Server> {
  const why = await unavailable(name);
  if (why !== null) throw new Error(why);
  return KINDS[name].start(options);
}

/** Why this server cannot be had on this machine; null when it can, and is installed now. */
export function unavailable(name: ServerName): Promise<string | null> {
  const known = INSTALLS.get(name);
  if (known !== undefined) return known;
  const found = KINDS[name].install().then(
    () => null,
    (error: unknown) => `no ${name}: ${error instanceof Error ? error.message : String(error)}`,
  );
  INSTALLS.set(name, found);
  return found;
}

/** Whether a missing server is a failure and no reason to skip. */
export function serversAreRequired(): boolean {
  return process.env['HOLDFAST_REQUIRE_SERVERS'] === '1';
}

/**
 * For the body of one test: the server, disposed when the test is over; null when it cannot be had,
 * and the test is skipped then (`if (server === null) return;`). Rejects where it is required.
 */
export async function serverOrSkip(
  t: TestContext,
  name: ServerName,
  options: ServerOptions = {},
): Promise<Server | null> {
  const why = await unavailable(name);
  if (why !== null) {
    if (serversAreRequired()) throw new Error(why);
    t.skip(why);
    return null;
  }
  const server = await KINDS[name].start(options);
  t.after(() => server.dispose());
  return server;
}

/**
 * For many tests of one file over one server: registers `chapter` as a suite, with the server
 * started before its first test and disposed after its last. `server()` may be called from a test
 * on, not while tests are registered. One skipped (or failing) test stands for the chapter where
 * the server cannot be had. To be awaited at the top of the file.
 */
export async function withServer(
  name: ServerName,
  chapter: (server: () => Server) => void,
  options: ServerOptions = {},
): Promise<void> {
  const why = await unavailable(name);
  describe(`on ${name}`, () => {
    if (why !== null) {
      it(`needs ${name}`, (t) => {
        if (serversAreRequired()) throw new Error(why);
        t.skip(why);
      });
      return;
    }
    let running: Server | undefined;
    before(async () => {
      running = await KINDS[name].start(options);
    });
    after(() => running?.dispose());
    chapter(() => {
      if (running === undefined) throw new Error(`${name} was not started yet`);
      return running;
    });
  });
}
