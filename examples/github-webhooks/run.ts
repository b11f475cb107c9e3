/**
 * Sends every delivery to a running server, reads each back by every one of its keys, and compares
 * the bytes. Run: node examples/github-webhooks/run.ts [URL]
 *
 * Keys of one delivery are its own, save for `latest:...`, which all deliveries of one event of
 * one repository share: there the newest must be found, that is the one with the highest uow.
 */
import { deliveries, ownKeys, sharedKey, type Delivery } from './deliveries.ts';

export interface Tally {
  /** Deliveries sent, and answered as committed. */
  sent: number;
  /** Reads by a key that is one delivery's own. */
  own: number;
  /** Reads by a key that several share, and how many deliveries stand behind them. */
  shared: number;
  sharers: number;
  /** Reads of payloads that the mapping wrote anew. */
  payloads: number;
  /** What was not as it should be, in words. */
  wrong: string[];
}

interface Receipt {
  readonly uow: number;
  readonly keys: readonly string[];
  readonly outcome: string;
}

interface Sent {
  readonly delivery: Delivery;
  readonly body: string;
  readonly uow: number;
}

const AT_ONCE = 32;

/** Calls `act` for each item, `AT_ONCE` at a time. */
async function each<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const worker = async (): Promise<void> => {
    for (const item of left) await act(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function post(url: string, body: string): Promise<Receipt> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'POST', headers, body });
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Receipt;
}

async function read(url: string, key: string): Promise<string> {
  const answer = await fetch(`${url}/${encodeURIComponent(key)}`);
  const bytes = Buffer.from(await answer.arrayBuffer());
  return answer.status === 200 ? bytes.toString('latin1') : `${answer.status} ${bytes.toString()}`;
}

/** As bytes, one character each, so that no decoding can hide a difference. */
function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** Runs the example against the server at `base`. Throws when a delivery is not accepted. */
export async function run(base: string, all = deliveries()): Promise<Tally> {
  const tally: Tally = { sent: 0, own: 0, shared: 0, sharers: 0, payloads: 0, wrong: [] };
  const flow = `${base}/v1/data/github/deliveries`;
  const payloads = `${base}/v1/data/github/payloads`;
  const sent: Sent[] = [];
  await each(all, async (delivery) => {
    // With line breaks, as no mapping would write it: the bytes themselves must come back.
    const body = JSON.stringify(delivery, null, 2);
    const receipt = await post(flow, body);
    await post(payloads, body);
    const shared = sharedKey(delivery);
    const expected = shared === null ? ownKeys(delivery) : [...ownKeys(delivery), shared];
    if (receipt.outcome !== 'committed' || !sameNames(receipt.keys, expected)) {
      tally.wrong.push(`${delivery.delivery}: ${JSON.stringify(receipt)}`);
    }
    tally.sent += 1;
    sent.push({ delivery, body, uow: receipt.uow });
  });
  const check = async (url: string, key: string, expected: string): Promise<void> => {
    if ((await read(url, key)) !== bytesOf(expected)) tally.wrong.push(`${key} is not as sent`);
  };
  await each(sent, async ({ delivery, body }) => {
    for (const key of ownKeys(delivery)) {
      await check(flow, key, body);
      tally.own += 1;
    }
    await check(payloads, delivery.delivery, JSON.stringify(delivery.payload));
    tally.payloads += 1;
  });
  const newest = newestOf(sent);
  await each([...newest], async ([key, { body }]) => {
    await check(flow, key, body);
    tally.shared += 1;
  });
  tally.sharers = sent.filter(({ delivery }) => sharedKey(delivery) !== null).length;
  return tally;
}

function sameNames(some: readonly string[], others: readonly string[]): boolean {
  return JSON.stringify(some.toSorted()) === JSON.stringify(others.toSorted());
}

/** By shared key, the delivery that was accepted last. */
function newestOf(sent: readonly Sent[]): Map<string, Sent> {
  const newest = new Map<string, Sent>();
  for (const one of sent) {
    const key = sharedKey(one.delivery);
    if (key !== null && one.uow > (newest.get(key)?.uow ?? 0)) newest.set(key, one);
  }
  return newest;
}

if (import.meta.main) {
  const tally = await run(process.argv[2] ?? 'http://127.0.0.1:4180');
  const { sent, own, shared, sharers, payloads, wrong } = tally;
  console.log(`${sent} deliveries committed`);
  console.log(`${own} reads by a key of their own`);
  console.log(`${shared} reads by a key that ${sharers} deliveries share: the newest each time`);
  console.log(`${payloads} reads of payloads alone`);
  console.log(wrong.length === 0 ? 'all byte for byte as sent' : wrong.join('\n'));
  process.exitCode = wrong.length === 0 && sent > 0 ? 0 : 1;
}
