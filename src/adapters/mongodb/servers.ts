/**
 * Which server processes a stash was connected to, kept in the connection book. They decide whether
 * the absence of an attempt proves that it was never stored: what was acknowledged is in the
 * journals of a majority and outlives every crash, but not a server that was put back to an older
 * copy of its data. That needs another server process, so absence proves something only where the
 * very process answers that this stash has been talking to all along.
 */
import type { ConnectionBook } from '../../contracts/spec.ts';
import type { Uow } from '../../kernel/words.ts';
import type { ServerIdentity } from './connection.ts';

const UNNAMED = 'unnamed';

export class Servers {
  readonly #book: ConnectionBook;
  #process: string | null = null;
  #whole = false;
  /** Above every attempt whose loss with another process could matter. */
  #doubtTo: Uow = 0;
  #seenTo: Uow = 0;
  #doubtIsBound = false;

  constructor(book: ConnectionBook) {
    this.#book = book;
  }

  /** To be awaited before anything is written to this server. */
  async met({ address, process }: ServerIdentity): Promise<void> {
    const known = await this.#book.list();
    this.#whole = process !== null && known.every(({ server }) => server === process);
    this.#process = process;
    this.#doubtIsBound = false;
    const server = process ?? UNNAMED;
    if (known.some((one) => one.server === server && one.node === address)) return;
    const { epoch } = this.#book;
    await this.#book.record({ node: address, server, connection: '0', epoch });
  }

  /** Whether everything that was ever acknowledged is there for certain. */
  get isWhole(): boolean {
    return this.#whole;
  }

  /** An attempt with this uow was handed over. */
  came(uow: Uow): void {
    if (uow > this.#seenTo) this.#seenTo = uow;
  }

  /**
   * Everything below `uow` has settled. Processes of before are forgotten once every attempt that
   * was seen up to some turn after the change has: at a start those without outcome are asked about
   * before any other is sent.
   */
  async settledBelow(uow: Uow): Promise<void> {
    if (this.#whole || this.#process === null) return;
    if (!this.#doubtIsBound) {
      this.#doubtIsBound = true;
      this.#doubtTo = this.#seenTo;
    }
    if (uow <= this.#doubtTo) return;
    const others = (await this.#book.list()).filter(({ server }) => server !== this.#process);
    await this.#book.forget(others);
    this.#whole = true;
  }
}
