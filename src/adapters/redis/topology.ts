/** Where slots are: one server has them all, or a cluster tells by CLUSTER SLOTS. */
import type { Clock } from '../../kernel/world.ts';
import { Link, messageOf, nodeOf, type Answer } from './connection.ts';
import { unavailable } from './joining.ts';
import type { Access, Address } from './options.ts';
import { SLOTS } from './slots.ts';

/** The masters and what each of them has. */
export class SlotMap {
  readonly masters: ReadonlyMap<string, Address>;
  readonly #owner: (string | undefined)[];

  constructor(masters: ReadonlyMap<string, Address>, owner: (string | undefined)[]) {
    this.masters = masters;
    this.#owner = owner;
  }

  static single(server: Address): SlotMap {
    const node = nodeOf(server);
    return new SlotMap(new Map([[node, server]]), Array<string>(SLOTS).fill(node));
  }

  /** Null where no node has the slot. */
  ownerOf(slot: number): string | null {
    return this.#owner[slot] ?? null;
  }

  /** A server said that the slot is there now. */
  moved(slot: number, node: string): void {
    this.#owner[slot] = node;
  }

  /** The first slot of a node: where names of ours go that belong to the node. */
  firstOf(node: string): number | null {
    const slot = this.#owner.indexOf(node);
    return slot < 0 ? null : slot;
  }
}

/** Asks the seeds in turn; rejects with a Fault when none of them has a map. */
export async function locate(
  seeds: readonly Address[],
  access: Access,
  clock: Clock,
  begun?: (link: Link) => void,
): Promise<SlotMap> {
  const reasons: string[] = [];
  for (const seed of seeds) {
    let link: Link | null = null;
    try {
      link = await Link.open(seed, access, clock, begun);
      return await mapFrom(link);
    } catch (error) {
      reasons.push(messageOf(error));
    } finally {
      link?.close();
    }
  }
  throw unavailable(`no node of the cluster tells where its slots are: ${reasons.join('; ')}`);
}

/** The map as the other end of `link` sees it. Rejects when it sees none. */
export async function mapFrom(link: Link): Promise<SlotMap> {
  const answer = await link.ask('CLUSTER', 'SLOTS');
  const asked = addressOf(link.node);
  const masters = new Map<string, Address>();
  const owner = Array<string | undefined>(SLOTS);
  for (const range of listOf(answer)) {
    const [first, last, master] = listOf(range);
    const [host, port] = listOf(master);
    if (typeof first !== 'number' || typeof last !== 'number') continue;
    // A node that does not know its own name leaves it out: it is the one we reached.
    const named = typeof host === 'string' && host !== '' && host !== '?';
    const address = { host: named ? host : (asked?.host ?? ''), port: Number(port) };
    const node = nodeOf(address);
    masters.set(node, address);
    owner.fill(node, first, last + 1);
  }
  if (masters.size === 0) throw unavailable(`${link.node} knows of no slots`);
  return new SlotMap(masters, owner);
}

/** `host:port`, with brackets around an address that holds colons. */
export function addressOf(node: string): Address | null {
  const match = /^(?:\[(.+)\]|([^\]]*)):(\d+)$/.exec(node);
  if (match === null) return null;
  return { host: match[1] ?? match[2] ?? '', port: Number(match[3]) };
}

function listOf(answer: Answer): readonly unknown[] {
  return Array.isArray(answer) ? (answer as readonly unknown[]) : [];
}
