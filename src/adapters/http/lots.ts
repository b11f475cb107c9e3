/**
 * Lots: how the attempts of one call are spread over requests. Several go at once, but a request
 * waits for every earlier one that has a key in common with it, so that the attempts of a key
 * arrive in their order.
 */
import type { Attempt } from '../../contracts/stash.ts';
import { laneKey } from '../../kernel/words.ts';

/** Attempts `from` to `to` (exclusive) of the call, in one request. */
export interface Lot {
  readonly from: number;
  readonly to: number;
  /** Lots that must have ended before: places in the list, all before this one. */
  readonly behind: readonly number[];
}

/** At most `size` attempts in each. */
export function lotsOf(attempts: readonly Attempt[], size: number): Lot[] {
  const { length } = attempts;
  if (length <= size) return [{ from: 0, to: length, behind: [] }];
  const lots: Lot[] = [];
  const last = new Map<string, number>();
  for (let from = 0; from < length; from += size) {
    const to = Math.min(from + size, length);
    const behind = new Set<number>();
    for (const { account, flow, keys } of attempts.slice(from, to)) {
      for (const key of keys) {
        const lane = laneKey(account, flow, key);
        const before = last.get(lane);
        if (before !== undefined && before !== lots.length) behind.add(before);
        last.set(lane, lots.length);
      }
    }
    lots.push({ from, to, behind: [...behind] });
  }
  return lots;
}

/**
 * Sends every lot, at most `limit` at once. `send` may call `free` when it only waits from then on,
 * so that another one goes out meanwhile; it must not reject.
 */
export async function sendLots(
  lots: readonly Lot[],
  limit: number,
  send: (lot: Lot, free: () => void) => Promise<void>,
): Promise<void> {
  const ended: Promise<void>[] = [];
  let busy = 0;
  let wake: (() => void)[] = [];
  for (const lot of lots) {
    for (const before of lot.behind) await ended[before];
    while (busy >= limit) await new Promise<void>((done) => wake.push(done));
    busy += 1;
    let freed = false;
    const free = (): void => {
      if (freed) return;
      freed = true;
      busy -= 1;
      const waking = wake;
      wake = [];
      for (const done of waking) done();
    };
    ended.push(send(lot, free).then(free));
  }
  await Promise.all(ended);
}
