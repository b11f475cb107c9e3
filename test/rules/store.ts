/**
 * A store for tests of single rules: it does exactly what the test says, when the test says. It
 * lives outside the process, so what was sent to it may arrive after the sender is dead, and every
 * call it got stands in `calls`, in order.
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
import { Fault } from '../../src/kernel/errors.ts';
import { laneKey } from '../../src/kernel/words.ts';

/** What becomes of one sending. */
export type Say =
  | 'stored'
  | 'declined'
  | 'refused'
  | 'failed'
  /** Nothing left the process. */
  | 'not-sent'
  /** Failed, and it asks for a minute. */
  | 'busy'
  /** Out of reach: the breaker counts it. */
  | 'outage'
  /** It took effect; the reply was lost. */
  | 'lost'
  /** It never arrived; nobody knows. */
  | 'dropped'
  /** No reply, and it arrives when the test calls `deliverLate`, unless a fence came first. */
  | 'late';

export interface StoreOptions {
  /** True: a newer value replaces the older one, as in a cache. */
  readonly overwrites?: boolean;
  readonly oneAttemptPerKey?: boolean;
}

export interface Kept {
  readonly uow: number;
  readonly attempt: number;
  readonly kind: 'set' | 'delete' | 'tombstone';
  readonly value: string;
  readonly expiresAt: number | null;
}

type Contents = Map<string, Map<string, Kept>>;

export class Store {
  readonly id: string;
  readonly traits: StashTraits;
  /** `apply 1.1`, `undo 1.1`, `fence`, `holds 1.1`, in the order of their arrival. */
  readonly calls: string[] = [];
  /** The sizes of the calls of `apply`, empty ones left out. */
  readonly batches: number[] = [];
  contents: Contents = new Map();
  mark: Mark | null = null;
  says: (attempt: Attempt, nth: number) => Say = () => 'stored';
  undoSays: (attempt: Attempt, nth: number) => UndoReply['reply'] = () => 'undone';
  fenceFails = false;
  holdsFails = false;
  getFails = false;
  /** The whole call rejects: nothing can be said of any of it. */
  rejects = false;
  /** It cannot be reached: asking for its mark rejects. */
  away = false;
  /** Told when its connections break. */
  watchers: ((why: string) => void)[] = [];
  /** Rises when its connections break: whoever joined before is apart. */
  session = 0;
  /** Nothing it says about the past is proof any more. */
  provesNothing = false;
  readonly #tries = new Map<string, number>();
  #late: (() => void)[] = [];
  #gate: Promise<void> | null = null;
  #open: () => void = () => {};

  constructor(id: string, options: StoreOptions = {}) {
    this.id = id;
    const { overwrites = false, oneAttemptPerKey = false } = options;
    this.traits = { insertOnly: !overwrites, oneAttemptPerKey };
  }

