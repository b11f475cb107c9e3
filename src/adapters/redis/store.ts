/**
 * What the stash and the reader of one entry share: the connections, and whether the store takes
 * part. It is apart from the start, and again as soon as any connection is lost, a call runs out of
 * time, or another process answers; then all connections are ended, and nothing connects until the
 * host asks for the mark. A reader that found the same process again could go on alone, but then
 * stash and reader would disagree about whether something was lost: one rule for both.
 */
import type { StashSetup } from '../../contracts/spec.ts';
import { messageOf, nodeOf, type Link } from './connection.ts';
import { Book, infoOf, joinNode, unavailable, type JoinParts, type Joined } from './joining.ts';
import { Names, shortDigest } from './names.ts';
import type { Address, RedisOptions } from './options.ts';
import { addressOf, locate, mapFrom, SlotMap } from './topology.ts';

export class RedisStore {
  readonly id: string;
  readonly options: RedisOptions;
  readonly names: Names;
  readonly setup: StashSetup;
  /** A role or an option demands that Redis runs functions of ours. */
  readonly scripts: boolean;
  readonly #told: ((why: string) => void)[] = [];
  readonly #book: Book;
  #state: 'apart' | 'joined' | 'closed' = 'apart';
  #why = 'its mark was not asked for yet';
  #nodes = new Map<string, Joined>();
  #map: SlotMap | null = null;
  #joining: Promise<void> | null = null;
  /** Connections that are being made. */
  readonly #begun = new Set<Link>();
  readonly #reaching = new Map<string, Promise<Joined>>();

  constructor(setup: StashSetup, options: RedisOptions) {
    this.id = setup.id;
    this.setup = setup;
    this.options = options;
    this.names = new Names(setup);
    this.scripts = setup.role !== 'reader' || options.fence === 'key';
    this.#book = new Book(setup.connections);
  }

  /** Why nothing can be sent now; null while it takes part. */
  get apart(): string | null {
    return this.#state === 'joined' ? null : this.#why;
  }

  watch(told: (why: string) => void): void {
    this.#told.push(told);
  }

  /** Of a cluster several, one otherwise. Empty while apart. */
  nodes(): readonly Joined[] {
    return [...this.#nodes.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  node(name: string): Joined | null {
    return this.#nodes.get(name) ?? null;
  }

  /** Who has the slot; null while nobody has, or the store is apart. */
  at(slot: number): Joined | null {
    const owner = this.#map?.ownerOf(slot) ?? null;
    return owner === null ? null : this.node(owner);
  }

  /** The only node of a store that is no cluster. */
  get single(): Joined | null {
    return this.#nodes.size === 1 && !this.options.cluster ? (this.nodes()[0] ?? null) : null;
  }

  firstSlot(node: string): number | null {
    return this.#map?.firstOf(node) ?? null;
  }

  /** The masters that have slots. */
  masters(): readonly Joined[] {
    return this.nodes().filter(({ node }) => this.firstSlot(node) !== null);
  }

  /** Connects to every master, behind a fence. Rejects while one of them cannot be reached. */
  join(): Promise<void> {
    if (this.#state === 'closed') return Promise.reject(unavailable(`"${this.id}" is closed`));
    if (this.#state === 'joined') return Promise.resolve();
    this.#joining ??= this.#joinAll().finally(() => {
      this.#joining = null;
    });
    return this.#joining;
  }

  async #joinAll(): Promise<void> {
    const { seeds, cluster, access } = this.options;
    const { clock } = this.setup.world;
    const [first] = seeds;
    if (first === undefined) throw unavailable('no address');
    try {
      const begun = (link: Link): void => void this.#begun.add(link);
      const map = cluster ? await locate(seeds, access, clock, begun) : SlotMap.single(first);
      const nodes = await this.#joinEach([...map.masters.values()]);
      this.#map = map;
      this.#nodes = new Map(nodes.map((each) => [each.node, each]));
      this.#state = 'joined';
      for (const node of nodes) this.#attend(node);
    } catch (error) {
      for (const link of this.#begun) link.close();
      this.#begun.clear();
      throw unavailable(`Redis of "${this.id}": ${messageOf(error)}`, hintOf(error));
    }
    this.#begun.clear();
    if (this.apart !== null) throw unavailable(`Redis of "${this.id}": ${this.apart}`);
  }

  async #joinEach(addresses: readonly Address[]): Promise<Joined[]> {
    const parts = this.#joinParts();
    const ends = await Promise.allSettled(addresses.map((one) => joinNode(parts, one)));
    const joined = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    const failed = ends.find((end) => end.status === 'rejected');
    // Closed in the meantime counts as failed: nobody would end these connections.
    if (failed === undefined && this.#state !== 'closed') return joined;
    for (const { write, read } of joined) {
      write.close();
      read.close();
    }
    throw failed?.status === 'rejected' ? failed.reason : unavailable('closed');
  }

  #joinParts(): JoinParts {
    const { access, cluster, fence } = this.options;
    const { clock, random } = this.setup.world;
    const start = `holdfast:${this.id}:${this.#installation()}:`;
    const names = {
      start,
      next: () => `${start}${this.#book.epoch}:${Buffer.from(random.bytes(8)).toString('hex')}`,
    };
    const book = this.#book;
    return {
      access,
      clock,
      book,
      cluster,
      scripts: this.scripts,
      begun: (link) => void this.#begun.add(link),
      names: fence === 'key' ? null : names,
    };
  }

