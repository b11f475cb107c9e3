/**
 * Numbers for writes. Every start reserves a block durably above everything it has seen (P1), so a
 * number that was drawn but never synced before a crash is not drawn again for another write.
 */
import { LIMITS } from '../kernel/limits.ts';
import type { Uow } from '../kernel/words.ts';

export class Numbering {
  readonly epoch: number;
  readonly #reserve: (from: Uow, to: Uow) => Promise<void>;
  #next: Uow;
  #end: Uow;
  #reserving: Promise<void> | null = null;

  /**
   * `from` (inclusive) to `to` (exclusive) are reserved already. `reserve` appends a reservation
   * and resolves when it is on disk.
   */
  constructor(epoch: number, from: Uow, to: Uow, reserve: (from: Uow, to: Uow) => Promise<void>) {
    this.epoch = epoch;
    this.#next = from;
    this.#end = to;
    this.#reserve = reserve;
  }

  /** Numbers left before `next` would have none. */
  get left(): number {
    return this.#end - this.#next;
  }

  /** Every number below was drawn, by this start or an earlier one, or never will be. */
  get upcoming(): Uow {
    return this.#next;
  }

  /** The next number. Call only while `left` is above zero. */
  next(): Uow {
    if (this.#next >= this.#end) throw new RangeError('no reserved number left');
    const uow = this.#next;
    this.#next += 1;
    if (this.left < LIMITS.uowBlock / 2) this.#extend();
    return uow;
  }

  #extend(): void {
    if (this.#reserving !== null) return;
    const to = this.#end + LIMITS.uowBlock;
    this.#reserving = this.#reserve(this.#end, to).then(
      () => {
        this.#end = to;
        this.#reserving = null;
      },
      () => {
        this.#reserving = null;
      },
    );
  }
}
