/**
 * Writing with a fence in the store, and as a member also with a before-image, both inside one
 * function (P29). Attempts are grouped by slot, since a function may touch one slot only; a store
 * that is no cluster takes many of them in one call.
 */
import type { Attempt, HoldsReply, StashReply, UndoReply } from '../../contracts/stash.ts';
import type { Uow } from '../../kernel/words.ts';
import type { Command } from './connection.ts';
import type { Marks } from './marks.ts';
import { tooLarge, wordOf } from './plain.ts';
import { codeOf, replyTo } from './replies.ts';
import { APPLY, SETTLE, UNDO, type Script } from './script.ts';
import { execute, type Result, type Unit } from './sending.ts';
import { slotOf } from './slots.ts';
import type { RedisStore } from './store.ts';
import { Sweep } from './sweep.ts';
import { STORED, jointReply } from './verdict.ts';

/** Attempts and bytes of one function call: it holds up the whole server while it runs. */
const ATTEMPTS_MAX = 200;
const BYTES_MAX = 4 * 1024 * 1024;
/** Side keys let go of in one call of `prune`, and those remembered to be let go of. */
const SETTLED_MAX = 1000;
const REMEMBERED_MAX = 200_000;

/** Attempts, or parts of them, that go out in one call of a function. */
interface Group {
  readonly slot: number;
  readonly keys: string[];
  readonly args: (string | Buffer)[];
  /** Which attempts, in the order of their words in the reply. */
  readonly attempts: number[];
  bytes: number;
}

/** A side key with the image of an attempt. */
interface Held {
  readonly uow: Uow;
  readonly side: string;
}

export class Images {
  readonly #store: RedisStore;
  readonly #marks: Marks;
  readonly #takes: boolean;
  /** Side keys written in this life whose image may go once they are settled, oldest first. */
  #held: Held[] = [];
  #below: Uow = 0;
  readonly #sweep: Sweep;

  /** `takes`: before-images are kept, so that undo can give them back. */
  constructor(store: RedisStore, marks: Marks, takes: boolean) {
    this.#store = store;
    this.#marks = marks;
    this.#takes = takes;
    this.#sweep = new Sweep(store);
  }

