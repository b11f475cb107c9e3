/** Readers that break a promise. */
import type { Found, Reader, ScanItem } from '../../../src/contracts/reader.ts';
import { partsOf } from '../../../src/adapters/cursor.ts';
import { everything, type StoreBench } from '../bench.ts';
import type { Spoil, StoreRow } from './mutate.ts';

/** A mutant that changes what `get` found. */
function getting(change: (found: (Found | null)[], bench: StoreBench) => (Found | null)[]) {
  return ({ ...bench }: StoreBench): Spoil => ({
    reader: { get: async (...asked) => change([...(await bench.reader.get(...asked))], bench) },
  });
}

/** A mutant that finds values as if it were another time. */
function onTime(change: (ms: number) => number) {
  return ({ reader, wall }: StoreBench): Spoil => ({
    reader: {
      async get(...asked) {
        const { ms } = wall;
        wall.ms = change(ms);
        try {
          return await reader.get(...asked);
        } finally {
          wall.ms = ms;
        }
      },
    },
  });
}

/** A mutant that changes what one page of a scan shows. */
function scanning(change: (items: ScanItem[], from: { cursor: string | null }) => ScanItem[]) {
  return ({ reader }: StoreBench): Spoil => ({
    reader: {
      async scan(account, flow, prefix, cursor, limit, visible) {
        const page = await reader.scan(account, flow, prefix, cursor, limit, visible);
        return { ...page, items: change([...page.items], { cursor }) };
      },
    },
  });
}

const GET: readonly StoreRow[] = [
  [
    'answers once for a key asked twice',
    ({ reader }) => ({
      reader: {
        get: (account, flow, keys, visible) =>
          reader.get(account, flow, [...new Set(keys)], visible),
      },
    }),
    'get answers once per key',
  ],
  [
    'tells a time left in seconds',
    getting((found) => {
      return found.map((one) => one && { ...one, ttlMs: one.ttlMs && Math.ceil(one.ttlMs / 1000) });
    }),
    'get tells the time left',
  ],
  [
    'finds values in the millisecond of their expiry',
    onTime((ms) => (ms % 1000 === 500 ? ms - 1 : ms)),
    'the very millisecond',
  ],
  [
    'uncovers what is below an expired value',
    ({ reader, wall }) => ({
      reader: {
        async get(account, flow, keys, visible) {
          const past: boolean[] = [];
          for (const key of keys) {
            const versions = await reader.history?.(account, flow, key, null, 99, visible);
            const [newest, older] = versions ?? [];
            past.push(older !== undefined && (newest?.expiresAt ?? Infinity) <= wall.ms);
          }
          const older = await reader.get(account, flow, keys, (uow) => uow < 2);
          const found = await reader.get(account, flow, keys, visible);
          return found.map((one, at) => (past[at] === true ? (older[at] ?? null) : one));
        },
      },
    }),
    'does not uncover an older one',
  ],
  [
    'passes over sixteen attempts at most',
    ({ reader }) => ({
      reader: {
        get(account, flow, keys, visible) {
          let passed = 0;
          return reader.get(account, flow, keys, (uow, attempt) => {
            if (passed > 16) return false;
            passed += 1;
            return visible(uow, attempt);
          });
        },
      },
    }),
    'however many',
  ],
  [
    'asks about the uow alone',
    ({ reader }) => ({
      reader: {
        get: (account, flow, keys, visible) =>
          reader.get(account, flow, keys, (uow) => visible(uow, 1) || visible(uow, 2)),
      },
    }),
    'uow and attempt',
  ],
  [
    'tells the uow of an older version',
    getting((found) => found.map((one) => one && { ...one, uow: 8 })),
    'they are those of the value found',
  ],
];

