/**
 * The judge: holds what clients were told against what the stores show, and says every
 * contradiction. It asks nobody, so that it can be tried on records and stores that are wrong.
 */
import type { Flow, Operation } from './recorder.ts';

export interface Version {
  readonly uow: number;
  readonly kind: 'set' | 'delete';
  readonly digest: string;
}

/** What a GET gave. */
export interface Current {
  readonly body: string | null;
  readonly uow: number | null;
}

export interface Receipt {
  readonly state: string;
  readonly outcome: string | null;
}

export interface Seen {
  /** By store, then by `account/flow key`: committed versions, newest first. */
  readonly stores: ReadonlyMap<string, ReadonlyMap<string, readonly Version[]>>;
  /** By flow: the stores that must hold it. */
  readonly storesOf: (flow: Flow) => readonly string[];
  /** Null where nobody was asked (a store looked at without its server). */
  readonly current: ReadonlyMap<string, Current> | null;
  readonly receipts: ReadonlyMap<number, Receipt>;
  /** Uows in the fail queue, and whether their keys are held back. */
  readonly failures: ReadonlyMap<number, boolean>;
  readonly parkedLanes: ReadonlySet<number>;
}

export function placeOf(flow: string, key: string): string {
  return `${flow} ${key}`;
}

/** Everything that cannot be; empty when all is well. */
export function judge(operations: readonly Operation[], seen: Seen): string[] {
  const wrong: string[] = [];
  const byDigest = new Map<string, Operation>();
  const byUow = new Map<number, Operation>();
  for (const each of operations) {
    if (each.kind === 'set') byDigest.set(each.digest, each);
    if (each.uow === null) continue;
    const other = byUow.get(each.uow);
    if (other !== undefined) wrong.push(`write ${each.uow} is two: ${told(other)}, ${told(each)}`);
    byUow.set(each.uow, each);
  }
  for (const each of operations) wrong.push(...judgeAnswer(each, seen));
  wrong.push(...judgeVersions(byDigest, byUow, seen));
  wrong.push(...judgeOrder(operations, seen));
  if (seen.current !== null) wrong.push(...judgeCurrent(byDigest, byUow, seen.current, seen));
  wrong.push(...judgeCounters(byDigest, seen));
  return wrong;
}

function told({ id, flow, kind, keys, end, uow }: Operation): string {
  return `operation ${id} (${kind} ${flow} ${keys.join(' ')}, ${end}, write ${uow})`;
}

function versions(seen: Seen, store: string, flow: string, key: string): readonly Version[] {
  return seen.stores.get(store)?.get(placeOf(flow, key)) ?? [];
}

/** Where a store has this write, as `store key`. */
function found(operation: Operation, uow: number, seen: Seen): string[] {
  const { flow, keys } = operation;
  return seen.storesOf(flow).flatMap((store) => {
    return keys
      .filter((key) => versions(seen, store, flow, key).some((each) => each.uow === uow))
      .map((key) => `${store} ${key}`);
  });
}

/** What may become of a failure that is tried again. */
const AFTER_RETRY = ['failed', 'superseded', 'committed', 'refused'];

/** The answer of one operation against its receipt, the fail queue and all its stores. */
function judgeAnswer(operation: Operation, seen: Seen): string[] {
  const { end, uow } = operation;
  if (uow === null || end === 'lost' || end === 'waiting') return [];
  const receipt = seen.receipts.get(uow);
  if (receipt === undefined) return [`${told(operation)} has no receipt`];
  const { outcome, state } = receipt;
  const wrong: string[] = [];
  const places = found(operation, uow, seen);
  const may: Partial<Record<string, readonly (string | null)[]>> = {
    committed: ['committed'],
    refused: ['refused'],
    failed: operation.retried ? AFTER_RETRY : ['failed', 'superseded'],
    accepted: ['committed', 'refused', 'failed', 'superseded', null],
  };
  if (may[end]?.includes(outcome) === false) {
    wrong.push(`${told(operation)}: its receipt says ${outcome} ${state}`);
  }
  const lacks = outcome === 'committed' ? lacking(operation, uow, seen) : [];
  if (lacks.length > 0) {
    wrong.push(`lost or mixed: ${told(operation)} is not in [${lacks.join(', ')}]`);
  }
  if (outcome !== 'committed' && outcome !== null && places.length > 0) {
    wrong.push(`${told(operation)} ended ${outcome} and is in [${places.join(', ')}]`);
  }
  if (outcome === 'failed' && !seen.failures.has(uow)) {
    wrong.push(`${told(operation)} failed and is not in the fail queue`);
  }
  if (outcome === null && state === 'parked') {
    if (seen.failures.get(uow) !== true) wrong.push(`${told(operation)} is parked, not listed`);
    if (!seen.parkedLanes.has(uow)) wrong.push(`${told(operation)} is parked and holds no key`);
    if (places.length > 0) wrong.push(`${told(operation)} is parked, in [${places.join(', ')}]`);
  }
  return wrong;
}

