/**
 * Pruning of a MongoDB stash: which versions history no longer owes, found without ever looking at
 * keys to which nothing happened.
 *
 * A key can owe less than before at three moments only: a write of it settled, a write of it has
 * come of age (`keepFor`), or a value of it expired. Ids in order are uows in order, so versions
 * are walked once for each of the three, behind places kept beside the mark. A version that must
 * stay for what may still arrive (late.ts) holds up the walk by age until it need not any more; a
 * tombstone that must stay expires.
 *
 * What a key's newest version hides goes first, and only when that is durable the newest itself: a
 * crash in between never uncovers an older one.
 */
import type { EpochMs, Uow } from '../../kernel/words.ts';
import type { World } from '../../kernel/world.ts';
import type { Connection } from './connection.ts';
import { type Bson, WRITE_CONCERN, idFrom, uowOfId, type Kind } from './documents.ts';
import { rowsOf } from './rows.ts';

export interface PruneSetup {
  readonly connection: Connection;
  readonly collection: string;
  readonly marks: string;
  readonly id: string;
  readonly keepVersions: number;
  readonly keepForMs: number;
  readonly world: World;
}

/** Versions looked at before the place is moved. */
const SLICE = 500;
const ROWS_MAX = 2000;
const IDS_AT_ONCE = 500;
const SLICES_MAX = 100;
const GONE_MAX = 10_000;

interface Places {
  /** Ids: everything up to them was walked. */
  settled: string;
  aged: string;
  expiredMs: EpochMs;
  expired: string;
}

interface Walked {
  readonly _id: string;
  readonly account: string;
  readonly flow: string;
  readonly key: string;
  readonly kind: Kind;
  readonly heldAt: Date;
  readonly expiresAt: Date | null;
  readonly keepUntil?: Date;
}

const WALKED = { account: 1, flow: 1, key: 1, kind: 1, heldAt: 1, expiresAt: 1, keepUntil: 1 };
/** The index of the versions, backwards: of each key the oldest first. */
const OLDEST_FIRST = { account: -1, flow: -1, key: -1, uow: 1, attempt: 1 };

/** What goes, in two steps. */
interface Doomed {
  readonly hidden: string[];
  readonly newest: string[];
}

interface Due {
  readonly rows: readonly Walked[];
  readonly places: Places;
}

export class Pruning {
  readonly #setup: PruneSetup;
  #places: Places | null = null;
  #running = false;
  /** The lowest uow that came since the places were looked at. */
  #lowest: Uow = Number.POSITIVE_INFINITY;

  constructor(setup: PruneSetup) {
    this.#setup = setup;
  }

  /**
   * A version with this uow was added or undone: if it lies behind the places it is walked once
   * more. (A process that dies before the next turn forgets it; then the next write of its key, or
   * its age, finds it.)
   */
  came(uow: Uow): void {
    if (uow < this.#lowest) this.#lowest = uow;
  }

  /** The server may be another one, with places of its own. */
  forget(): void {
    this.#places = null;
  }

  /** As the contract of `Stash.prune` says; bounded in work. Rejects with a Trouble. */
  async prune(belowUow: Uow): Promise<number> {
    if (this.#running) return 0;
    this.#running = true;
    let gone = 0;
    try {
      for (let slices = 0; slices < SLICES_MAX && gone < GONE_MAX; slices += 1) {
        const went = await this.#slice(Math.min(belowUow, Number.MAX_SAFE_INTEGER));
        if (went === null) break;
        gone += went;
      }
    } finally {
      this.#running = false;
    }
    return gone;
  }

  /** Null when nothing is due. */
  async #slice(below: Uow): Promise<number | null> {
    const now = this.#setup.world.clock.wallMs();
    const due = await this.#due(below, now, this.#behindLate(await this.#at()));
    if (due === null) return null;
    const doomed: Doomed = { hidden: [], newest: [] };
    const spaces = new Map<string, Set<string>>();
    for (const { _id, account, flow, key, kind, keepUntil } of due.rows) {
      if (kind !== 'undone') {
        const name = `${account}/${flow}`;
        const keys = spaces.get(name) ?? new Set<string>();
        spaces.set(name, keys.add(key));
      } else if (uowOfId(_id) < below && !mustStay(keepUntil, now)) doomed.hidden.push(_id);
    }
    let gone = 0;
    for (const [name, keys] of spaces) {
      const [account = '', flow = ''] = name.split('/');
      gone += await this.#trim({ account, flow, uow: { $lt: below } }, [...keys], doomed, now);
    }
    gone += await this.#remove(doomed);
    await this.#moveTo(due.places);
    return gone;
  }

  async #at(): Promise<Places> {
    if (this.#places !== null) return this.#places;
    const [found] = await this.#rows<Partial<Places>>(
      this.#setup.marks,
      { _id: this.#name },
      { _id: 1 },
      1,
    );
    const { settled = '', aged = '', expiredMs = 0, expired = '' } = found ?? {};
    this.#places = { settled, aged, expiredMs, expired };
    return this.#places;
  }

  #behindLate(places: Places): Places {
    const before = this.#lowest === Number.POSITIVE_INFINITY ? null : idFrom(this.#lowest);
    this.#lowest = Number.POSITIVE_INFINITY;
    if (before === null || before > places.settled) return places;
    const aged = before < places.aged ? before : places.aged;
    this.#places = { ...places, settled: before, aged };
    return this.#places;
  }

