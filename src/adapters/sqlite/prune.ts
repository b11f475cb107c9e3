/**
 * Pruning of a SQLite stash: which versions history no longer owes, found without ever looking at
 * keys to which nothing happened.
 *
 * A key can owe less than before at three moments only: a write of it settled, a write of it has
 * come of age (`keepFor`), or a value of it expired. Attempts are walked once for each of the
 * three, behind a place kept in the file, so a call with nothing to do costs three empty seeks.
 * Work goes in slices of one short transaction each, and lets others run in between.
 */
import type { StatementSync } from 'node:sqlite';
import type { EpochMs, Uow } from '../../kernel/words.ts';
import type { World } from '../../kernel/world.ts';
import type { Connection } from './connection.ts';
import { indexAll } from './reader.ts';
import { DELETE, SET, TOMBSTONE, keysOf } from './tables.ts';
import type { Versions } from './versions.ts';

export interface PruneSetup {
  readonly keepVersions: number;
  readonly keepForMs: number;
  readonly world: World;
}

/** Attempts looked at in one transaction. */
const SLICE = 100;
/** Versions of one key read at a time, and removed in one transaction at most. */
const KEY_STEP = 64;
const SLICES_MAX = 500;
const GONE_MAX = 10_000;

type Place = readonly [uow: Uow, attempt: number];
type Walked = [Uow, number, number, number, string, EpochMs, EpochMs | null];
type Kept = [Uow, number, number, EpochMs, EpochMs | null, string];

const ID = '((? << 10) | ?)';
const WALKED = 'id >> 10, id & 1023, kind, space, keys, held_at, expires_at';

function statementsOf(connection: Connection) {
  const write = (sql: string): StatementSync => {
    const statement = connection.prepare(sql);
    statement.setReadBigInts(true);
    return statement;
  };
  return {
    places: connection.rows(
      `SELECT settled_to >> 10, settled_to & 1023, aged_to >> 10, aged_to & 1023,
         expired_to, expired_id >> 10, expired_id & 1023 FROM meta`,
    ),
    setPlaces: write(
      `UPDATE meta SET settled_to = ${ID}, aged_to = ${ID}, expired_to = ?, expired_id = ${ID}`,
    ),
    walk: connection.rows(
      `SELECT ${WALKED} FROM attempt WHERE id > ${ID} AND id < ${ID} ORDER BY id LIMIT ?`,
    ),
    expired: connection.rows(
      `SELECT ${WALKED} FROM attempt
       WHERE expires_at IS NOT NULL AND expires_at <= ? AND expires_at >= ?
         AND (expires_at, id) > (?, ${ID})
       ORDER BY expires_at, id LIMIT ?`,
    ),
    lastOwed: connection.rows(
      `SELECT id >> 10, id & 1023 FROM version WHERE space = ? AND key = ? AND id < ${ID}
       ORDER BY id DESC LIMIT 1 OFFSET ?`,
    ),
    oldest: connection.rows(
      `SELECT a.id >> 10, a.id & 1023, a.kind, a.held_at, a.expires_at, a.keys
       FROM version v JOIN attempt a ON a.id = v.id
       WHERE v.space = ? AND v.key = ? AND v.id < ${ID} ORDER BY v.id LIMIT ?`,
    ),
    unlink: write(`DELETE FROM version WHERE space = ? AND key = ? AND id = ${ID}`),
    drop: write(`DELETE FROM attempt WHERE id = ${ID}`),
    has: connection.rows(`SELECT 1 FROM version WHERE space = ? AND key = ? AND id = ${ID}`),
  };
}

interface Places {
  settled: Place;
  aged: Place;
  expiredMs: EpochMs;
  expired: Place;
}

/** The attempts to look at next, and the place to be kept once one is done. */
interface Due {
  readonly rows: readonly Walked[];
  readonly fresh: boolean;
  readonly place: (at: Places, row: Walked) => Places;
}

