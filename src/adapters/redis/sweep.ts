/**
 * Sweeping: finds what earlier lives of this program left beside values, images and fences of
 * writes that are settled long since; a few names at a time, once in a life.
 */
import type { Command } from './connection.ts';
import type { RedisStore } from './store.ts';

/** Names looked at by one SCAN, and SCANs by one step. */
const COUNT = '1000';
const SCANS_MAX = 5;

export class Sweep {
  readonly #store: RedisStore;
  /** Where it stands; null once it has been everywhere. */
  #place: { node: string; at: string } | null = { node: '', at: '0' };

  constructor(store: RedisStore) {
    this.#store = store;
  }

  /** The next side keys; empty also in between. Rejects when the store is lost. */
  async step(): Promise<readonly string[]> {
    const found: string[] = [];
    for (let scans = 0; this.#place !== null && scans < SCANS_MAX; scans += 1) {
      const { node, at }: { node: string; at: string } = this.#place;
      const masters = this.#store.masters();
      const master = masters.find((each) => each.node >= node);
      if (master === undefined) break;
      const from = master.node === node ? at : '0';
      const pattern = this.#store.names.besideAll;
      const command: Command = ['SCAN', from, 'MATCH', pattern, 'COUNT', COUNT];
      const answer = (await master.write.ask(...command)) as [string, string[]];
      const [next, names] = answer;
      for (const name of names) if (this.#store.names.isBeside(name)) found.push(name);
      const after = masters.find((each) => each.node > master.node);
      if (next !== '0') this.#place = { node: master.node, at: next };
      else this.#place = after === undefined ? null : { node: after.node, at: '0' };
    }
    return found;
  }
}
