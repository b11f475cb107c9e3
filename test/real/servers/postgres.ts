/**
 * PostgreSQL 15 (Debian's package) with one database `postgres` and one user `postgres`, who needs
 * no password unless one is wished for. It runs as another user than root.
 */
import { existsSync, readdirSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:net';
import { debian, programOf, run } from './cache.ts';
import { freePort } from './ports.ts';
import { newDataFolder, startSingle } from './server.ts';
import type { NodePlan, ServerKind, ServerOptions } from './server.ts';

const MAJOR_MIN = 15;
const INSTALLED = '/usr/lib/postgresql';
const ANSWER_MS_MAX = 2000;

/** The folder of the programs of the oldest fit version that is installed. */
function bin(): string | null {
  const majors = existsSync(INSTALLED) ? readdirSync(INSTALLED).map(Number) : [];
  const fit = majors.filter((major) => major >= MAJOR_MIN).sort((a, b) => a - b);
  const folders = fit.map((major) => join(INSTALLED, String(major), 'bin'));
  const found = folders.find((folder) => existsSync(join(folder, 'initdb')));
  if (found !== undefined) return found;
  const program = programOf('initdb');
  return program === null ? null : join(program, '..');
}

/** The user it runs as; undefined: ours, which is not root. */
async function user(): Promise<number | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  return Number(await run('id', ['-u', 'postgres']));
}

async function plan(programs: string, { password }: ServerOptions): Promise<NodePlan> {
  const port = await freePort();
  const uid = await user();
  const as = uid === undefined ? {} : { uid, gid: uid };
  const folder = await newDataFolder('postgres', uid);
  const data = join(folder, 'data');
  const account = password === undefined ? '' : `:${encodeURIComponent(password)}`;
  const init = async (): Promise<void> => {
    const secret = join(folder, 'password');
    if (password !== undefined) await writeFile(secret, password);
    const auth =
      password === undefined ? ['-A', 'trust'] : ['-A', 'scram-sha-256', `--pwfile=${secret}`];
    const args = ['-D', data, '-U', 'postgres', '-E', 'UTF8', '--locale=C', '-N', ...auth];
    await run(join(programs, 'initdb'), args, { cwd: folder, ...as });
  };
  return {
    name: 'postgres',
    port,
    folder,
    url: `postgres://postgres${account}@127.0.0.1:${port}/postgres`,
    launch: (args) => ({
      command: join(programs, 'postgres'),
      args: [
        '-D',
        data,
        '-p',
        String(port),
        '-h',
        '127.0.0.1',
        '-k',
        folder,
        '-c',
        'shared_buffers=32MB',
        '-c',
        'dynamic_shared_memory_type=mmap',
        ...args,
      ],
      ...(uid === undefined ? {} : { uid }),
    }),
    ready: () => answers(port),
    prepare: async () => {
      if (!existsSync(data)) await init();
    },
    wipe: () => rm(data, { recursive: true, force: true }),
    leave: () => forgetSharedMemory(data),
  };
}

/**
 * A killed server leaves a few bytes of shared memory behind, named in its pid file; the next start
 * would take them away, and here there is none.
 */
async function forgetSharedMemory(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid');
  if (!existsSync(file)) return;
  const id = (await readFile(file, 'utf8')).split('\n')[6]?.trim().split(/\s+/)[1];
  if (id !== undefined) await run('ipcrm', ['-m', id]).catch(() => '');
}

/**
 * Resolves when the server answers a start-up packet with its wish for authentication: one that
 * starts or recovers answers with an error.
 */
function answers(port: number): Promise<void> {
  return new Promise((done, failed) => {
    const socket = connect(port, '127.0.0.1');
    const end = (error?: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      if (error === undefined) done();
      else failed(error);
    };
    const timer = setTimeout(() => end(new Error(`no answer from port ${port}`)), ANSWER_MS_MAX);
    socket.on('error', end);
    socket.on('close', () => end(new Error(`port ${port} closed the connection`)));
    socket.on('data', (chunk: Buffer) => {
      end(chunk[0] === 'R'.charCodeAt(0) ? undefined : new Error(chunk.toString('latin1')));
    });
    const words = Buffer.from('user\0postgres\0database\0postgres\0\0');
    const head = Buffer.alloc(8);
    head.writeInt32BE(words.length + 8, 0);
    head.writeInt32BE(3 << 16, 4);
    socket.write(Buffer.concat([head, words]));
  });
}

export const postgres: ServerKind = {
  install: async () => void (await debian('postgresql', bin)),
  async start(options) {
    const programs = await debian('postgresql', bin);
    return startSingle(() => plan(programs, options), options.args ?? []);
  },
};
