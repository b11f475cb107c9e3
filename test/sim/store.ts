/**
 * Simulated stores. A store lives outside the process: what was sent to it may arrive late, after
 * the process that sent it is dead. Three kinds: one that only adds versions (undo by tombstone),
 * one that overwrites and fences by dropping what its connections still carry, and one that
 * overwrites and keeps an image of what stood there before, to undo by. Each may be apart from the
 * process: after its power failed, after its connections broke, or (some) after any lost reply.
 */
import type { Visible } from '../../src/contracts/reader.ts';
import type { Attempt, Mark, StashReply } from '../../src/contracts/stash.ts';
import { laneKey, type Grant } from '../../src/kernel/words.ts';
import type { Chance, Schedule } from './schedule.ts';

export type StoreKind = 'versions' | 'overwrites' | 'images';

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

/** Weather for one life: some worlds are calm, some stormy. */
export function drawWeather(chance: Chance): Weather {
  const storm = chance.pick([0, 0.02, 0.1, 0.3]);
  const part = (): number => chance.fraction() * storm;
  return {
    refuse: part() / 2,
    failUnsent: part(),
    failSent: part(),
    loseReply: part(),
    loseRequest: part(),
    late: part(),
    latencyMs: chance.pick([0.1, 1, 10]),
  };
}

export interface StoredVersion {
  readonly uow: number;
  readonly attempt: number;
  readonly kind: 'set' | 'delete' | 'tombstone';
  readonly value: string;
  readonly digest: string;
  readonly expiresAt: number | null;
}

/** Beside a value of a store that keeps images: whose it is, and what stood there before. */
interface Side {
  readonly uow: number;
  readonly attempt: number;
  readonly grant: Grant;
  readonly undone: boolean;
  readonly image: StoredVersion | null;
}

export interface Contents {
  /** By lane, then by `uow.attempt`. */
  readonly versions: Map<string, Map<string, StoredVersion>>;
  /** By lane. */
  readonly sides: Map<string, Side>;
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
  contents: Contents = { versions: new Map(), sides: new Map(), mark: null };
  /** Rises whenever its connections break; whoever joined an earlier one is apart. */
  session = 0;
  /** Whether it takes calls while others are under way, and keeps their order. */
  readonly pipelined: boolean;
  /** Whether a reply that is lost takes its connection with it. */
  readonly partsOnLoss: boolean;
  /** Processes that joined, and want to hear when they are apart. */
  readonly watchers = new Set<() => void>();
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
    this.pipelined = kind !== 'versions' && chance.hits(0.7);
    this.partsOnLoss = this.pipelined || chance.hits(0.5);
  }

  /** The number of a new connection. */
  connect(): number {
    this.connections += 1;
    return this.connections;
  }

  /** Remembers the present contents as a state that a power cut may fall back to. */
  snapshot(): void {
    if (this.#unflushed.length < 64) this.#unflushed.push(copyOf(this.contents));
  }

  flush(): void {
    this.#unflushed = [];
  }

  /** Its connections break; what was sent over them may still arrive until it is fenced. */
  cut(): void {
    this.session += 1;
    for (const watcher of this.watchers) watcher();
  }

  /** The power of the store fails: changes since the last flush may be gone from some point on. */
  losePower(): boolean {
    this.cut();
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
    if (this.kind === 'images') return this.#applyOver(attempt);
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
      this.#put(lane, name, versionOf(attempt));
    }
    return { reply: 'stored' };
  }

  /** With a fence and an image: what is late or undone changes nothing. */
  #applyOver(attempt: Attempt): StashReply {
    const { versions, sides } = this.contents;
    const { uow, attempt: number, grant } = attempt;
    const lanes = attempt.keys.map((key) => laneKey(attempt.account, attempt.flow, key));
    const todo: string[] = [];
    for (const lane of lanes) {
      const side = sides.get(lane);
      const same = side?.uow === uow && side.attempt === number;
      if (same && side.undone) return { reply: 'failed', detail: 'undone before', sent: true };
      if (same) continue;
      // A refill is covered by what came later; an attempt of its own that was undone did not.
      if (side !== undefined && grant.counter < 0 && side.uow > uow) continue;
      if (side !== undefined && grant.counter >= 0 && isAfter(side.grant, grant)) {
        return { reply: 'failed', detail: 'too late', sent: true };
      }
      todo.push(lane);
    }
    if (!this.forgot && this.refuses(attempt)) {
      return { reply: 'refused', status: 422, detail: 'not this one' };
    }
    for (const lane of todo) {
      const image = this.current(lane, () => true);
      sides.set(lane, { uow, attempt: number, grant, undone: false, image });
      versions.set(lane, new Map([[`${uow}.${number}`, versionOf(attempt)]]));
    }
    return { reply: 'stored' };
  }

  #undoOver(attempt: Attempt): void {
    const { versions, sides } = this.contents;
    const { uow, attempt: number, grant } = attempt;
    for (const key of attempt.keys) {
      const lane = laneKey(attempt.account, attempt.flow, key);
      const side = sides.get(lane);
      const same = side?.uow === uow && side.attempt === number;
      if (same ? side.undone : side !== undefined && isAfter(side.grant, grant)) continue;
      const image = same ? side.image : null;
      sides.set(lane, { uow, attempt: number, grant, undone: true, image: null });
      if (!same) continue;
      if (image === null) versions.delete(lane);
      else versions.set(lane, new Map([[`${image.uow}.${image.attempt}`, image]]));
    }
  }

  undoNow(attempt: Attempt): void {
    this.undone += 1;
    if (this.kind === 'images') return this.#undoOver(attempt);
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

function versionOf(attempt: Attempt): StoredVersion {
  return {
    uow: attempt.uow,
    attempt: attempt.attempt,
    kind: attempt.kind,
    value: Buffer.from(attempt.value).toString('utf8'),
    digest: attempt.digest,
    expiresAt: attempt.expiresAt,
  };
}

function isAfter(a: Grant, b: Grant): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.counter > b.counter);
}

function copyOf(contents: Contents): Contents {
  const versions = new Map([...contents.versions].map(([lane, each]) => [lane, new Map(each)]));
  return { versions, sides: new Map(contents.sides), mark: contents.mark };
}
