/**
 * Pruning of a PostgreSQL stash: which versions history no longer owes, found without ever looking
 * at keys to which nothing happened.
 *
 * A key can owe less than before at three moments only: a write of it settled, a write of it has
 * come of age (`keepFor`), or a value of it expired. Rows are walked once for each of the three,
 * behind a place kept beside the mark, so a call with nothing to do costs three empty seeks. Each
 * step is a short statement on a connection that reads, so that no write waits for it. Tombstones
 * may go once they are settled: whoever sent their attempts has lost the right to write
 * (tables.ts).
 */
import type { EpochMs, Uow } from '../../kernel/words.ts';
import type { World } from '../../kernel/world.ts';
import { textArray } from './binary.ts';
import { pruningOf } from './prune-statements.ts';
import type { Session } from './session.ts';
import { TOMBSTONE } from './tables.ts';

export interface PruneSetup {
  readonly keepVersions: number;
  readonly keepForMs: number;
  readonly world: World;
}

/** Rows walked in one step. */
const SLICE = 1000;
/** Versions of one key removed by one statement, at most. */
const KEY_STEP = 200;
const STEPS_MAX = 100;
const GONE_MAX = 10_000;

interface Walked {
  readonly account: string;
  readonly flow: string;
  readonly key: string;
  readonly uow: Uow;
  readonly kind: number;
  readonly heldAt: EpochMs;
  readonly expiresAt: EpochMs | null;
}

interface Places {
  readonly settled: Uow;
  readonly aged: Uow;
  readonly expiredMs: EpochMs;
  readonly expired: Uow;
}

/** What is to be looked at next, and where to go on when it is done. */
interface Due {
  readonly rows: readonly Walked[];
  readonly next: Places;
}

export class Pruning {
  readonly #session: Session;
  readonly #setup: PruneSetup;
  readonly #statements: ReturnType<typeof pruningOf>;
  #running = false;

  constructor(session: Session, setup: PruneSetup) {
    this.#session = session;
    this.#setup = setup;
    this.#statements = pruningOf(session.tables);
  }

