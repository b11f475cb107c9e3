/**
 * Gets, gathered: whatever is asked for in one turn of the loop goes to a server in one
 * transaction, so that a value and its time left belong together (P33) and a thousand callers cost
 * one write to the socket. In a cluster each name has a transaction of its own, since slots move
 * one by one.
 */
import type { Timer } from '../../kernel/world.ts';
import { LinkLost, messageOf, type Answer, type Command, type Link } from './connection.ts';
import { unavailable } from './joining.ts';
import { isNoMaster, redirectOf } from './replies.ts';
import { READ } from './script.ts';
import { NOTHING, withAbout, withBeside, type Row } from './row.ts';
import { slotOf } from './slots.ts';
import type { RedisStore } from './store.ts';

interface Waiting {
  readonly names: readonly string[];
  readonly done: (rows: Row[]) => void;
  readonly failed: (error: Error) => void;
}

/** Names in one transaction. */
const NAMES_MAX = 500;
const ROUNDS_MAX = 5;
const PAUSE_MS = 25;

export class Gather {
  readonly #store: RedisStore;
  /** Where it stands what is known about a value. */
  readonly #side: 'none' | 'about' | 'beside';
  #waiting: Waiting[] = [];
  #begun: ReturnType<Link['begin']> | null = null;

  constructor(store: RedisStore) {
    const { metadata, fence } = store.options;
    const isReader = store.setup.role === 'reader';
    this.#store = store;
    if (!isReader || (metadata && fence === 'key')) this.#side = 'beside';
    else this.#side = metadata ? 'about' : 'none';
  }

  /** One row per name, in order. Rejects with a Fault `unavailable`. */
  get(names: readonly string[]): Promise<Row[]> {
    return new Promise((done, failed) => {
      this.#waiting.push({ names, done, failed });
      if (this.#waiting.length > 1) return;
      this.#store.setup.world.clock.soon(() => this.flush());
      // Behind our own place in the queue: what `flush` adds leaves in the same write.
      this.#begun = this.#store.single?.read.begin() ?? null;
    });
  }

  /** Sends what is waiting now. To be called before anything else goes over a read connection. */
  flush(): void {
    const waiting = this.#waiting;
    const begun = this.#begun;
    if (waiting.length === 0) return;
    this.#waiting = [];
    this.#begun = null;
    const names = waiting.length === 1 ? (waiting[0]?.names ?? []) : waiting.flatMap(namesOf);
    const rows = begun === null ? this.#fromCluster(names) : this.#fromSingle(begun, names);
    void this.#handOut(rows, waiting);
  }

  async #handOut(asked: Promise<Row[]>, waiting: readonly Waiting[]): Promise<void> {
    try {
      const rows = await asked;
      let at = 0;
      for (const { names, done } of waiting) {
        done(waiting.length === 1 ? rows : rows.slice(at, at + names.length));
        at += names.length;
      }
    } catch (error) {
      if (error instanceof Error && isNoMaster(error)) this.#store.lost(error.message);
      const fault = unavailable(`"${this.#store.id}" cannot be read: ${messageOf(error)}`);
      for (const { failed } of waiting) failed(fault);
    }
  }

  async #fromSingle(begun: ReturnType<Link['begin']>, names: readonly string[]): Promise<Row[]> {
    if (names.length <= NAMES_MAX) return this.#transaction(begun, names);
    const parts: Promise<Row[]>[] = [];
    for (let at = 0; at < names.length; at += NAMES_MAX) {
      const part = at === 0 ? begun : this.#store.single?.read.begin();
      if (part === undefined) throw unavailable('apart');
      parts.push(this.#transaction(part, names.slice(at, at + NAMES_MAX)));
    }
    return (await Promise.all(parts)).flat();
  }

