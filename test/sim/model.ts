/**
 * The model: what must be true of a world once it is quiet, whatever happened in it. It knows what
 * was asked, what was answered, and what foreign eyes saw in the reader meanwhile.
 */
import type { Answer, WriteRequest } from '../../src/intake/request.ts';
import type { Receipt } from '../../src/kernel/words.ts';
import { laneKey } from '../../src/kernel/words.ts';
import type { SimStore, StoredVersion } from './store.ts';

export interface Asked {
  readonly id: number;
  readonly request: WriteRequest;
  /** Every answer that reached the caller: one, or none if the process died first. */
  answer: Answer | null;
}

/** Something a program reading the store directly saw. */
export interface Seen {
  readonly lane: string;
  readonly version: StoredVersion;
}

export interface Finished {
  readonly asked: readonly Asked[];
  /** In order; `forgot`: the reader lost what it had not flushed. */
  readonly seen: readonly (Seen | 'forgot')[];
  readonly stores: readonly SimStore[];
  readonly reader: SimStore;
  /** As they were settled, by uow: for receipts past their time. */
  readonly outcomes: ReadonlyMap<number, string>;
  /** Final receipts, by uow. */
  readonly receipts: ReadonlyMap<number, Receipt | 'gone' | null>;
  /** Uows in the fail queue at the end. */
  readonly failures: ReadonlySet<number>;
  /** Stashes of each flow, without the reader. */
  readonly plan: readonly string[];
  /** The wall clock jumped: an Idempotency-Key may have been past its time. */
  readonly jumps: boolean;
}

export interface Violation {
  readonly promise: string;
  readonly detail: string;
}

/** The value of each request is unlike any other, so a version tells whose it is. */
export function valueOf(id: number): string {
  return JSON.stringify({ request: id });
}

/** Compares a finished world with what must be true; empty when all is well. */
export function judgeWorld(world: Finished): Violation[] {
  const found: Violation[] = [];
  const report = (promise: string, detail: string): void => {
    found.push({ promise, detail });
  };
  const owners = ownersOf(world, report);
  answersHold(world, report);
  allOrNothing(world, owners, report);
  newestIsThere(world, owners, report);
  seenIsCommitted(world, report);
  conditionsHeld(world, owners, report);
  return found;
}

type Report = (promise: string, detail: string) => void;

function outcomeOf(world: Finished, uow: number): string {
  const receipt = world.receipts.get(uow);
  if (receipt === null || receipt === undefined) return 'lost';
  return receipt === 'gone'
    ? (world.outcomes.get(uow) ?? 'gone')
    : (receipt.outcome ?? receipt.state);
}

/** Which request each uow belongs to: exactly one. */
function ownersOf(world: Finished, report: Report): Map<number, Asked> {
  const owners = new Map<number, Asked>();
  const byKey = new Map<string, number>();
  for (const asked of world.asked) {
    const { answer, request } = asked;
    if (answer === null || answer.answer === 'turned-away') continue;
    const { uow } = answer.receipt;
    const other = owners.get(uow);
    const key = request.idempotencyKey;
    if (other !== undefined && (key === null || other.request.idempotencyKey !== key)) {
      report('P1', `uow ${uow} was given to requests ${other.id} and ${asked.id}`);
    }
    if (other === undefined) owners.set(uow, asked);
    if (key === null) continue;
    const first = byKey.get(key);
    if (first !== undefined && first !== uow && !world.jumps) {
      report('G3', `idempotency key ${key} had uows ${first} and ${uow}`);
    }
    byKey.set(key, uow);
  }
  return owners;
}

