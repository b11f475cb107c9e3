/**
 * Loses the second of two Redis in the middle of a write, once by SIGKILL and once by SIGSTOP, and
 * tells what each contender answered and what each store holds, at once and after the store came
 * back. Run: node examples/versus/run.ts
 *
 * Ends with 0 only if Holdfast left every write in both stores or in none, as it had told.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ask } from '../../test/real/servers/redis-wire.ts';
import { ensure, serversAreRequired, unavailable } from '../../test/real/servers/servers.ts';
import type { Server } from '../../test/real/servers/servers.ts';
import { camel, handler, holdfasts } from './contenders.ts';
import type { Contender, Running } from './contenders.ts';
import { bothWords, judge, toldWords } from './judge.ts';
import type { Both, Holds, Told, Verdict } from './judge.ts';

export interface Fault {
  readonly name: string;
  /** Done to the store while a write is on its way to it. It is stopped already. */
  lose(store: Server): Promise<void>;
  bringBack(store: Server): Promise<void>;
  /** How a store is that cannot be asked meanwhile. */
  readonly meanwhile: Holds;
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'killed',
    lose: (store) => store.kill(),
    bringBack: (store) => store.restart(),
    meanwhile: 'down',
  },
  {
    name: 'hung',
    lose: () => Promise.resolve(),
    bringBack: (store) => Promise.resolve(store.cont()),
    meanwhile: 'hangs',
  },
];

export interface Row {
  readonly contender: string;
  readonly fault: string;
  readonly told: Told;
  readonly atOnce: Both;
  readonly after: Both;
  readonly verdict: Verdict;
}

/** Time for a write to reach the first store, before the second is lost. */
const ON_ITS_WAY_MS = 1000;
/** Time for a contender to make whole what it can, once the store is back. */
const MEND_MS_MAX = 10_000;
/** As long as this nothing may change any more. */
const CALM_MS = 3000;
const LOOK_MS = 50;

const EARLIER = ['earlier', '{"n":1}'] as const;
const LOST = ['in-the-middle', '{"n":2}'] as const;

async function valueIn(store: Server, name: string): Promise<unknown> {
  const [value] = await ask(store.port, undefined, ['GET', name]);
  return value;
}

async function holds(store: Server, name: string, otherwise: Holds): Promise<Holds> {
  try {
    return (await valueIn(store, name)) === LOST[1] ? 'yes' : 'no';
  } catch {
    return otherwise;
  }
}

/** Puts a value before anything is broken; throws when not even that goes well. */
async function putEarlier(running: Running, first: Server, second: Server): Promise<void> {
  const [key, value] = EARLIER;
  const { status } = await running.put(key, value);
  const name = running.nameOf(key);
  const found = [await valueIn(first, name), await valueIn(second, name)];
  if (status !== 200 || found.some((each) => each !== value)) {
    throw new Error(`the write before the fault: ${status}, ${JSON.stringify(found)}`);
  }
}

/** One contender, one fault, two new stores. */
export async function face(contender: Contender, fault: Fault): Promise<Row> {
  const first = await ensure('redis');
  const second = await ensure('redis').catch(async (error: unknown) => {
    await first.dispose();
    throw error;
  });
  try {
    const running = await contender.start(first, second);
    try {
      await putEarlier(running, first, second);
      return { contender: contender.name, ...(await lose(running, fault, first, second)) };
    } finally {
      await running.stop();
    }
  } finally {
    // A hung contender was told to end first: nothing of it is left to wake up here.
    await second.dispose();
    await first.dispose();
  }
}

async function lose(running: Running, fault: Fault, first: Server, second: Server) {
  const [key, value] = LOST;
  const name = running.nameOf(key);
  // Stopped before the write and killed while it waits: so its command is on the way for certain.
  second.stop();
  const answered = running.put(key, value);
  const end = performance.now() + ON_ITS_WAY_MS;
  while (performance.now() < end && (await holds(first, name, 'no')) === 'no') await pause(LOOK_MS);
  await fault.lose(second);
  const answer = await answered;
  const atOnce = { first: await holds(first, name, 'hangs'), second: fault.meanwhile };
  await fault.bringBack(second);
  const after = await calm(first, second, name);
  const told = await running.outcomeOf(answer);
  return { fault: fault.name, told, atOnce, after, verdict: judge(told, after) };
}

/**
 * What the stores hold once they agree and nothing has changed for a while; what they hold at the
 * end of the time to mend if they don't.
 */
async function calm(first: Server, second: Server, name: string): Promise<Both> {
  const end = performance.now() + MEND_MS_MAX;
  let since = performance.now();
  let seen: Both = { first: 'hangs', second: 'hangs' };
  for (;;) {
    const now = {
      first: await holds(first, name, 'hangs'),
      second: await holds(second, name, 'hangs'),
    };
    const { first: one, second: other } = now;
    if (one !== seen.first || other !== seen.second) since = performance.now();
    seen = now;
    if (performance.now() > end) return now;
    if (one === other && performance.now() - since > CALM_MS) return now;
    await pause(LOOK_MS);
  }
}

/** The contenders that can be had here. Throws where there is no Redis, or Camel is required. */
async function contenders(): Promise<Contender[]> {
  const noRedis = await unavailable('redis');
  if (noRedis !== null) throw new Error(noRedis);
  const why = await unavailable('camel');
  if (why === null) return [handler, camel, ...holdfasts];
  if (serversAreRequired()) throw new Error(why);
  console.log(`Apache Camel is left out: ${why}`);
  return [handler, ...holdfasts];
}

/** Runs all, and tells each result as it comes. */
export async function versus(tell: (words: string) => void): Promise<Row[]> {
  const rows: Row[] = [];
  for (const contender of await contenders()) {
    for (const fault of FAULTS) {
      const row = await face(contender, fault);
      tell(toldOf(row));
      rows.push(row);
    }
  }
  return rows;
}

/** One run in words. */
export function toldOf({ contender, fault, told, atOnce, after, verdict }: Row): string {
  return [
    `${contender}, second store ${fault} in the middle of a write`,
    `  told the caller: ${toldWords(told)}`,
    `  at once: ${bothWords(atOnce)}`,
    `  after it came back: ${bothWords(after)}`,
    `  ${verdict.words}`,
  ].join('\n');
}

/** One line per run, columns of equal width. */
export function table(rows: readonly Row[]): string {
  const cells = [
    ['contender', 'second store', 'told', 'at once', 'after it came back', 'verdict'],
    ...rows.map(({ contender, fault, told, atOnce, after, verdict }) => [
      contender,
      fault,
      toldWords(told),
      bothWords(atOnce),
      bothWords(after),
      verdict.words,
    ]),
  ];
  const widths = cells[0]?.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths?.[at] ?? 0))
        .join(' | ')
        .trimEnd(),
    )
    .join('\n');
}

/** Whether Holdfast was there and kept its word each time. */
export function isHoldfastRight(rows: readonly Row[]): boolean {
  const ours = rows.filter(({ contender }) => contender.startsWith('Holdfast'));
  return ours.length > 0 && ours.every(({ verdict }) => verdict.right);
}

if (import.meta.main) {
  const rows = await versus(console.log);
  console.log(`\n${table(rows)}\n`);
  const right = isHoldfastRight(rows);
  console.log(right ? 'Holdfast: all or nothing, as told' : 'Holdfast: NOT as told');
  process.exitCode = right ? 0 : 1;
}
