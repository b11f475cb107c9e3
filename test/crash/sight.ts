/**
 * How the judge gets to see: over HTTP from the running server, and straight from the SQLite files
 * when no server runs.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { until, type Http } from '../process/http.ts';
import { placeOf, type Current, type Receipt, type Seen, type Version } from './judge.ts';
import { FILES } from './load.ts';
import type { Flow, Operation } from './recorder.ts';

const AT_ONCE = 32;

async function eachOf<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** `account/flow key` of everything that was ever sent. */
export function placesOf(operations: readonly Operation[]): Set<string> {
  return new Set(operations.flatMap(({ flow, keys }) => keys.map((key) => placeOf(flow, key))));
}

/** Waits until nothing moves: every write settled, or parked, or queued behind a parked one. */
export async function quiet(http: Http): Promise<void> {
  await until('nothing moves', async () => {
    const { text } = await http.ask('/metrics');
    const figure = (name: string): number =>
      Number(new RegExp(String.raw`^${name} (\S+)$`, 'm').exec(text)?.[1]);
    return figure('holdfast_lanes') === figure('holdfast_lanes_parked');
  });
}

/** Everything the server shows, of a server that is quiet. `known`: receipts that cannot change. */
export async function overHttp(
  http: Http,
  operations: readonly Operation[],
  known: Map<number, Receipt>,
): Promise<Seen> {
  const receipts = new Map(known);
  const uows = operations.flatMap(({ uow }) => (uow === null || known.has(uow) ? [] : [uow]));
  await eachOf(uows, async (uow) => {
    await until(`write ${uow} has an outcome, or is parked`, async () => {
      const [status, receipt] = await http.json<Receipt>(`/v1/uow/${uow}`);
      if (status !== 200) return true;
      receipts.set(uow, receipt);
      if (receipt.outcome === 'committed' || receipt.outcome === 'refused') known.set(uow, receipt);
      // Held: it queues behind a parked one.
      return receipt.outcome !== null || ['parked', 'held'].includes(receipt.state);
    });
  });
  const histories = new Map<string, Version[]>();
  const current = new Map<string, Current>();
  await eachOf(placesOf(operations), async (place) => {
    const [flow = '', key = ''] = place.split(' ');
    const path = `/v1/data/${flow}/${key}`;
    const items = await http.all<{ uow: number; kind: 'set' | 'delete'; etag: string }>(
      `${path}/history`,
    );
    histories.set(
      place,
      items.map(({ uow, kind, etag }) => ({ uow, kind, digest: etag.slice(1, -1) })),
    );
    const { status, text, headers } = await http.ask(path);
    const uow = headers['holdfast-uow'];
    current.set(place, {
      body: status === 200 ? text : null,
      uow: uow === undefined ? null : Number(uow),
    });
  });
  const failures = await http.all<{ uow: number; parked: boolean }>('/v1/failures');
  const parkedLanes = new Set<number>();
  const parked = [...receipts].filter(([, { state }]) => state === 'parked');
  await eachOf(parked, async ([uow]) => {
    // It may be trying again just now; then it is listed again a moment later, or has ended.
    await until(`parked write ${uow} is listed with its keys`, async () => {
      const lanes = await http.all<{ uow: number }>('/v1/lanes/parked');
      for (const lane of lanes) parkedLanes.add(lane.uow);
      const [, receipt] = await http.json<Receipt>(`/v1/uow/${uow}`);
      return parkedLanes.has(uow) || receipt.outcome !== null;
    });
    const [, receipt] = await http.json<Receipt>(`/v1/uow/${uow}`);
    if (receipt.outcome !== null) receipts.set(uow, receipt);
  });
  return {
    stores: new Map([['http', histories]]),
    storesOf: () => ['http'],
    current,
    receipts,
    failures: new Map(failures.map((row) => [row.uow, row.parked])),
    parkedLanes,
  };
}

const DELETE = 1;
const TOMBSTONE = 2;

/** The versions in one SQLite file, from its table of attempts alone. */
export function inFile(file: string): Map<string, Version[]> {
  const database = new DatabaseSync(file, { readOnly: true });
  const rows = database
    .prepare(
      `SELECT a.id >> 10 AS uow, a.kind, a.keys, a.digest, s.account || '/' || s.flow AS flow
       FROM attempt a JOIN space s ON s.id = a.space WHERE a.kind <> ${TOMBSTONE}
       ORDER BY a.id DESC`,
    )
    .all() as unknown as {
    uow: number;
    kind: number;
    keys: string;
    digest: string;
    flow: string;
  }[];
  database.close();
  const found = new Map<string, Version[]>();
  for (const { uow, kind, keys, digest, flow } of rows) {
    const list = keys.startsWith('\0') ? (JSON.parse(keys.slice(1)) as string[]) : [keys];
    for (const key of list) {
      const place = placeOf(flow, key);
      const versions = found.get(place) ?? [];
      versions.push({ uow, kind: kind === DELETE ? 'delete' : 'set', digest });
      found.set(place, versions);
    }
  }
  return found;
}

/** What lies in the files of a data folder, with what the server said of outcomes before. */
export function inFiles(data: string, said: Seen): Seen {
  const names = new Set(Object.values(FILES).flat());
  const stores = new Map([...names].map((name) => [name, inFile(join(data, `${name}.db`))]));
  return { ...said, stores, storesOf: (flow: Flow) => FILES[flow], current: null };
}
