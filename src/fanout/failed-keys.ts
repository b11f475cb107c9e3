/**
 * Which failed writes a commit ends (P36): an older failed write that shares a key with a committed
 * newer one is superseded, whole, even when only one of its keys is. The index holds every write in
 * the fail queue and every failed write whose undo still runs after its lanes were let go.
 */
import { laneKey, type Uow, type WriteKind } from '../kernel/words.ts';
import type { Superseded } from '../intake/records.ts';
import type { HeldWrite } from '../intake/write.ts';

export interface FailedEntry {
  readonly uow: Uow;
  readonly attempt: number;
  readonly account: string;
  readonly flow: string;
  readonly kind: WriteKind;
  readonly keys: readonly string[];
}

export class FailedKeys {
  readonly #byUow = new Map<Uow, FailedEntry>();
  readonly #byLane = new Map<string, Set<Uow>>();

  get size(): number {
    return this.#byUow.size;
  }

  has(uow: Uow): boolean {
    return this.#byUow.has(uow);
  }

  add(entry: FailedEntry): void {
    const { uow, attempt, account, flow, kind, keys } = entry;
    // A copy of these facts alone: the entry may be a whole write, whose bytes must not stay.
    this.#byUow.set(uow, { uow, attempt, account, flow, kind, keys });
    for (const key of keys) {
      const lane = laneKey(account, flow, key);
      const uows = this.#byLane.get(lane);
      if (uows === undefined) this.#byLane.set(lane, new Set([uow]));
      else uows.add(uow);
    }
  }

  remove(uow: Uow): void {
    const entry = this.#byUow.get(uow);
    if (entry === undefined) return;
    this.#byUow.delete(uow);
    for (const key of entry.keys) {
      const lane = laneKey(entry.account, entry.flow, key);
      const uows = this.#byLane.get(lane);
      uows?.delete(uow);
      if (uows?.size === 0) this.#byLane.delete(lane);
    }
  }

  /**
   * Removes and returns the failed writes that the commit of `write` ends. A younger failed write
   * is not among them: its retry would rightly come after.
   */
  endedBy(write: HeldWrite): Superseded[] {
    if (this.#byUow.size === 0) return [];
    const ended: Superseded[] = [];
    for (const key of write.keys) {
      for (const uow of this.#byLane.get(laneKey(write.account, write.flow, key)) ?? []) {
        const entry = this.#byUow.get(uow);
        if (entry === undefined || uow >= write.uow) continue;
        ended.push({ u: uow, a: entry.attempt, k: entry.kind, keys: entry.keys });
        this.remove(uow);
      }
    }
    return ended;
  }
}
