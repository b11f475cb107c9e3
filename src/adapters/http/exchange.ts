/**
 * One call and its answer, however that comes: signed, sent, and where the server says 202, waited
 * for at the callback. An answer from outside counts only if it is signed for this very call.
 */
import type { Callbacks } from '../../contracts/spec.ts';
import type { World } from '../../kernel/world.ts';
import type { Answer, Connection } from './connection.ts';
import { meaningOf } from './replies.ts';
import { signatureFault, signed, type Keys } from './signature.ts';

export type Ended = Answer | { readonly got: 'late'; readonly why: string };

export interface ExchangeParts {
  readonly connection: Connection;
  readonly world: World;
  readonly callbacks: Callbacks;
  readonly keys: Keys;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  /** How long a callback may take. */
  readonly deadlineMs: number;
}

const ID_BYTES = 18;

export class Exchange {
  readonly #parts: ExchangeParts;
  readonly #waiting = new Set<string>();

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
  }

  /** A call that is answered at once. Never rejects. */
  async ask(path: string, body: string): Promise<Answer> {
    return await this.#send(path, this.#id(), body);
  }

  /**
   * A call that may be answered by callback: `bodyFor` is given where. `accepted` is called when
   * the server said that it will. Never rejects.
   */
  async askEither(
    path: string,
    bodyFor: (callback: string | null) => string,
    accepted: () => void = () => {},
  ): Promise<Ended> {
    const { callbacks, deadlineMs } = this.#parts;
    const id = this.#id();
    const url = callbacks.url(id);
    if (url === null) return await this.#send(path, id, bodyFor(null));
    // Waits before it asks: the callback may overtake the 202.
    const answer = this.#callback(id);
    const at = await this.#send(path, id, bodyFor(url));
    if (at.got === 'answer' && meaningOf(at.status) === 'later') {
      accepted();
      const why = `202, and no callback within ${deadlineMs} ms`;
      return (await answer) ?? { got: 'late', why };
    }
    this.#forget(id);
    return at;
  }

  /** Ends the wait for every callback. */
  close(): void {
    for (const id of this.#waiting) this.#forget(id);
  }

  #id(): string {
    return Buffer.from(this.#parts.world.random.bytes(ID_BYTES)).toString('base64url');
  }

  #send(path: string, id: string, body: string): Promise<Answer> {
    const { connection, world, keys, headers } = this.#parts;
    const own = signed(keys, id, world.clock.wallMs(), body);
    return connection.post(path, body, [...own, ...headers]);
  }

  #forget(id: string): void {
    this.#waiting.delete(id);
    this.#parts.callbacks.forget(id);
  }

  /** Null when the deadline is over. What is not signed for this call leaves the wait as it was. */
  async #callback(id: string): Promise<Answer | null> {
    const { callbacks, world, keys, deadlineMs } = this.#parts;
    const until = world.clock.monotonicMs() + deadlineMs;
    this.#waiting.add(id);
    while (this.#waiting.has(id)) {
      const leftMs = until - world.clock.monotonicMs();
      const came = leftMs <= 0 ? null : await callbacks.expect(id, leftMs);
      if (came === null) break;
      const { headers, body } = came;
      if (signatureFault(keys, id, world.clock.wallMs(), headers, body) !== null) continue;
      this.#waiting.delete(id);
      const text = Buffer.from(body).toString('utf8');
      return { got: 'answer', status: 200, retryAfter: headers['retry-after'], text };
    }
    this.#waiting.delete(id);
    return null;
  }
}
