/**
 * Callbacks: answers that a store sends later than in its reply. Each waits under a token that only
 * the store was told; what comes under another token, or too late, is turned away.
 */
import type { CallbackAnswer, Callbacks as CallbacksContract } from '../contracts/spec.ts';
import type { CallbackPort } from '../contracts/ports.ts';
import type { Clock } from '../kernel/world.ts';

export class Callbacks implements CallbacksContract, CallbackPort {
  readonly #clock: Clock;
  readonly #waiting = new Map<string, (answer: CallbackAnswer | null) => void>();
  /** Where this process is reached from outside, without a slash at the end; null: nowhere. */
  #base: string | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Called once it is known where this process listens. */
  reachedAt(base: string): void {
    this.#base = base.replace(/\/+$/, '');
  }

  url(token: string): string | null {
    return this.#base === null ? null : `${this.#base}/v1/callbacks/${encodeURIComponent(token)}`;
  }

  expect(token: string, withinMs: number): Promise<CallbackAnswer | null> {
    return new Promise((done) => {
      const timer = this.#clock.after(withinMs, () => {
        this.#waiting.delete(token);
        done(null);
      });
      this.#waiting.set(token, (answer) => {
        timer.cancel();
        this.#waiting.delete(token);
        done(answer);
      });
    });
  }

  forget(token: string): void {
    this.#waiting.get(token)?.(null);
  }

  deliver(token: string, answer: CallbackAnswer): boolean {
    const waiting = this.#waiting.get(token);
    waiting?.(answer);
    return waiting !== undefined;
  }
}
