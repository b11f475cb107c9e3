/**
 * Simulated stores. A store lives outside the process: what was sent to it may arrive late, after
 * the process that sent it is dead. Two kinds: one that only adds versions (undo by tombstone), one
 * that overwrites and fences by dropping what its connections still carry.
 */
import type { Found, Reader, ScanPage, Visible } from '../../src/contracts/reader.ts';
import type {
  Attempt,
  HoldsReply,
  Mark,
  ProbeFinding,
  Stash,
  StashReply,
  UndoReply,
} from '../../src/contracts/stash.ts';
import { laneKey } from '../../src/kernel/words.ts';
import type { Chance, Schedule } from './schedule.ts';

export type StoreKind = 'versions' | 'overwrites';

/** How often what goes wrong; drawn per seed, so that calm and stormy worlds both occur. */
export interface Weather {
  readonly refuse: number;
  readonly failUnsent: number;
  readonly failSent: number;
  readonly loseReply: number;
  readonly loseRequest: number;
  readonly late: number;
  readonly latencyMs: number;
}

export const CALM: Weather = {
  refuse: 0,
  failUnsent: 0,
  failSent: 0,
  loseReply: 0,
  loseRequest: 0,
  late: 0,
  latencyMs: 1,
};

export interface StoredVersion {
  readonly uow: number;
  readonly attempt: number;
  readonly kind: 'set' | 'delete' | 'tombstone';
  readonly value: string;
  readonly digest: string;
  readonly expiresAt: number | null;
}

interface Contents {
  /** By lane, then by `uow.attempt`. */
  readonly versions: Map<string, Map<string, StoredVersion>>;
  mark: Mark | null;
}

/** The store itself: contents that outlive any process, and the messages on their way to it. */
export class SimStore {
  readonly id: string;
  readonly kind: StoreKind;
  readonly schedule: Schedule;
  readonly chance: Chance;
  weather: Weather = CALM;
  /** Messages sent over connections below this number are dropped on arrival. */
  fencedBelow = 0;
  connections = 0;
  /** Undos that have arrived. */
  undone = 0;
  /** It has lost something it had acknowledged. */
  forgot = false;
  contents: Contents = { versions: new Map(), mark: null };
  /** Snapshots after each change since the last flush, oldest first: what a power cut may leave. */
  #unflushed: Contents[] = [];
  /** Keys this store refuses for good. */
  readonly refuses: (attempt: Attempt) => boolean;

  constructor(
    id: string,
    kind: StoreKind,
    schedule: Schedule,
    chance: Chance,
    refuses: (attempt: Attempt) => boolean,
  ) {
    this.id = id;
    this.kind = kind;
    this.schedule = schedule;
    this.chance = chance;
    this.refuses = refuses;
  }

  connect(alive: () => boolean): SimStash {
    this.connections += 1;
    return new SimStash(this, this.connections, alive);
  }

