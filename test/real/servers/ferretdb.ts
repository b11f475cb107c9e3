/**
 * FerretDB 1.24.2 over SQLite, built with Go from the module in ferretdb/. A second opinion on the
 * protocol of MongoDB for what only inserts, reads and restarts; it has no pipeline updates and no
 * transactions.
 */
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { installed, programOf, run } from './cache.ts';
import { hello } from './mongo-wire.ts';
import { freePort } from './ports.ts';
import { newDataFolder, startSingle } from './server.ts';
import type { NodePlan, ServerKind } from './server.ts';

const VERSION = '1.24.2';
const SOURCE = join(import.meta.dirname, 'ferretdb');

async function program(): Promise<string> {
  const folder = await installed(`ferretdb-${VERSION}`, async (fresh) => {
    const go = programOf('go', ['/usr/local/go/bin']);
    if (go === null) throw new Error('Go 1.24 or newer is not installed');
    const source = join(fresh, 'source');
    await cp(SOURCE, source, { recursive: true });
    const env = { ...process.env, CGO_ENABLED: '0' };
    await run(go, ['build', '-mod=readonly', '-o', join(fresh, 'ferretdb')], { cwd: source, env });
  });
  return join(folder, 'ferretdb');
}

async function plan(command: string): Promise<NodePlan> {
  const port = await freePort();
  const folder = await newDataFolder('ferretdb');
  const data = join(folder, 'data');
  return {
    name: 'ferretdb',
    port,
    folder,
    url: `mongodb://127.0.0.1:${port}/?directConnection=true`,
    launch: () => ({ command, args: [`127.0.0.1:${port}`, data] }),
    ready: () => hello(port),
    prepare: async () => void (await mkdir(data, { recursive: true })),
    wipe: () => rm(data, { recursive: true, force: true }),
  };
}

/** Takes no options. */
export const ferretdb: ServerKind = {
  install: async () => void (await program()),
  async start() {
    const command = await program();
    return startSingle(() => plan(command), []);
  },
};