/** What was acknowledged is there, and what was told stays true. */
function answersHold(world: Finished, report: Report): void {
  for (const { id, answer } of world.asked) {
    if (answer === null || answer.answer === 'turned-away') continue;
    const { uow, outcome } = answer.receipt;
    const last = outcomeOf(world, uow);
    if (last === 'lost') report('G1', `request ${id} was acknowledged as ${uow} and is lost`);
    else if (answer.answer === 'settled' && outcome !== last && outcome !== 'failed') {
      report('G2', `request ${id}, uow ${uow}: told ${outcome}, ended ${last}`);
    } else if (
      last !== 'committed' &&
      last !== 'refused' &&
      last !== 'failed' &&
      last !== 'superseded'
    ) {
      report('G13', `uow ${uow} never ended: ${last}`);
    }
    if (last === 'failed' && !world.jumps && !world.failures.has(uow)) {
      report('G13', `uow ${uow} failed and is not in the fail queue`);
    }
  }
}

/** A write is in every stash or in none. */
function allOrNothing(world: Finished, owners: Map<number, Asked>, report: Report): void {
  for (const store of world.stores) {
    for (const [lane, versions] of store.contents.versions) {
      for (const version of versions.values()) {
        if (version.kind === 'tombstone') continue;
        if (outcomeOf(world, version.uow) === 'committed') continue;
        const last = outcomeOf(world, version.uow);
        report('G2', `${store.id} holds ${version.uow}.${version.attempt} of ${lane}: ${last}`);
      }
    }
  }
  for (const [uow, { request }] of owners) {
    if (outcomeOf(world, uow) !== 'committed' || request.key === null) continue;
    const lane = laneKey(request.account, request.flow, request.key);
    for (const id of world.plan) {
      const store = world.stores.find((each) => each.id === id);
      if (store?.kind !== 'versions') continue;
      const there = store.live(lane).some((version) => version.uow === uow);
      if (!there) report('G2', `uow ${uow} is committed and not in ${id}`);
    }
  }
}

/** The reader, and every store that overwrites, has the newest committed write of every key. */
function newestIsThere(world: Finished, owners: Map<number, Asked>, report: Report): void {
  const newest = new Map<string, number>();
  for (const [uow, { request }] of owners) {
    if (outcomeOf(world, uow) !== 'committed' || request.key === null) continue;
    const lane = laneKey(request.account, request.flow, request.key);
    newest.set(lane, Math.max(newest.get(lane) ?? 0, uow));
  }
  for (const [lane, uow] of newest) {
    for (const store of world.stores) {
      if (store !== world.reader && store.kind === 'versions') continue;
      const shown = store.current(lane, () => true);
      if (shown !== null && shown.uow >= uow) continue;
      report('G4', `${lane}: ${store.id} shows ${shown?.uow ?? 'nothing'}, newest is ${uow}`);
    }
  }
}

/** Nothing that was ever visible in the reader is taken back, and no key goes backwards. */
function seenIsCommitted(world: Finished, report: Report): void {
  const last = new Map<string, number>();
  for (const each of world.seen) {
    if (each === 'forgot') {
      last.clear();
      continue;
    }
    const { lane, version } = each;
    const outcome = outcomeOf(world, version.uow);
    if (outcome !== 'committed') report('G5', `${lane} showed ${version.uow}, which ${outcome}`);
    const before = last.get(lane) ?? 0;
    if (version.uow < before) {
      report('G4', `${lane} went back from ${before} to ${version.uow}`);
    }
    last.set(lane, version.uow);
  }
}

/**
 * Of two conditional writes on one ETag at most one wins; a value that comes back is the same
 * ETag.
 */
function conditionsHeld(world: Finished, owners: Map<number, Asked>, report: Report): void {
  if (world.jumps) return;
  const winners = new Map<string, number>();
  for (const [uow, { request }] of owners) {
    const condition = request.conditions[0];
    if (condition?.if !== 'match' || outcomeOf(world, uow) !== 'committed') continue;
    const name = `${request.key} ${condition.etags.join()}`;
    const other = winners.get(name);
    if (other !== undefined) report('G18', `${uow} and ${other} both won on ${name}`);
    winners.set(name, uow);
  }
}