  /** As the contract of `Stash.prune` says; bounded in work. Rejects with Trouble. */
  async prune(belowUow: Uow): Promise<number> {
    if (this.#running || this.#session.apart !== null) return 0;
    this.#running = true;
    let gone = 0;
    try {
      for (let steps = 0; steps < STEPS_MAX && gone < GONE_MAX; steps += 1) {
        const went = await this.#step(Math.min(belowUow, Number.MAX_SAFE_INTEGER));
        if (went === null) break;
        gone += went;
      }
    } finally {
      this.#running = false;
    }
    return gone;
  }

  /** Null when nothing is due. */
  async #step(below: Uow): Promise<number | null> {
    const now = this.#setup.world.clock.wallMs();
    const [row = []] = await this.#session.read(this.#statements.places, []);
    const [settled, aged, expiredMs, expired] = row as [Uow, Uow, EpochMs, Uow];
    const at: Places = { settled, aged, expiredMs, expired };
    const due = await this.#due(at, below, now);
    if (due === null) return null;
    const gone = (await this.#bury(due.rows, below)) + (await this.#trim(due.rows, below, now));
    const { next } = due;
    // Not over a place that was set back meanwhile, by a write with a lower number.
    await this.#session.read(this.#statements.move, [
      next.settled,
      next.aged,
      next.expiredMs,
      next.expired,
      settled,
      aged,
    ]);
    return gone;
  }

  async #due(at: Places, below: Uow, now: EpochMs): Promise<Due | null> {
    const last = below - 1;
    const fresh = await this.#walk(at.settled, last);
    const settled = fresh.at(-1)?.uow;
    if (settled !== undefined) return { rows: fresh, next: { ...at, settled } };
    const old = this.#ofAge(await this.#walk(at.aged, Math.min(at.settled, last)), now);
    const aged = old.at(-1)?.uow;
    if (aged !== undefined) return { rows: old, next: { ...at, aged } };
    // A clock that went back: what expired in the time that has not come yet is looked at again.
    const again = at.expiredMs > now;
    const from = again ? 0 : at.expiredMs;
    const gone = await this.#expired(from, again ? 0 : at.expired, now);
    const newest = gone.at(-1);
    if (newest === undefined) return null;
    const next = { ...at, expiredMs: newest.expiresAt ?? from, expired: newest.uow };
    return { rows: gone, next };
  }

  /** Rows of uows above `from` up to `last`, all or none of each uow. */
  async #walk(from: Uow, last: Uow): Promise<readonly Walked[]> {
    for (let limit = SLICE; ; limit *= 4) {
      const rows = await this.#rows('walk', [from, last, limit]);
      const whole = wholeOf(rows, limit, (row) => String(row.uow));
      if (whole !== null) return whole;
    }
  }

  async #expired(fromMs: EpochMs, from: Uow, now: EpochMs): Promise<readonly Walked[]> {
    for (let limit = SLICE; ; limit *= 4) {
      const rows = await this.#rows('expired', [now, fromMs, from, limit]);
      const whole = wholeOf(rows, limit, (row) => `${row.expiresAt} ${row.uow}`);
      if (whole !== null) return whole;
    }
  }

  async #rows(which: 'walk' | 'expired', values: readonly number[]): Promise<readonly Walked[]> {
    const rows = await this.#session.read(this.#statements[which], values);
    return rows.map((row) => {
      const [account, flow, key, uow, kind, heldAt, expiresAt] = row as [
        ...[string, string, string],
        ...[Uow, number, EpochMs, EpochMs | null],
      ];
      return { account, flow, key, uow, kind, heldAt, expiresAt };
    });
  }

  /** Those held long enough ago; one held in the future (the clock went back) holds up no other. */
  #ofAge(rows: readonly Walked[], now: EpochMs): readonly Walked[] {
    const { keepForMs } = this.#setup;
    const young = rows.find(({ heldAt }) => heldAt > now - keepForMs && heldAt <= now);
    return young === undefined ? rows : rows.filter(({ uow }) => uow < young.uow);
  }

  async #bury(rows: readonly Walked[], below: Uow): Promise<number> {
    const dead = rows.filter(({ kind, uow }) => kind === TOMBSTONE && uow < below);
    const first = dead[0];
    const last = dead.at(-1);
    if (first === undefined || last === undefined) return 0;
    const uows = dead.map(({ uow }) => uow);
    const range = [Math.min(...uows), Math.max(...uows)];
    const [[gone] = []] = await this.#session.read(this.#statements.bury, range);
    return Number(gone);
  }

  /** Removes what the keys of these rows no longer owe, oldest first. */
  async #trim(rows: readonly Walked[], below: Uow, now: EpochMs): Promise<number> {
    const keys = new Map<string, Walked>();
    for (const row of rows) {
      if (row.kind !== TOMBSTONE) keys.set(`${row.account}/${row.flow}/${row.key}`, row);
    }
    const { keepVersions, keepForMs } = this.#setup;
    let open = [...keys.values()];
    let gone = 0;
    while (open.length > 0) {
      const values = [
        textArray(open.map((row) => row.account)),
        textArray(open.map((row) => row.flow)),
        textArray(open.map((row) => row.key)),
        below,
        now,
        now - keepForMs,
        keepVersions,
        KEY_STEP,
      ];
      const counts = await this.#session.read(this.#statements.trim, values);
      const went = new Map(counts.map(([at, count]) => [Number(at) - 1, Number(count)]));
      for (const count of went.values()) gone += count;
      open = open.filter((_, at) => went.get(at) === KEY_STEP);
    }
    return gone;
  }
}

/** Without the last group where it may go on behind the limit; null when it is the only one. */
function wholeOf(
  rows: readonly Walked[],
  limit: number,
  groupOf: (row: Walked) => string,
): readonly Walked[] | null {
  const last = rows.at(-1);
  if (last === undefined || rows.length < limit) return rows;
  const group = groupOf(last);
  const whole = rows.filter((row) => groupOf(row) !== group);
  return whole.length === 0 ? null : whole;
}
