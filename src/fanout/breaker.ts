/**
 * The breaker of one stash: after enough outages in a row it is open, and new writes that need the
 * stash are turned away before they are held; after a pause one lot is let through to look.
 */
import { LIMITS } from '../kernel/limits.ts';
import type { Clock } from '../kernel/world.ts';

export class Breaker {
  readonly #clock: Clock;
  #failures = 0;
  #openUntil = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  failed(): void {
    this.#failures += 1;
    if (this.#failures >= LIMITS.breakerFailuresMax) {
      this.#openUntil = this.#clock.monotonicMs() + LIMITS.breakerOpenMs;
    }
  }

  succeeded(): void {
    this.#failures = 0;
    this.#openUntil = 0;
  }

  /** Milliseconds until the next look; 0 when it is closed or a look is due. */
  get openForMs(): number {
    if (this.#openUntil === 0) return 0;
    return Math.max(0, this.#openUntil - this.#clock.monotonicMs());
  }

  get open(): boolean {
    return this.openForMs > 0;
  }
}