/** What one slice works with. */
interface Slice {
  readonly below: Uow;
  readonly now: EpochMs;
  /** They were settled only now: what ages or expires is walked apart. */
  readonly fresh: boolean;
  gone: number;
  readonly seen: Set<string>;
}

export class Pruning {
  readonly #versions: Versions;
  readonly #setup: PruneSetup;
  #prepared: { of: Connection; statements: ReturnType<typeof statementsOf> } | null = null;
  #places: Places | null = null;
  #running = false;

  constructor(versions: Versions, setup: PruneSetup) {
    this.#versions = versions;
    this.#setup = setup;
  }

  get #statements(): ReturnType<typeof statementsOf> {
    const { connection } = this.#versions;
    if (this.#prepared?.of !== connection) {
      this.#prepared = { of: connection, statements: statementsOf(connection) };
    }
    return this.#prepared.statements;
  }

  #at(): Places {
    if (this.#places !== null) return this.#places;
    const row = this.#statements.places.get() as unknown as number[];
    const [su = 0, sa = 0, au = 0, aa = 0, expiredMs = 0, eu = 0, ea = 0] = row;
    this.#places = { settled: [su, sa], aged: [au, aa], expiredMs, expired: [eu, ea] };
    return this.#places;
  }

  #moveTo(places: Places): void {
    const { settled, aged, expiredMs, expired } = places;
    this.#statements.setPlaces.run(...settled, ...aged, expiredMs, ...expired);
    this.#places = places;
  }

  /** Inside the transaction that adds it: an attempt behind the places is walked once more. */
  late(uow: Uow): void {
    const at = this.#at();
    if (uow > at.settled[0]) return;
    const before: Place = [Math.max(0, uow - 1), 1023];
    this.#moveTo({ ...at, settled: before, aged: isBefore(before, at.aged) ? before : at.aged });
  }

  /** As the contract of `Stash.prune` says; bounded in work, and lets others run meanwhile. */
  async prune(belowUow: Uow): Promise<number> {
    if (this.#running) return 0;
    this.#running = true;
    let gone = 0;
    try {
      await indexAll(this.#versions, this.#setup.world.clock);
      for (let slices = 0; slices < SLICES_MAX && gone < GONE_MAX; slices += 1) {
        const went = this.#slice(Math.min(belowUow, Number.MAX_SAFE_INTEGER));
        if (went === null) break;
        gone += went;
        await new Promise<void>((resolve) => {
          this.#setup.world.clock.soon(resolve);
        });
        if (!this.#versions.connection.isOpen) break;
      }
    } finally {
      this.#running = false;
    }
    return gone;
  }

  /** One transaction; null when nothing is due. */
  #slice(below: Uow): number | null {
    const now = this.#setup.world.clock.wallMs();
    const due = this.#due(below, now);
    if (due === null) return null;
    const { rows, place, fresh } = due;
    const slice: Slice = { below, now, fresh, gone: 0, seen: new Set() };
    const before = this.#at();
    try {
      this.#versions.connection.transact(() => {
        let places: Places | null = null;
        for (const row of rows) {
          if (slice.gone >= SLICE || !this.#settle(row, slice)) break;
          places = place(before, row);
        }
        if (places !== null) this.#moveTo(places);
      });
    } catch (error) {
      this.#places = null;
      throw error;
    }
    return slice.gone;
  }

  #due(below: Uow, now: EpochMs): Due | null {
    const { settled, aged, expiredMs, expired } = this.#at();
    const { walk, expired: expiring } = this.#statements;
    const end: Place = [below, 0];
    const fresh = walk.all(...settled, ...end, SLICE) as unknown as Walked[];
    if (fresh.length > 0) {
      return {
        rows: fresh,
        fresh: true,
        place: (at, [uow, attempt]) => ({ ...at, settled: [uow, attempt] }),
      };
    }
    const ageEnd: Place = isBefore(settled, end) ? [settled[0], settled[1] + 1] : end;
    const first = this.#ofAge(walk.all(...aged, ...ageEnd, 1) as unknown as Walked[], now);
    if (first.length > 0) {
      const old = this.#ofAge(walk.all(...aged, ...ageEnd, SLICE) as unknown as Walked[], now);
      return {
        rows: old,
        fresh: false,
        place: (at, [uow, attempt]) => ({ ...at, aged: [uow, attempt] }),
      };
    }
    // A clock that went back: what expired in the time that has not come yet is looked at again.
    const from = expiredMs > now ? 0 : expiredMs;
    const gone = expiring.all(now, from, from, ...expired, SLICE) as unknown as Walked[];
    if (gone.length === 0) return null;
    return {
      rows: gone,
      fresh: false,
      place: (at, [uow, attempt, , , , , ms]) => {
        return { ...at, expiredMs: ms ?? from, expired: [uow, attempt] };
      },
    };
  }

  /** Those held long enough ago; one held in the future (the clock went back) holds up no other. */
  #ofAge(rows: readonly Walked[], now: EpochMs): readonly Walked[] {
    const { keepForMs } = this.#setup;
    const young = rows.findIndex(([, , , , , heldAt]) => heldAt > now - keepForMs && heldAt <= now);
    return young < 0 ? rows : rows.slice(0, young);
  }

  /** Looks at every key of an attempt; false when there was more to remove than one slice may. */
  #settle([uow, attempt, kind, space, text, , expiresAt]: Walked, slice: Slice): boolean {
    if (kind === TOMBSTONE) {
      if (uow >= slice.below) return true;
      this.#statements.drop.run(uow, attempt);
      slice.gone += 1;
      return true;
    }
    // What expired before it was settled: the walk over the expired has passed it already.
    const stays = kind === SET && (expiresAt === null || expiresAt > slice.now);
    for (const key of keysOf(text)) {
      const name = `${space}/${key}`;
      if (slice.seen.has(name)) continue;
      if (slice.fresh && stays && this.#hasFew(space, key, slice)) continue;
      if (!this.#trim(space, key, slice)) return false;
      slice.seen.add(name);
    }
    return true;
  }

  /** True when a key has no more versions than it may keep: most have, and nothing of them goes. */
  #hasFew(space: number, key: string, { below }: Slice): boolean {
    return (
      this.#statements.lastOwed.get(space, key, below, 0, this.#setup.keepVersions) === undefined
    );
  }

  /** Removes what a key no longer owes, oldest first; false when there may be more of it. */
  #trim(space: number, key: string, slice: Slice): boolean {
    const { lastOwed, oldest } = this.#statements;
    const { keepVersions, keepForMs } = this.#setup;
    const end: Place = [slice.below, 0];
    const rows = oldest.all(space, key, ...end, KEY_STEP) as unknown as Kept[];
    const owed =
      rows.length < KEY_STEP
        ? rows.at(-keepVersions)
        : (lastOwed.get(space, key, ...end, keepVersions - 1) as unknown as Place | undefined);
    for (const [at, row] of rows.entries()) {
      const newer = rows[at + 1];
      if (newer === undefined && rows.length === KEY_STEP) return false;
      const [uow, attempt, kind, , expiresAt] = row;
      const goes =
        newer === undefined
          ? kind === DELETE || (expiresAt !== null && expiresAt <= slice.now)
          : (owed !== undefined && isBefore([uow, attempt], [owed[0], owed[1]])) ||
            newer[3] <= slice.now - keepForMs;
      if (!goes) return true;
      this.#remove(space, key, row);
      slice.gone += 1;
    }
    return true;
  }

  #remove(space: number, key: string, [uow, attempt, , , , text]: Kept): void {
    const { unlink, drop, has } = this.#statements;
    unlink.run(space, key, uow, attempt);
    const keys = keysOf(text);
    const used =
      keys.length > 1 &&
      keys.findLast((name) => has.get(space, name, uow, attempt) !== undefined) !== undefined;
    if (!used) drop.run(uow, attempt);
  }
}

function isBefore(one: Place, other: Place): boolean {
  return one[0] < other[0] || (one[0] === other[0] && one[1] < other[1]);
}
