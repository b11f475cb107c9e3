/**
 * The maps behind a memory stash: every attempt once, and the versions of each key, oldest first.
 */
import type { Attempt } from '../../contracts/stash.ts';
import type { Visible } from '../../contracts/reader.ts';
import { laneKey, type EpochMs, type Uow } from '../../kernel/words.ts';

/** What became of an attempt: its own copy of the value while live, nothing once undone. */
export type Kept = Attempt | 'tombstone';

export class MemoryVersions {
  readonly #attempts = new Map<string, Kept>();
  readonly #versions = new Map<string, Attempt[]>();
  readonly #spaces = new Map<string, Set<string>>();

  held(uow: Uow, attempt: number): Kept | null {
    return this.#attempts.get(`${uow}.${attempt}`) ?? null;
  }

  /** Adds the attempt under all its keys; its identity must be new here. */
  insert(attempt: Attempt): void {
    const { account, flow, uow, kind, digest, expiresAt, heldAt, grant } = attempt;
    const keys = [...attempt.keys];
    const own = { attempt: attempt.attempt, value: attempt.value.slice(), keys };
    const kept: Attempt = { account, flow, uow, kind, digest, expiresAt, heldAt, grant, ...own };
    this.#attempts.set(`${uow}.${attempt.attempt}`, kept);
    for (const key of keys) {
      const lane = laneKey(account, flow, key);
      const list = this.#versions.get(lane) ?? [];
      if (list.length === 0) this.#versions.set(lane, list);
      let at = list.length;
      while (at > 0 && isOlder(kept, list[at - 1])) at -= 1;
      list.splice(at, 0, kept);
      this.#space(account, flow).add(key);
    }
  }

  bury(attempt: Attempt): void {
    const id = `${attempt.uow}.${attempt.attempt}`;
    const kept = this.#attempts.get(id);
    this.#attempts.set(id, 'tombstone');
    if (kept === undefined || kept === 'tombstone') return;
    for (const key of kept.keys) this.#unlink(kept, key);
  }

  #unlink(kept: Attempt, key: string): void {
    const lane = laneKey(kept.account, kept.flow, key);
    const list = this.#versions.get(lane) ?? [];
    const at = list.indexOf(kept);
    if (at >= 0) list.splice(at, 1);
    if (list.length > 0) return;
    this.#versions.delete(lane);
    this.#space(kept.account, kept.flow).delete(key);
  }

  #space(account: string, flow: string): Set<string> {
    const name = `${account}/${flow}`;
    let keys = this.#spaces.get(name);
    if (keys === undefined) this.#spaces.set(name, (keys = new Set()));
    return keys;
  }

  /** Oldest first. */
  of(account: string, flow: string, key: string): readonly Attempt[] {
    return this.#versions.get(laneKey(account, flow, key)) ?? [];
  }

  /** The newest version that `visible` lets through, a delete or an expired one included. */
  current(account: string, flow: string, key: string, visible: Visible): Attempt | null {
    const list = this.of(account, flow, key);
    return list.findLast((kept) => visible(kept.uow, kept.attempt)) ?? null;
  }

  /** Every key of account and flow that starts with `prefix`, in the order of UTF-8 bytes. */
  keys(account: string, flow: string, prefix: string): string[] {
    const keys = [...this.#space(account, flow)].filter((key) => key.startsWith(prefix));
    return keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  /** As the contract of `Stash.prune` says, at most `max` versions and tombstones a call. */
  prune(belowUow: Uow, keepVersions: number, now: EpochMs, max: number): number {
    let gone = 0;
    for (const list of this.#versions.values()) {
      if (gone >= max) return gone;
      const settled = list.filter((kept) => kept.uow < belowUow);
      const newest = settled.at(-1);
      if (newest === undefined) continue;
      const owed = Math.max(0, settled.length - keepVersions);
      const going = settled.slice(0, Math.min(owed, max - gone));
      const ended = newest.kind === 'delete' || (newest.expiresAt ?? Infinity) <= now;
      if (settled.length === 1 && ended) going.push(newest);
      for (const kept of going) this.#drop(kept, list);
      gone += going.length;
    }
    for (const [id, kept] of this.#attempts) {
      if (gone >= max) return gone;
      if (kept !== 'tombstone' || Number(id.split('.')[0]) >= belowUow) continue;
      this.#attempts.delete(id);
      gone += 1;
    }
    return gone;
  }

  #drop(kept: Attempt, list: readonly Attempt[]): void {
    const key = kept.keys.find((name) => this.of(kept.account, kept.flow, name) === list);
    if (key !== undefined) this.#unlink(kept, key);
    const used = kept.keys.some((name) => this.of(kept.account, kept.flow, name).includes(kept));
    if (!used) this.#attempts.delete(`${kept.uow}.${kept.attempt}`);
  }
}

function isOlder(one: Attempt, other: Attempt | undefined): boolean {
  if (other === undefined) return false;
  return one.uow < other.uow || (one.uow === other.uow && one.attempt < other.attempt);
}
