/**
 * A whole installation for one test: Holdfast as a process of its own, a Redis it is read from, a
 * second Redis as a member of the set, and a MongoDB (SecantusDB) with the history. Any of them may
 * stand behind a proxy that this process holds.
 */
import type { TestContext } from 'node:test';
import { Http, until } from '../process/http.ts';
import { newFolder, Program, removeFolder } from '../process/program.ts';
import { startProxy, type Proxy } from './proxy.ts';
import { ask, type Answer } from './servers/redis-wire.ts';
import { serverOrSkip, type Server, type ServerName } from './servers/servers.ts';

/** The stores by the names they have in the configuration. */
export const STORES = ['cache', 'second', 'history'] as const;
export type StoreName = (typeof STORES)[number];

/** Every call of Holdfast to a store ends within this. */
export const TIMEOUT_MS = 500;
/** A longer value is refused by the second Redis, when the history may have it already. */
export const SECOND_VALUE_BYTES_MAX = 2048;
const JOIN_MS_MAX = 45_000;
export const DATABASE = 'holdfast';

export interface TownWishes {
  /** In place of one Redis. */
  readonly servers?: Partial<Record<StoreName, ServerName>>;
  readonly proxied?: readonly StoreName[];
  /** Added to the options of a store. */
  readonly options?: Partial<Record<StoreName, string>>;
  /** Lines below `stashes:`. */
  readonly stashes?: string;
  /** Lines below `accounts:`, in place of the usual ones. */
  readonly accounts?: string;
}

const ACCOUNTS = `
  default: { flows: { default: { write: [history], read: [cache, history] } } }
  shop:
    flows:
      orders:
        map: { keys: "\${{ record.keys }}" }
        write: [history, second]
        read: [cache, history]
      counters: { write: [history, second], read: [cache, history] }
`;

export class Town {
  readonly servers: Readonly<Record<StoreName, Server>>;
  readonly proxies: Partial<Record<StoreName, Proxy>>;
  readonly folder: string;
  readonly #wishes: TownWishes;
  #program: Program | null = null;
  #http: Http | null = null;

  private constructor(
    servers: Record<StoreName, Server>,
    proxies: Partial<Record<StoreName, Proxy>>,
    wishes: TownWishes,
  ) {
    this.servers = servers;
    this.proxies = proxies;
    this.#wishes = wishes;
    this.folder = newFolder('town');
  }