const SCAN: readonly StoreRow[] = [
  [
    'takes a star in the prefix for a pattern',
    ({ reader }) => ({
      reader: {
        scan: (account, flow, prefix, ...rest) =>
          reader.scan(account, flow, prefix.replace(/\*$/, ''), ...rest),
      },
    }),
    'only those',
  ],
  [
    'shows the first key of each later page twice',
    scanning((items, { cursor }) => {
      const [first] = items;
      return cursor !== null && items.length === 7 && first ? [first, ...items.slice(0, 6)] : items;
    }),
    'scan shows each key once',
  ],
  [
    'changes its order from scan to scan',
    ({ reader }) => {
      let scans = 0;
      return {
        reader: {
          async scan(account, flow, prefix, cursor, limit, visible) {
            const page = await reader.scan(account, flow, prefix, cursor, limit, visible);
            scans += 1;
            return scans % 2 === 0 ? { ...page, items: [...page.items].reverse() } : page;
          },
        },
      };
    },
    'keeps its order',
  ],
  [
    'counts from the start instead of going on behind a key',
    ({ reader }) => ({
      reader: {
        async scan(account, flow, prefix, cursor, limit, visible) {
          await reader.scan(account, flow, prefix, cursor, limit, visible);
          const from = cursor === null ? 0 : (counted.get(cursor) ?? 0);
          const all = await reader.scan(account, flow, prefix, null, from + limit, visible);
          if (all.cursor !== null) counted.set(all.cursor, from + limit);
          return { items: all.items.slice(from), cursor: all.cursor };
        },
      },
    }),
    'though keys before it come and go',
  ],
  [
    'shows attempts that are not visible',
    ({ reader }) => ({
      reader: {
        scan: (account, flow, prefix, cursor, limit) =>
          reader.scan(account, flow, prefix, cursor, limit, everything),
      },
    }),
    'scan leaves out',
  ],
  [
    'tells no time left in listings',
    scanning((items) => items.map((item) => ({ ...item, ttlMs: null }))),
    'scan tells the time left',
  ],
  [
    'lists the keys of all flows',
    ({ reader }) => ({
      reader: {
        async scan(account, _flow, ...rest) {
          const [own, other] = await Promise.all([
            reader.scan(account, 'orders', ...rest),
            reader.scan(account, 'other', ...rest),
          ]);
          return { items: [...own.items, ...other.items], cursor: own.cursor };
        },
      },
    }),
    'scan keeps accounts and flows apart',
  ],
  [
    'takes any cursor',
    ({ reader }) => ({
      reader: {
        scan(account, flow, prefix, cursor, limit, visible) {
          const usable = cursor === null || isOurs(cursor) ? cursor : null;
          return reader.scan(account, flow, prefix, usable, limit, visible);
        },
      },
    }),
    'a cursor that is not ours',
  ],
];

/** How many items came before each cursor that the counting mutant gave. */
const counted = new Map<string, number>();

function isOurs(cursor: string): boolean {
  try {
    partsOf(cursor, ['string']);
    return true;
  } catch {
    return false;
  }
}

type History = NonNullable<Reader['history']>;
type At = NonNullable<Reader['at']>;

function withHistory(make: (history: History) => History) {
  return ({ reader }: StoreBench): Spoil => {
    const history = reader.history?.bind(reader);
    return history === undefined ? {} : { reader: { history: make(history) } };
  };
}

function withAt(make: (at: At, bench: StoreBench) => At) {
  return (bench: StoreBench): Spoil => {
    const at = bench.reader.at?.bind(bench.reader);
    return at === undefined ? {} : { reader: { at: make(at, bench) } };
  };
}

const HISTORY: readonly StoreRow[] = [
  [
    'takes deletes for values',
    withHistory((history) => async (...asked) => {
      return (await history(...asked)).map((version) => ({ ...version, kind: 'set' }));
    }),
    'history shows versions',
  ],
  [
    'ends its history at two hundred',
    withHistory((history) => (account, flow, key, before, limit, visible) => {
      return history(account, flow, key, before, Math.min(limit, 200), visible);
    }),
    'at most as many as asked',
  ],
  [
    'shows versions that are not visible',
    withHistory((history) => (account, flow, key, before, limit) => {
      return history(account, flow, key, before, limit, everything);
    }),
    'history leaves out',
  ],
  [
    'goes back to before a time, not to it',
    withAt((at) => (account, flow, key, moment, visible) => {
      if (!('time' in moment) || moment.time % 10 !== 0 || moment.time % 1000 > 39) {
        return at(account, flow, key, moment, visible);
      }
      return at(account, flow, key, { time: moment.time - 1 }, visible);
    }),
    'the newest one held by then',
  ],
  [
    'judges expiry by the present',
    withAt((at, { wall }) => async (...asked) => {
      const found = await at(...asked);
      return typeof found?.ttlMs === 'number' && wall.ms % 10_000 === 1000 ? null : found;
    }),
    'what had expired by then',
  ],
  [
    'goes back to exactly a uow',
    withAt((at) => async (account, flow, key, moment, visible) => {
      const found = await at(account, flow, key, moment, visible);
      return 'uow' in moment && found?.uow !== moment.uow ? null : found;
    }),
    'at or below it',
  ],
];

export const READER_MUTANTS: readonly StoreRow[] = [...GET, ...SCAN, ...HISTORY];
