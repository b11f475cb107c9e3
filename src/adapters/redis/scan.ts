/**
 * Listings by SCAN. A page is made of steps; one step is one SCAN with a fixed COUNT, whose keys
 * are put in order, so that a page may end inside a step and the next one goes on behind a key.
 *
 * What is promised: within a page each key stands once; while nothing is written, pages never
 * repeat or skip a key. SCAN itself may show a key again when its table grows or shrinks in
 * between, and so may two pages of one listing then.
 */
import { isUtf8 } from 'node:buffer';
import type { ScanItem, ScanPage, Visible } from '../../contracts/reader.ts';
import { keyFault } from '../../kernel/keys.ts';
import { cursorOf, foreignCursor, partsOf } from '../cursor.ts';
import { messageOf, type Answer, type Command } from './connection.ts';
import type { Gather } from './gather.ts';
import { unavailable, type Joined } from './joining.ts';
import { globOf, isOurs } from './names.ts';
import { foundIn, serverMs } from './row.ts';
import type { RedisStore } from './store.ts';

export interface ScanWish {
  readonly account: string;
  readonly flow: string;
  readonly prefix: string;
  readonly cursor: string | null;
  readonly limit: number;
  readonly visible: Visible;
}

/** Names looked at by one SCAN, and SCANs for one page: a page may be empty and still go on. */
const COUNT = '1000';
const STEPS_MAX = 50;
/** Of what stands beside a value: more than its first words take, and little of an image. */
const HEAD_BYTES = '400';

/** Where a listing stands: the next step of a node, behind a key of it. */
interface Place {
  readonly node: string;
  readonly at: string;
  /** Empty: from the start of the step, since no key is empty. */
  readonly behind: string;
}

export async function scan(store: RedisStore, gather: Gather, wish: ScanWish): Promise<ScanPage> {
  const { before, after } = store.names.around(wish.account, wish.flow);
  let place = startOf(store, wish);
  const pattern = `${globOf(before + wish.prefix)}*${globOf(after)}`;
  const items: ScanItem[] = [];
  const shown = new Set<string>();
  try {
    for (let steps = 0; place !== null && steps < STEPS_MAX; steps += 1) {
      const { node, at, behind } = place;
      const joined = store.node(node);
      if (joined === null) throw store.apart === null ? foreignCursor() : unavailable(store.apart);
      gather.flush();
      const command: Command = ['SCAN', at, 'MATCH', pattern, 'COUNT', COUNT, 'TYPE', 'string'];
      const [answer] = await joined.read.call([command], 'bytes');
      const { next, names } = stepOf(answer);
      const keys = keysIn(names, { before, after }, store, wish);
      let last = behind;
      const left = keys.filter(({ key }) => !shown.has(key) && (behind === '' || key > behind));
      gather.flush();
      for (const { key, ttlMs } of await living(store, gather, joined, left, wish.visible)) {
        if (items.length === wish.limit) {
          return { items, cursor: cursorFor(wish, { node, at, behind: last }) };
        }
        shown.add(key);
        last = key;
        items.push({ key, ttlMs });
      }
      place = following(store, node, next);
    }
  } catch (error) {
    throw asFault(store, error);
  }
  return { items, cursor: place === null ? null : cursorFor(wish, place) };
}

function asFault(store: RedisStore, error: unknown): Error {
  if (error instanceof Error && 'code' in error && error.name === 'Fault') return error;
  return unavailable(`"${store.id}" cannot be read: ${messageOf(error)}`);
}

function startOf(store: RedisStore, { cursor, prefix }: ScanWish): Place | null {
  if (cursor === null) {
    const [first] = store.masters();
    return first === undefined ? null : { node: first.node, at: '0', behind: '' };
  }
  const parts = partsOf(cursor, ['string', 'string', 'string', 'string', 'string']);
  const [of, from, node, at, behind] = parts as [string, string, string, string, string];
  if (of !== 'redis' || from !== prefix || !/^\d{1,20}$/.test(at)) throw foreignCursor();
  if (behind !== '' && (keyFault(behind) !== null || !behind.startsWith(prefix))) {
    throw foreignCursor();
  }
  return { node, at, behind };
}