  /** Tells our connections from those of another Holdfast that shares the server. */
  #installation(): string {
    const { dataDirectory, world } = this.setup;
    return shortDigest(`${dataDirectory}\0${world.bootId ?? ''}`);
  }

  #attend({ node, write, read }: Joined): void {
    for (const link of [write, read]) {
      link.whenLost((why) => this.lost(`the connection to ${node} was lost: ${why}`));
      if (!link.alive) this.lost(`the connection to ${node} was lost`);
    }
  }

  /** Ends everything; whatever is in flight on the write connections is unknown from here on. */
  lost(why: string): void {
    if (this.#state !== 'joined') return;
    this.#state = 'apart';
    this.#why = why;
    this.#end(why);
    for (const told of this.#told) told(why);
  }

  #end(why: string): void {
    const nodes = [...this.#nodes.values()];
    this.#nodes = new Map();
    this.#map = null;
    for (const { write, read } of nodes) {
      for (const link of [write, read]) {
        link.whenLost(() => {});
        link.end(why);
      }
    }
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#why = 'it is closed';
    for (const link of this.#begun) link.end('closed');
    this.#end('closed');
  }

  /**
   * New write connections in place of the old, which the servers end. Only needed while something
   * is under way: without that, everything sent has been answered.
   */
  async fence(): Promise<void> {
    if (this.apart !== null) throw unavailable(`"${this.id}" is apart: ${this.apart}`);
    if (this.options.fence === 'key' || !this.nodes().some(({ write }) => write.busy)) return;
    this.lost('it was fenced while calls were under way');
    throw unavailable(`"${this.id}" was fenced and must be joined again`);
  }

  /**
   * Learns from a node that said MOVED; joins whom it does not know yet. Rejects when it cannot.
   */
  async learn(slot: number, target: string, from: Link): Promise<void> {
    const node = target.startsWith(':') ? `${addressOf(from.node)?.host ?? ''}${target}` : target;
    const map = this.#map;
    if (map === null) throw unavailable('apart');
    const known = await this.reach(node);
    const fresh = await mapFrom(known.write);
    fresh.moved(slot, node);
    if (this.#map !== map) return;
    const vanished = this.nodes().filter((each) => !fresh.masters.has(each.node));
    for (const address of fresh.masters.values()) await this.reach(nodeOf(address));
    this.#map = fresh;
    for (const each of vanished) await this.#mustBeMaster(each);
  }

  /** A node that is joined, or joins it now: once, since a second time would end the first. */
  reach(node: string): Promise<Joined> {
    const known = this.node(node);
    if (known !== null) return Promise.resolve(known);
    const begun = this.#reaching.get(node);
    if (begun !== undefined) return begun;
    const reaching = this.#reachNew(node).finally(() => this.#reaching.delete(node));
    this.#reaching.set(node, reaching);
    return reaching;
  }

  async #reachNew(node: string): Promise<Joined> {
    const address = addressOf(node);
    const map = this.#map;
    if (address === null || map === null) throw unavailable(`${node} cannot be reached`);
    const [joined] = await this.#joinEach([address]);
    this.#begun.clear();
    if (joined === undefined) throw unavailable(`${node} cannot be reached`);
    if (this.#map === null) {
      joined.write.close();
      joined.read.close();
      throw unavailable('apart');
    }
    this.#nodes.set(node, joined);
    this.#attend(joined);
    return joined;
  }

  /**
   * A node that has no slots left is still a master when they were moved off it. If it is not, a
   * replica has taken its place, which may not have had everything: the store is apart.
   */
  async #mustBeMaster({ node, write }: Joined): Promise<void> {
    const role = infoOf(await write.ask('INFO', 'replication')).get('role');
    if (role !== 'master') this.lost(`another server has taken the place of ${node}`);
  }
}

function hintOf(error: unknown): string | undefined {
  const hint = error instanceof Error && 'hint' in error ? error.hint : undefined;
  return typeof hint === 'string' ? hint : undefined;
}
