/**
 * The conformance lines of networked stashes over the HTTP stash and its example server, as a
 * process of its own behind the proxy: killed, stopped, cut off, and told late.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Connection } from '../../src/adapters/http/connection.ts';
import { keysOf, signed } from '../../src/adapters/http/signature.ts';
import { httpAdapter } from '../../src/adapters/http/spec.ts';
import type { Reader } from '../../src/contracts/reader.ts';
import { Fault } from '../../src/kernel/errors.ts';
import { realWorld } from '../../src/kernel/realworld.ts';
import { Wall, type StoreBench } from '../contracts/bench.ts';
import type { NetworkBench } from '../contracts/network-bench.ts';
import { NETWORK_LINES } from '../contracts/network.ts';
import { setupOf } from '../contracts/setup.ts';
import { runLines } from '../contracts/suite.ts';
import { startProxy } from './proxy.ts';
import { freePort } from './servers/ports.ts';
import { newDataFolder, startSingle, type Server } from './servers/server.ts';

const EXAMPLE = join(import.meta.dirname, '../../examples/http-stash/server.ts');
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const TIMEOUT_MS = 1000;
const BYTES_MAX = 9 * 1024 * 1024;

function exampleServer(): Promise<Server> {
  return startSingle(async () => {
    const port = await freePort();
    const folder = await newDataFolder('http-stash');
    const url = `http://127.0.0.1:${port}`;
    const file = join(folder, 'calls.log');
    return {
      name: 'http-stash',
      port,
      url,
      folder,
      launch: () => ({
        command: process.execPath,
        args: [EXAMPLE, String(port), file],
        env: { ...process.env, STASH_SECRET: SECRET },
      }),
      async ready() {
        await fetch(url, { method: 'POST', signal: AbortSignal.timeout(1000) });
      },
      wipe: () => rm(file, { force: true }),
    };
  }, []);
}

/** What the server's own /read says, while the stash takes part: a reader that it is not. */
function readerOf(url: string, takesPart: () => boolean): Reader & { close(): void } {
  const { clock, random } = realWorld();
  const timeouts = { connectTimeoutMs: TIMEOUT_MS, timeoutMs: TIMEOUT_MS };
  const connection = new Connection({ url, sockets: 1, ...timeouts, clock });
  const unavailable = (why: string): Fault => new Fault('unavailable', why);
  const one = async (account: string, flow: string, key: string) => {
    if (!takesPart()) throw unavailable('apart');
    const body = JSON.stringify({ type: 'read', account, flow, key });
    const id = Buffer.from(random.bytes(9)).toString('hex');
    const headers = signed(keysOf(SECRET), id, Date.now(), body);
    const answer = await connection.post('read', body, headers);
    if (answer.got !== 'answer') throw unavailable(answer.why);
    const { found } = JSON.parse(answer.text) as { found: Record<string, string> | null };
    if (found === null) return null;
    const encoding = found['encoding'] as BufferEncoding;
    return { value: Buffer.from(found['value'] ?? '', encoding), expiresAt: null, ttlMs: null };
  };
  return {
    get: (account, flow, keys) => Promise.all(keys.map((key) => one(account, flow, key))),
    scan: () => Promise.reject(unavailable('it lists no keys')),
    close: () => connection.close(),
  };
}

async function httpBench(): Promise<NetworkBench> {
  const server = await exampleServer();
  const proxy = await startProxy(server);
  const url = `http://127.0.0.1:${proxy.port}`;
  const times = { timeout: TIMEOUT_MS, connectTimeout: 500, deadline: 1000 };
  const options = { url, secret: SECRET, insertOnly: true, maxValue: BYTES_MAX, ...times };
  const opened: { close(): unknown }[] = [];
  const open = async (): Promise<StoreBench> => {
    const { stash } = await httpAdapter.open(setupOf({ id: 'crm', options, world: realWorld() }));
    let takesPart = false;
    stash.watch?.(() => {
      takesPart = false;
    });
    const mark = stash.mark.bind(stash);
    stash.mark = async () => {
      const found = await mark();
      takesPart = true;
      return found;
    };
    const reader = readerOf(url, () => takesPart);
    opened.push(stash, reader);
    const dispose = (): Promise<void> => stash.close();
    return { stash, reader, keepVersions: 0, wall: new Wall(), reopen: null, dispose };
  };
  return {
    ...(await open()),
    proxy,
    server,
    timeoutMs: TIMEOUT_MS,
    bytesMax: BYTES_MAX,
    holdsConnections: false,
    openAgain: open,
    async dispose() {
      for (const each of opened) await each.close();
      await proxy.dispose();
      await server.dispose();
    },
  };
}

runLines('network: http', NETWORK_LINES, httpBench);
