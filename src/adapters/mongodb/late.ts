/**
 * What may still be under way to the server. An insert whose answer was lost may arrive minutes
 * later, and MongoDB has no way to fence a connection: what stops it is the document that stands
 * under its id by then, a version or a tombstone. So that document must not be removed while the
 * late one may come, or a value that was undone, or deleted since, would appear.
 */
import type { Attempt } from '../../contracts/stash.ts';
import type { Clock } from '../../kernel/world.ts';
import { attemptId } from './documents.ts';

/** Longer than any network or proxy is known to keep what it was given. */
const KEPT_MS = 24 * 3_600_000;

export class Late {
  readonly #clock: Clock;
  /** Attempts without an answer that are not settled yet: as many as the host has open at most. */
  readonly #attempts = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An answer about it was lost, here or in a process that is dead. */
  add({ uow, attempt }: Attempt): void {
    this.#attempts.add(attemptId(uow, attempt));
  }

  /** It is undone, or it is stored by a sending that says how long it must stay. */
  settled({ uow, attempt }: Attempt): void {
    if (this.#attempts.size > 0) this.#attempts.delete(attemptId(uow, attempt));
  }

  /** Until when a document of this attempt must stay; null when nothing else of it can come. */
  keepUntil({ uow, attempt, grant }: Attempt): Date | null {
    const again = grant.counter < 0;
    if (!again && (this.#attempts.size === 0 || !this.#attempts.has(attemptId(uow, attempt)))) {
      return null;
    }
    return new Date(this.#clock.wallMs() + KEPT_MS);
  }
}