  get #name(): string {
    return `${this.#setup.id}/prune`;
  }

  async #moveTo(places: Places): Promise<void> {
    this.#places = places;
    const { connection, marks } = this.#setup;
    await connection.command({
      update: marks,
      updates: [{ q: { _id: this.#name }, u: { $set: places }, upsert: true }],
      writeConcern: WRITE_CONCERN,
    });
  }

  /** The versions to look at next, and the places once they are done. */
  async #due(below: Uow, now: EpochMs, at: Places): Promise<Due | null> {
    const fresh = await this.#walk({ $gt: at.settled, $lt: idFrom(below) });
    const last = fresh.at(-1);
    if (last !== undefined) return { rows: fresh, places: { ...at, settled: last._id } };
    const end = idFrom(below) < at.settled ? { $lt: idFrom(below) } : { $lte: at.settled };
    const old = this.#ofAge(await this.#walk({ $gt: at.aged, ...end }), now);
    const oldest = old.at(-1);
    if (oldest !== undefined) return { rows: old, places: { ...at, aged: oldest._id } };
    // A clock that went back: what expired in the time that has not come yet is looked at again.
    const from = at.expiredMs > now ? 0 : at.expiredMs;
    const gone = await this.#expired(from, at.expired, now);
    const place = gone.at(-1);
    if (place === undefined) return null;
    const expiredMs = place.expiresAt?.getTime() ?? from;
    return { rows: gone, places: { ...at, expiredMs, expired: place._id } };
  }

  #walk(_id: Bson): Promise<Walked[]> {
    return this.#rows(this.#setup.collection, { _id }, { _id: 1 }, SLICE, WALKED);
  }

  async #expired(fromMs: EpochMs, id: string, now: EpochMs): Promise<Walked[]> {
    const { collection } = this.#setup;
    const sort = { expiresAt: 1, _id: 1 };
    const from = new Date(Math.max(1, fromMs));
    const same = { expiresAt: from, _id: { $gt: id } };
    const rows = await this.#rows(collection, same, sort, SLICE, WALKED);
    if (rows.length > 0) return rows.filter(({ expiresAt }) => (expiresAt?.getTime() ?? 0) <= now);
    const later = { expiresAt: { $gt: from, $lte: new Date(now) } };
    return this.#rows(collection, later, sort, SLICE, WALKED);
  }

  /**
   * Those held long enough ago, up to the first that must stay yet; one held in the future (the
   * clock went back) holds up no other.
   */
  #ofAge(rows: readonly Walked[], now: EpochMs): readonly Walked[] {
    const { keepForMs } = this.#setup;
    const young = rows.findIndex(({ heldAt, keepUntil, kind }) => {
      const held = heldAt.getTime();
      const stays = kind !== 'undone' && mustStay(keepUntil, now);
      return (held > now - keepForMs && held <= now) || stays;
    });
    return young < 0 ? rows : rows.slice(0, young);
  }

  /** Dooms what these keys no longer owe; returns how many went already, to make room. */
  async #trim(space: Bson, keys: readonly string[], doomed: Doomed, now: EpochMs): Promise<number> {
    const { collection, keepVersions } = this.#setup;
    let gone = 0;
    let key: Bson = { $in: keys };
    for (;;) {
      const filter = { ...space, key };
      const rows = await this.#rows(collection, filter, OLDEST_FIRST, ROWS_MAX, WALKED);
      const last = rows.at(-1);
      if (last === undefined) return gone;
      const cut = rows.length === ROWS_MAX;
      for (const versions of perKey(rows.filter(({ kind }) => kind !== 'undone'))) {
        const whole = !cut || versions[0]?.key !== last.key;
        if (whole) this.#doom(versions, versions.length - keepVersions, doomed, now);
      }
      if (!cut) return gone;
      if (rows[0]?.key !== last.key) {
        key = { $in: keys, $lte: last.key };
        continue;
      }
      const versions = rows.filter(({ kind }) => kind !== 'undone');
      gone += await this.#trimLong({ ...filter, key: last.key }, versions, now);
      key = { $in: keys, $lt: last.key };
    }
  }

  /** Of a key with more versions than are read at once: what may go of its oldest. */
  async #trimLong(filter: Bson, rows: readonly Walked[], now: EpochMs): Promise<number> {
    const { connection, collection, keepVersions } = this.#setup;
    const query = { ...filter, kind: { $ne: 'undone' } };
    const { n } = await connection.command({ count: collection, query });
    const doomed: Doomed = { hidden: [], newest: [] };
    // The last one read has newer ones, so it hides nothing and is left for the next turn.
    this.#doom(rows, Number(n) - keepVersions, doomed, now);
    return this.#remove({ hidden: doomed.hidden, newest: [] });
  }

  /** Versions of one key, oldest first; `surplus` of them are more than are kept. */
  #doom(versions: readonly Walked[], surplus: number, doomed: Doomed, now: EpochMs): void {
    const { keepForMs } = this.#setup;
    for (const [at, { _id, kind, expiresAt, keepUntil }] of versions.entries()) {
      if (mustStay(keepUntil, now)) return;
      const newer = versions[at + 1];
      if (newer === undefined) {
        const isGone = kind === 'delete' || (expiresAt !== null && expiresAt.getTime() <= now);
        if (isGone) doomed.newest.push(_id);
        return;
      }
      if (at >= surplus && newer.heldAt.getTime() > now - keepForMs) return;
      doomed.hidden.push(_id);
    }
  }

  async #remove({ hidden, newest }: Doomed): Promise<number> {
    const { connection, collection } = this.#setup;
    let gone = 0;
    for (const ids of [hidden, newest]) {
      for (let from = 0; from < ids.length; from += IDS_AT_ONCE) {
        const _id = { $in: ids.slice(from, from + IDS_AT_ONCE) };
        const { n } = await connection.command({
          delete: collection,
          deletes: [{ q: { _id }, limit: 0 }],
          writeConcern: WRITE_CONCERN,
        });
        gone += Number(n);
      }
    }
    return gone;
  }

  async #rows<T = Walked>(
    collection: string,
    filter: Bson,
    sort: Bson,
    limit: number,
    projection: Bson = {},
  ): Promise<T[]> {
    const query = { filter, sort, limit, projection };
    return (await rowsOf(this.#setup.connection, collection, query)) as T[];
  }
}

function mustStay(keepUntil: Date | undefined, now: EpochMs): boolean {
  return keepUntil !== undefined && keepUntil.getTime() > now;
}

function perKey(rows: readonly Walked[]): Walked[][] {
  const cut: Walked[][] = [];
  for (const row of rows) {
    const last = cut.at(-1);
    if (last !== undefined && last[0]?.key === row.key) last.push(row);
    else cut.push([row]);
  }
  return cut;
}