/** Every version comes from one operation, whole, under its keys, once. */
function judgeVersions(
  byDigest: ReadonlyMap<string, Operation>,
  byUow: ReadonlyMap<number, Operation>,
  seen: Seen,
): string[] {
  const wrong: string[] = [];
  /** A value always names its operation; a delete may be one whose answer was lost. */
  const unknown: (string | null)[] = [];
  const uowOf = new Map<Operation, number>();
  for (const [store, places] of seen.stores) {
    for (const [place, list] of places) {
      const [flow = '', key = ''] = place.split(' ');
      for (const { uow, kind, digest } of list) {
        const at = `write ${uow} in ${store} under ${place}`;
        const operation = kind === 'set' ? byDigest.get(digest) : byUow.get(uow);
        if (operation === undefined) {
          unknown.push(kind === 'set' ? `${at} holds what nobody sent` : null);
          continue;
        }
        const first = uowOf.get(operation) ?? uow;
        uowOf.set(operation, first);
        if (first !== uow) wrong.push(`${told(operation)} took effect as ${first} and as ${uow}`);
        if (operation.uow !== null && operation.uow !== uow)
          wrong.push(`${at}: ${told(operation)}`);
        if (operation.flow !== flow || !operation.keys.includes(key)) {
          wrong.push(`mixed: ${at} is ${told(operation)}`);
        }
        if (operation.end === 'turned-away')
          wrong.push(`${at} was turned away: ${told(operation)}`);
        const missing = operation.uow === null ? lacking(operation, uow, seen) : [];
        if (missing.length > 0) wrong.push(`mixed: ${told(operation)} lacks ${missing.join(', ')}`);
      }
    }
  }
  return [...new Set([...wrong, ...unknown.filter((each) => each !== null)])];
}

/**
 * Where a committed write should be and is not. A delete marker that has no older version below it
 * says no more than its absence does, and is swept.
 */
function lacking(operation: Operation, uow: number, seen: Seen): string[] {
  const { flow, keys, kind } = operation;
  return seen.storesOf(flow).flatMap((store) => {
    const without = keys.filter((key) => {
      const list = versions(seen, store, flow, key);
      if (list.some((each) => each.uow === uow)) return false;
      return kind === 'set' || list.some((each) => each.uow < uow);
    });
    return without.map((key) => `${store} ${key}`);
  });
}

/** Of two commits of a key, the one answered before the other was sent has the lower number. */
function judgeOrder(operations: readonly Operation[], seen: Seen): string[] {
  const wrong: string[] = [];
  const byPlace = new Map<string, Operation[]>();
  for (const each of operations) {
    if (each.end !== 'committed' || each.retried || each.resent > 0) continue;
    if (seen.receipts.get(each.uow ?? -1)?.outcome !== 'committed') continue;
    for (const key of each.keys) {
      const place = placeOf(each.flow, key);
      const list = byPlace.get(place);
      if (list === undefined) byPlace.set(place, [each]);
      else list.push(each);
    }
  }
  for (const list of byPlace.values()) {
    const sent = [...list].sort((a, b) => a.sentAt - b.sentAt);
    const answered = [...list].sort((a, b) => a.answeredAt - b.answeredAt);
    let highest: Operation | null = null;
    let at = 0;
    for (const each of sent) {
      for (; (answered[at]?.answeredAt ?? Infinity) < each.sentAt; at += 1) {
        const before = answered[at];
        if (before !== undefined && (before.uow ?? 0) > (highest?.uow ?? 0)) highest = before;
      }
      if (highest !== null && (highest.uow ?? 0) > (each.uow ?? 0)) {
        wrong.push(`${told(each)} came before ${told(highest)}, which was answered first`);
      }
    }
  }
  return wrong;
}

/** What is read is the newest version, and no older than the newest acknowledged one. */
function judgeCurrent(
  byDigest: ReadonlyMap<string, Operation>,
  byUow: ReadonlyMap<number, Operation>,
  current: ReadonlyMap<string, Current>,
  seen: Seen,
): string[] {
  const wrong: string[] = [];
  const acknowledged = new Map<string, number>();
  for (const [uow, { kind, flow, keys }] of byUow) {
    // A delete marker may have been swept; that nothing is read then is held below.
    if (kind === 'delete' || seen.receipts.get(uow)?.outcome !== 'committed') continue;
    for (const key of keys) {
      const place = placeOf(flow, key);
      acknowledged.set(place, Math.max(acknowledged.get(place) ?? 0, uow));
    }
  }
  for (const [place, { body, uow }] of current) {
    const [flow = '', key = ''] = place.split(' ');
    const [store = ''] = seen.storesOf(flow as Flow);
    const [newest] = versions(seen, store, flow, key);
    const least = acknowledged.get(place) ?? 0;
    if ((newest?.uow ?? 0) < least) {
      wrong.push(`lost: ${place} stands at ${newest?.uow ?? 'nothing'}, acknowledged was ${least}`);
    }
    const should = newest?.kind === 'set' ? (byDigest.get(newest.digest)?.body ?? null) : null;
    if (body !== should) wrong.push(`${place} reads ${body}, its newest version is ${should}`);
    if (body !== null && uow !== null && uow !== newest?.uow) {
      wrong.push(`${place} reads as write ${uow}, its newest version is ${newest?.uow}`);
    }
  }
  return wrong;
}

/** A counter is a chain: each version replaced exactly the one before it. */
function judgeCounters(byDigest: ReadonlyMap<string, Operation>, seen: Seen): string[] {
  const wrong: string[] = [];
  for (const [store, places] of seen.stores) {
    for (const [place, list] of places) {
      if (!place.startsWith('shop/counters ')) continue;
      for (const [at, version] of list.entries()) {
        const before = list[at + 1];
        const base = before === undefined ? null : `"${before.digest}"`;
        const operation = byDigest.get(version.digest);
        if (operation?.base !== base) {
          wrong.push(`${store} ${place}: write ${version.uow} replaced another than it read`);
        }
      }
    }
  }
  return wrong;
}
