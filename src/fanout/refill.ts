/**
 * Refill: makes a store whole that lost what it had acknowledged (P24, G15). Everything the intake
 * holds above the store's own mark is applied again, and what was aborted is undone again, before
 * anything is served. A store that overwrites is sent only the newest write of each key, so that it
 * never shows an older one on the way.
 */
import type { Journal } from '../contracts/journal.ts';
import type { Attempt, Mark, Stash } from '../contracts/stash.ts';
import { Fault } from '../kernel/errors.ts';
import { laneKey, type Position, type Uow } from '../kernel/words.ts';
import type { Clock } from '../kernel/world.ts';
import { decode } from '../intake/records.ts';
import type { HeldWrite } from '../intake/write.ts';
import { settlePauseMs } from './driver.ts';
import { fateName, type Fate } from './replay.ts';

export interface Marks {
  /** By stash: what was settled below is in it. */
  readonly byStash: ReadonlyMap<string, Position>;
  /** The lowest of those. */
  readonly lowest: Position;
  /** From where the intake must be read to find the writes settled above it. */
  readonly from: Position;
}

export interface RefillParts {
  readonly journal: Journal;
  readonly stashes: ReadonlyMap<string, Stash>;
  readonly clock: Clock;
  readonly marks: Marks;
  /** By `uow.attempt`; what is not there is open, and goes forward by itself. */
  readonly fates: ReadonlyMap<string, Fate>;
  readonly epoch: number;
  /** Told when a store keeps the start waiting. */
  readonly warned: (what: string) => void;
}

/** Tries for one lot before a store is called unable; an outage is waited out. */
const REFUSALS_MAX = 5;
/** Tries after which the waiting is told: about two seconds. */
const TRIES_QUIET = 7;

/** Returns, by stash, how many attempts were sent. Throws a Fault when a store refuses them. */
export async function refill(parts: RefillParts): Promise<Map<string, number>> {
  const { journal, stashes, marks } = parts;
  const sent = new Map<string, number>();
  const lagging = [...stashes.values()].filter((stash) => {
    return (marks.byStash.get(stash.id) ?? journal.next) < journal.next;
  });
  if (lagging.length === 0) return sent;
  const newest = await newestOf(parts, lagging);
  let counter = 0;
  for await (const batch of eachSettled(parts)) {
    for (const stash of lagging) {
      const lot = new Lot();
      for (const { write, fate } of batch) {
        const lost = fate.position >= (marks.byStash.get(stash.id) ?? 0);
        if (!lost || !namesIt(write, stash.id)) continue;
        counter -= 1;
        // Below every grant of the running start, so that no fence of it is touched.
        write.grant = { epoch: parts.epoch, counter };
        lot.take(write, fate, stash, newest);
      }
      sent.set(stash.id, (sent.get(stash.id) ?? 0) + lot.size);
      await lot.send(stash, parts, {
        journalId: journal.id,
        position: marks.lowest,
        from: marks.from,
      });
    }
  }
  return sent;
}

interface Settled {
  readonly write: HeldWrite;
  readonly fate: Fate;
}

/** Batch by batch, the attempts that were settled at or above the lowest mark. */
async function* eachSettled(parts: RefillParts): AsyncGenerator<Settled[]> {
  const { journal, marks, fates } = parts;
  for await (const batch of journal.read(marks.from)) {
    const found: Settled[] = [];
    for (const [at, bytes] of batch.records.entries()) {
      const record = decode(bytes, batch.first + at);
      if (record.type !== 'hold' && record.type !== 'attempt' && record.type !== 'carried')
        continue;
      const fate = fates.get(fateName(record.write.uow, record.write.attempt));
      if (fate !== undefined) found.push({ write: record.write, fate });
    }
    if (found.length > 0) yield found;
  }
}

function namesIt(write: HeldWrite, stash: string): boolean {
  return write.plan.reader === stash || write.plan.stashes.includes(stash);
}