function cursorFor({ prefix }: ScanWish, { node, at, behind }: Place): string {
  return cursorOf('redis', prefix, node, at, behind);
}

/** The next step: of the same node, or of the next one by name. */
function following(store: RedisStore, node: string, next: string): Place | null {
  if (next !== '0') return { node, at: next, behind: '' };
  const after = store.masters().find((each) => each.node > node);
  return after === undefined ? null : { node: after.node, at: '0', behind: '' };
}

function stepOf(answer: Answer): { next: string; names: Buffer[] } {
  if (answer instanceof Error) throw answer;
  const [next, names] = Array.isArray(answer) ? (answer as [Buffer, Buffer[]]) : [];
  if (next === undefined || names === undefined) throw unavailable('SCAN gave no answer');
  return { next: next.toString('latin1'), names };
}

interface Named {
  readonly key: string;
  readonly name: string;
}

/** The names that are those of keys of this flow, each once, in order. */
function keysIn(
  names: readonly Buffer[],
  { before, after }: { before: string; after: string },
  store: RedisStore,
  { account, flow, prefix }: ScanWish,
): Named[] {
  const found = new Map<string, Named>();
  for (const bytes of names) {
    if (!isUtf8(bytes)) continue;
    const name = bytes.toString('utf8');
    if (isOurs(name) || name.length < before.length + after.length) continue;
    const key = name.slice(before.length, name.length - after.length);
    if (!key.startsWith(prefix) || keyFault(key) !== null) continue;
    if (store.names.of(account, flow, key) === name) found.set(key, { key, name });
  }
  return [...found.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** Those that are there and may be seen, with their time left. */
async function living(
  store: RedisStore,
  gather: Gather,
  { read }: Joined,
  keys: readonly Named[],
  visible: Visible,
): Promise<ScanItem[]> {
  if (keys.length === 0) return [];
  if (store.setup.role === 'reader') {
    const answers = await read.call(keys.map(({ name }) => ['PTTL', name]));
    for (const answer of answers) if (answer instanceof Error) throw answer;
    return keys.flatMap(({ key }, at) => itemOf(key, Number(answers[at])));
  }
  const commands = keys.flatMap(({ name }): Command[] => {
    const side = store.names.beside(name);
    const head: Command = ['GETRANGE', side, '0', HEAD_BYTES];
    return [['MULTI'], ['PTTL', name], head, ['TIME'], ['EXEC']];
  });
  const answers = await read.call(commands);
  if (answers.some((answer) => answer instanceof Error && answer.message.startsWith('OOM'))) {
    // A full server takes no transactions; the values are read along then.
    const rows = await gather.get(keys.map(({ name }) => name));
    return keys.flatMap(({ key }, at) => {
      const found = foundIn(rows[at], visible);
      return found === null ? [] : [{ key, ttlMs: found.ttlMs }];
    });
  }
  return keys.flatMap(({ key }, at) => {
    const row = answers[at * 5 + 4];
    if (!Array.isArray(row)) throw row instanceof Error ? row : unavailable('no answer');
    const [ttl, head, time] = row as [number, string, Answer];
    const words = head.split(/[ \n]/, 18);
    const [u = '', a] = words;
    const isSeen = u === '' || u === '-' || visible(Number(u), Number(a));
    if (isSeen) return itemOf(key, ttl);
    const [mark, ends] = words.slice(16);
    if (mark !== '1') return [];
    return itemOf(key, ends === '-' ? -1 : Number(ends) - serverMs(time));
  });
}

/** `ttl` as PTTL tells it. */
function itemOf(key: string, ttl: number): ScanItem[] {
  if (ttl === -1) return [{ key, ttlMs: null }];
  return ttl > 0 ? [{ key, ttlMs: ttl }] : [];
}
