/**
 * The relay: hands deliveries to Holdfast, remembers what it was told of each, and asks for the
 * story of those that were held. What was turned away before that it keeps, to send it again.
 */
import { deliveries, ownKeys, sharedKey, type Delivery } from '../github-webhooks/deliveries.ts';

/** One write: a delivery into one flow. */
export interface Item {
  readonly flow: 'deliveries' | 'latest';
  readonly keys: readonly string[];
  readonly body: Buffer;
}

export interface Line {
  readonly stash: string;
  readonly reply: string;
  readonly status?: number | string;
  readonly detail?: string;
}

export interface Receipt {
  readonly uow: number;
  readonly flow: string;
  readonly keys: readonly string[];
  readonly state: 'held' | 'fanning-out' | 'undoing' | 'parked' | 'settled';
  readonly outcome: 'committed' | 'refused' | 'failed' | 'superseded' | null;
  readonly report: readonly Line[];
}

/** What is read of an answer: a receipt, or a problem. */
interface Answer {
  readonly uow?: number;
  readonly code?: string;
  readonly report?: readonly Line[];
}

const AT_ONCE = 32;
const SETTLE_MS_MAX = 60_000;
const LOOK_MS = 100;

/** Every delivery, under its own keys and, where there is a repository, as the latest of it. */
export function allItems(): Item[] {
  return deliveries().flatMap((delivery) => itemsOf(delivery));
}

function itemsOf(delivery: Delivery): Item[] {
  // With line breaks, as no mapping would write it: the bytes themselves must come back.
  const body = Buffer.from(JSON.stringify(delivery, null, 2));
  const own: Item = { flow: 'deliveries', keys: ownKeys(delivery), body };
  const shared = sharedKey(delivery);
  return shared === null ? [own] : [own, { flow: 'latest', keys: [shared], body }];
}

