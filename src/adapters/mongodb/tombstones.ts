/**
 * Undoing in a MongoDB stash: whatever stands under the ids of an attempt is replaced by
 * tombstones, and where nothing stands one is put, so that a late insert meets a duplicate. An
 * insert that comes in just between looking and putting makes the server answer with a duplicate;
 * asked again, it replaces what came in.
 */
import type { Attempt } from '../../contracts/stash.ts';
import type { Connection } from './connection.ts';
import { WRITE_CONCERN, lotsOf, tombstoneOf, type VersionDocument } from './documents.ts';
import type { Late } from './late.ts';
import { DUPLICATE_KEY } from './trouble.ts';

/** Times a tombstone is put again after a duplicate; one is enough against a single late insert. */
const ROUNDS_MAX = 4;

interface Put {
  /** Which attempt it belongs to. */
  readonly of: number;
  readonly tombstone: VersionDocument;
}

export class Tombstones {
  readonly #connection: Connection;
  readonly #collection: string;
  readonly #late: Late;

  constructor(connection: Connection, collection: string, late: Late) {
    this.#connection = connection;
    this.#collection = collection;
    this.#late = late;
  }

  /** For each attempt null when all its keys have their tombstone, or why that is not certain. */
  async put(attempts: readonly Attempt[]): Promise<(string | null)[]> {
    const faults: (string | null)[] = attempts.map(() => null);
    let puts = attempts.flatMap((attempt, of) => {
      const keepUntil = this.#late.keepUntil(attempt);
      return attempt.keys.map((key) => ({ of, tombstone: tombstoneOf(attempt, key, keepUntil) }));
    });
    for (let round = 1; puts.length > 0; round += 1) {
      const again: Put[] = [];
      for (const lot of lotsOf(puts, ({ tombstone }) => 12 * tombstone.key.length + 512)) {
        await this.#send(lot, faults, round < ROUNDS_MAX ? again : null);
      }
      puts = again;
    }
    for (const [at, fault] of faults.entries()) {
      const attempt = attempts[at];
      if (fault === null && attempt !== undefined) this.#late.settled(attempt);
    }
    return faults;
  }

  async #send(lot: readonly Put[], faults: (string | null)[], again: Put[] | null): Promise<void> {
    try {
      const reply = await this.#connection.command({
        update: this.#collection,
        updates: lot.map(({ tombstone }) => {
          return { q: { _id: tombstone._id }, u: tombstone, upsert: true };
        }),
        ordered: false,
        writeConcern: WRITE_CONCERN,
      });
      const errors = (reply['writeErrors'] ?? []) as {
        index: number;
        code: number;
        errmsg: string;
      }[];
      for (const { index, code, errmsg } of errors) {
        const put = lot[index];
        if (put === undefined) continue;
        if (code === DUPLICATE_KEY && again !== null) again.push(put);
        else faults[put.of] = errmsg;
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      for (const { of } of lot) faults[of] = why;
    }
  }
}
