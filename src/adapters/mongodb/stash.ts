/**
 * The MongoDB stash: insert-only versions, one document for each key of each attempt. There is
 * nothing to fence: whatever arrives late meets the document under its id (P15), a version or a
 * tombstone, and that stays as long as something may be late (late.ts).
 */
import type {
  Attempt,
  HoldsReply,
  Mark,
  ProbeFinding,
  Stash,
  StashReply,
  StashTraits,
  UndoReply,
} from '../../contracts/stash.ts';
import type { ConnectionBook } from '../../contracts/spec.ts';
import type { Uow } from '../../kernel/words.ts';
import type { World } from '../../kernel/world.ts';
import { Connection } from './connection.ts';
import { ATTEMPTS_MAX, attemptId } from './documents.ts';
import { prepareCollection } from './indexes.ts';
import { Insert, standing } from './insert.ts';
import { Late } from './late.ts';
import { Marks } from './marks.ts';
import { probe } from './probe.ts';
import { Pruning } from './prune.ts';
import { unavailable } from './reader.ts';
import { Servers } from './servers.ts';
import { Tombstones } from './tombstones.ts';

export interface MongoSetup {
  readonly id: string;
  readonly url: string;
  readonly database: string;
  readonly collection: string;
  readonly keepVersions: number;
  readonly keepForMs: number;
  readonly valueBytesMax: number;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly asDocument: boolean;
  readonly isReader: boolean;
  readonly connections: ConnectionBook;
  readonly world: World;
}

const APART: StashReply = {
  reply: 'failed',
  detail: 'not sent: the store is apart',
  sent: false,
  outage: true,
  apart: true,
};
const UNDONE: UndoReply = { reply: 'undone' };
const HOLDS_IDS_MAX = 500;

export class MongoStash implements Stash {
  readonly id: string;
  readonly kind = 'mongodb';
  readonly traits: StashTraits = { insertOnly: true, oneAttemptPerKey: false };
  readonly connection: Connection;
  readonly #setup: MongoSetup;
  readonly #marks: Marks;
  readonly #late: Late;
  readonly #tombstones: Tombstones;
  readonly #insert: Insert;
  readonly #pruning: Pruning;
  readonly #servers: Servers;
  #joining: Promise<Mark | null> | null = null;

  /** Throws a Fault when the address can never work; connects when its mark is asked for. */
  constructor(setup: MongoSetup) {
    const { id, collection, world } = setup;
    const marks = `${collection}_marks`;
    this.id = id;
    this.#setup = setup;
    const connection = new Connection({ ...setup, clock: world.clock });
    this.connection = connection;
    this.#late = new Late(world.clock);
    this.#tombstones = new Tombstones(connection, collection, this.#late);
    const parts = { connection, collection, late: this.#late, tombstones: this.#tombstones };
    const { asDocument, isReader } = setup;
    this.#insert = new Insert({ ...parts, asDocument, isReader });
    this.#marks = new Marks(id, marks, connection, world.clock);
    this.#pruning = new Pruning({ ...setup, connection, marks });
    this.#servers = new Servers(setup.connections);
  }

  async apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]> {
    if (attempts.length === 0) return this.#markOnly(mark);
    if (this.connection.apart) return attempts.map(() => APART);
    const turned = attempts.map((attempt) => this.#turnedAway(attempt));
    const fit = attempts.filter((_, at) => turned[at] === null);
    for (const { uow } of attempts) this.#came(uow);
    const replies = fit.length === 0 ? [] : await this.#insert.run(fit);
    this.#marks.offer(mark);
    if (fit.length === attempts.length) return replies;
    let next = 0;
    return turned.map((reply) => {
      if (reply !== null) return reply;
      next += 1;
      return replies[next - 1] ?? { reply: 'unknown', detail: 'no reply' };
    });
  }

  /** What needs no server to be turned away. */
  #turnedAway({ value, attempt }: Attempt): StashReply | null {
    const { valueBytesMax } = this.#setup;
    if (value.length > valueBytesMax) {
      const detail = `${value.length} bytes; ${this.id} takes ${valueBytesMax}`;
      return { reply: 'refused', status: 'too-large', detail };
    }
    if (attempt <= ATTEMPTS_MAX) return null;
    const detail = `tried ${ATTEMPTS_MAX} times: send it as a new write`;
    return { reply: 'failed', status: 'attempts', detail, sent: false };
  }

