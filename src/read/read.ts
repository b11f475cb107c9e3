/**
 * Reading: values by key along a flow's read path. The first store is the reader, which holds only
 * what is committed; the others answer what it does not have, and show no version whose write is
 * unsettled.
 */
import type { FlowPlan } from '../contracts/flow.ts';
import type { Got, ReadPort } from '../contracts/ports.ts';
import type { Found, Moment, Reader, ScanPage, Version, Visible } from '../contracts/reader.ts';
import type { StatePage } from '../contracts/state.ts';
import { digestOf } from '../kernel/digest.ts';
import { Fault } from '../kernel/errors.ts';
import type { Uow } from '../kernel/words.ts';

const EVERYTHING: Visible = () => true;

export class Read implements ReadPort {
  readonly #readers: ReadonlyMap<string, Reader>;
  readonly #visible: Visible;

  /** `visible` says which attempts are settled as committed. */
  constructor(readers: ReadonlyMap<string, Reader>, visible: Visible) {
    this.#readers = readers;
    this.#visible = visible;
  }

  async get(flow: FlowPlan, key: string): Promise<Got | null> {
    for (const id of flow.read) {
      const found = await this.#ask(id, flow, [key]);
      const first = found[0];
      if (first !== null && first !== undefined) return got(first);
      if (await this.#knowsDeleted(id, flow, key)) return null;
    }
    return null;
  }

  async getMany(flow: FlowPlan, keys: readonly string[]): Promise<readonly (Got | null)[]> {
    const answers: (Got | null)[] = keys.map(() => null);
    let missing = keys.map((_, at) => at);
    for (const id of flow.read) {
      if (missing.length === 0) break;
      const asked = missing.map((at) => keys[at] ?? '');
      const found = await this.#ask(id, flow, asked);
      for (const [index, at] of missing.entries()) {
        const each = found[index];
        if (each !== null && each !== undefined) answers[at] = got(each);
      }
      missing = missing.filter((at) => answers[at] === null);
    }
    return answers;
  }

  scan(flow: FlowPlan, prefix: string, cursor: string | null, limit: number): Promise<ScanPage> {
    const reader = this.#reader(flow.reader);
    return reader.scan(flow.account, flow.flow, prefix, cursor, limit, EVERYTHING);
  }

  async history(
    flow: FlowPlan,
    key: string,
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<Version>> {
    const before = cursor === null ? null : uowOf(cursor);
    const keeper = this.#keeper(flow, (reader) => reader.history !== undefined);
    const visible = this.#visibleIn(keeper.id, flow);
    const { account, flow: name } = flow;
    const items = (await keeper.reader.history?.(account, name, key, before, limit, visible)) ?? [];
    const last = items.at(-1);
    return { items, cursor: items.length < limit || last === undefined ? null : `${last.uow}` };
  }

  async at(flow: FlowPlan, key: string, moment: Moment): Promise<Got | null> {
    const keeper = this.#keeper(flow, (reader) => reader.at !== undefined);
    const visible = this.#visibleIn(keeper.id, flow);
    const found = await keeper.reader.at?.(flow.account, flow.flow, key, moment, visible);
    return found === null || found === undefined ? null : got(found);
  }

  #reader(id: string): Reader {
    const reader = this.#readers.get(id);
    if (reader === undefined) throw new RangeError(`"${id}" answers no reads`);
    return reader;
  }

  /** The reader itself is applied last, so everything in it is committed. */
  #visibleIn(id: string, flow: FlowPlan): Visible {
    return id === flow.reader ? EVERYTHING : this.#visible;
  }

  #ask(id: string, flow: FlowPlan, keys: readonly string[]): Promise<readonly (Found | null)[]> {
    return this.#reader(id).get(flow.account, flow.flow, keys, this.#visibleIn(id, flow));
  }

  /**
   * A reader that keeps versions knows a deleted or expired key from one it never had; asking
   * further would bring back what is gone.
   */
  async #knowsDeleted(id: string, flow: FlowPlan, key: string): Promise<boolean> {
    const reader = this.#reader(id);
    if (flow.read.length === 1 || reader.history === undefined) return false;
    const visible = this.#visibleIn(id, flow);
    const versions = await reader.history(flow.account, flow.flow, key, null, 1, visible);
    return versions.length > 0;
  }

  #keeper(flow: FlowPlan, keeps: (reader: Reader) => boolean): { id: string; reader: Reader } {
    for (const id of flow.read) {
      const reader = this.#reader(id);
      if (keeps(reader)) return { id, reader };
    }
    throw new Fault('bad-request', 'No store on the read path of this flow keeps versions.');
  }
}

function got(found: Found): Got {
  const { value, ttlMs, uow } = found;
  const digest = found.digest ?? digestOf(value);
  return uow === undefined ? { value, digest, ttlMs } : { value, digest, ttlMs, uow };
}

function uowOf(cursor: string): Uow {
  if (!/^\d{1,16}$/.test(cursor)) throw new Fault('bad-cursor', 'Not a cursor of this list.');
  return Number(cursor);
}