/**
 * By lane, the newest committed write: only where a store overwrites. Commits of a key rise in
 * uow.
 */
async function newestOf(
  parts: RefillParts,
  lagging: readonly Stash[],
): Promise<ReadonlyMap<string, Uow>> {
  const newest = new Map<string, Uow>();
  if (lagging.every((stash) => stash.traits.insertOnly)) return newest;
  for await (const batch of eachSettled(parts)) {
    for (const { write, fate } of batch) {
      if (fate.end !== 'commit') continue;
      for (const key of write.keys) {
        const lane = laneKey(write.account, write.flow, key);
        newest.set(lane, Math.max(newest.get(lane) ?? 0, write.uow));
      }
    }
  }
  return newest;
}

type Sending = Pick<RefillParts, 'clock' | 'warned'>;

class Lot {
  #apply: Attempt[] = [];
  readonly #undo: Attempt[] = [];

  get size(): number {
    return this.#apply.length + this.#undo.length;
  }

  take(write: HeldWrite, fate: Fate, stash: Stash, newest: ReadonlyMap<string, Uow>): void {
    if (fate.end === 'abort') {
      if (write.plan.reader !== stash.id) this.#undo.push(write);
    } else if (stash.traits.insertOnly) {
      this.#apply.push(write);
    } else {
      const { account, flow, uow } = write;
      const keys = write.keys.filter((key) => newest.get(laneKey(account, flow, key)) === uow);
      if (keys.length > 0) this.#apply.push(partOf(write, keys));
    }
  }

  /** Sends until everything is in; waits out an outage for as long as it lasts. */
  async send(stash: Stash, { clock, warned }: Sending, mark: Mark): Promise<void> {
    let refusals = 0;
    for (let tries = 1; this.#apply.length > 0; tries += 1) {
      const before = this.#apply.length;
      const refusal = await this.#applyOnce(stash, mark);
      if (this.#apply.length === 0) break;
      refusals = refusal === null || this.#apply.length < before ? 0 : refusals + 1;
      if (refusal !== null && refusals >= REFUSALS_MAX) {
        throw new Fault('unavailable', `Stash "${stash.id}" cannot be refilled: ${refusal}.`);
      }
      if (tries === TRIES_QUIET) {
        warned(`stash "${stash.id}" must be refilled before the start, and does not take it`);
      }
      await pause(clock, tries);
    }
    for (let tries = 1; !(await this.#undoOnce(stash, mark)); tries += 1) await pause(clock, tries);
  }

  /** Leaves in the lot what was not taken; the last refusal, if there was one. */
  async #applyOnce(stash: Stash, mark: Mark): Promise<string | null> {
    try {
      const replies = await stash.apply(this.#apply, mark);
      let refusal: string | null = null;
      let unknown = false;
      this.#apply = this.#apply.filter((_, at) => {
        const reply = replies[at];
        if (reply?.reply === 'refused') refusal = reply.detail;
        if (reply?.reply === 'unknown') unknown = true;
        return reply?.reply !== 'stored' && reply?.reply !== 'declined';
      });
      if (unknown) await stash.fence();
      return refusal;
    } catch {
      return null;
    }
  }

  async #undoOnce(stash: Stash, mark: Mark): Promise<boolean> {
    if (this.#undo.length === 0) return true;
    try {
      const replies = await stash.undo(this.#undo, mark);
      return replies.every((reply) => reply.reply !== 'failed');
    } catch {
      return false;
    }
  }
}

/** The write on some of its keys only. */
function partOf(write: HeldWrite, keys: readonly string[]): Attempt {
  const { uow, attempt, grant, account, flow, kind, value, digest, expiresAt, heldAt } = write;
  return { uow, attempt, grant, account, flow, kind, keys, value, digest, expiresAt, heldAt };
}

function pause(clock: Clock, tries: number): Promise<void> {
  return new Promise((done) => {
    clock.after(settlePauseMs(tries), done);
  });
}
