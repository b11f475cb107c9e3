/**
 * The intake: where a request becomes a held write. Checks, shapes, numbers it, appends it to the
 * journal in one batch with everything that arrived meanwhile, and only then answers or hands over.
 *
 * Steps 1 to 3 of the path; each exit before the hold keeps nothing.
 */
import { DiskFull, JournalBroken } from '../contracts/journal.ts';
import type { FlowPlan, Shaped, Shaper } from '../contracts/flow.ts';
import type { State } from '../contracts/state.ts';
import { digestOf } from '../kernel/digest.ts';
import { Fault } from '../kernel/errors.ts';
import { keyFault } from '../kernel/keys.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { EpochMs, Uow } from '../kernel/words.ts';
import type { Clock } from '../kernel/world.ts';
import { faultOf, receiptOfRow } from './answers.ts';
import { Idempotency, type Slot } from './idempotency.ts';
import { NO_CHANGES, type IntakeLog, type LogEntry } from './log.ts';
import type { Live } from './live.ts';
import type { Numbering } from './numbering.ts';
import type { Space } from './space.ts';
import { encode, encodeWrite } from './records.ts';
import type { Answer, WriteRequest } from './request.ts';
import { changesOf } from './view.ts';
import { HeldWrite, planFor, type WritePlan } from './write.ts';

/** What the intake asks of the rooms to its right. Joined in main. */
export interface IntakePorts {
  /** Durable writes, in intake order. */
  handOver(writes: readonly HeldWrite[]): void;
  /** Why a write of these keys should not be held now: a parked key, a lane that is full. */
  barred(account: string, flow: string, keys: readonly string[], waits: boolean): Fault | null;
  /** Why the stores of this flow cannot take anything now (an open breaker). */
  unfit(flow: FlowPlan): Fault | null;
  /** A new attempt of a failed write; the write it became, or why not. */
  retry(uow: Uow, by: 'idempotency'): Promise<HeldWrite | Fault>;
}

export interface IntakeParts {
  readonly clock: Clock;
  readonly log: IntakeLog;
  readonly live: Live;
  readonly state: State;
  readonly numbering: Numbering;
  readonly space: Space;
  readonly shaper: Shaper;
  readonly idempotency: Idempotency;
  /** By `account/flow`. */
  readonly flows: ReadonlyMap<string, FlowPlan>;
  readonly ports: IntakePorts;
}

type Reply = (answer: Answer) => void;

export class Intake {
  readonly #parts: IntakeParts;
  readonly #plans = new Map<FlowPlan, WritePlan>();
  #incoming: HeldWrite[] = [];
  #scheduled = false;
  #closed = false;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** From now on everything new is turned away; what is held goes on. */
  stop(): void {
    this.#closed = true;
  }