  /** Servers and proxies, and no Holdfast yet; null where the test was skipped. */
  static async build(t: TestContext, wishes: TownWishes = {}): Promise<Town | null> {
    const kinds = { cache: 'redis', second: 'redis', history: 'secantus', ...wishes.servers };
    const servers: Partial<Record<StoreName, Server>> = {};
    const proxies: Partial<Record<StoreName, Proxy>> = {};
    for (const name of STORES) {
      const server = await serverOrSkip(t, kinds[name] as ServerName);
      if (server === null) return null;
      servers[name] = server;
      if (wishes.proxied?.includes(name) !== true) continue;
      const proxy = await startProxy(server);
      t.after(() => proxy.dispose());
      proxies[name] = proxy;
    }
    const town = new Town(servers as Record<StoreName, Server>, proxies, wishes);
    t.after(() => town.#dispose());
    return town;
  }

  /** With Holdfast, which has joined every store. */
  static async open(t: TestContext, wishes: TownWishes = {}): Promise<Town | null> {
    const town = await Town.build(t, wishes);
    if (town === null) return null;
    await town.start();
    await town.joined();
    return town;
  }

  get program(): Program {
    if (this.#program === null) throw new Error('Holdfast was not started');
    return this.#program;
  }

  get http(): Http {
    if (this.#http === null) throw new Error('Holdfast was not started');
    return this.#http;
  }

  get config(): string {
    const { options = {}, stashes = '', accounts = ACCOUNTS } = this.#wishes;
    const times = `timeout: ${TIMEOUT_MS}ms, connectTimeout: ${TIMEOUT_MS}ms`;
    const more = (name: StoreName): string => (name in options ? `, ${options[name]}` : '');
    const second = `maxValue: ${SECOND_VALUE_BYTES_MAX}B`;
    const history = `database: ${DATABASE}, keepVersions: 1000000, keepFor: 3650d`;
    return `
version: 1
stashes:
  cache: { kind: redis, ${this.#place('cache')}, ${times}${more('cache')} }
  second: { kind: redis, ${this.#place('second')}, ${second}, ${times}${more('second')} }
  history: { kind: mongodb, ${this.#place('history')}, ${history}, ${times}${more('history')} }
${stashes}
accounts:${accounts}`;
  }

  #place(name: StoreName): string {
    const server = this.servers[name];
    const port = this.proxies[name]?.port ?? server.port;
    if (name === 'history') return `url: "mongodb://127.0.0.1:${port}/?directConnection=true"`;
    if (server.nodes.length === 1) return `url: "redis://127.0.0.1:${port}"`;
    return `nodes: [${server.nodes.map((node) => `"127.0.0.1:${node.port}"`).join(', ')}]`;
  }

  /** Also again, once it ended. */
  async start(): Promise<void> {
    this.#http?.close();
    this.#program = await Program.start({ folder: this.folder, config: this.config });
    this.#http = new Http(this.#program.url, 128);
  }

  /** 1 for each store that is apart just now, 0 for the others. */
  async apart(): Promise<Record<string, number>> {
    const { text } = await this.http.ask('/metrics');
    const apart: Record<string, number> = {};
    for (const line of text.matchAll(/^holdfast_stash_apart\{stash="([^"]+)"\} (\d)$/gm)) {
      apart[line[1] ?? ''] = Number(line[2]);
    }
    return apart;
  }

  async parted(name: StoreName): Promise<void> {
    await until(`${name} is apart`, async () => (await this.apart())[name] === 1);
  }

  /** Every store takes part, and Holdfast says that it is ready. */
  async joined(): Promise<void> {
    await until(
      'all stores take part',
      async () => {
        if (Object.values(await this.apart()).some((apart) => apart === 1)) return false;
        return (await this.ready()) !== 'error';
      },
      JOIN_MS_MAX,
    );
  }

  async ready(): Promise<string> {
    const [, { status }] = await this.http.json<{ status: string }>('/ready');
    return status;
  }

  async saysReady(wanted: string): Promise<void> {
    await until(`/ready says ${wanted}`, async () => (await this.ready()) === wanted, JOIN_MS_MAX);
  }

  /** What stands still, in words, for a test that waits in vain. */
  async standing(): Promise<string> {
    const { text } = await this.http.ask('/metrics');
    const figures = text
      .split('\n')
      .filter((line) => /^holdfast_(?:lanes|stash|writes_un)/.test(line));
    const parts = ['/v1/failures', '/v1/lanes/parked', '/ready'];
    const answers = await Promise.all(parts.map(async (path) => (await this.http.ask(path)).text));
    const log = this.program.log().filter(({ type }) => type === 'warning');
    return [...figures, ...answers, ...log.map((line) => JSON.stringify(line))].join('\n');
  }

  /** Asks one Redis over a connection of the test's own; throws on an error answer. */
  async redis(name: StoreName, ...commands: readonly string[][]): Promise<Answer[]> {
    const answers = await ask(this.servers[name].port, undefined, ...commands);
    for (const answer of answers) if (answer instanceof Error) throw answer;
    return answers;
  }

  proxy(name: StoreName): Proxy {
    const proxy = this.proxies[name];
    if (proxy === undefined) throw new Error(`${name} has no proxy`);
    return proxy;
  }

  async #dispose(): Promise<void> {
    this.#http?.close();
    await this.#program?.kill();
    removeFolder(this.folder);
  }
}