  /** From now on calls wait, before they take effect, until `release`. */
  hold(): void {
    this.#gate ??= new Promise((open) => {
      this.#open = open;
    });
  }

  release(): void {
    this.#gate = null;
    this.#open();
  }

  async passGate(): Promise<void> {
    while (this.#gate !== null) await this.#gate;
  }

  /** What is still on its way arrives now; returns how much that was. */
  deliverLate(): number {
    const late = this.#late;
    this.#late = [];
    for (const arrive of late) arrive();
    return late.length;
  }

  fence(): void {
    this.#late = [];
  }

  /** It loses all it ever had, its mark included. */
  forget(): void {
    this.contents = new Map();
    this.mark = null;
    this.provesNothing = true;
  }

  /** Its connections break, and whoever is connected hears of it. */
  part(): void {
    this.session += 1;
    for (const told of this.watchers) told('the connection broke');
  }

  nth(call: string): number {
    const nth = (this.#tries.get(call) ?? 0) + 1;
    this.#tries.set(call, nth);
    return nth;
  }

  later(arrive: () => void): void {
    this.#late.push(arrive);
  }

  applyNow(attempt: Attempt): StashReply {
    const name = `${attempt.uow}.${attempt.attempt}`;
    const lanes = attempt.keys.map((key) => laneKey(attempt.account, attempt.flow, key));
    if (lanes.some((lane) => this.contents.get(lane)?.get(name)?.kind === 'tombstone')) {
      return { reply: 'failed', status: 'undone', detail: 'this attempt was undone', sent: true };
    }
    for (const lane of lanes) {
      if (!this.traits.insertOnly) this.contents.delete(lane);
      const { uow, attempt: number, kind, expiresAt } = attempt;
      const value = Buffer.from(attempt.value).toString();
      this.#put(lane, name, { uow, attempt: number, kind, value, expiresAt });
    }
    return { reply: 'stored' };
  }

  undoNow(attempt: Attempt): void {
    const { uow, attempt: number } = attempt;
    for (const key of attempt.keys) {
      const lane = laneKey(attempt.account, attempt.flow, key);
      const kept = { uow, attempt: number, kind: 'tombstone', value: '', expiresAt: null } as const;
      this.#put(lane, `${uow}.${number}`, kept);
    }
  }

  #put(lane: string, name: string, kept: Kept): void {
    const versions = this.contents.get(lane) ?? new Map<string, Kept>();
    versions.set(name, kept);
    this.contents.set(lane, versions);
  }

  /** The newest version of a key that counts, or null. */
  newest(lane: string, visible: Visible = () => true): Kept | null {
    const versions = [...(this.contents.get(lane)?.values() ?? [])];
    const counting = versions.filter((kept) => {
      return kept.kind !== 'tombstone' && visible(kept.uow, kept.attempt);
    });
    counting.sort((a, b) => a.uow - b.uow || a.attempt - b.attempt);
    return counting.at(-1) ?? null;
  }

  /** `uow.attempt` of everything live under a lane. */
  live(lane: string): string[] {
    const versions = [...(this.contents.get(lane) ?? [])];
    return versions.filter(([, kept]) => kept.kind !== 'tombstone').map(([name]) => name);
  }
}

const APART: StashReply = { reply: 'failed', detail: 'apart', sent: false, apart: true };

/** One process's connection to a store. */
export class Connection implements Stash, Reader {
  readonly id: string;
  readonly kind = 'scripted';
  readonly traits: StashTraits;
  readonly #store: Store;
  readonly #alive: () => boolean;
  readonly #wallMs: () => number;
  #session: number;

  constructor(store: Store, alive: () => boolean, wallMs: () => number) {
    this.#session = store.session;
    this.id = store.id;
    this.traits = store.traits;
    this.#store = store;
    this.#alive = alive;
    this.#wallMs = wallMs;
  }