/** Calls `act` for each item, `atOnce` at a time. */
export async function each<T>(
  items: readonly T[],
  act: (item: T, at: number) => Promise<void>,
  atOnce = AT_ONCE,
): Promise<void> {
  const left = items.entries();
  const worker = async (): Promise<void> => {
    for (const [at, item] of left) await act(item, at);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

export class Relay {
  readonly #url: string;
  /** Reports that came with an answer, by uow. */
  readonly #told = new Map<number, readonly Line[]>();
  /** What was held, by its uow. */
  readonly held = new Map<number, Item>();
  /** What was turned away before it was held, and why. */
  turnedAway: Item[] = [];

  constructor(url: string) {
    this.#url = url;
  }

  /** Sends all; how often each status was answered. */
  async send(items: readonly Item[], atOnce = AT_ONCE): Promise<Map<string, number>> {
    const told = new Map<string, number>();
    await each(
      items,
      async (item, at) => {
        const words = await this.#post(item, at);
        told.set(words, (told.get(words) ?? 0) + 1);
      },
      atOnce,
    );
    return told;
  }

  async #post(item: Item, at: number): Promise<string> {
    // One in four does not wait for the outcome: it is answered as soon as it is on disk.
    const prefer = at % 4 === 3 ? { prefer: 'respond-async' } : {};
    const headers = { 'content-type': 'application/json', ...prefer };
    const url = `${this.#url}/v1/data/github/${item.flow}`;
    const answer = await fetch(url, { method: 'POST', headers, body: item.body });
    const { uow, code, report } = (await answer.json()) as Answer;
    // The number in `key-parked` is that of the write it would have to wait for.
    if (uow !== undefined && code !== 'key-parked') {
      this.held.set(uow, item);
      if (report !== undefined) this.#told.set(uow, report);
      return `${answer.status}${code === undefined ? '' : ` ${code}`}`;
    }
    if (answer.status < 500 && answer.status !== 409 && answer.status !== 429) {
      throw new Error(`${answer.status} ${code} for ${item.keys.join(', ')}`);
    }
    this.turnedAway.push(item);
    return `${answer.status} ${code}, not held`;
  }

  /** Receipts of all that was held, as they are now. */
  receipts(): Promise<Receipt[]> {
    return this.#receiptsOf([...this.held.keys()]);
  }

  /**
   * Waits until nothing moves: every write is settled, or parked until its retry, or waits behind
   * such a one (state `held`). Rejects when that takes long.
   */
  async quiet(): Promise<Receipt[]> {
    const end = performance.now() + SETTLE_MS_MAX;
    let asked = [...this.held.keys()];
    for (;;) {
      const found = await this.#receiptsOf(asked);
      const parked = await this.#parkedKeys();
      const moving = found.filter(({ state, flow, keys }) => {
        if (state === 'settled' || state === 'parked') return false;
        return state !== 'held' || !keys.some((key) => parked.has(`${flow}:${key}`));
      });
      if (moving.length === 0 && found.length === this.held.size) return found;
      if (performance.now() > end) {
        throw new Error(`${moving.length} writes do not settle: ${JSON.stringify(moving[0])}`);
      }
      // At last all are asked once more: one that was parked may have moved by itself.
      asked = moving.length === 0 ? [...this.held.keys()] : moving.map(({ uow }) => uow);
      if (moving.length > 0) await pause(LOOK_MS);
    }
  }

  /** Keys that wait for the retry of a failed write. */
  async #parkedKeys(): Promise<Set<string>> {
    const page = await this.#json<{ items: { flow: string; key: string }[] }>(
      '/v1/lanes/parked?limit=1000',
    );
    return new Set(page.items.map(({ flow, key }) => `${flow}:${key}`));
  }

  async #receiptsOf(uows: readonly number[]): Promise<Receipt[]> {
    const found: Receipt[] = [];
    await each(uows, async (uow) => {
      const receipt = await this.#json<Receipt>(`/v1/uow/${uow}`);
      // Of one that was superseded in the queue, only its first answer tells what was undone.
      const report = receipt.report.length > 0 ? receipt.report : this.#told.get(uow);
      found.push({ ...receipt, report: report ?? [] });
    });
    return found;
  }

  /** Every write of the fail queue, oldest first. */
  async failures(): Promise<{ uow: number }[]> {
    const { items } = await this.#json<{ items: { uow: number }[] }>('/v1/failures?limit=1000');
    return items;
  }

  /** The redrive: each failed write once more. How many were taken, and how many moved already. */
  async redrive(): Promise<{ retried: number; moving: number }> {
    const tally = { retried: 0, moving: 0 };
    await each(await this.failures(), async ({ uow }) => {
      const answer = await fetch(`${this.#url}/v1/failures/${uow}/retry`, { method: 'POST' });
      await answer.arrayBuffer();
      if (answer.status === 202) tally.retried += 1;
      // Holdfast was quicker: it is under way, or no longer in the queue.
      else if (answer.status === 409 || answer.status === 404) tally.moving += 1;
      else throw new Error(`the retry of ${uow} was answered ${answer.status}`);
    });
    return tally;
  }

  /** A figure of /metrics for one stash. */
  async figure(name: string, stash: string): Promise<number> {
    const text = await (await fetch(`${this.#url}/metrics`)).text();
    const line = text.split('\n').find((row) => row.startsWith(`${name}{stash="${stash}"}`));
    return Number(line?.split(' ').at(-1));
  }

  /** The value of a key; null where there is none. Throws on any other answer. */
  async read(flow: string, key: string): Promise<Buffer | null> {
    const path = `/v1/data/github/${flow}/${encodeURIComponent(key)}`;
    const answer = await fetch(this.#url + path);
    const bytes = Buffer.from(await answer.arrayBuffer());
    if (answer.status === 200) return bytes;
    if (answer.status === 404) return null;
    throw new Error(`${path}: ${answer.status} ${bytes.toString()}`);
  }

  /** The values of many keys of a flow, by key; those that are not there are left out. */
  async readAll(flow: string, keys: readonly string[]): Promise<Map<string, Buffer>> {
    const found = new Map<string, Buffer>();
    await each(keys, async (key) => {
      const value = await this.read(flow, key);
      if (value !== null) found.set(key, value);
    });
    return found;
  }

  /** The status of reading the versions of a key. */
  async historyStatus(flow: string, key: string): Promise<number> {
    const path = `/v1/data/github/${flow}/${encodeURIComponent(key)}/history`;
    const answer = await fetch(this.#url + path);
    await answer.arrayBuffer();
    return answer.status;
  }

  async #json<T>(path: string): Promise<T> {
    const answer = await fetch(this.#url + path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((done) => {
    setTimeout(done, ms);
  });
}
