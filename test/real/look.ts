/** What lies in the stores themselves, looked at past Holdfast. */
import { MongoClient } from 'mongodb';
import { placeOf, type Current, type Version } from '../crash/judge.ts';
import { ask, type Answer } from './servers/redis-wire.ts';
import type { ServerNode } from './servers/servers.ts';
import { DATABASE, type StoreName, type Town } from './town.ts';

/** Begins every name that Holdfast keeps for itself. */
const OURS = 'holdfast\0';
const NAMES_AT_ONCE = 500;

interface Row {
  readonly _id: string;
  readonly account: string;
  readonly flow: string;
  readonly key: string;
  readonly uow: number;
  readonly kind: 'set' | 'delete' | 'undone';
  readonly digest: string;
}

/** Works on the collection of the versions, as its owner might. */
export async function withVersions<T>(
  town: Town,
  work: (versions: ReturnType<ReturnType<MongoClient['db']>['collection']>) => Promise<T>,
): Promise<T> {
  const client = new MongoClient(town.servers.history.url, { serverSelectionTimeoutMS: 5000 });
  try {
    return await work(client.db(DATABASE).collection('versions'));
  } finally {
    await client.close();
  }
}

/** By place, newest first; a version that stands there twice stands here twice. */
export async function versionsIn(town: Town): Promise<Map<string, Version[]>> {
  const rows = await withVersions(town, async (versions) => {
    const projection = { value: 0, document: 0 };
    const filter = { kind: { $ne: 'undone' } };
    return (await versions.find(filter, { projection }).toArray()) as unknown as Row[];
  });
  rows.sort((a, b) => (a._id < b._id ? 1 : -1));
  const found = new Map<string, Version[]>();
  for (const { account, flow, key, uow, kind, digest } of rows) {
    if (kind === 'undone') continue;
    const place = placeOf(`${account}/${flow}`, key);
    const list = found.get(place);
    if (list === undefined) found.set(place, [{ uow, kind, digest }]);
    else list.push({ uow, kind, digest });
  }
  return found;
}

/** `account:flow:key` as a place. */
function placeIn(name: string): string {
  const [account = '', flow = '', ...key] = name.split(':');
  return placeOf(`${account}/${flow}`, key.join(':'));
}

/** Every value that stands in a Redis under a name of a user's. */
export async function valuesIn(town: Town, store: StoreName): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const node of town.servers[store].nodes) {
    for (const [name, value] of await valuesOf(node)) found.set(placeIn(name), value);
  }
  return found;
}

async function valuesOf({ port }: ServerNode): Promise<[string, string][]> {
  const [listed] = await ask(port, undefined, ['KEYS', '*']);
  const names = listOf(listed).filter((name) => !name.startsWith(OURS));
  const found: [string, string][] = [];
  for (let from = 0; from < names.length; from += NAMES_AT_ONCE) {
    const lot = names.slice(from, from + NAMES_AT_ONCE);
    const values = await ask(port, undefined, ...lot.map((name) => ['GET', name]));
    for (const [at, name] of lot.entries()) {
      const value = values[at];
      if (typeof value === 'string') found.push([name, value]);
    }
  }
  return found;
}

function listOf(answer: Answer | undefined): string[] {
  return Array.isArray(answer) ? answer.map(String) : [];
}

/** Of each place that is known, and of each that the store has besides. */
export function currentOf(
  places: Iterable<string>,
  values: ReadonlyMap<string, string>,
): Map<string, Current> {
  const all = new Set([...places, ...values.keys()]);
  return new Map([...all].map((place) => [place, { body: values.get(place) ?? null, uow: null }]));
}
