/**
 * SecantusDB 0.7.0b3: a server of MongoDB's protocol over WiredTiger, from PyPI into an environment
 * of its own. Every commit is synced; `args` may say otherwise.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { installed } from './cache.ts';
import { hello } from './mongo-wire.ts';
import { freePort } from './ports.ts';
import { pipInstall } from './python.ts';
import { newDataFolder, startSingle } from './server.ts';
import type { NodePlan, ServerKind } from './server.ts';

const VERSION = '0.7.0b3';

async function program(): Promise<string> {
  const folder = await installed(`secantus-${VERSION}`, (fresh) =>
    pipInstall(fresh, `SecantusDB==${VERSION}`),
  );
  return join(folder, 'bin', 'secantusd-py');
}

async function plan(command: string): Promise<NodePlan> {
  const port = await freePort();
  const folder = await newDataFolder('secantus');
  const data = join(folder, 'data');
  return {
    name: 'secantus',
    port,
    folder,
    url: `mongodb://127.0.0.1:${port}/?directConnection=true`,
    launch: (args) => ({
      command,
      args: [
        '--host',
        '127.0.0.1',
        '--port',
        String(port),
        '--storage-path',
        data,
        '--sync-on-commit',
        '--cache-size',
        '256M',
        '--log-level',
        'WARNING',
        ...args,
      ],
      env: { ...process.env, PYTHONUNBUFFERED: '1' },
    }),
    ready: () => hello(port),
    prepare: async () => void (await mkdir(data, { recursive: true })),
    wipe: () => rm(data, { recursive: true, force: true }),
  };
}

export const secantus: ServerKind = {
  install: async () => void (await program()),
  async start(options) {
    const command = await program();
    return startSingle(() => plan(command), options.args ?? []);
  },
};
