/**
 * Parking: what happens to a write after it failed. One that was acknowledged with 202 keeps its
 * keys and is tried again by itself; one whose caller heard of the failure waits in the fail queue
 * for a person or for its Idempotency-Key. Retry, skip and discard are here, for both.
 */
import type { FlowPlan } from '../contracts/flow.ts';
import type { ParkedLane } from '../contracts/ports.ts';
import type { FailureRow, State } from '../contracts/state.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import { laneKey, type EpochMs, type Receipt, type Uow } from '../kernel/words.ts';
import type { Clock, Random } from '../kernel/world.ts';
import { NO_CHANGES, type IntakeLog } from '../intake/log.ts';
import type { Live } from '../intake/live.ts';
import { decode, encode, encodeWrite } from '../intake/records.ts';
import { changesOf } from '../intake/view.ts';
import { HeldWrite, planFor, UNDO_CONFLICT } from '../intake/write.ts';
import type { FailedKeys } from './failed-keys.ts';
import type { Lanes } from './lanes.ts';
import type { Settle } from './settle.ts';

/** What parking needs of the fan-out. */
export interface Going {
  readonly lanes: Lanes;
  readonly settle: Settle;
  accept(writes: readonly HeldWrite[]): void;
  again(write: HeldWrite): void;
  pump(): void;
}

export interface ParkingParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: IntakeLog;
  readonly live: Live;
  readonly state: State;
  readonly fanout: Going;
  readonly failedKeys: FailedKeys;
  /** By `account/flow`. */
  readonly flows: ReadonlyMap<string, FlowPlan>;
}

/** Each pause is this many times the last: ten of them, capped, make about three days. */
const GROWTH = 6;
/**
 * A pause is drawn from this share of itself upwards, so that an outage does not end in a storm.
 */
const JITTER = 0.25;

/** What a store that came back is sent again is spread over this time. */
const WAKE_SPREAD_MS = 1000;

/** Pause before the next attempt after `attempt` failed, in milliseconds. */
export function retryPauseMs(attempt: number, askedMs: number, fraction: number): number {
  const full = Math.min(LIMITS.retryFirstMs * GROWTH ** (attempt - 1), LIMITS.retryMsMax);
  return Math.max(Math.round(full * (1 - JITTER + JITTER * fraction)), askedMs);
}

export class Parking {
  readonly #parts: ParkingParts;
  readonly #byLane = new Map<string, HeldWrite>();

  constructor(parts: ParkingParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#byLane.size;
  }

  /** The attempt failed and is undone everywhere: its keys wait for the next one. */
  park(write: HeldWrite): void {
    const { clock, random } = this.#parts;
    const now = clock.wallMs();
    const exhausted = write.attempt > LIMITS.retriesMax;
    const pause = retryPauseMs(write.attempt, write.retryAfterMs, random.fraction());
    this.#parkUntil(write, now, exhausted ? null : now + pause);
  }

  /** An undo found a later foreign change: a person decides. */
  conflict(write: HeldWrite): void {
    this.#parkUntil(write, this.#parts.clock.wallMs(), null);
  }

