/**
 * GitHub's deliveries into Redis, MongoDB and a partner's HTTP store, all or nothing, while the
 * partner refuses some and one store is lost in the middle. Then the redrive, and a comparison of
 * all stores. Run: node examples/multi-destination/run.ts [--step] [--keep] [--port N]
 * [--redis URL] [--mongodb URL]
 *
 * Ends with 0 only if every store holds what was committed, byte for byte, and nothing else.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { expectedOf, holdings, isClean, judge, type Finding } from './compare.ts';
import { allItems, pause, Relay, type Receipt } from './relay.ts';
import { findingTable, lookAround, outcomeTable, statusWords, tally, type Row } from './show.ts';
import { openStores, startHoldfast, type Own, type Stores } from './stores.ts';

export interface Wish extends Own {
  /** Of Holdfast; 0 takes a free one. */
  readonly port: number;
  readonly tell: (words: string) => void;
  /** Resolves when the reader wants to go on; `words` say what there is to see. */
  readonly next: (words: string) => Promise<void>;
}

export interface Result {
  /** After the run, and after the redrive. */
  readonly before: readonly Row[];
  readonly after: readonly Row[];
  readonly retried: number;
  readonly findings: readonly Finding[];
  readonly clean: boolean;
}

/** What one run works with. */
interface Scene extends Wish {
  readonly url: string;
  readonly stores: Stores;
  readonly relay: Relay;
}

/** Share of the writes that is sent before the loss. */
const FIRST_SHARE = 0.45;
/** Sent at once while the store hangs, and while it is gone. */
const HANGING_WRITES = 240;
const AWAY_WRITES = 60;
/** None of these may be left after the redrive. */
const UNFINISHED: readonly string[] = ['failed', 'parked', 'held'];
const MOVE_MS_MAX = 3000;
const JOIN_MS_MAX = 30_000;
const CALM_MS = 300;
const LOOK_MS = 50;

/** Starts all, runs it, and hands over; everything is ended when `afterwards` resolves. */
export async function multiDestination(
  wish: Wish,
  afterwards: (result: Result) => Promise<void> = () => Promise.resolve(),
): Promise<Result> {
  wish.tell('starting the stores (the first time they are installed, which takes a while)');
  const stores = await openStores(wish);
  try {
    const holdfast = await startHoldfast(stores, wish.port);
    try {
      const { url } = holdfast;
      const result = await play({ ...wish, url, stores, relay: new Relay(url) });
      await afterwards(result);
      return result;
    } finally {
      await holdfast.stop();
    }
  } finally {
    await stores.dispose();
  }
}

async function play(scene: Scene): Promise<Result> {
  const { tell, relay, stores, url } = scene;
  tell(
    `  Redis    ${placeOf(stores.redisUrl)}\n  MongoDB  ${placeOf(stores.mongodbUrl)}\n` +
      `  partner  ${placeOf(stores.partnerUrl())}\n  Holdfast ${url}`,
  );
  await send(scene);
  const receipts = await relay.quiet();
  const before = tally(receipts);
  tell(`\n4. What became of ${receipts.length} writes\n${outcomeTable(before)}`);
  await scene.next(around(scene, receipts));
  const redriven = await redrive(scene);
  const after = tally(redriven.receipts);
  tell(outcomeTable(after));
  tell('\n6. All stores, each asked by its own means');
  const expected = expectedOf(relay.held, redriven.receipts);
  const findings = (await holdings(stores, relay)).map((each) => judge(expected, each));
  tell(findingTable(findings));
  const left = after.filter(({ outcome }) => UNFINISHED.includes(outcome));
  const clean = findings.every(isClean) && left.every(({ writes }) => writes === 0);
  for (const finding of findings.filter((each) => !isClean(each))) tell(wrongWords(finding));
  tell(clean ? '\nclean: all or nothing in every store' : '\nNOT clean');
  tell(`\nLook around:\n${around(scene, redriven.receipts)}`);
  return { before, after, retried: redriven.retried, findings, clean };
}

