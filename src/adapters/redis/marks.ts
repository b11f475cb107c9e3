/**
 * Marks: how far the store has what was settled (P24), one in each master. A mark goes out behind a
 * batch, at most once a second: it may lag, since what lies above it is only sent once more.
 */
import type { Mark } from '../../contracts/stash.ts';
import type { Clock } from '../../kernel/world.ts';
import { unavailable, type Joined } from './joining.ts';
import type { Result, Unit } from './sending.ts';
import type { RedisStore } from './store.ts';
import { replyOf, STORED } from './verdict.ts';

const EVERY_MS = 1000;

export class Marks {
  readonly #store: RedisStore;
  readonly #clock: Clock;
  #written = -Infinity;
  /** Handed over and not sent yet. */
  #owed: Mark | null = null;
  /** Masters that had a mark when it was read or written last: from those it cannot just vanish. */
  readonly #had = new Set<string>();

  constructor(store: RedisStore) {
    this.#store = store;
    this.#clock = store.setup.world.clock;
  }

  /** What to send behind a batch: nothing, or one unit per master. */
  behind(mark: Mark, always: boolean): readonly Unit[] {
    this.#owed = mark;
    const now = this.#clock.monotonicMs();
    if (!always && now - this.#written < EVERY_MS) return [];
    this.#written = now;
    this.#owed = null;
    return this.#units(mark);
  }

  /** What `behind` kept back. */
  owed(): readonly Unit[] {
    const mark = this.#owed;
    return mark === null ? [] : this.behind(mark, true);
  }

  /** The store was lost: what it is owed is handed over anew once it is whole. */
  forget(): void {
    this.#owed = null;
    this.#written = -Infinity;
    this.#had.clear();
  }

  /** Every master had a mark when it was joined or since: none of them was emptied. */
  get whole(): boolean {
    return this.#store.masters().every(({ node }) => this.#had.has(node));
  }

  /**
   * Looks at what the units of `behind` answered. A mark that is gone was not taken away by us: the
   * server was emptied, though it still is the same process.
   */
  answered(results: readonly Result[]): void {
    const masters = this.#store.masters();
    for (const [at, result] of results.entries()) {
      const node = masters[at]?.node;
      if (node === undefined || replyOf(result) !== STORED) {
        this.missed();
      } else if (result.state === 'done' && result.replies[0] === null && this.#had.has(node)) {
        this.#store.lost(`the mark is gone from ${node}: it was emptied`);
        return;
      } else {
        this.#had.add(node);
      }
    }
  }

  /** A mark that did not arrive goes out behind the next batch. */
  missed(): void {
    this.#written = -Infinity;
  }

  #units(mark: Mark): Unit[] {
    const { journalId, position, from } = mark;
    const text = JSON.stringify({ journalId, position, from });
    return this.#store.masters().flatMap(({ node }) => {
      const slot = this.#store.firstSlot(node);
      if (slot === null) return [];
      // Where one stood it is only replaced: a server that was emptied must not look whole again.
      const only = this.#had.has(node) ? ['XX', 'GET'] : [];
      return [{ slot, commands: [['SET', this.#store.names.mark(slot), text, ...only]] }];
    });
  }

  /** The lowest of all masters; null where one has none. Rejects when one does not answer. */
  async read(): Promise<Mark | null> {
    const found = await Promise.all(this.#store.masters().map((node) => this.#readOne(node)));
    let lowest: Mark | null = null;
    for (const mark of found) {
      if (mark === null) return null;
      if (lowest !== null && mark.journalId !== lowest.journalId) {
        throw unavailable('the masters of this cluster hold marks of two journals');
      }
      if (lowest === null || mark.position < lowest.position) lowest = mark;
    }
    return lowest;
  }

  async #readOne({ node, write }: Joined): Promise<Mark | null> {
    const slot = this.#store.firstSlot(node);
    if (slot === null) return null;
    const answer = await write.ask('GET', this.#store.names.mark(slot));
    if (answer === null) return null;
    const mark = typeof answer === 'string' ? markIn(answer) : null;
    if (mark === null) throw unavailable(`${node} holds something else in the place of our mark`);
    this.#had.add(node);
    return mark;
  }
}

function markIn(text: string): Mark | null {
  try {
    const { journalId, position, from } = JSON.parse(text) as Partial<Mark>;
    if (typeof journalId !== 'string') return null;
    if (typeof position !== 'number' || typeof from !== 'number') return null;
    return { journalId, position, from };
  } catch {
    return null;
  }
}