  #parkUntil(write: HeldWrite, at: EpochMs, retryAt: EpochMs | null): void {
    const { fanout } = this.#parts;
    const { uow: u, attempt: a } = write;
    write.abort = null;
    write.phase = 'parked';
    write.retryAt = retryAt;
    const record = { type: 'parked', u, a, at, retryAt, rep: write.report() } as const;
    const changes = changesOf(record, write);
    write.firstFailedAt ??= at;
    this.#parts.log.appendRiding([{ record: encode(record), changes }]);
    if (!fanout.lanes.requeue(write)) this.resume(write);
    const told = write.onSettled;
    write.onSettled = null;
    told?.(write);
  }

  /** Takes a parked write in (again, after a start): bars its keys and sets its timer. */
  resume(write: HeldWrite): void {
    const { clock } = this.#parts;
    // One whose lanes were let go early (its caller was told 202 only after that) bars nobody.
    const bars = write.lanes.length > 0 ? write.keys : [];
    for (const key of bars) this.#byLane.set(laneKey(write.account, write.flow, key), write);
    if (write.retryAt === null) return;
    this.#tryIn(write, Math.min(Math.max(write.retryAt - clock.wallMs(), 0), LIMITS.retryMsMax));
  }

  /** Whatever comes first of several timers starts the next attempt; the others find it gone. */
  #tryIn(write: HeldWrite, ms: number): void {
    const { attempt } = write;
    this.#parts.clock.after(ms, () => {
      if (write.phase !== 'parked' || write.attempt !== attempt) return;
      this.#tryAgain(write).catch(() => {});
    });
  }

  /** A store takes part again: what it failed need not wait out its pause. */
  wake(stash: string): void {
    const { live, random } = this.#parts;
    for (const write of live.all()) {
      if (write.phase !== 'parked' || write.retryAt === null) continue;
      const failed = write.lines.some((line) => line?.stash === stash && line.reply === 'failed');
      if (failed) this.#tryIn(write, random.fraction() * WAKE_SPREAD_MS);
    }
  }

  #leave(write: HeldWrite): void {
    for (const key of write.keys) {
      const lane = laneKey(write.account, write.flow, key);
      if (this.#byLane.get(lane) === write) this.#byLane.delete(lane);
    }
  }

  /** The next attempt: a record of its own, on disk before its first apply (P2). */
  async #tryAgain(write: HeldWrite): Promise<void> {
    const { log, live, fanout } = this.#parts;
    write.phase = 'queued';
    write.beginAttempt(write.attempt + 1);
    const record = encodeWrite('attempt', write);
    const position = await log.appendSurely([{ record, changes: NO_CHANGES }]);
    live.placed(write, position);
    this.#leave(write);
    if (write.lanes.length > 0) fanout.again(write);
    else fanout.accept([write]);
  }

  /** The same attempt once more: what it may have left in the stores is part of it. */
  #sendForward(write: HeldWrite): void {
    write.quarantined = false;
    write.note = null;
    write.phase = 'queued';
    this.#leave(write);
    this.#parts.fanout.again(write);
  }

  /** Why a write of these keys should not be held now, or null. */
  barred(account: string, flow: string, keys: readonly string[], waits: boolean): Fault | null {
    const { lanes } = this.#parts.fanout;
    for (const key of keys) {
      const parked = waits ? this.#byLane.get(laneKey(account, flow, key)) : undefined;
      if (parked !== undefined) {
        const wait = parked.retryAt === null ? 0 : parked.retryAt - this.#parts.clock.wallMs();
        return new Fault('key-parked', `Write ${parked.uow} of this key waits for its retry.`, {
          uow: parked.uow,
          retryAfterMs: Math.min(Math.max(wait, 1000), LIMITS.retryAfterMsMax),
        });
      }
      if (lanes.depth(account, flow, key) >= LIMITS.laneDepthMax) {
        return new Fault('overloaded', 'Too many writes wait for this key.', {
          retryAfterMs: 1000,
        });
      }
    }
    return null;
  }

  /** Keys that wait, with the writes they wait for. */
  lanes(): ParkedLane[] {
    const { lanes } = this.#parts.fanout;
    const found: ParkedLane[] = [];
    for (const write of new Set([...this.#byLane.values(), ...this.#stuck()])) {
      const blamed = write.report().find((line) => line.detail !== undefined);
      const said = blamed ? `${blamed.stash}: ${blamed.detail}` : 'failed';
      const moving = write.phase === 'parked' ? '' : 'can only go forward, and is not taken: ';
      const reason = write.note ?? `${moving}${said}`;
      for (const key of write.keys) {
        const waiting = lanes.depth(write.account, write.flow, key) - 1;
        const { account, flow, uow, retryAt } = write;
        const since = write.firstFailedAt ?? write.heldAt;
        found.push({ account, flow, key, uow, since, retryAt, reason, waiting });
      }
    }
    return found;
  }

  /**
   * Writes that a start sends forward, since the reader may have shown them, and that a store goes
   * on refusing: nothing but the store can end that, so it must be seen.
   */
  #stuck(): HeldWrite[] {
    return [...this.#parts.live.all()].filter(({ mayAbort, phase, lines }) => {
      if (mayAbort || (phase !== 'applying' && phase !== 'committing')) return false;
      return lines.some((line) => line?.reply === 'refused' || line?.reply === 'failed');
    });
  }

  /**
   * Tries a failed write again, as a new attempt under the same uow. Resolves once the attempt is
   * on disk; its outcome is told through the write. Never overwrites a newer value: one that was
   * superseded meanwhile is no longer in the fail queue.
   */
  async retry(uow: Uow): Promise<HeldWrite | Fault> {
    const { live, state, log, failedKeys } = this.#parts;
    const alive = live.get(uow);
    if (alive?.phase === 'parked') {
      if (alive.note === UNDO_CONFLICT) return conflict(uow, 'stands in a conflict of its undo');
      if (alive.quarantined) this.#sendForward(alive);
      else await this.#tryAgain(alive);
      return alive;
    }
    if (this.#isUnderWay(uow)) return conflict(uow, 'is under way');
    if (alive !== undefined) await log.flush();
    const row = failedKeys.has(uow) ? await state.failure(uow) : null;
    // A later commit, or a person, may have ended it while State was asked.
    if (row === null || !failedKeys.has(uow)) return missing(uow);
    // Asked twice at once: the second one finds the first one's write.
    if (this.#isUnderWay(uow)) return conflict(uow, 'is under way');
    const write = this.#fromRow(row);
    if (write instanceof Fault) return write;
    live.admit(write);
    const record = encodeWrite('attempt', write);
    let position: number;
    try {
      position = await log.append([{ record, changes: NO_CHANGES }], 'admit');
    } catch (error) {
      live.dropUnheld(write);
      throw error;
    }
    live.placed(write, position);
    write.phase = 'queued';
    this.#parts.fanout.accept([write]);
    return write;
  }

  #isUnderWay(uow: Uow): boolean {
    const write = this.#parts.live.get(uow);
    return write !== undefined && write.phase !== 'settled';
  }

  #fromRow(row: FailureRow): HeldWrite | Fault {
    const flow = this.#parts.flows.get(`${row.account}/${row.flow}`);
    if (flow === undefined) {
      return new Fault('conflict', `Its flow ${row.account}/${row.flow} is not configured now.`);
    }
    const record = decode(row.plan, -1);
    if (record.type !== 'attempt') return missing(row.uow);
    const { account, flow: name, kind, value, raw, digest, expiresAt, heldAt } = record.write;
    const { conditions, idempotent } = record.write;
    return new HeldWrite({
      uow: row.uow,
      attempt: row.attempt + 1,
      account,
      flow: name,
      kind,
      keys: row.keys,
      value,
      raw,
      digest,
      expiresAt,
      heldAt,
      plan: planFor(flow),
      conditions,
      idempotent,
      firstFailedAt: row.firstFailedAt,
      owned: false,
    });
  }

  /** Lets go of a parked write's keys; it stays in the fail queue as failed. */
  async skip(uow: Uow): Promise<Receipt> {
    const write = this.#parts.live.get(uow);
    if (write?.phase !== 'parked') {
      if ((await this.#parts.state.failure(uow)) === null) throw missing(uow);
      throw conflict(uow, 'holds no key back');
    }
    // It may be in some store: only going forward can end it.
    if (write.quarantined) throw conflict(uow, 'is quarantined; retry sends it forward');
    this.#leave(write);
    await this.#parts.fanout.settle.end(write, write.overtaken ? 'superseded' : 'failed');
    this.#parts.fanout.pump();
    return write.receipt();
  }

  /** Drops a failed write for good: it will never be tried again. */
  async discard(uow: Uow): Promise<void> {
    const { live, log, state, failedKeys, clock } = this.#parts;
    if (live.get(uow)?.phase === 'parked') await this.skip(uow);
    const alive = live.get(uow);
    if (this.#isUnderWay(uow)) throw conflict(uow, 'is under way');
    if (alive !== undefined) await log.flush();
    const row = await state.failure(uow);
    // A retry may have begun, or a commit may have ended it, while State was asked.
    if (row === null || !failedKeys.has(uow)) throw missing(uow);
    if (this.#isUnderWay(uow)) throw conflict(uow, 'is under way');
    const record = { type: 'discard', u: uow, at: clock.wallMs() } as const;
    failedKeys.remove(uow);
    const entry = { record: encode(record), changes: changesOf(record, null) };
    const position = await log.append([entry], 'settle');
    await log.applied(position);
  }
}

function missing(uow: Uow): Fault {
  return new Fault('not-found', `Write ${uow} is not in the fail queue.`, { uow });
}

function conflict(uow: Uow, why: string): Fault {
  return new Fault('conflict', `Write ${uow} ${why}.`, { uow });
}
