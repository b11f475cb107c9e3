/**
 * webdis (Debian's package): reads of a Redis over HTTP, the peer of the read benchmark. Needs
 * `redisPorts: [port]`; `password` is that Redis' own.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { debian, programOf } from './cache.ts';
import { freePort } from './ports.ts';
import { newDataFolder, startSingle } from './server.ts';
import type { NodePlan, ServerKind, ServerOptions } from './server.ts';

const ANSWER_MS_MAX = 2000;

function program(): Promise<string> {
  return debian('webdis', () => programOf('webdis', ['/usr/bin']));
}

async function plan(command: string, options: ServerOptions): Promise<NodePlan> {
  const [redisPort] = options.redisPorts ?? [];
  if (redisPort === undefined) throw new Error('webdis needs the port of a Redis');
  const port = await freePort();
  const folder = await newDataFolder('webdis');
  const url = `http://127.0.0.1:${port}`;
  const settings = {
    redis_host: '127.0.0.1',
    redis_port: redisPort,
    redis_auth: options.password ?? null,
    http_host: '127.0.0.1',
    http_port: port,
    threads: 1,
    pool_size: 10,
    daemonize: false,
    database: 0,
    verbosity: 1,
    logfile: join(folder, 'webdis.log'),
  };
  const file = join(folder, 'webdis.json');
  return {
    name: 'webdis',
    port,
    folder,
    url,
    launch: () => ({ command, args: [file] }),
    async ready() {
      const answer = await fetch(`${url}/PING`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
      const text = await answer.text();
      if (!text.includes('PONG')) throw new Error(`${answer.status} ${text}`);
    },
    prepare: () => writeFile(file, JSON.stringify(settings)),
    wipe: async () => {},
  };
}

export const webdis: ServerKind = {
  install: async () => void (await program()),
  async start(options) {
    const command = await program();
    return startSingle(() => plan(command, options), []);
  },
};
