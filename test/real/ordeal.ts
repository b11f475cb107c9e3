/**
 * One fault in the middle of traffic, and the verdict on what is left: nothing acknowledged lost,
 * nothing that failed anywhere, all stores alike, every reading true, order per key kept.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { judge, type Receipt, type Seen } from '../crash/judge.ts';
import { drawn } from '../crash/load.ts';
import type { Operation } from '../crash/recorder.ts';
import { overHttp, placesOf } from '../crash/sight.ts';
import { until } from '../process/http.ts';
import { currentOf, valuesIn, versionsIn } from './look.ts';
import { judgeReadings } from './readings.ts';
import type { Town } from './town.ts';
import { Traffic, type TrafficWishes } from './traffic.ts';

export const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));

const WARM = 120;
const AFTERWARDS = 80;
const SHOWN = 20;
const LOOKS_MAX = 5;
const LOOK_AGAIN_MS = 250;

export interface Ordeal {
  /** Makes it happen, and lets it last until it had its effect. */
  readonly strike: (town: Town, traffic: Traffic) => Promise<void>;
  /** Takes its cause away. */
  readonly mend: (town: Town, traffic: Traffic) => Promise<void>;
  readonly wishes?: TrafficWishes;
}

/** What `undergo` saw, for what a test has to say besides. */
export interface Undergone {
  readonly traffic: Traffic;
  /** Operations sent while the fault lasted, by how they ended. */
  readonly during: Readonly<Record<string, number>>;
  readonly seen: Seen;
}

/** Traffic, the fault, its end, more traffic, quiet, the verdict; retries, and a last verdict. */
export async function undergo(t: TestContext, town: Town, ordeal: Ordeal): Promise<Undergone> {
  const traffic = new Traffic(drawn(SEED), ordeal.wishes);
  const clock = new Stopwatch();
  traffic.begin(town.http);
  await traffic.committed(WARM);
  clock.lap('warm');
  const { inFlight, sent } = traffic;
  assert.ok(inFlight > 0, 'nothing was in flight when it happened');
  const readBefore = traffic.readings.all.length;
  await ordeal.strike(town, traffic);
  const struck = { readings: traffic.readings.all.length - readBefore, mended: traffic.sent };
  clock.lap('struck');
  await ordeal.mend(town, traffic);
  await town.joined();
  clock.lap('whole');
  await traffic.committed(AFTERWARDS);
  await traffic.stop();
  const during = tallyBetween(traffic, sent, struck.mended);
  t.diagnostic(
    `seed ${SEED}; in flight at the fault: ${inFlight}; answered during it: ` +
      `${JSON.stringify(during)}, readings ${struck.readings}; in all: ` +
      `${JSON.stringify(traffic.tally())}, readings ${traffic.readings.all.length}, ` +
      `not readable ${traffic.readings.unavailable}`,
  );
  const seen = await settle(t, town, traffic, clock);
  t.diagnostic(`seconds: ${clock.laps.join(', ')}`);
  return { traffic, during, seen };
}

class Stopwatch {
  readonly laps: string[] = [];
  #last = performance.now();

  lap(name: string): void {
    const now = performance.now();
    this.laps.push(`${name} ${((now - this.#last) / 1000).toFixed(1)}`);
    this.#last = now;
  }
}

function tallyBetween(traffic: Traffic, from: number, to: number): Record<string, number> {
  const ends: Record<string, number> = {};
  for (const { end } of traffic.recorder.operations.slice(from, to)) {
    ends[end] = (ends[end] ?? 0) + 1;
  }
  return ends;
}

/** Waits until all is quiet and judges; then tries again whatever failed, and judges that. */
export async function settle(
  t: TestContext,
  town: Town,
  traffic: Traffic,
  clock: Stopwatch = new Stopwatch(),
): Promise<Seen> {
  const { http } = town;
  const known = new Map<number, Receipt>();
  await unpark(town);
  clock.lap('quiet');
  const { operations } = traffic.recorder;
  const first = await lookAt(town, traffic, known);
  const shown = judgeReadings(traffic.readings.all, operations, historyOf(first.seen));
  mustBeWell([...traffic.readings.complaints, ...shown, ...first.complaints], 'after the fault');
  clock.lap('judged');
  const queue = await http.all<{ uow: number }>('/v1/failures');
  const queued = new Set(queue.map(({ uow }) => uow));
  for (const each of operations) if (queued.has(each.uow ?? -1)) each.retried = true;
  await retryAll(town);
  await until('the fail queue is empty', async () => {
    return (await http.all('/v1/failures')).length === 0;
  });
  await unpark(town);
  clock.lap('retried');
  const last = await lookAt(town, traffic, known);
  mustBeWell(last.complaints, 'after the retries');
  clock.lap('judged again');
  t.diagnostic(`${queue.length} failures tried again; ${historyOf(last.seen).size} keys compared`);
  return last.seen;
}