  async apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]> {
    const store = this.#store;
    const copies = attempts.map((attempt) => copyOf(attempt));
    await this.#arrive();
    if (this.#session !== store.session) return copies.map(() => APART);
    if (copies.length > 0) store.batches.push(copies.length);
    if (store.rejects) throw new Error('away');
    const replies = copies.map((attempt) => this.#applyOne(attempt));
    store.mark = mark;
    return replies;
  }

  #applyOne(attempt: Attempt): StashReply {
    const store = this.#store;
    const name = `apply ${attempt.uow}.${attempt.attempt}`;
    store.calls.push(name);
    const say = store.says(attempt, store.nth(name));
    switch (say) {
      case 'stored':
        return store.applyNow(attempt);
      case 'declined':
        return { reply: 'declined' };
      case 'refused':
        return { reply: 'refused', status: 422, detail: 'not this one' };
      case 'failed':
        return { reply: 'failed', status: 500, detail: 'broken inside', sent: true };
      case 'not-sent':
        return { reply: 'failed', detail: 'no connection', sent: false };
      case 'busy':
        return { reply: 'failed', status: 429, detail: 'busy', sent: true, retryAfterMs: 60_000 };
      case 'outage':
        return { reply: 'failed', status: 503, detail: 'away', sent: false, outage: true };
      case 'lost':
        store.applyNow(attempt);
        return { reply: 'unknown', detail: 'no reply' };
      case 'dropped':
        return { reply: 'unknown', detail: 'no reply' };
      case 'late':
        store.later(() => store.applyNow(attempt));
        return { reply: 'unknown', detail: 'no reply' };
      default:
        return say satisfies never;
    }
  }

  async undo(attempts: readonly Attempt[], mark: Mark): Promise<readonly UndoReply[]> {
    const store = this.#store;
    const copies = attempts.map((attempt) => copyOf(attempt));
    await this.#arrive();
    const replies = copies.map((attempt): UndoReply => {
      const name = `undo ${attempt.uow}.${attempt.attempt}`;
      store.calls.push(name);
      const reply = store.undoSays(attempt, store.nth(name));
      if (reply !== 'undone') return { reply, detail: 'as the test says' };
      store.undoNow(attempt);
      return { reply };
    });
    store.mark = mark;
    return replies;
  }

  async holds(attempts: readonly Attempt[]): Promise<readonly HoldsReply[]> {
    await this.#arrive();
    const store = this.#store;
    if (store.holdsFails) throw new Error('away');
    return attempts.map(({ uow, attempt, account, flow, keys }): HoldsReply => {
      store.calls.push(`holds ${uow}.${attempt}`);
      if (!store.traits.insertOnly) return 'cannot-tell';
      const lane = laneKey(account, flow, keys[0] ?? '');
      const kept = store.contents.get(lane)?.get(`${uow}.${attempt}`);
      if (kept !== undefined) return kept.kind === 'tombstone' ? 'tombstone' : 'live';
      return store.provesNothing ? 'cannot-tell' : 'never';
    });
  }

  async fence(): Promise<void> {
    await this.#arrive();
    this.#store.calls.push('fence');
    if (this.#store.fenceFails) throw new Error('away');
    this.#store.fence();
  }

  async get(
    account: string,
    flow: string,
    keys: readonly string[],
    visible: Visible,
  ): Promise<readonly (Found | null)[]> {
    await this.#arrive();
    this.#store.calls.push(`get ${keys.join()}`);
    if (this.#store.getFails) throw new Error('away');
    return keys.map((key) => {
      const kept = this.#store.newest(laneKey(account, flow, key), visible);
      if (kept === null || kept.kind === 'delete') return null;
      const ttlMs = kept.expiresAt === null ? null : kept.expiresAt - this.#wallMs();
      if (ttlMs !== null && ttlMs <= 0) return null;
      return { value: Buffer.from(kept.value), ttlMs, uow: kept.uow };
    });
  }

  /** A call of a process that died on the way takes no effect, and nobody hears of it. */
  async #arrive(): Promise<void> {
    await this.#store.passGate();
    if (!this.#alive()) await new Promise(() => {});
  }

  async mark(): Promise<Mark | null> {
    const store = this.#store;
    await this.#arrive();
    if (store.away) throw new Fault('unavailable', 'nobody answers');
    this.#session = store.session;
    return store.mark;
  }

  watch(told: (why: string) => void): void {
    this.#store.watchers.push((why) => {
      if (this.#alive()) told(why);
    });
  }

  flush(): Promise<void> {
    this.#store.calls.push('flush');
    return Promise.resolve();
  }

  probe(): Promise<readonly ProbeFinding[]> {
    return Promise.resolve([]);
  }

  prune(belowUow: number): Promise<number> {
    this.#store.calls.push(`prune ${belowUow}`);
    return Promise.resolve(0);
  }

  scan(): Promise<ScanPage> {
    return Promise.resolve({ items: [], cursor: null });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function copyOf(attempt: Attempt): Attempt {
  const { uow, attempt: number, grant, account, flow, kind, digest, expiresAt, heldAt } = attempt;
  const own = { keys: [...attempt.keys], value: attempt.value.slice(), attempt: number };
  return { uow, grant, account, flow, kind, digest, expiresAt, heldAt, ...own };
}