  #came(uow: Uow): void {
    this.#pruning.came(uow);
    this.#servers.came(uow);
  }

  async undo(attempts: readonly Attempt[], mark: Mark): Promise<readonly UndoReply[]> {
    if (attempts.length === 0) return this.#markOnly(mark);
    if (this.connection.apart) {
      const detail = 'not sent: the store is apart';
      return attempts.map(() => ({ reply: 'failed', detail, apart: true }));
    }
    for (const { uow } of attempts) this.#came(uow);
    // One with a greater number was never sent (`#turnedAway`), so nothing of it can arrive.
    const real = attempts.filter(({ attempt }) => attempt <= ATTEMPTS_MAX);
    const faults = await this.#tombstones.put(real);
    this.#marks.offer(mark);
    return attempts.map((attempt) => {
      const fault = faults[real.indexOf(attempt)] ?? null;
      return fault === null ? UNDONE : { reply: 'failed', detail: fault };
    });
  }

  /** Rejects when the mark is not stored: the host trims its intake behind it. */
  async #markOnly(mark: Mark): Promise<[]> {
    if (this.connection.apart) throw unavailable(this.id, 'it is apart');
    this.#marks.offer(mark);
    await this.#marks.settle();
    return [];
  }

  /**
   * An attempt of which nothing is there proves that it was not stored only in a store that is no
   * reader: what a dead process sent may still arrive, which a member answers with the tombstones
   * of an undo or takes for the attempt applied again, while in a reader, which is never undone, it
   * would be seen. And only if the server cannot have lost anything (servers.ts). A stash comes
   * before the reader: as long as it had not answered, the reader was not reached.
   */
  async holds(attempts: readonly Attempt[]): Promise<readonly HoldsReply[]> {
    for (const attempt of attempts) {
      // What the dead process sent of it may be under way.
      this.#late.add(attempt);
      this.#servers.came(attempt.uow);
    }
    const proves = !this.#setup.isReader && this.#servers.isWhole;
    const asked = attempts.flatMap(({ uow, attempt, keys }) => {
      return keys.map((key) => ({ _id: attemptId(uow, attempt) + key }));
    });
    const kinds = new Map<string, string>();
    for (let from = 0; from < asked.length; from += HOLDS_IDS_MAX) {
      const lot = asked.slice(from, from + HOLDS_IDS_MAX);
      const found = await standing(this.connection, this.#setup.collection, lot);
      for (const [id, { kind }] of found) kinds.set(id, kind);
    }
    return attempts.map(({ uow, attempt, keys }) => {
      const prefix = attemptId(uow, attempt);
      const there = new Set(keys.map((key) => kinds.get(prefix + key)));
      if (there.has('set') || there.has('delete')) return 'live';
      if (there.has('undone')) return 'tombstone';
      return proves ? 'never' : 'cannot-tell';
    });
  }

  async fence(): Promise<void> {
    // Nothing to do: a late insert finds its id in use, and a late mark a higher one.
  }

  async mark(): Promise<Mark | null> {
    if (this.connection.apart) {
      this.#joining ??= this.#join().finally(() => {
        this.#joining = null;
      });
      return this.#joining;
    }
    await this.#marks.settle();
    return this.#marks.read();
  }

  async #join(): Promise<Mark | null> {
    const server = await this.connection.connect();
    try {
      await prepareCollection(this.connection, this.#setup.collection);
      await this.#servers.met(server);
      this.#marks.forget();
      this.#pruning.forget();
      const mark = await this.#marks.read();
      if (!this.connection.join()) throw unavailable(this.id, 'it was lost while it was joined');
      return mark;
    } catch (error) {
      this.connection.leave('the store could not be joined');
      throw error;
    }
  }

  watch(told: (why: string) => void): void {
    this.connection.watch(told);
  }

  /** What was acknowledged is in the journals of a majority already; the mark may not be. */
  async flush(): Promise<void> {
    if (this.connection.apart) throw unavailable(this.id, 'it is apart');
    await this.#marks.settle();
  }

  probe(): Promise<readonly ProbeFinding[]> {
    return probe(this.#setup);
  }

  async prune(belowUow: Uow): Promise<number> {
    if (this.connection.apart) return 0;
    await this.#servers.settledBelow(belowUow);
    return this.#pruning.prune(belowUow);
  }

  async close(): Promise<void> {
    this.connection.close();
  }
}
