/**
 * Writes by number. Numbers are drawn one after the other and let go of in nearly the same order,
 * so they stand in a window of an array. (A Map that is filled and emptied all the time leaves dead
 * tables behind, each of which leads to the next and holds what was in it: everything in it would
 * outlive two collections and be copied each time.)
 */
import type { Uow } from '../kernel/words.ts';
import type { HeldWrite } from './write.ts';

/** Slots in front that are let go of together. */
const COMPACT_AT = 1024;

export class ByUow {
  /** Slot 0 belongs to this number. */
  #base: Uow = 0;
  #slots: (HeldWrite | null)[] = [];
  #head = 0;
  /** Numbers that are not in the window: of earlier starts, or tried again. */
  readonly #others = new Map<Uow, HeldWrite>();

  get(uow: Uow): HeldWrite | undefined {
    const at = uow - this.#base;
    if (at >= this.#head && at < this.#slots.length) return this.#slots[at] ?? undefined;
    return this.#others.size === 0 ? undefined : this.#others.get(uow);
  }

  set(write: HeldWrite): void {
    const { uow } = write;
    if (this.#head === this.#slots.length) {
      this.#slots = [];
      this.#head = 0;
      this.#base = uow;
    }
    const at = uow - this.#base;
    if (at === this.#slots.length) this.#slots.push(write);
    else if (at >= this.#head && at < this.#slots.length) this.#slots[at] = write;
    else this.#others.set(uow, write);
  }

  delete(uow: Uow): void {
    const at = uow - this.#base;
    if (at < this.#head || at >= this.#slots.length) {
      this.#others.delete(uow);
      return;
    }
    this.#slots[at] = null;
    while (this.#head < this.#slots.length && this.#slots[this.#head] === null) this.#head += 1;
    if (this.#head < COMPACT_AT || this.#head * 2 < this.#slots.length) return;
    this.#slots = this.#slots.slice(this.#head);
    this.#base += this.#head;
    this.#head = 0;
  }

  /** All of them, in no order that means anything. May be changed while it is walked. */
  *values(): Generator<HeldWrite> {
    yield* this.#others.values();
    for (const write of this.#slots.slice(this.#head)) if (write !== null) yield write;
  }
}
