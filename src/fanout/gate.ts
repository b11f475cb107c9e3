/**
 * Gate: lets nobody read from a store that does not take part just now. What it would answer may be
 * older than what was acknowledged (P24), so the answer is 503 until it is whole.
 */
import type { Reader } from '../contracts/reader.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import { planted } from '../kernel/plants.ts';

/** What a gate asks of a driver. */
export interface Gatekeeper {
  /** Why the store does not take part; null: it does. */
  readonly apart: string | null;
}

/** `reader` behind a gate; it can do what the reader can do, no more and no less. */
export function gated(id: string, reader: Reader, keeper: Gatekeeper): Reader {
  const shut = (): Promise<never> | null =>
    keeper.apart === null || planted('read-while-apart')
      ? null
      : Promise.reject(apartFault(id, keeper.apart));
  const gate: Reader = {
    get: (...asked) => shut() ?? reader.get(...asked),
    scan: (...asked) => shut() ?? reader.scan(...asked),
  };
  if (reader.history !== undefined) {
    gate.history = (...asked) => shut() ?? reader.history?.(...asked) ?? Promise.resolve([]);
  }
  if (reader.at !== undefined) {
    gate.at = (...asked) => shut() ?? reader.at?.(...asked) ?? Promise.resolve(null);
  }
  return gate;
}

/** What a caller is told who needs a store that is apart. */
export function apartFault(id: string, why: string): Fault {
  return new Fault('unavailable', `Stash "${id}" does not take part at present: ${why}.`, {
    retryAfterMs: LIMITS.breakerOpenMs,
  });
}
