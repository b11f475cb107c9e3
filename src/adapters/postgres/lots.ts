/**
 * Attempts in lots of what one statement takes, and a lot as the arrays that the statement wants.
 */
import type { Attempt } from '../../contracts/stash.ts';
import type { Uow } from '../../kernel/words.ts';
import { bigintArray, byteaArray, integerArray, textArray } from './binary.ts';
import { DELETE, SET } from './tables.ts';

const ROWS_MAX = 10_000;
const BYTES_MAX = 16 * 1024 * 1024;

export class Lot {
  readonly attempts: Attempt[] = [];
  /** Where each attempt stood in the call. */
  readonly places: number[] = [];
  /** One per attempt and key. */
  rows = 0;
  /** Of the values, once for each key. */
  bytes = 0;
  lowest: Uow | null = null;

  add(attempt: Attempt, place: number): void {
    this.attempts.push(attempt);
    this.places.push(place);
    this.rows += attempt.keys.length;
    this.bytes += attempt.value.length * attempt.keys.length;
    if (this.lowest === null || attempt.uow < this.lowest) this.lowest = attempt.uow;
  }

  takes({ keys, value }: Attempt): boolean {
    if (this.attempts.length === 0) return true;
    const bytes = this.bytes + value.length * keys.length;
    return this.rows + keys.length <= ROWS_MAX && bytes <= BYTES_MAX;
  }

  /** Each attempt by itself. */
  *single(): Generator<Lot> {
    for (const [nth, attempt] of this.attempts.entries()) {
      const one = new Lot();
      one.add(attempt, this.places[nth] ?? 0);
      yield one;
    }
  }
}

/** In order; `places` names the attempts that are wanted. */
export function lotsOf(attempts: readonly Attempt[], places: readonly number[]): Lot[] {
  const lots: Lot[] = [];
  let lot = new Lot();
  for (const place of places) {
    const attempt = attempts[place];
    if (attempt === undefined) continue;
    if (!lot.takes(attempt)) {
      lots.push(lot);
      lot = new Lot();
    }
    lot.add(attempt, place);
  }
  if (lot.attempts.length > 0) lots.push(lot);
  return lots;
}

/** For `apply`: what an attempt has once, then its keys, each with the place of its attempt. */
export function rowArrays({ attempts }: Lot): Buffer[] {
  const places: number[] = [];
  const keys: string[] = [];
  for (const [at, attempt] of attempts.entries()) {
    for (const key of attempt.keys) {
      places.push(at + 1);
      keys.push(key);
    }
  }
  return [
    textArray(attempts.map((each) => each.account)),
    textArray(attempts.map((each) => each.flow)),
    bigintArray(attempts.map((each) => each.uow)),
    integerArray(attempts.map((each) => each.attempt)),
    integerArray(attempts.map((each) => (each.kind === 'delete' ? DELETE : SET))),
    bigintArray(attempts.map((each) => each.heldAt)),
    bigintArray(attempts.map((each) => each.expiresAt)),
    textArray(attempts.map((each) => each.digest)),
    byteaArray(attempts.map((each) => each.value)),
    bigintArray(places),
    textArray(keys),
  ];
}

/** For `held`: the identity of each row. */
export function heldArrays({ attempts }: Lot): Buffer[] {
  const each = <T>(of: (attempt: Attempt) => T): T[] =>
    attempts.flatMap((attempt) => attempt.keys.map(() => of(attempt)));
  return [
    textArray(each((attempt) => attempt.account)),
    textArray(each((attempt) => attempt.flow)),
    textArray(attempts.flatMap((attempt) => attempt.keys)),
    bigintArray(each((attempt) => attempt.uow)),
    integerArray(each((attempt) => attempt.attempt)),
  ];
}

/** For `undo`: the identity of each row, and when its write was held. */
export function tombstoneArrays(lot: Lot): Buffer[] {
  const held = lot.attempts.flatMap(({ keys, heldAt }) => keys.map(() => heldAt));
  return [...heldArrays(lot), bigintArray(held)];
}