  /** Calls `answer` exactly once, after `submit` has returned. */
  submit(request: WriteRequest, answer: Reply): void {
    const flow = this.#parts.flows.get(`${request.account}/${request.flow}`);
    const fault = this.#turnAway(request, flow);
    if (fault !== null || flow === undefined) {
      const why = fault ?? new Fault('not-found', 'Unknown account or flow.');
      this.#parts.clock.soon(() => answer({ answer: 'turned-away', fault: why }));
      return;
    }
    const plain = request.idempotencyKey === null && !needsShaping(flow, request);
    if (plain && request.key !== null) {
      const shaped = { keys: [request.key], value: request.body, ttlMs: undefined };
      this.#holdShaped(request, flow, shaped, null, answer);
      return;
    }
    this.#submitSlowly(request, flow, answer).catch((error: unknown) => {
      answer({ answer: 'turned-away', fault: asFault(error) });
    });
  }

  /** Faults that need nothing but the request and the figures of the moment. */
  #turnAway(request: WriteRequest, flow: FlowPlan | undefined): Fault | null {
    const { log, live, numbering, ports, space } = this.#parts;
    if (flow === undefined) return new Fault('not-found', 'Unknown account or flow.');
    if (this.#closed) {
      return new Fault('unavailable', 'The program is stopping.', { retryAfterMs: 1000 });
    }
    if (log.broken !== null) return unknownOutcome();
    if (request.key !== null) {
      const wrong = keyFault(request.key);
      if (wrong !== null) return new Fault('bad-key', wrong);
    }
    if (request.body.length > flow.limits.bodyBytesMax) {
      return new Fault('too-large', `The limit is ${flow.limits.bodyBytesMax} bytes.`);
    }
    if (!live.fits(request.body.length + 512) || log.lagging || numbering.left <= 0) {
      return new Fault('overloaded', 'Too many writes are in flight.', { retryAfterMs: 1000 });
    }
    const bytes = request.body.length * 2 + 4096;
    if (log.full || !space.admits(bytes) || !log.journal.admits(bytes)) return diskFull();
    return ports.unfit(flow);
  }

  async #submitSlowly(request: WriteRequest, flow: FlowPlan, answer: Reply): Promise<void> {
    const { clock, shaper, idempotency } = this.#parts;
    const key = request.idempotencyKey;
    let digest: string | null = null;
    if (key !== null) {
      digest = Idempotency.digest(request);
      const claim = await idempotency.claim(request, key, digest, clock.wallMs());
      if (claim.claim === 'slot') return this.#answerSlot(claim.slot, digest, request, answer);
      if (claim.claim === 'row') {
        if (claim.row.digest !== digest) return answer(turnedAway(mismatch()));
        return await this.#answerAgain(claim.row.uow, request, flow, answer);
      }
    }
    try {
      const shaped = await shape(shaper, flow, request);
      const idempotent = key === null || digest === null ? null : { key, digest };
      this.#holdShaped(request, flow, shaped, idempotent, answer);
    } catch (error) {
      if (key !== null) idempotency.release(request.account, request.flow, key);
      throw error;
    }
  }

  #holdShaped(
    request: WriteRequest,
    flow: FlowPlan,
    shaped: Shaped,
    idempotent: { key: string; digest: string } | null,
    answer: Reply,
  ): void {
    const { clock, live, numbering, ports, idempotency } = this.#parts;
    const respond = request.respond ?? flow.respond;
    const barred = ports.barred(flow.account, flow.flow, shaped.keys, respond === 'settled');
    if (barred !== null || numbering.left <= 0) {
      if (idempotent !== null) idempotency.release(flow.account, flow.flow, idempotent.key);
      const fault = barred ?? new Fault('overloaded', 'No number is reserved yet.');
      clock.soon(() => answer(turnedAway(fault)));
      return;
    }
    const now = clock.wallMs();
    const write = new HeldWrite({
      uow: numbering.next(),
      attempt: 1,
      account: flow.account,
      flow: flow.flow,
      kind: request.kind,
      keys: shaped.keys,
      value: shaped.value,
      raw: shaped.value === request.body ? null : request.body,
      digest: digestOf(shaped.value),
      expiresAt: expiry(request, flow, shaped, now),
      heldAt: now,
      plan: this.#planOf(flow),
      conditions: request.conditions,
      idempotent,
      firstFailedAt: null,
      owned: respond === 'held',
    });
    write.waitUntil = clock.monotonicMs() + request.waitMs;
    live.admit(write);
    if (idempotent !== null) idempotency.bind(write);
    this.#incoming.push(write);
    write.onHeld = answer;
    if (!this.#scheduled) {
      this.#scheduled = true;
      clock.soon(() => this.#hold());
    }
  }

  #planOf(flow: FlowPlan): WritePlan {
    let plan = this.#plans.get(flow);
    if (plan === undefined) {
      plan = planFor(flow);
      this.#plans.set(flow, plan);
    }
    return plan;
  }

  /** Appends everything that arrived since the last turn, as one group. */
  #hold(): void {
    const writes = this.#incoming;
    this.#incoming = [];
    this.#scheduled = false;
    const entries: LogEntry[] = writes.map((write) => ({
      record: encodeWrite('hold', write),
      changes: write.idempotent === null ? NO_CHANGES : changesOf({ type: 'hold', write }, write),
    }));
    this.#parts.log.append(entries, 'admit').then(
      (first) => this.#held(writes, first),
      (error: unknown) => this.#notHeld(writes, error),
    );
  }

  /** The one place from which a held write is acknowledged: its sync is done. */
  #held(writes: readonly HeldWrite[], first: number): void {
    const { live, ports } = this.#parts;
    let position = first;
    for (const write of writes) {
      live.placed(write, position);
      position += 1;
      write.phase = 'queued';
      const reply = write.onHeld;
      write.onHeld = null;
      if (reply === null) continue;
      if (write.owned) reply({ answer: 'held', receipt: write.receipt(), replayed: false });
      else this.#await(write, reply, false);
    }
    ports.handOver(writes);
  }

  #notHeld(writes: readonly HeldWrite[], error: unknown): void {
    const fault = error instanceof DiskFull ? diskFull() : asFault(error);
    for (const write of writes) {
      this.#parts.live.dropUnheld(write);
      if (write.idempotent !== null) {
        this.#parts.idempotency.release(write.account, write.flow, write.idempotent.key);
      }
      const reply = write.onHeld;
      write.onHeld = null;
      reply?.(turnedAway(fault));
    }
  }

  /** The caller waits until the write is settled or its wait ends, whichever comes first. */
  #await(write: HeldWrite, reply: Reply, replayed: boolean): void {
    write.onSettled = (settled) => reply(settledAnswer(settled, replayed));
    this.#parts.live.wait(write, this.#late);
  }

  readonly #late = (write: HeldWrite): void => this.#waitEnded(write);

  /**
   * 202: Holdfast owns the write from here, and says so on disk before it says so to the caller.
   */
  #waitEnded(write: HeldWrite): void {
    const reply = write.onSettled;
    // One whose outcome is on its way to the disk is told that, when it is there.
    if (reply === null || write.phase === 'settled') return;
    write.owned = true;
    const entry = { record: encode({ type: 'owned', u: write.uow }), changes: NO_CHANGES };
    this.#parts.log.appendSurely([entry]).then(
      () => {
        if (write.onSettled !== reply || write.phase === 'settled') return;
        write.onSettled = null;
        reply(write);
      },
      // The journal broke: nothing more is acknowledged, and the process ends.
      () => {},
    );
  }

  /** Someone else used this Idempotency-Key moments ago. */
  #answerSlot(slot: Slot, digest: string, request: WriteRequest, answer: Reply): void {
    if (slot.digest !== digest) return answer(turnedAway(mismatch()));
    const write = slot.write;
    if (write === null) return answer(turnedAway(inFlight()));
    this.#answerLive(write, request, answer);
  }

  #answerLive(write: HeldWrite, request: WriteRequest, answer: Reply): void {
    if (write.phase === 'settled' && write.outcome !== 'failed') {
      return answer(settledAnswer(write, true));
    }
    const held = write.owned && write.position >= 0;
    if (held || (request.respond === 'held' && write.position >= 0)) {
      return answer({ answer: 'held', receipt: write.receipt(), replayed: true });
    }
    answer(turnedAway(inFlight()));
  }

  /** The key named a write before: its receipt, or its next attempt if it failed. */
  async #answerAgain(
    uow: Uow,
    request: WriteRequest,
    flow: FlowPlan,
    answer: Reply,
  ): Promise<void> {
    const { state, live, ports } = this.#parts;
    const alive = live.get(uow);
    if (alive !== undefined && !(alive.phase === 'settled' && alive.outcome === 'failed')) {
      return this.#answerLive(alive, request, answer);
    }
    const row = await state.receipt(uow);
    const failed = alive?.outcome === 'failed' || row?.outcome === 'failed';
    if (failed) {
      const again = await ports.retry(uow, 'idempotency');
      if (again instanceof Fault) return answer(turnedAway(again));
      again.waitUntil = this.#parts.clock.monotonicMs() + request.waitMs;
      if ((request.respond ?? flow.respond) === 'held') {
        again.owned = true;
        return answer({ answer: 'held', receipt: again.receipt(), replayed: true });
      }
      return this.#await(again, answer, true);
    }
    if (row === null) return answer(turnedAway(new Fault('gone', `Write ${uow} was long ago.`)));
    answer({
      answer: 'settled',
      receipt: receiptOfRow(row),
      replayed: true,
      existed: row.existed,
      fault: faultOf(row.outcome, uow, row.report),
    });
  }
}

