/**
 * A Redis Cluster of three nodes without replicas, each with a third of the slots. A dead node
 * takes its slots with it, and only those (`cluster-require-full-coverage no`); `args` may say
 * otherwise, and go to every node.
 */
import { freePort } from './ports.ts';
import { redisNode, redisProgram } from './redis.ts';
import { ask } from './redis-wire.ts';
import { PlannedNode, until } from './server.ts';
import type { RestartOptions, Server, ServerKind, ServerOptions } from './server.ts';

const NODES = 3;
const SLOTS = 16_384;
/** After this long without an answer a node counts as dead. */
const NODE_TIMEOUT_MS = 2000;

/** A node that counts as ready only when the cluster serves its slots again. */
class Member extends PlannedNode {
  serves: () => Promise<void> = async () => {};

  override async restart(options: RestartOptions = {}): Promise<void> {
    await this.restartAlone(options);
    await this.serves();
  }

  restartAlone(options: RestartOptions): Promise<void> {
    return super.restart(options);
  }
}

class Cluster implements Server {
  readonly name = 'redis-cluster';
  readonly host = '127.0.0.1';
  readonly nodes: readonly Member[];
  readonly #password: string | undefined;

  constructor(nodes: readonly Member[], password: string | undefined) {
    this.nodes = nodes;
    this.#password = password;
    for (const node of nodes) node.serves = () => this.#serves(node);
  }

  /** The first node's, from which a client learns the others. */
  get port(): number {
    return this.nodes[0]?.port ?? 0;
  }

  get url(): string {
    return this.nodes[0]?.url ?? '';
  }

  get pid(): number | null {
    return this.nodes[0]?.pid ?? null;
  }

  get folder(): string {
    return this.nodes[0]?.folder ?? '';
  }

  log(): string {
    return this.nodes.map((node) => `[${node.port}]\n${node.log()}`).join('\n');
  }

  async kill(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
  }

  stop(): void {
    for (const node of this.nodes) node.stop();
  }

  cont(): void {
    for (const node of this.nodes) node.cont();
  }

  async restart(options: RestartOptions = {}): Promise<void> {
    await this.kill();
    await Promise.all(this.nodes.map((node) => node.restartAlone(options)));
    await this.whole();
  }

  async dispose(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.dispose()));
  }

  /** Makes the nodes know one another and shares out the slots. */
  async join(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.start()));
    const share = Math.ceil(SLOTS / NODES);
    for (const [index, node] of this.nodes.entries()) {
      const last = Math.min(SLOTS, (index + 1) * share) - 1;
      const slots = ['CLUSTER', 'ADDSLOTSRANGE', String(index * share), String(last)];
      await this.#tell(node, slots);
      await this.#tell(node, ['CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1)]);
    }
    for (const node of this.nodes.slice(1)) {
      const [, bus] = await busOf(node, this.#password);
      await this.#tell(this.nodes[0]!, ['CLUSTER', 'MEET', node.host, String(node.port), bus]);
    }
    await this.whole();
  }

  /** Resolves when every node sees all slots served and all nodes alive. */
  async whole(): Promise<void> {
    await until(async () => {
      for (const node of this.nodes) {
        const [info] = await ask(node.port, this.#password, ['CLUSTER', 'INFO']);
        const text = String(info);
        const wanted = ['cluster_state:ok', `cluster_slots_ok:${SLOTS}`, `cluster_size:${NODES}`];
        if (!wanted.every((line) => text.includes(line))) throw new Error(text);
      }
    });
  }

  /** Resolves when a node takes part again: seen by all, or, while others are down, by itself. */
  async #serves(node: Member): Promise<void> {
    if (this.nodes.every(({ pid }) => pid !== null)) return this.whole();
    await until(async () => {
      const [info] = await ask(node.port, this.#password, ['CLUSTER', 'INFO']);
      if (!String(info).includes('cluster_state:ok')) throw new Error(String(info));
    });
  }

  async #tell(node: PlannedNode, words: readonly string[]): Promise<void> {
    const [answer] = await ask(node.port, this.#password, words);
    if (answer !== 'OK') throw new Error(`${words.join(' ')}: ${String(answer)}`);
  }
}

/** The ports of a node: for clients, and for its fellows. */
async function busOf(
  node: PlannedNode,
  password: string | undefined,
): Promise<readonly [string, string]> {
  const [config] = await ask(node.port, password, ['CONFIG', 'GET', 'cluster-port']);
  return [String(node.port), Array.isArray(config) ? String(config[1]) : ''];
}

async function nodeOf(program: string, options: ServerOptions): Promise<Member> {
  const plan = await redisNode('redis-cluster', program, options, [
    '--cluster-enabled',
    'yes',
    '--cluster-config-file',
    'nodes.conf',
    '--cluster-port',
    String(await freePort()),
    '--cluster-node-timeout',
    String(NODE_TIMEOUT_MS),
    '--cluster-require-full-coverage',
    'no',
  ]);
  return new Member(plan, options.args ?? []);
}

export const redisCluster: ServerKind = {
  install: async () => void (await redisProgram()),
  async start(options) {
    const program = await redisProgram();
    for (let tries = 1; ; tries += 1) {
      const nodes: Member[] = [];
      while (nodes.length < NODES) nodes.push(await nodeOf(program, options));
      const cluster = new Cluster(nodes, options.password);
      try {
        await cluster.join();
        return cluster;
      } catch (error) {
        await cluster.dispose();
        if (tries === 3 || !/address already in use/i.test(String(error))) throw error;
      }
    }
  },
};