  async apply(attempts: readonly Attempt[], behind: readonly Unit[]): Promise<StashReply[]> {
    const { valueBytesMax } = this.#store.options;
    const fits = (attempt: Attempt): boolean => attempt.value.length <= valueBytesMax;
    const head = [this.#takes ? '1' : '0', String(this.#below)];
    const groups = this.#groups(attempts, (attempt, count) => {
      if (!fits(attempt)) return null;
      const { uow, attempt: number, grant, digest, kind, value, expiresAt } = attempt;
      const words = [
        String(uow),
        String(number),
        String(grant.epoch),
        String(grant.counter),
        digest,
      ];
      const x = expiresAt === null ? '-' : String(expiresAt);
      return [...words, kind === 'set' ? 's' : 'd', wordOf(value), x, String(count)];
    });
    const units = groups.map((group) => unitOf(APPLY, group, head));
    const results = await execute(this.#store, [...units, ...behind]);
    this.#marks.answered(results.slice(units.length));
    const parts = partsOf(attempts.length, groups, results, applyReply);
    return attempts.map((attempt, at) => {
      return fits(attempt) ? jointReply(parts[at] ?? []) : tooLarge(this.#store, attempt);
    });
  }

  async undo(attempts: readonly Attempt[], behind: readonly Unit[]): Promise<UndoReply[]> {
    const groups = this.#groups(attempts, ({ uow, attempt, grant, value }, count) => {
      const words = [String(uow), String(attempt), String(grant.epoch), String(grant.counter)];
      return [...words, wordOf(value), String(count)];
    });
    const units = groups.map((group) => unitOf(UNDO, group, [String(this.#below)]));
    const results = await execute(this.#store, [...units, ...behind]);
    this.#marks.answered(results.slice(units.length));
    const parts = partsOf(attempts.length, groups, results, undoReply);
    return attempts.map((_, at) => {
      const own = parts[at] ?? [];
      const failed = own.find(({ reply }) => reply === 'failed');
      return failed ?? own.find(({ reply }) => reply === 'undo-conflict') ?? { reply: 'undone' };
    });
  }

  /** One group per slot, cut where it gets long; an attempt may be in several. */
  #groups(
    attempts: readonly Attempt[],
    words: (attempt: Attempt, count: number) => (string | Buffer)[] | null,
  ): Group[] {
    const open = new Map<number, Group>();
    const groups: Group[] = [];
    const whole = this.#store.single !== null;
    for (const [at, attempt] of attempts.entries()) {
      const bySlot = new Map<number, string[]>();
      for (const key of attempt.keys) {
        const name = this.#store.names.of(attempt.account, attempt.flow, key);
        const slot = whole ? 0 : slotOf(name);
        const side = this.#store.names.beside(name);
        bySlot.set(slot, [...(bySlot.get(slot) ?? []), name, side]);
        if (this.#takes) this.#held.push({ uow: attempt.uow, side });
      }
      for (const [slot, keys] of bySlot) {
        const args = words(attempt, keys.length / 2);
        if (args === null) continue;
        let group = open.get(slot);
        // On a slot that is being moved a function may not meet a name that it has deleted itself.
        const full =
          group !== undefined &&
          (group.attempts.length >= ATTEMPTS_MAX || (!whole && meets(group, keys)));
        if (group === undefined || full || group.bytes + attempt.value.length > BYTES_MAX) {
          group = { slot, keys: [], args: [], attempts: [], bytes: 0 };
          open.set(slot, group);
          groups.push(group);
        }
        for (const key of keys) group.keys.push(key);
        for (const arg of args) group.args.push(arg);
        group.attempts.push(at);
        group.bytes += attempt.value.length;
      }
    }
    if (this.#held.length > REMEMBERED_MAX) this.#held = this.#held.slice(-REMEMBERED_MAX / 2);
    return groups;
  }

  /**
   * What is there of each attempt. `never` only where every node still is the process that it ever
   * was: one that came back may have forgotten what it had, and what was shown because of it.
   */
  async holds(attempts: readonly Attempt[]): Promise<HoldsReply[]> {
    const units: Unit[] = [];
    const owners: number[] = [];
    for (const [at, { account, flow, keys }] of attempts.entries()) {
      for (const key of keys) {
        const name = this.#store.names.of(account, flow, key);
        const command: Command = ['GET', this.#store.names.beside(name)];
        units.push({ slot: slotOf(name), commands: [command] });
        owners.push(at);
      }
    }
    const results = await execute(this.#store, units);
    const same = this.#store.nodes().every(({ sameAsEver }) => sameAsEver);
    const whole = this.#takes && same && this.#marks.whole;
    return attempts.map((attempt, at) => {
      const own = results.filter((_, index) => owners[index] === at);
      return jointHolds(
        own.map((result) => holdsOf(result, attempt)),
        whole,
      );
    });
  }

  /** Lets go of the images of what is settled, oldest first; returns how many went. */
  async prune(below: Uow): Promise<number> {
    this.#below = Math.max(this.#below, below);
    const settled: Held[] = [];
    const left: Held[] = [];
    for (const each of this.#held) {
      if (each.uow < below && settled.length < SETTLED_MAX) settled.push(each);
      else left.push(each);
    }
    const sides = new Set(settled.map(({ side }) => side));
    for (const side of await this.#sweep.step().catch(() => [])) sides.add(side);
    if (sides.size === 0) return 0;
    const bySlot = new Map<number, string[]>();
    const whole = this.#store.single !== null;
    for (const side of sides) {
      const slot = whole ? 0 : slotOf(side);
      const list = bySlot.get(slot);
      if (list === undefined) bySlot.set(slot, [side]);
      else list.push(side);
    }
    // Behind a fence of the connection nothing late arrives of what is settled: its own may go too.
    const all = this.#store.options.fence === 'connection' ? '1' : '0';
    const units = [...bySlot].map(([slot, keys]): Unit => {
      const command = ['EVALSHA', SETTLE.sha, String(keys.length), ...keys, String(below), all];
      return { slot, commands: [command] };
    });
    const results = await execute(this.#store, units);
    if (results.some(({ state }) => state !== 'done')) return 0;
    this.#held = left;
    return results.reduce((sum, result) => {
      return sum + (result.state === 'done' ? Number(result.replies[0]) : 0);
    }, 0);
  }
}

function meets(group: Group, keys: readonly string[]): boolean {
  return keys.some((key) => group.keys.includes(key));
}

function unitOf({ sha }: Script, { slot, keys, args }: Group, head: readonly string[]): Unit {
  const command = ['EVALSHA', sha, String(keys.length), ...keys, ...head, ...args];
  return { slot, commands: [command] };
}

/** For each attempt, what each of its groups said. */
function partsOf<T>(
  count: number,
  groups: readonly Group[],
  results: readonly Result[],
  reply: (result: Result, index: number) => T,
): T[][] {
  const parts = Array.from({ length: count }, (): T[] => []);
  for (const [at, { attempts }] of groups.entries()) {
    const result = results[at];
    if (result === undefined) continue;
    for (const [index, attempt] of attempts.entries()) parts[attempt]?.push(reply(result, index));
  }
  return parts;
}

function wordAt(result: Result, index: number): string {
  const [list] = result.state === 'done' ? result.replies : [];
  return Array.isArray(list) ? String(list[index]) : '';
}

const WORDS: Readonly<Record<string, StashReply>> = {
  stored: STORED,
  undone: { reply: 'failed', status: 'undone', detail: 'this attempt was undone', sent: true },
  mismatch: {
    reply: 'failed',
    status: 'mismatch',
    detail: 'another value stands under the number of this attempt',
    sent: true,
  },
  wrongtype: {
    reply: 'refused',
    status: 'WRONGTYPE',
    detail: 'another program keeps something else than a value under this name',
  },
};

function applyReply(result: Result, index: number): StashReply {
  if (result.state === 'unknown') return { reply: 'unknown', detail: result.why };
  if (result.state === 'not') {
    if (!isHalfway(result.error)) return replyTo(result.error);
    return { reply: 'unknown', detail: result.error.message.slice(0, 300) };
  }
  const detail = 'the function gave no answer that we know';
  return WORDS[wordAt(result, index)] ?? { reply: 'unknown', detail };
}

/** Errors by which a server says that it did not begin, or that it takes no writes at all. */
const BEFORE = new Set([
  'OOM',
  'READONLY',
  'MISCONF',
  'NOREPLICAS',
  'NOSCRIPT',
  'BUSY',
  'LOADING',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'CROSSSLOT',
  'MOVED',
  'ASK',
  'TRYAGAIN',
  'NOAUTH',
  'NOPERM',
  'UNSENT',
]);

/** Whether a function may have ended with an error after it had written something. */
function isHalfway(error: Error): boolean {
  const code = codeOf(error);
  // Rights that are missing for a command inside show when it is met.
  return !BEFORE.has(code) || (code === 'NOPERM' && /script/i.test(error.message));
}

function undoReply(result: Result, index: number): UndoReply {
  if (result.state === 'unknown') return { reply: 'failed', detail: result.why };
  if (result.state === 'not') return { reply: 'failed', detail: result.error.message };
  const word = wordAt(result, index);
  if (word === 'undone') return { reply: 'undone' };
  if (word !== 'conflict') return { reply: 'failed', detail: 'the function gave no answer' };
  const detail = 'the value was changed by another program, so what stood before is not put back';
  return { reply: 'undo-conflict', detail };
}

function holdsOf(result: Result, { uow, attempt }: Attempt): HoldsReply {
  if (result.state !== 'done') return 'cannot-tell';
  const [side] = result.replies;
  if (typeof side !== 'string') return 'never';
  const words = side.slice(0, side.indexOf('\n')).split(' ');
  if (words.indexOf(`${uow}.${attempt}`, 18) >= 0) return 'tombstone';
  const [u = '-', a] = words;
  if (u === String(uow) && a === String(attempt)) return 'live';
  // A later one may have taken its place: what was below that is not known any more.
  return u !== '-' && Number(u) >= uow ? 'cannot-tell' : 'never';
}

function jointHolds(parts: readonly HoldsReply[], whole: boolean): HoldsReply {
  for (const word of ['tombstone', 'live', 'cannot-tell'] as const) {
    if (parts.includes(word)) return word;
  }
  return whole ? 'never' : 'cannot-tell';
}
