/**
 * Who is held against whom: three programs that take a write over HTTP and put it into two Redis,
 * the first store first. Each runs in a process of its own.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '../../bench/server.ts';
import { ensure, type Server } from '../../test/real/servers/servers.ts';
import type { Told } from './judge.ts';

export interface Contender {
  readonly name: string;
  start(first: Server, second: Server): Promise<Running>;
}

export interface Running {
  /** The name that a key has in the stores. */
  nameOf(key: string): string;
  /** Sends a write once and waits for the answer, within bounds. */
  put(key: string, value: string): Promise<Told>;
  /** What was left open by the answer, asked for once the stores are back. */
  outcomeOf(told: Told): Promise<Told>;
  stop(): Promise<void>;
}

const ROOT = join(import.meta.dirname, '../..');
const ANSWER_MS_MAX = 20_000;
/** How long the plain handler gives a store; Camel's client has the same by default. */
const STORE_LIMIT_MS = 2000;
/** How long Holdfast is asked to wait for the outcome before it says that it will see to it. */
const WAIT_SECONDS = 3;

interface Answer {
  readonly status: number | null;
  readonly ms: number;
  readonly location: string | null;
}

async function send(url: string, init: RequestInit): Promise<Answer> {
  const start = performance.now();
  const ms = (): number => performance.now() - start;
  try {
    const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    await answer.arrayBuffer();
    return { status: answer.status, ms: ms(), location: answer.headers.get('location') };
  } catch {
    return { status: null, ms: ms(), location: null };
  }
}

const JSON_TYPE = { 'content-type': 'application/json' };
const PATH = '/v1/data/default/default/';
const named = (key: string): string => `default:default:${key}`;

/** One write after the other, no journal, no rollback: bench/peers/handler.ts. */
export const handler: Contender = {
  name: 'plain handler',
  async start(first, second) {
    const env = {
      STORE_URL: first.url,
      READER_URL: second.url,
      LIMIT_MS: String(STORE_LIMIT_MS),
    };
    const program = join(ROOT, 'bench/peers/handler.ts');
    const server = await serve('handler', [program], { folder: tmpdir(), env });
    return {
      nameOf: named,
      async put(key, body) {
        const answer = await send(server.url + PATH + key, {
          method: 'PUT',
          headers: JSON_TYPE,
          body,
        });
        return { status: answer.status, ms: answer.ms, outcome: null };
      },
      outcomeOf: (told) => Promise.resolve(told),
      stop: () => server.stop(),
    };
  },
};

/** A route with `multicast`, as Camel's users write a fan-out: test/real/servers/camel. */
export const camel: Contender = {
  name: 'Apache Camel',
  async start(first, second) {
    const server = await ensure('camel', { redisPorts: [first.port, second.port] });
    return {
      nameOf: named,
      async put(key, body) {
        const headers = { ...JSON_TYPE, 'x-id': named(key) };
        const answer = await send(`${server.url}/in`, { method: 'POST', headers, body });
        return { status: answer.status, ms: answer.ms, outcome: null };
      },
      outcomeOf: (told) => Promise.resolve(told),
      stop: () => server.dispose(),
    };
  },
};

/** Holdfast with the two Redis as one flow: all or nothing. Either may be the one that is read. */
const holdfast = (reader: 'first' | 'second'): Contender => ({
  name: `Holdfast, reads the ${reader}`,
  async start(first, second) {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-versus-'));
    const config = join(folder, 'holdfast.yaml');
    writeFileSync(config, configOf(first.url, second.url, reader));
    const args = ['serve', '--port', '0', '--data-dir', join(folder, 'data'), '--config', config];
    const server = await serve('Holdfast', [join(ROOT, 'src/main.ts'), ...args], { folder });
    const places = new WeakMap<Told, string>();
    return {
      nameOf: named,
      async put(key, body) {
        const headers = { ...JSON_TYPE, prefer: `wait=${WAIT_SECONDS}` };
        const answer = await send(server.url + PATH + key, { method: 'PUT', headers, body });
        const told: Told = { status: answer.status, ms: answer.ms, outcome: null };
        if (answer.status === 202 && answer.location !== null) places.set(told, answer.location);
        return told;
      },
      async outcomeOf(told) {
        const place = places.get(told);
        if (place === undefined) return told;
        const answer = await fetch(new URL(place, server.url));
        const { outcome } = (await answer.json()) as { outcome: string | null };
        return { ...told, outcome };
      },
      async stop() {
        await server.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
});

function configOf(first: string, second: string, reader: 'first' | 'second'): string {
  const other = reader === 'first' ? 'second' : 'first';
  return `version: 1
stashes:
  first: { kind: redis, url: "${first}" }
  second: { kind: redis, url: "${second}" }
accounts:
  default:
    flows:
      default: { write: [${other}], read: [${reader}] }
`;
}

/** The reader is written last, so losing the one or the other store is not the same. */
export const holdfasts: readonly Contender[] = [holdfast('second'), holdfast('first')];