function settledAnswer(write: HeldWrite, replayed: boolean): Answer {
  const receipt = write.receipt();
  if (write.outcome === null) return { answer: 'held', receipt, replayed };
  const fault = faultOf(write.outcome, write.uow, receipt.report, write.retryAfterMs);
  return { answer: 'settled', receipt, replayed, existed: write.verdict?.existed ?? null, fault };
}

function needsShaping(flow: FlowPlan, request: WriteRequest): boolean {
  if (request.kind === 'delete') return false;
  return request.key === null || flow.valueChecked;
}

async function shape(shaper: Shaper, flow: FlowPlan, request: WriteRequest): Promise<Shaped> {
  if (request.key === null) return await shaper.shape(flow, request.body);
  if (request.kind === 'set' && flow.valueChecked) await shaper.checkValue(flow, request.body);
  return { keys: [request.key], value: request.body, ttlMs: undefined };
}

/**
 * Write before record before flow and account; absolute from here on, so no replay lengthens it.
 */
function expiry(
  request: WriteRequest,
  flow: FlowPlan,
  shaped: Shaped,
  now: EpochMs,
): EpochMs | null {
  if (request.kind === 'delete') return null;
  if (request.expiresAt !== undefined) return request.expiresAt;
  let ttlMs = request.ttlMs;
  if (ttlMs === undefined) ttlMs = shaped.ttlMs;
  if (ttlMs === undefined) ttlMs = flow.ttlMs;
  if (ttlMs === null) return null;
  return now + Math.min(ttlMs, flow.limits.ttlMsMax ?? LIMITS.ttlMsMax);
}

function turnedAway(fault: Fault): Answer {
  return { answer: 'turned-away', fault };
}

function asFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  if (error instanceof JournalBroken) return unknownOutcome();
  if (error instanceof DiskFull) return diskFull();
  return new Fault('internal', 'An unexpected error.', { cause: error });
}

function unknownOutcome(): Fault {
  return new Fault('outcome-unknown', 'The journal could not be written.', { retryAfterMs: 5000 });
}

function diskFull(): Fault {
  return new Fault('disk-full', 'The journal has no room for it.', { retryAfterMs: 10_000 });
}

function mismatch(): Fault {
  return new Fault('idempotency-mismatch', 'The first request with it had another content.');
}

function inFlight(): Fault {
  return new Fault('in-flight', 'The first request with it has no outcome yet.', {
    retryAfterMs: 1000,
  });
}
