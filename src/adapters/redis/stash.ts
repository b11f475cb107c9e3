/**
 * The Redis stash. As the reader of its flows it writes plain values; as a member of the set it
 * keeps what stood there before, so that an undo can give it back.
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
import type { Uow } from '../../kernel/words.ts';
import { flushNode } from './flush.ts';
import { Images } from './image.ts';
import { unavailable } from './joining.ts';
import { Marks } from './marks.ts';
import { PlainBatch } from './plain.ts';
import { probe } from './probe.ts';
import { execute, type Unit } from './sending.ts';
import { slotOf } from './slots.ts';
import type { RedisStore } from './store.ts';
import { apartReply } from './verdict.ts';

export class RedisStash implements Stash {
  readonly id: string;
  readonly kind = 'redis';
  readonly traits: StashTraits;
  readonly #store: RedisStore;
  readonly #marks: Marks;
  readonly #images: Images;
  /** Values are read from here first: nothing is ever taken back. */
  readonly #isReader: boolean;

  constructor(store: RedisStore) {
    this.id = store.id;
    this.#store = store;
    this.#isReader = store.setup.role === 'reader';
    this.traits = {
      insertOnly: false,
      oneAttemptPerKey: !this.#isReader,
      pipelined: !store.options.cluster,
    };
    this.#marks = new Marks(store);
    this.#images = new Images(store, this.#marks, !this.#isReader);
    store.watch(() => this.#marks.forget());
  }

  async apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]> {
    const { apart } = this.#store;
    if (apart !== null) return attempts.map(() => apartReply(apart));
    const behind = this.#marks.behind(mark, attempts.length === 0);
    if (attempts.length === 0) {
      this.#marks.answered(await execute(this.#store, behind));
      return [];
    }
    if (this.#store.scripts) return this.#images.apply(attempts, behind);
    const batch = new PlainBatch(this.#store, attempts);
    const results = await execute(this.#store, [...batch.units, ...behind]);
    this.#marks.answered(results.slice(batch.units.length));
    return batch.replies(results.slice(0, batch.units.length));
  }

  async undo(attempts: readonly Attempt[], mark: Mark): Promise<readonly UndoReply[]> {
    const { apart } = this.#store;
    if (apart !== null) {
      const reply: UndoReply = { reply: 'failed', detail: `not sent: ${apart}`, apart: true };
      return attempts.map(() => reply);
    }
    if (this.#isReader) {
      const detail = 'the reader keeps no image of what stood before: it only goes forward';
      return attempts.map(() => ({ reply: 'undo-conflict', detail }));
    }
    return this.#images.undo(attempts, this.#marks.behind(mark, true));
  }

  async holds(attempts: readonly Attempt[]): Promise<readonly HoldsReply[]> {
    if (this.#store.apart !== null) return attempts.map(() => 'cannot-tell');
    if (this.#store.scripts) return this.#images.holds(attempts);
    if (!this.#store.options.metadata) return attempts.map(() => 'cannot-tell');
    return Promise.all(attempts.map((attempt) => this.#isThere(attempt)));
  }

  /** What is there under its number is live; what is not may have been there all the same. */
  async #isThere({ account, flow, keys, uow, attempt }: Attempt): Promise<HoldsReply> {
    const units = keys.map((key): Unit => {
      const name = this.#store.names.of(account, flow, key);
      return { slot: slotOf(name), commands: [['GET', this.#store.names.about(name)]] };
    });
    const results = await execute(this.#store, units);
    const here = results.every((result) => {
      const [about] = result.state === 'done' ? result.replies : [];
      return typeof about === 'string' && about.startsWith(`${uow} ${attempt} `);
    });
    return here ? 'live' : 'cannot-tell';
  }

  fence(): Promise<void> {
    return this.#store.fence();
  }

  async mark(): Promise<Mark | null> {
    await this.#store.join();
    await this.#settleMark();
    return this.#marks.read();
  }

  async #settleMark(): Promise<void> {
    const owed = this.#marks.owed();
    if (owed.length > 0) this.#marks.answered(await execute(this.#store, owed));
  }

  watch(told: (why: string) => void): void {
    this.#store.watch(told);
  }

  async flush(): Promise<void> {
    const { apart } = this.#store;
    if (apart !== null) throw unavailable(`"${this.id}" is apart: ${apart}`);
    await this.#settleMark();
    await Promise.all(this.#store.masters().map((node) => flushNode(this.#store, node)));
  }

  probe(): Promise<readonly ProbeFinding[]> {
    return probe(this.#store);
  }

  async prune(belowUow: Uow): Promise<number> {
    if (this.#store.apart !== null || this.#isReader) return 0;
    return this.#images.prune(belowUow);
  }

  async close(): Promise<void> {
    this.#store.close();
  }
}
