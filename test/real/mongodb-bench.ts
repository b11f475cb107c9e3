/** A MongoDB stash in a collection of its own, for the suites. */
import { MongoClient } from 'mongodb';
import { mongodbAdapter } from '../../src/adapters/mongodb/spec.ts';
import type { Reader } from '../../src/contracts/reader.ts';
import type { StashRole } from '../../src/contracts/spec.ts';
import type { Stash } from '../../src/contracts/stash.ts';
import { Wall, worldOn, type StoreBench } from '../contracts/bench.ts';
import { MemoryBook, setupOf } from '../contracts/setup.ts';

export const KEEP_VERSIONS = 3;
export const DATABASE = 'holdfast_test';

let collections = 0;

export interface MongoWishes {
  readonly url: string;
  readonly collection?: string;
  readonly wall?: Wall;
  readonly book?: MemoryBook;
  readonly role?: StashRole;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** A name no other test of this process uses. */
export function newCollection(): string {
  collections += 1;
  return `versions_${process.pid}_${collections}`;
}

/** Opened, and apart until its mark is asked for. */
export async function openMongo(wishes: MongoWishes): Promise<{ stash: Stash; reader: Reader }> {
  const { url, collection, wall = new Wall(), book, role, options } = wishes;
  const { stash, reader } = await mongodbAdapter.open(
    setupOf({
      id: 'history',
      options: {
        url,
        database: DATABASE,
        collection: collection ?? newCollection(),
        keepVersions: KEEP_VERSIONS,
        keepFor: 1e12,
        ...options,
      },
      world: worldOn(wall),
      ...(book === undefined ? {} : { connections: book }),
      ...(role === undefined ? {} : { role }),
    }),
  );
  if (reader === undefined) throw new Error('a MongoDB stash can be read');
  return { stash, reader };
}

/** Joined, as the host would have done. A restart is another process with the same book. */
export async function mongoBench(
  url: string,
  options: Readonly<Record<string, unknown>> = {},
): Promise<StoreBench> {
  const collection = newCollection();
  const opened: Stash[] = [];
  const open = async (wall: Wall, book: MemoryBook): Promise<StoreBench> => {
    const { stash, reader } = await openMongo({ url, collection, wall, book, options });
    opened.push(stash);
    await stash.mark();
    return {
      stash,
      reader,
      keepVersions: KEEP_VERSIONS,
      wall,
      reopen: () => open(wall, book.later()),
      async dispose() {
        for (const one of opened) await one.close();
        await dropCollection(url, collection);
      },
    };
  };
  return open(new Wall(), new MemoryBook(1));
}

/** What a user of the collection would do, over a connection of their own. */
export async function withCollection<T>(
  url: string,
  collection: string,
  work: (collection: ReturnType<ReturnType<MongoClient['db']>['collection']>) => Promise<T>,
): Promise<T> {
  const client = new MongoClient(url, { retryWrites: false, serverSelectionTimeoutMS: 5000 });
  try {
    return await work(client.db(DATABASE).collection(collection));
  } finally {
    await client.close();
  }
}

async function dropCollection(url: string, name: string): Promise<void> {
  await withCollection(url, name, async (collection) => {
    await collection.drop().catch(() => false);
  });
  await withCollection(url, `${name}_marks`, async (collection) => {
    await collection.drop().catch(() => false);
  });
}