interface FailureRow {
  readonly uow: number;
  readonly parked: boolean;
}

/**
 * Waits until every write has its outcome. What failed after a 202 tries again by itself, minutes
 * later at last, and others queue behind it; here it is told to try now.
 */
export async function unpark(town: Town): Promise<void> {
  await until('nothing is parked, nothing moves', async () => {
    const rows = await town.http.all<FailureRow>('/v1/failures');
    const parked = rows.filter((row) => row.parked);
    await Promise.all(parked.map(({ uow }) => retry(town, uow)));
    return parked.length === 0 && (await town.http.figure('holdfast_lanes')) === 0;
  }).catch(async (error: unknown) => {
    throw new Error(`${String(error)}\n${await town.standing()}`);
  });
}

async function retryAll(town: Town): Promise<void> {
  const rows = await town.http.all<{ uow: number }>('/v1/failures');
  for (const { uow } of rows) await retry(town, uow);
}

/** 404, 409: it was superseded by the retry of another, or is under way by itself. */
async function retry({ http }: Town, uow: number): Promise<void> {
  const [status, answer] = await http.json(`/v1/failures/${uow}/retry`, { method: 'POST' });
  assert.ok([202, 404, 409].includes(status), JSON.stringify(answer));
}

const HISTORY = 'history';

export function historyOf(seen: Seen) {
  const store = seen.stores.get(HISTORY);
  assert.ok(store !== undefined);
  return store;
}

interface Looked {
  readonly seen: Seen;
  readonly complaints: readonly string[];
}

/**
 * All that Holdfast shows and all that lies in the stores, and what is wrong with it. What is
 * parked may be trying again just then and stand in some stores for a moment: wrong is what stays
 * wrong.
 */
export async function lookAt(
  town: Town,
  traffic: Traffic,
  known: Map<number, Receipt> = new Map(),
): Promise<Looked> {
  let looked = await lookOnce(town, traffic, known);
  for (let looks = 1; looks < LOOKS_MAX && looked.complaints.length > 0; looks += 1) {
    await pause(LOOK_AGAIN_MS);
    const { seen, complaints } = await lookOnce(town, traffic, known);
    looked = { seen, complaints: complaints.filter((each) => looked.complaints.includes(each)) };
  }
  return looked;
}

/** Without a second look. */
export async function lookOnce(
  town: Town,
  traffic: Traffic,
  known: Map<number, Receipt> = new Map(),
): Promise<Looked> {
  const { operations, complaints } = traffic.recorder;
  const shown = await shownBy(town, operations, known);
  const history = await versionsIn(town);
  const seen: Seen = { ...shown, stores: new Map([[HISTORY, history]]), storesOf: () => [HISTORY] };
  const wrong = [...complaints, ...judge(operations, seen), ...twice(history)];
  const everywhere = [...placesOf(operations)];
  for (const store of ['cache', 'second'] as const) {
    const places = store === 'cache' ? everywhere : everywhere.filter(inSecond);
    const current = currentOf(places, await valuesIn(town, store));
    const more = judge(operations, { ...seen, current });
    for (const each of more) if (!wrong.includes(each)) wrong.push(`in ${store}: ${each}`);
  }
  return { seen, complaints: wrong };
}

/** A machine that is busy may make a store part for a moment: asked again then. */
async function shownBy(
  town: Town,
  operations: readonly Operation[],
  known: Map<number, Receipt>,
): Promise<Seen> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await overHttp(town.http, operations, known);
    } catch (error) {
      if (tries === LOOKS_MAX || !/: 503 /.test(String(error))) throw error;
      await town.joined();
    }
  }
}

function inSecond(place: string): boolean {
  return !place.startsWith('default/default ');
}

/** One write has one version of a key, whatever its attempts. */
function twice(history: Seen['stores'] extends ReadonlyMap<string, infer Places> ? Places : never) {
  return [...history].flatMap(([place, versions]) => {
    return versions
      .filter(({ uow }, at) => versions[at + 1]?.uow === uow)
      .map(({ uow }) => `write ${uow} stands twice under ${place}`);
  });
}

export function mustBeWell(complaints: readonly string[], when: string): void {
  const more = complaints.length > SHOWN ? `\nand ${complaints.length - SHOWN} more` : '';
  const shown = complaints.slice(0, SHOWN).join('\n');
  assert.equal(complaints.length, 0, `${when} (SEED=${SEED}):\n${shown}${more}`);
}
