/**
 * A simulated store as one process reaches it: the stash and the reader, with all that can go wrong
 * on the way.
 */
import type { Found, Reader, ScanPage, Visible } from '../../src/contracts/reader.ts';
import type {
  Attempt,
  HoldsReply,
  Mark,
  ProbeFinding,
  Stash,
  StashReply,
  StashTraits,
  UndoReply,
} from '../../src/contracts/stash.ts';
import { laneKey } from '../../src/kernel/words.ts';
import type { SimStore } from './store.ts';

/** Behind a fence: absence proves that the reader was not sent to, unless the store forgot. */
function holdsOver(store: SimStore, attempt: Attempt): HoldsReply {
  for (const key of attempt.keys) {
    const side = store.contents.sides.get(laneKey(attempt.account, attempt.flow, key));
    if (side?.uow === attempt.uow && side.attempt === attempt.attempt) {
      return side.undone ? 'tombstone' : 'live';
    }
    if (side !== undefined && side.uow >= attempt.uow) return 'cannot-tell';
  }
  return store.forgot ? 'cannot-tell' : 'never';
}

/** One process's connection to a store. Dead with the process; what it sent may still arrive. */
export class SimStash implements Stash, Reader {
  readonly id: string;
  readonly kind = 'simulated';
  readonly traits: StashTraits;
  readonly #store: SimStore;
  #connection: number;
  readonly #alive: () => boolean;
  /** The session that was joined; null: apart. */
  #session: number | null = null;
  #told: (why: string) => void = () => {};
  /** When the last message of a pipeline arrives: none arrives before one that was sent earlier. */
  #arrivesMs = 0;
  /** A message of this connection was lost or is late: so is all that was sent behind it. */
  #brokenAt = 0;

  constructor(store: SimStore, alive: () => boolean) {
    this.id = store.id;
    const images = store.kind === 'images';
    const { pipelined } = store;
    this.traits = { insertOnly: store.kind === 'versions', oneAttemptPerKey: images, pipelined };
    this.#store = store;
    this.#connection = store.connect();
    this.#alive = alive;
  }

  apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]> {
    const store = this.#store;
    const { chance, weather } = store;
    if (this.#isApart()) {
      const reply: StashReply = { reply: 'failed', detail: 'apart', sent: false, apart: true };
      return this.#reply(() => attempts.map(() => reply));
    }
    if (chance.hits(weather.failUnsent)) {
      const reply: StashReply = { reply: 'failed', status: 503, detail: 'away', sent: false };
      return this.#reply(() => attempts.map(() => reply));
    }
    const copies = attempts.map((attempt) => ({ ...attempt, keys: [...attempt.keys] }));
    const deliver = this.#message(() => {
      const replies = copies.map((attempt): StashReply => {
        if (chance.hits(weather.failSent)) {
          return { reply: 'failed', status: 500, detail: 'broken inside', sent: true };
        }
        if (chance.hits(weather.refuse)) {
          return { reply: 'refused', status: 400, detail: 'out of a whim' };
        }
        return store.applyNow(attempt);
      });
      store.contents.mark = mark;
      store.snapshot();
      return replies;
    });
    return this.#send(deliver, () => {
      const unknown: StashReply = { reply: 'unknown', detail: 'no reply' };
      return attempts.map(() => unknown);
    });
  }

  undo(attempts: readonly Attempt[], mark: Mark): Promise<readonly UndoReply[]> {
    const store = this.#store;
    const failed: UndoReply = { reply: 'failed', detail: 'away' };
    if (this.#isApart()) {
      const reply: UndoReply = { reply: 'failed', detail: 'apart', apart: true };
      return this.#reply(() => attempts.map(() => reply));
    }
    if (store.chance.hits(store.weather.failUnsent)) {
      return this.#reply(() => attempts.map(() => failed));
    }
    const copies = attempts.map((attempt) => ({ ...attempt, keys: [...attempt.keys] }));
    const deliver = this.#message(() => {
      for (const attempt of copies) store.undoNow(attempt);
      store.contents.mark = mark;
      store.snapshot();
      return copies.map((): UndoReply => ({ reply: 'undone' }));
    });
    return this.#send(deliver, () => attempts.map(() => failed));
  }

  holds(attempts: readonly Attempt[]): Promise<readonly HoldsReply[]> {
    const store = this.#store;
    return this.#reply(() => attempts.map((attempt) => this.#holds(store, attempt)));
  }

  #holds(store: SimStore, attempt: Attempt): HoldsReply {
    // A version may have been overwritten since, and a late message may still come.
    if (store.kind === 'overwrites') return 'cannot-tell';
    if (store.kind === 'images') return holdsOver(store, attempt);
    const name = `${attempt.uow}.${attempt.attempt}`;
    const found = attempt.keys.map((key) => {
      const lane = laneKey(attempt.account, attempt.flow, key);
      return store.contents.versions.get(lane)?.get(name)?.kind;
    });
    if (found.includes('tombstone')) return 'tombstone';
    if (found.some((kind) => kind !== undefined)) return 'live';
    // The reader is sent to only after this store answered, so absence proves that it was not;
    // unless the store forgot what it had answered.
    return store.forgot ? 'cannot-tell' : 'never';
  }

  /** Everything sent before over any connection but this one's next is dropped on arrival. */
  fence(): Promise<void> {
    const store = this.#store;
    if (store.chance.hits(store.weather.failUnsent)) {
      return this.#wait().then(() => Promise.reject(new Error('away')));
    }
    store.connections += 1;
    this.#connection = store.connections;
    store.fencedBelow = store.connections;
    return this.#wait();
  }

  async mark(): Promise<Mark | null> {
    const store = this.#store;
    await this.fence();
    this.#session = store.session;
    store.watchers.add(() => {
      // It takes a moment until a process notices.
      store.schedule.after(this.#latency(), () => void this.#isApart(), this.#alive);
    });
    return store.contents.mark;
  }

  watch(told: (why: string) => void): void {
    this.#told = told;
  }

  /** True, and the host was told, when its connection or the store itself was lost. */
  #isApart(): boolean {
    if (this.#session === this.#store.session) return false;
    if (this.#session !== null) this.#part();
    return true;
  }

  #part(): void {
    this.#session = null;
    this.#told('connection lost');
  }

  async flush(): Promise<void> {
    await this.#wait();
    this.#store.flush();
  }

  probe(): Promise<readonly ProbeFinding[]> {
    return Promise.resolve([]);
  }

  prune(): Promise<number> {
    return Promise.resolve(0);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  get(
    account: string,
    flow: string,
    keys: readonly string[],
    visible: Visible,
  ): Promise<readonly (Found | null)[]> {
    const store = this.#store;
    if (this.#isApart()) return Promise.reject(new Error('apart'));
    return this.#reply(() =>
      keys.map((key) => {
        const version = store.current(laneKey(account, flow, key), visible);
        if (version === null || version.kind === 'delete') return null;
        const value = Buffer.from(version.value);
        return { value, ttlMs: null, uow: version.uow, digest: version.digest };
      }),
    );
  }

  scan(): Promise<ScanPage> {
    return Promise.resolve({ items: [], cursor: null });
  }

  /** Runs on arrival, unless the connection was fenced meanwhile. */
  #message<T>(arrive: () => T): () => T | null {
    const store = this.#store;
    const connection = this.#connection;
    return () => (connection < store.fencedBelow ? null : arrive());
  }

  #latency(): number {
    const { chance, weather } = this.#store;
    return chance.fraction() * weather.latencyMs;
  }

  #wait(): Promise<void> {
    return this.#reply(() => {});
  }

  #reply<T>(make: () => T): Promise<T> {
    return new Promise((done) => {
      this.#store.schedule.after(this.#latency(), () => done(make()), this.#alive);
    });
  }

  #breaks(): void {
    if (this.#store.pipelined) this.#brokenAt = this.#connection;
  }

  /** Of a pipeline each message arrives behind the one before it. */
  #inOrder(latencyMs: number): number {
    const { pipelined, schedule } = this.#store;
    if (!pipelined) return latencyMs;
    this.#arrivesMs = Math.max(schedule.nowMs + latencyMs, this.#arrivesMs + 0.001);
    return this.#arrivesMs - schedule.nowMs;
  }

  /** Sends a message that arrives whatever becomes of the sender; the reply may be lost. */
  #send<T>(deliver: () => T | null, missing: () => T): Promise<T> {
    const { schedule, chance, weather, partsOnLoss } = this.#store;
    const timeoutMs = 50;
    const lost = (): T => {
      if (partsOnLoss && this.#session !== null) this.#part();
      return missing();
    };
    return new Promise((done) => {
      if (this.#brokenAt === this.#connection || chance.hits(weather.loseRequest)) {
        this.#breaks();
        schedule.after(timeoutMs, () => done(lost()), this.#alive);
      } else if (chance.hits(weather.late)) {
        this.#breaks();
        schedule.after(timeoutMs + chance.fraction() * 300_000, () => deliver());
        schedule.after(timeoutMs, () => done(lost()), this.#alive);
      } else {
        const loses = chance.hits(weather.loseReply);
        schedule.after(this.#inOrder(this.#latency()), () => {
          const reply = deliver();
          if (!this.#alive()) return;
          if (loses || reply === null) schedule.after(timeoutMs, () => done(lost()), this.#alive);
          else schedule.after(this.#latency(), () => done(reply), this.#alive);
        });
      }
    });
  }
}