  /** Remembers the present contents as a state that a power cut may fall back to. */
  snapshot(): void {
    if (this.#unflushed.length < 64) this.#unflushed.push(copyOf(this.contents));
  }

  flush(): void {
    this.#unflushed = [];
  }

  /** The power of the store fails: changes since the last flush may be gone from some point on. */
  losePower(): boolean {
    const back = this.#unflushed[this.chance.below(this.#unflushed.length + 1)];
    this.#unflushed = [];
    // What was on its way to it is gone with its connections.
    this.connections += 1;
    this.fencedBelow = this.connections;
    if (back === undefined) return false;
    this.contents = back;
    this.forgot = true;
    return true;
  }

  /** Applies on arrival; the answer as the store would give it. */
  applyNow(attempt: Attempt): StashReply {
    const name = `${attempt.uow}.${attempt.attempt}`;
    for (const key of attempt.keys) {
      const lane = laneKey(attempt.account, attempt.flow, key);
      const there = this.contents.versions.get(lane)?.get(name);
      if (there?.kind === 'tombstone') {
        return { reply: 'failed', detail: 'undone before', sent: true };
      }
    }
    if (!this.forgot && this.refuses(attempt))
      return { reply: 'refused', status: 422, detail: 'not this one' };
    for (const key of attempt.keys) {
      const lane = laneKey(attempt.account, attempt.flow, key);
      if (this.kind === 'overwrites') this.contents.versions.delete(lane);
      this.#put(lane, name, {
        uow: attempt.uow,
        attempt: attempt.attempt,
        kind: attempt.kind,
        value: Buffer.from(attempt.value).toString('utf8'),
        digest: attempt.digest,
        expiresAt: attempt.expiresAt,
      });
    }
    return { reply: 'stored' };
  }

  undoNow(attempt: Attempt): void {
    this.undone += 1;
    const name = `${attempt.uow}.${attempt.attempt}`;
    for (const key of attempt.keys) {
      const lane = laneKey(attempt.account, attempt.flow, key);
      this.#put(lane, name, {
        uow: attempt.uow,
        attempt: attempt.attempt,
        kind: 'tombstone',
        value: '',
        digest: '',
        expiresAt: null,
      });
    }
  }

  #put(lane: string, name: string, version: StoredVersion): void {
    const versions = this.contents.versions.get(lane) ?? new Map<string, StoredVersion>();
    versions.set(name, version);
    this.contents.versions.set(lane, versions);
  }

  /** The newest version of a key that `visible` lets through. */
  current(lane: string, visible: Visible): StoredVersion | null {
    let newest: StoredVersion | null = null;
    for (const version of this.contents.versions.get(lane)?.values() ?? []) {
      if (version.kind === 'tombstone' || !visible(version.uow, version.attempt)) continue;
      if (newest === null || newer(version, newest)) newest = version;
    }
    return newest;
  }

  /** Versions that are neither undone nor a tombstone. */
  live(lane: string): StoredVersion[] {
    const versions = [...(this.contents.versions.get(lane)?.values() ?? [])];
    return versions.filter((version) => version.kind !== 'tombstone');
  }
}

function newer(a: StoredVersion, b: StoredVersion): boolean {
  return a.uow > b.uow || (a.uow === b.uow && a.attempt > b.attempt);
}

function copyOf(contents: Contents): Contents {
  const versions = new Map([...contents.versions].map(([lane, each]) => [lane, new Map(each)]));
  return { versions, mark: contents.mark };
}

/** One process's connection to a store. Dead with the process; what it sent may still arrive. */
export class SimStash implements Stash, Reader {
  readonly id: string;
  readonly kind = 'simulated';
  readonly traits: { insertOnly: boolean; oneAttemptPerKey: boolean };
  readonly #store: SimStore;
  #connection: number;
  readonly #alive: () => boolean;

  constructor(store: SimStore, connection: number, alive: () => boolean) {
    this.id = store.id;
    this.traits = { insertOnly: store.kind === 'versions', oneAttemptPerKey: false };
    this.#store = store;
    this.#connection = connection;
    this.#alive = alive;
  }

  apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]> {
    const store = this.#store;
    const { chance, weather } = store;
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
    await this.#wait();
    return this.#store.contents.mark;
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

  /** Sends a message that arrives whatever becomes of the sender; the reply may be lost. */
  #send<T>(deliver: () => T | null, lost: () => T): Promise<T> {
    const { schedule, chance, weather } = this.#store;
    const timeoutMs = 50;
    return new Promise((done) => {
      if (chance.hits(weather.loseRequest)) {
        schedule.after(timeoutMs, () => done(lost()), this.#alive);
      } else if (chance.hits(weather.late)) {
        schedule.after(timeoutMs + chance.fraction() * 300_000, () => deliver());
        schedule.after(timeoutMs, () => done(lost()), this.#alive);
      } else {
        const loses = chance.hits(weather.loseReply);
        schedule.after(this.#latency(), () => {
          const reply = deliver();
          if (!this.#alive()) return;
          if (loses || reply === null) schedule.after(timeoutMs, () => done(lost()), this.#alive);
          else schedule.after(this.#latency(), () => done(reply), this.#alive);
        });
      }
    });
  }
}
