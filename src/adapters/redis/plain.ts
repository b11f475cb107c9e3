/**
 * Writing plain values, as a reader keeps them: `SET` and `DEL` under the names that the user
 * chose, so that other programs may read them. Only the newest of several attempts of a key goes
 * out (P8). What is sent is bare of anything that would have to be looked up: what makes it safe is
 * the fence around its connection.
 */
import { isUtf8 } from 'node:buffer';
import type { Attempt, StashReply } from '../../contracts/stash.ts';
import type { Command } from './connection.ts';
import type { Result, Unit } from './sending.ts';
import { slotOf } from './slots.ts';
import type { RedisStore } from './store.ts';
import { STORED, jointReply, replyOf } from './verdict.ts';

/** Values up to this size go out as text where they are text: fewer and larger socket writes. */
const TEXT_BYTES_MAX = 2048;

type Words = (string | Buffer)[];

/** What one call writes: units, and which unit has which name. */
export class PlainBatch {
  readonly units: Unit[] = [];
  readonly #store: RedisStore;
  readonly #attempts: readonly Attempt[];
  readonly #unitOf = new Map<string, number>();
  /** One server has all slots, so that one command can take many keys. */
  readonly #whole: boolean;
  #sets: Words | null = null;
  #deletes: Words | null = null;

  constructor(store: RedisStore, attempts: readonly Attempt[]) {
    this.#store = store;
    this.#attempts = attempts;
    this.#whole = store.single !== null;
    const now = store.setup.world.clock.wallMs();
    for (let at = attempts.length - 1; at >= 0; at -= 1) {
      const attempt = attempts[at];
      if (attempt !== undefined && !this.#isTooLarge(attempt)) this.#add(attempt, now);
    }
  }

  #isTooLarge({ value }: Attempt): boolean {
    return value.length > this.#store.options.valueBytesMax;
  }

  #add(attempt: Attempt, now: number): void {
    const { account, flow, keys, kind, expiresAt } = attempt;
    const names = this.#store.names;
    const own: string[] = [];
    for (const key of keys) {
      const name = names.of(account, flow, key);
      if (!this.#unitOf.has(name)) own.push(name);
    }
    if (own.length === 0) return;
    const gone = kind === 'delete' || (expiresAt !== null && expiresAt <= now);
    if (this.#whole) {
      this.#addTo(0, own, attempt, gone);
      return;
    }
    const bySlot = new Map<number, string[]>();
    for (const name of own) {
      const slot = slotOf(name);
      const list = bySlot.get(slot);
      if (list === undefined) bySlot.set(slot, [name]);
      else list.push(name);
    }
    for (const [slot, list] of bySlot) this.#addTo(slot, list, attempt, gone);
  }

  #addTo(slot: number, names: readonly string[], attempt: Attempt, gone: boolean): void {
    const all = this.#store.options.metadata
      ? [...names, ...names.map((name) => this.#store.names.about(name))]
      : names;
    if (gone) return this.#remember(names, this.#joinedDelete(slot, all));
    const value = wordOf(attempt.value);
    const { uow, attempt: number, digest, expiresAt } = attempt;
    const about = `${uow} ${number} ${digest}`;
    if (expiresAt === null) {
      const words = all.flatMap((name, at) => [name, at < names.length ? value : about]);
      return this.#remember(names, this.#joinedSet(slot, words));
    }
    const at = String(expiresAt);
    const commands = all.map((name, index): Command => {
      return ['SET', name, index < names.length ? value : about, 'PXAT', at];
    });
    // On a slot that is being moved this is turned away unless all of the names are in one place.
    if (!this.#whole && all.length > 1) commands.unshift(['EXISTS', ...all]);
    this.#remember(names, this.units.push({ slot, commands }) - 1);
  }

  #remember(names: readonly string[], unit: number): void {
    for (const name of names) this.#unitOf.set(name, unit);
  }

  /** One server executes one MSET as a whole: no attempt in it is ever written in part. */
  #joinedSet(slot: number, words: Words): number {
    if (this.#whole && this.#sets !== null) {
      for (const word of words) this.#sets.push(word);
      return this.#setUnit;
    }
    const command = ['MSET', ...words];
    const unit = this.units.push({ slot, commands: [command] }) - 1;
    if (this.#whole) {
      this.#sets = command;
      this.#setUnit = unit;
    }
    return unit;
  }

  #joinedDelete(slot: number, names: readonly string[]): number {
    if (this.#whole && this.#deletes !== null) {
      for (const name of names) this.#deletes.push(name);
      return this.#deleteUnit;
    }
    const command = ['DEL', ...names];
    const unit = this.units.push({ slot, commands: [command] }) - 1;
    if (this.#whole) {
      this.#deletes = command;
      this.#deleteUnit = unit;
    }
    return unit;
  }

  #setUnit = -1;
  #deleteUnit = -1;

  /** One reply per attempt. `results` are those of `units`, in order. */
  replies(results: readonly Result[]): StashReply[] {
    const well = results.every((result) => replyOf(result) === STORED);
    return this.#attempts.map((attempt) => {
      if (this.#isTooLarge(attempt)) return tooLarge(this.#store, attempt);
      return well ? STORED : this.#replyTo(attempt, results);
    });
  }

  /** A key that a newer attempt of the same call took away shares that one's fate. */
  #replyTo({ account, flow, keys }: Attempt, results: readonly Result[]): StashReply {
    const units = new Set<number>();
    for (const key of keys) {
      const unit = this.#unitOf.get(this.#store.names.of(account, flow, key));
      if (unit !== undefined) units.add(unit);
    }
    const parts = [...units].map((unit) => {
      const result = results[unit];
      return result === undefined ? STORED : replyOf(result);
    });
    return jointReply(parts);
  }
}

export function tooLarge({ id, options }: RedisStore, { value }: Attempt): StashReply {
  const detail = `${value.length} bytes; ${id} takes ${options.valueBytesMax}`;
  return { reply: 'refused', status: 'too-large', detail };
}

/** The bytes as the client takes them: never copied where they are large. */
export function wordOf(value: Uint8Array): string | Buffer {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return bytes.length <= TEXT_BYTES_MAX && isUtf8(bytes) ? bytes.toString('utf8') : bytes;
}
