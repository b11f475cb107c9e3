/**
 * The low-water mark of a MongoDB stash: one document in a collection of its own. Behind a batch it
 * is written at most once a second, on a connection of its own and without anybody waiting: a mark
 * says only what was settled before, so it may be late and never early.
 */
import type { Mark } from '../../contracts/stash.ts';
import type { Clock } from '../../kernel/world.ts';
import type { Connection } from './connection.ts';
import { type Bson, WRITE_CONCERN } from './documents.ts';
import { DUPLICATE_KEY, Trouble } from './trouble.ts';

const PAUSE_MS = 1000;

export class Marks {
  readonly #id: string;
  readonly #collection: string;
  readonly #connection: Connection;
  readonly #clock: Clock;
  /** Handed over, and not yet written. */
  #waiting: Mark | null = null;
  #writing: Promise<void> | null = null;
  #writtenMs = Number.NEGATIVE_INFINITY;

  constructor(id: string, collection: string, connection: Connection, clock: Clock) {
    this.#id = id;
    this.#collection = collection;
    this.#connection = connection;
    this.#clock = clock;
  }

  /** The mark stored last; rejects with a Trouble. */
  async read(): Promise<Mark | null> {
    const reply = await this.#connection.command({
      find: this.#collection,
      filter: { _id: this.#id },
      limit: 1,
      singleBatch: true,
    });
    const [found] = (reply['cursor'] as { firstBatch: Bson[] }).firstBatch;
    if (found === undefined) return null;
    const { journalId, position, from } = found as unknown as Mark;
    return { journalId, position, from };
  }

  /** To be written behind this call, or behind one that comes a second later. */
  offer(mark: Mark): void {
    this.#waiting = mark;
    if (this.#writing !== null) return;
    if (this.#clock.monotonicMs() - this.#writtenMs < PAUSE_MS) return;
    // One that fails is written with the next.
    this.#writeWaiting().catch(() => undefined);
  }

  /** Resolves when every mark handed over is stored; rejects with a Trouble. */
  async settle(): Promise<void> {
    while (this.#writing !== null || this.#waiting !== null) {
      await (this.#writing ?? this.#writeWaiting());
    }
  }

  /** What was handed over for a life that ended says nothing about the server of the next. */
  forget(): void {
    this.#waiting = null;
    this.#writtenMs = Number.NEGATIVE_INFINITY;
  }

  #writeWaiting(): Promise<void> {
    const mark = this.#waiting;
    if (mark === null) return Promise.resolve();
    this.#waiting = null;
    this.#writtenMs = this.#clock.monotonicMs();
    const writing = this.#write(mark)
      .catch((error: unknown) => {
        this.#waiting ??= mark;
        throw error;
      })
      .finally(() => {
        this.#writing = null;
      });
    this.#writing = writing;
    return writing;
  }

  /** Never backwards: a mark that arrives late meets a higher one and changes nothing. */
  async #write({ journalId, position, from }: Mark): Promise<void> {
    const reply = await this.#connection.command({
      update: this.#collection,
      updates: [
        {
          q: { _id: this.#id, position: { $lte: position } },
          u: { $set: { journalId, position, from } },
          upsert: true,
        },
      ],
      writeConcern: WRITE_CONCERN,
    });
    const [error] = (reply['writeErrors'] ?? []) as { code: number; errmsg: string }[];
    if (error === undefined || error.code === DUPLICATE_KEY) return;
    throw new Trouble('answered', `the mark was not taken: ${error.errmsg}`, error.code);
  }
}