  async #transaction(begun: ReturnType<Link['begin']>, names: readonly string[]): Promise<Row[]> {
    const commands: Command[] = [['MGET', ...names]];
    if (this.#side !== 'none') commands.push(['MGET', ...names.map((name) => this.#sideOf(name))]);
    const first = commands.length;
    for (const name of names) commands.push(['PTTL', name]);
    if (this.#side === 'beside') commands.push(['TIME']);
    const answers = await begun.finish(commands);
    const { single } = this.#store;
    if (single !== null && isFull(answers)) return this.#byFunction(single.read, names);
    const replies = executedOf(answers);
    const values = replies[0] as (Buffer | null)[];
    const sides = this.#side === 'none' ? [] : (replies[1] as (Buffer | null)[]);
    const time = replies.at(-1);
    return names.map((_, at) => {
      return this.#row(values[at] ?? null, Number(replies[first + at]), sides[at], time);
    });
  }

  /** For a server that is full and takes no transaction. */
  async #byFunction(link: Link, names: readonly string[]): Promise<Row[]> {
    const hasSide = this.#side !== 'none';
    const keys = names.flatMap((name) => (hasSide ? [name, this.#sideOf(name)] : [name]));
    const command = ['EVAL_RO', READ, String(keys.length), ...keys, hasSide ? '1' : '0'];
    const [rows] = await link.call([command], 'bytes');
    if (!Array.isArray(rows)) throw rows instanceof Error ? rows : unavailable('no answer');
    return names.map((_, at) => this.#rowIn(rows[at] as Answer[]));
  }

  #sideOf(name: string): string {
    const { names } = this.#store;
    return this.#side === 'about' ? names.about(name) : names.beside(name);
  }

  #row(value: Buffer | null, ttl: number, side: Answer, time: Answer): Row {
    // -2: gone; -1: stays. In its last millisecond a value is gone already.
    const here = value !== null && (ttl > 0 || ttl === -1);
    const row: Row = here ? { value, ttlMs: ttl === -1 ? null : ttl } : NOTHING;
    if (!(side instanceof Buffer)) return row;
    return this.#side === 'about' ? withAbout(row, side) : withBeside(row, side, time);
  }

  async #fromCluster(names: readonly string[]): Promise<Row[]> {
    const rows = names.map((): Row | null => null);
    const asked = new Map<number, string>();
    for (let round = 0; round <= ROUNDS_MAX; round += 1) {
      const left = [...names.keys()].filter((at) => rows[at] === null);
      if (left.length === 0) break;
      if (round > 1) await this.#pause(PAUSE_MS * round);
      await this.#round(names, left, rows, asked);
    }
    return rows.map((row) => {
      if (row === null) throw unavailable('its slots are being moved');
      return row;
    });
  }

  async #round(
    names: readonly string[],
    left: readonly number[],
    rows: (Row | null)[],
    asked: Map<number, string>,
  ): Promise<void> {
    const perLink = new Map<Link, number[]>();
    for (const at of left) {
      const ask = asked.get(at);
      const owner = this.#store.at(slotOf(names[at] ?? ''));
      const node = ask === undefined ? owner : await this.#store.reach(ask);
      if (node === null) throw unavailable(this.#store.apart ?? 'no node has its slot');
      perLink.set(node.read, [...(perLink.get(node.read) ?? []), at]);
    }
    const turns = [...perLink].map(([link, list]) => this.#askNode(link, list, names, rows, asked));
    await Promise.all(turns);
  }

  async #askNode(
    link: Link,
    list: readonly number[],
    names: readonly string[],
    rows: (Row | null)[],
    asked: Map<number, string>,
  ): Promise<void> {
    const commands: Command[] = [];
    const last: number[] = [];
    for (const at of list) {
      if (asked.has(at)) commands.push(['ASKING']);
      commands.push(['MULTI'], ...this.#commandsFor(names[at] ?? ''), ['EXEC']);
      last.push(commands.length - 1);
    }
    const answers = await link.call(commands, 'bytes');
    let from = 0;
    for (const [index, at] of list.entries()) {
      const end = last[index] ?? 0;
      const own = answers.slice(from, end + 1);
      from = end + 1;
      asked.delete(at);
      const executed = own.at(-1);
      if (Array.isArray(executed)) rows[at] = this.#rowIn(executed as Answer[]);
      else if (isFull(own)) [rows[at] = null] = await this.#byFunction(link, [names[at] ?? '']);
      else await this.#redirected(own, at, slotOf(names[at] ?? ''), link, asked);
    }
  }

  async #redirected(
    answers: readonly Answer[],
    at: number,
    slot: number,
    link: Link,
    asked: Map<number, string>,
  ): Promise<void> {
    const error = answers.find((answer) => answer instanceof Error);
    const redirect = error instanceof Error ? redirectOf(error) : null;
    if (redirect === null) throw error instanceof Error ? error : unavailable('no answer');
    if (redirect.kind === 'ask') asked.set(at, redirect.node);
    if (redirect.kind === 'moved') await this.#store.learn(slot, redirect.node, link);
  }

  #commandsFor(name: string): Command[] {
    const get: Command[] = [
      ['GET', name],
      ['PTTL', name],
    ];
    if (this.#side === 'none') return get;
    const side = this.#sideOf(name);
    // Turned away on a slot that is being moved, unless both are in one place.
    return [...get, ['GET', side], ['EXISTS', name, side], ['TIME']];
  }

  #rowIn([value, ttl, side, , time]: readonly Answer[]): Row {
    // Something else than a value is none.
    return this.#row(value instanceof Buffer ? value : null, Number(ttl), side, time);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((done): Timer => this.#store.setup.world.clock.after(ms, done));
  }
}

function namesOf({ names }: Waiting): readonly string[] {
  return names;
}

/** A server whose memory is full refuses to queue commands, even those that only read. */
function isFull(answers: readonly Answer[]): boolean {
  return answers.some((answer) => answer instanceof Error && answer.message.startsWith('OOM'));
}

/** What EXEC gave; throws the error that kept it from executing. */
function executedOf(answers: readonly Answer[]): readonly Answer[] {
  const executed = answers.at(-1);
  if (Array.isArray(executed)) {
    for (const reply of executed as Answer[]) if (reply instanceof Error) throw reply;
    return executed as Answer[];
  }
  const error = answers.find((answer) => answer instanceof Error);
  throw error instanceof Error ? error : new LinkLost('the transaction was not executed', []);
}
