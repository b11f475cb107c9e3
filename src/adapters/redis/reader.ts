/** Reads of a Redis store: values with their time left, and listings by SCAN. */
import type { Found, Reader, ScanPage, Visible } from '../../contracts/reader.ts';
import { Gather } from './gather.ts';
import { foundIn } from './row.ts';
import { unavailable } from './joining.ts';
import { scan } from './scan.ts';
import type { RedisStore } from './store.ts';

export class RedisReader implements Reader {
  readonly #store: RedisStore;
  readonly #gather: Gather;

  constructor(store: RedisStore) {
    this.#store = store;
    this.#gather = new Gather(store);
  }

  async get(
    account: string,
    flow: string,
    keys: readonly string[],
    visible: Visible,
  ): Promise<readonly (Found | null)[]> {
    const { apart, names } = this.#store;
    if (apart !== null) throw unavailable(`"${this.#store.id}" is apart: ${apart}`);
    if (keys.length === 1) {
      const rows = await this.#gather.get([names.of(account, flow, keys[0] ?? '')]);
      return [foundIn(rows[0], visible)];
    }
    const rows = await this.#gather.get(keys.map((key) => names.of(account, flow, key)));
    return rows.map((row) => foundIn(row, visible));
  }

  async scan(
    account: string,
    flow: string,
    prefix: string,
    cursor: string | null,
    limit: number,
    visible: Visible,
  ): Promise<ScanPage> {
    const { apart } = this.#store;
    if (apart !== null) throw unavailable(`"${this.#store.id}" is apart: ${apart}`);
    const wish = { account, flow, prefix, cursor, limit, visible };
    return scan(this.#store, this.#gather, wish);
  }
}
