/** Reads of a memory stash. */
import type {
  Found,
  Moment,
  Reader,
  ScanItem,
  ScanPage,
  Version,
  Visible,
} from '../../contracts/reader.ts';
import type { Attempt } from '../../contracts/stash.ts';
import type { EpochMs, Uow } from '../../kernel/words.ts';
import type { Clock } from '../../kernel/world.ts';
import { keyCursor, keyOfCursor } from '../cursor.ts';
import type { MemoryVersions } from './versions.ts';

export class MemoryReader implements Reader {
  readonly #versions: MemoryVersions;
  readonly #clock: Clock;

  constructor(versions: MemoryVersions, clock: Clock) {
    this.#versions = versions;
    this.#clock = clock;
  }

  async get(
    account: string,
    flow: string,
    keys: readonly string[],
    visible: Visible,
  ): Promise<readonly (Found | null)[]> {
    const now = this.#clock.wallMs();
    return keys.map((key) => foundAt(this.#versions.current(account, flow, key, visible), now));
  }

  async scan(
    account: string,
    flow: string,
    prefix: string,
    cursor: string | null,
    limit: number,
    visible: Visible,
  ): Promise<ScanPage> {
    const now = this.#clock.wallMs();
    const from = cursor === null ? null : Buffer.from(keyOfCursor(cursor, prefix));
    const items: ScanItem[] = [];
    for (const key of this.#versions.keys(account, flow, prefix)) {
      if (from !== null && Buffer.compare(Buffer.from(key), from) <= 0) continue;
      const found = foundAt(this.#versions.current(account, flow, key, visible), now);
      if (found === null) continue;
      if (items.length === limit) return { items, cursor: keyCursor(items.at(-1)?.key ?? '') };
      items.push({ key, ttlMs: found.ttlMs });
    }
    return { items, cursor: null };
  }

  async history(
    account: string,
    flow: string,
    key: string,
    before: Uow | null,
    limit: number,
    visible: Visible,
  ): Promise<readonly Version[]> {
    return this.#versions
      .of(account, flow, key)
      .filter((kept) => before === null || kept.uow < before)
      .filter((kept) => visible(kept.uow, kept.attempt))
      .toReversed()
      .slice(0, limit)
      .map(({ uow, kind, heldAt, expiresAt, digest, value }) => {
        return { uow, kind, heldAt, expiresAt, digest, bytes: value.length };
      });
  }

  /** At a uow, the value as that write left it: its TTL counts from when it was held. */
  async at(
    account: string,
    flow: string,
    key: string,
    moment: Moment,
    visible: Visible,
  ): Promise<Found | null> {
    const isBefore = (kept: Attempt): boolean =>
      'uow' in moment ? kept.uow <= moment.uow : kept.heldAt <= moment.time;
    const kept = this.#versions
      .of(account, flow, key)
      .findLast((one) => isBefore(one) && visible(one.uow, one.attempt));
    if (kept === undefined) return null;
    return foundAt(kept, 'uow' in moment ? kept.heldAt : moment.time);
  }
}

function foundAt(kept: Attempt | null, now: EpochMs): Found | null {
  if (kept === null || kept.kind === 'delete') return null;
  const { value, expiresAt, uow, digest } = kept;
  if (expiresAt !== null && expiresAt <= now) return null;
  return { value: value.slice(), ttlMs: expiresAt === null ? null : expiresAt - now, uow, digest };
}
