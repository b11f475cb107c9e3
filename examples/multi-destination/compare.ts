/**
 * The comparison: each store is asked by its own means, past Holdfast, and what it holds is held
 * against what was committed. Every key of a committed write must be there byte for byte, the
 * newest where several wrote it; of any other write nothing may be there.
 */
import { createClient, RESP_TYPES } from '@redis/client';
import { MongoClient, type Binary } from 'mongodb';
import { valueOf, type Kept } from './partner.ts';
import type { Item, Receipt, Relay } from './relay.ts';
import type { Stores } from './stores.ts';

/** What was committed: the newest value by `flow:key`, and by which writes. */
export interface Expected {
  readonly values: ReadonlyMap<string, Buffer>;
  readonly uows: ReadonlySet<number>;
}

/** What a store holds. */
export interface Holding {
  readonly store: string;
  readonly values: ReadonlyMap<string, Buffer>;
  /** The writes that it holds something of; null where it does not keep their numbers. */
  readonly uows: ReadonlySet<number> | null;
}

export interface Finding {
  readonly store: string;
  /** Keys that are there byte for byte. */
  readonly same: number;
  readonly missing: readonly string[];
  readonly different: readonly string[];
  /** Keys, and numbers of writes, that should not be there. */
  readonly extra: readonly string[];
}

const ACCOUNT = 'github';

export function expectedOf(
  held: ReadonlyMap<number, Item>,
  receipts: readonly Receipt[],
): Expected {
  const committed = receipts.filter(({ outcome }) => outcome === 'committed');
  const values = new Map<string, Buffer>();
  const uows = new Set<number>();
  // Numbers rise in the order in which writes of a key were accepted: the last one is the newest.
  for (const { uow } of committed.toSorted((a, b) => a.uow - b.uow)) {
    const item = held.get(uow);
    uows.add(uow);
    for (const key of item?.keys ?? []) values.set(`${item?.flow}:${key}`, item?.body as Buffer);
  }
  return { values, uows };
}

export function judge(expected: Expected, { store, values, uows }: Holding): Finding {
  let same = 0;
  const missing: string[] = [];
  const different: string[] = [];
  for (const [name, value] of expected.values) {
    const found = values.get(name);
    if (found === undefined) missing.push(name);
    else if (found.equals(value)) same += 1;
    else different.push(name);
  }
  const names = [...values.keys()].filter((name) => !expected.values.has(name));
  const others = [...(uows ?? [])].filter((uow) => !expected.uows.has(uow));
  return {
    store,
    same,
    missing,
    different,
    extra: [...names, ...others.map((uow) => `uow ${uow}`)],
  };
}

export function isClean({ missing, different, extra }: Finding): boolean {
  return missing.length + different.length + extra.length === 0;
}

/** What all stores hold now. */
export async function holdings(stores: Stores, relay: Relay): Promise<Holding[]> {
  return [
    await inRedis(stores.redisUrl),
    await inMongodb(stores.mongodbUrl, stores.mongodbDatabase),
    await inPartner(stores.partnerUrl()),
    await throughHoldfast(relay),
  ];
}

/** Names are `account:flow:key`, values are plain. */
async function inRedis(url: string): Promise<Holding> {
  const client = createClient({ url, socket: { reconnectStrategy: false } });
  client.on('error', () => {});
  await client.connect();
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const values = new Map<string, Buffer>();
  try {
    const scan = client.scanIterator({ MATCH: `${ACCOUNT}:*`, COUNT: 1000 });
    for await (const names of scan) {
      const found = names.length === 0 ? [] : await bytes.mGet(names);
      for (const [at, name] of names.entries()) {
        const value = found[at];
        if (value instanceof Buffer) values.set(name.slice(ACCOUNT.length + 1), value);
      }
    }
  } finally {
    client.destroy();
  }
  return { store: 'Redis, by SCAN and MGET', values, uows: null };
}

interface Version {
  readonly flow: string;
  readonly key: string;
  readonly uow: number;
  readonly value: Binary;
}

/** Every version is a document; what was undone left one of the kind `undone`, without a value. */
async function inMongodb(url: string, database: string): Promise<Holding> {
  const client = await MongoClient.connect(url);
  const values = new Map<string, Buffer>();
  const uows = new Set<number>();
  try {
    const versions = client.db(database).collection<Version & { kind: string }>('versions');
    // The driver gives them in the order of their numbers: ids begin with them.
    const found = versions.find({ account: ACCOUNT, kind: { $ne: 'undone' } }).sort({ _id: 1 });
    for await (const { flow, key, uow, value } of found) {
      values.set(`${flow}:${key}`, Buffer.from(value.value()));
      uows.add(uow);
    }
  } finally {
    await client.close();
  }
  return { store: 'MongoDB, by find', values, uows };
}

async function inPartner(url: string): Promise<Holding> {
  const text = await (await fetch(`${url}/records`)).text();
  const records = text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Kept)
    .toSorted((a, b) => a.uow - b.uow);
  const values = new Map<string, Buffer>();
  for (const record of records) {
    for (const key of record.keys) values.set(`${record.flow}:${key}`, valueOf(record));
  }
  const uows = new Set(records.map(({ uow }) => uow));
  return { store: 'the partner, by GET /records', values, uows };
}

/** Every key that was ever sent: those of writes that are not committed must not be found. */
async function throughHoldfast(relay: Relay): Promise<Holding> {
  const values = new Map<string, Buffer>();
  for (const flow of ['deliveries', 'latest'] as const) {
    const items = [...relay.held.values()].filter((item) => item.flow === flow);
    const keys = [...new Set(items.flatMap((item) => item.keys))];
    const found = await relay.readAll(flow, keys);
    for (const [key, value] of found) values.set(`${flow}:${key}`, value);
  }
  return { store: 'Holdfast, by GET', values, uows: null };
}