/** The three parts of the run: before the loss, during it, and after the store came back. */
async function send(scene: Scene): Promise<void> {
  const { tell, relay, stores } = scene;
  const { losable } = stores;
  const items = allItems();
  const first = items.splice(0, Math.round(items.length * FIRST_SHARE));
  const [known] = first;
  tell(`\n1. ${first.length} writes of ${first.length + items.length}`);
  tell(`  answered ${statusWords(await relay.send(first))}`);

  tell(`\n2. ${losable.title} is taken away`);
  losable.hang();
  const hanging = items.splice(0, HANGING_WRITES);
  const answered = relay.send(hanging, hanging.length);
  await piledUp(relay, losable.stash);
  tell(`  it hangs, and ${hanging.length} more writes are on their way; now it is killed`);
  await losable.kill();
  const away = await relay.send(items.splice(0, AWAY_WRITES));
  tell(`  ${AWAY_WRITES} more while it is gone: ${statusWords(away)}`);
  const key = known?.keys[0] ?? '';
  const read = (await relay.read('deliveries', key))?.equals(known?.body ?? Buffer.alloc(0));
  tell(`  a read by key meanwhile: ${read === true ? 'answered, from Redis' : 'WRONG'}`);
  const versions = await relay.historyStatus('deliveries', key);
  tell(`  its history meanwhile: ${versions}`);
  await scene.next(around(scene, await relay.receipts()));

  tell(`\n3. ${losable.title} is started again`);
  await losable.restart();
  await joined(relay, losable.stash);
  tell('  it takes part again');
  tell(`  those that were on their way were answered ${statusWords(await answered)}`);
  const again = relay.turnedAway;
  relay.turnedAway = [];
  const told = await relay.send([...again, ...items]);
  const words = `${again.length} that were turned away, again, and the other ${items.length}`;
  tell(`  ${words}: ${statusWords(told)}`);
}

/** Until the store has all it will have in its queue: nothing moves any more. */
async function piledUp(relay: Relay, stash: string): Promise<void> {
  const end = performance.now() + MOVE_MS_MAX;
  let since = performance.now();
  let seen = 0;
  while (performance.now() < end && (seen === 0 || performance.now() - since < CALM_MS)) {
    const depth = await relay.figure('holdfast_stash_queue_depth', stash);
    if (depth !== seen) since = performance.now();
    seen = depth;
    await pause(LOOK_MS);
  }
}

async function joined(relay: Relay, stash: string): Promise<void> {
  const end = performance.now() + JOIN_MS_MAX;
  while ((await relay.figure('holdfast_stash_apart', stash)) !== 0) {
    if (performance.now() > end) throw new Error(`stash "${stash}" does not take part again`);
    await pause(LOOK_MS);
  }
}

/** Retries until the fail queue is empty and nothing is left to send. */
async function redrive({ tell, relay }: Scene): Promise<{
  receipts: Receipt[];
  retried: number;
}> {
  const queue = await relay.failures();
  tell(`\n5. The redrive: ${queue.length} writes stand in the fail queue`);
  const { retried, moving } = await relay.redrive();
  const also = moving === 0 ? '' : `, ${moving} were under way by themselves`;
  tell(`  ${retried} are tried again${also}`);
  await relay.quiet();
  const again = relay.turnedAway;
  relay.turnedAway = [];
  if (again.length > 0) {
    // Their keys had been waiting for a failed write.
    tell(`  ${again.length} that were turned away: ${statusWords(await relay.send(again))}`);
  }
  return { receipts: await relay.quiet(), retried };
}

function placeOf(url: string): string {
  return new URL(url).host;
}

function around({ url, stores, relay }: Scene, receipts: readonly Receipt[]): string {
  const committed = receipts.find(({ uow, outcome }) => {
    return outcome === 'committed' && relay.held.get(uow)?.flow === 'deliveries';
  });
  const refused = receipts.find(({ outcome }) => outcome === 'refused');
  const [key = ''] = relay.held.get(committed?.uow ?? 0)?.keys ?? [];
  return lookAround(url, stores, { committed: key, refusedUow: refused?.uow ?? null });
}

function wrongWords({ store, missing, different, extra }: Finding): string {
  const few = (names: readonly string[]): string => names.slice(0, 5).join(', ');
  return `  ${store}: missing ${few(missing)}; different ${few(different)}; extra ${few(extra)}`;
}

const USAGE =
  'node examples/multi-destination/run.ts [--step] [--keep] [--port N] ' +
  '[--redis URL] [--mongodb URL]';

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      redis: { type: 'string' },
      mongodb: { type: 'string' },
      port: { type: 'string', default: '4180' },
      step: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const lines = values.step ? createInterface({ input: process.stdin }) : null;
  const wish: Wish = {
    redis: values.redis ?? null,
    mongodb: values.mongodb ?? null,
    port: Number(values.port),
    tell: console.log,
    async next(words) {
      if (lines === null) return;
      console.log(`\nLook around; Enter goes on:\n${words}`);
      await once(lines, 'line');
    },
  };
  // At the end of the process everything that it started is ended.
  const interrupted = (): never => process.exit(130);
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  const result = await multiDestination(wish, async () => {
    if (!values.keep && !values.step) return;
    console.log('\nEverything goes on running until Ctrl-C.');
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
    // A second one ends at once.
    process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  });
  lines?.close();
  process.exitCode = result.clean ? 0 : 1;
}

if (import.meta.main) {
  await main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
