/**
 * A stash that misbehaves by plan: it refuses, fails, delays, loses its reply or applies late, as
 * stores do behind a network. It stands in front of a stash that keeps the contract; what it does
 * is decided by the functions it is given, so a run is as repeatable as they are.
 *
 * Promised: it never lies. A definite reply is the truth about that sending, and whatever is still
 * under way when a reply was `unknown` is over once `fence` resolved.
 */
import type {
  Attempt,
  HoldsReply,
  Mark,
  ProbeFinding,
  Stash,
  StashReply,
  StashTraits,
  UndoReply,
} from '../../src/contracts/stash.ts';
import type { Uow } from '../../src/kernel/words.ts';

/** What is to happen to one attempt of an `apply`. */
export type ApplyFault =
  | { readonly fault: 'none' }
  | { readonly fault: 'declined' }
  | { readonly fault: 'refused'; readonly status?: number }
  /** Not applied; `sent` says whether it left the process. */
  | { readonly fault: 'failed'; readonly sent: boolean; readonly outage?: boolean }
  /** `unknown` is answered; the store applied it. */
  | { readonly fault: 'lost-applied' }
  /** `unknown` is answered; the store never got it. */
  | { readonly fault: 'lost-dropped' }
  /**
   * `unknown` is answered; it reaches the store after `lateMs`, or never if a fence comes first.
   */
  | { readonly fault: 'late'; readonly lateMs: number };

/** What is to happen to one attempt of an `undo`. */
export type UndoFault = 'none' | 'failed' | 'lost-applied' | 'conflict';

export interface FaultPlan {
  apply(attempt: Attempt, nth: number): ApplyFault;
  undo(attempt: Attempt, nth: number): UndoFault;
  /** Milliseconds that a call takes before the store sees it. */
  delayMs(call: 'apply' | 'undo' | 'fence' | 'holds'): number;
  /** True: `fence` rejects this time. */
  fenceFails(nth: number): boolean;
}

/** No faults and no delay. Spread it and replace what the test is about. */
export const NO_FAULTS: FaultPlan = {
  apply: () => ({ fault: 'none' }),
  undo: () => 'none',
  delayMs: () => 0,
  fenceFails: () => false,
};

export interface FaultRates {
  readonly refused?: number;
  readonly failed?: number;
  readonly notSent?: number;
  readonly lostApplied?: number;
  readonly lostDropped?: number;
  readonly late?: number;
  readonly undoFails?: number;
  readonly undoLost?: number;
  readonly fenceFails?: number;
  readonly delayMsMax?: number;
  readonly lateMsMax?: number;
}

/** A plan that draws each fault with its rate (a fraction of all) from `fraction`. */
export function randomPlan(rates: FaultRates, fraction: () => number): FaultPlan {
  const late = (): ApplyFault => ({
    fault: 'late',
    lateMs: Math.floor(fraction() * (rates.lateMsMax ?? 1000)),
  });
  const table: readonly (readonly [number, () => ApplyFault])[] = [
    [rates.refused ?? 0, () => ({ fault: 'refused' })],
    [rates.failed ?? 0, () => ({ fault: 'failed', sent: true })],
    [rates.notSent ?? 0, () => ({ fault: 'failed', sent: false })],
    [rates.lostApplied ?? 0, () => ({ fault: 'lost-applied' })],
    [rates.lostDropped ?? 0, () => ({ fault: 'lost-dropped' })],
    [rates.late ?? 0, late],
  ];
  return {
    apply() {
      let draw = fraction();
      for (const [rate, make] of table) {
        if (draw < rate) return make();
        draw -= rate;
      }
      return { fault: 'none' };
    },
    undo() {
      const draw = fraction();
      if (draw < (rates.undoFails ?? 0)) return 'failed';
      return draw < (rates.undoFails ?? 0) + (rates.undoLost ?? 0) ? 'lost-applied' : 'none';
    },
    delayMs: () => Math.floor(fraction() * (rates.delayMsMax ?? 0)),
    fenceFails: () => fraction() < (rates.fenceFails ?? 0),
  };
}

export type After = (ms: number, task: () => void) => unknown;

export class FaultyStash implements Stash {
  readonly id: string;
  readonly kind: string;
  readonly traits: StashTraits;
  plan: FaultPlan;
  /** How often each fault was done: a test that relies on one holds that it is not zero. */
  readonly done = new Map<string, number>();
  readonly #inner: Stash;
  readonly #after: After;
  readonly #tries = new Map<string, number>();
  /** Sendings that have not reached the store yet; a fence drops them. */
  #late = new Set<object>();
  #fences = 0;

  constructor(inner: Stash, plan: FaultPlan, after: After) {
    this.id = inner.id;
    this.kind = inner.kind;
    this.traits = inner.traits;
    this.plan = plan;
    this.#inner = inner;
    this.#after = after;
  }

  async apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]> {
    await this.#delay('apply');
    const faults = attempts.map((attempt) => {
      return this.plan.apply(attempt, this.#nth('apply', attempt));
    });
    const reaching = attempts.filter((_, at) => isReaching(faults[at]));
    const real = await this.#inner.apply(reaching, mark);
    let next = 0;
    return attempts.map((attempt, at) => {
      const fault = faults[at] ?? { fault: 'none' };
      this.#count(fault.fault);
      const reply = isReaching(fault) ? real[next++] : undefined;
      return this.#reply(fault, reply, attempt, mark);
    });
  }

  #reply(
    fault: ApplyFault,
    reply: StashReply | undefined,
    attempt: Attempt,
    mark: Mark,
  ): StashReply {
    switch (fault.fault) {
      case 'none':
        return reply ?? { reply: 'unknown', detail: 'the store behind did not answer' };
      case 'declined':
        return { reply: 'declined' };
      case 'refused':
        return { reply: 'refused', status: fault.status ?? 422, detail: 'refused by plan' };
      case 'failed': {
        const { sent, outage = false } = fault;
        return { reply: 'failed', status: 503, detail: 'failed by plan', sent, outage };
      }
      case 'lost-applied':
      case 'lost-dropped':
        return { reply: 'unknown', detail: `${fault.fault} by plan` };
      case 'late':
        this.#arriveLate(attempt, mark, fault.lateMs);
        return { reply: 'unknown', detail: 'under way by plan' };
      default:
        return fault satisfies never;
    }
  }

  #arriveLate(attempt: Attempt, mark: Mark, lateMs: number): void {
    const sending = {};
    this.#late.add(sending);
    this.#after(lateMs, () => {
      if (!this.#late.delete(sending)) return;
      this.#count('late-arrived');
      void this.#inner.apply([attempt], mark);
    });
  }

  async undo(attempts: readonly Attempt[], mark: Mark): Promise<readonly UndoReply[]> {
    await this.#delay('undo');
    const faults = attempts.map((attempt) => this.plan.undo(attempt, this.#nth('undo', attempt)));
    const reaching = attempts.filter((_, at) => undoReaches(faults[at]));
    const real = await this.#inner.undo(reaching, mark);
    let next = 0;
    return attempts.map((_, at): UndoReply => {
      const fault = faults[at] ?? 'none';
      if (fault !== 'none') this.#count(`undo-${fault}`);
      const reply = undoReaches(fault) ? real[next++] : undefined;
      if (fault === 'none' && reply !== undefined) return reply;
      if (fault === 'conflict') return { reply: 'undo-conflict', detail: 'changed by plan' };
      return { reply: 'failed', detail: `undo ${fault} by plan` };
    });
  }

  async holds(attempts: readonly Attempt[]): Promise<readonly HoldsReply[]> {
    await this.#delay('holds');
    return this.#inner.holds(attempts);
  }

  /** What has not reached the store by now never will. */
  async fence(): Promise<void> {
    await this.#delay('fence');
    this.#fences += 1;
    if (this.plan.fenceFails(this.#fences)) {
      this.#count('fence-failed');
      throw new Error('the fence failed by plan');
    }
    this.#late = new Set();
    await this.#inner.fence();
  }

  mark(): Promise<Mark | null> {
    return this.#inner.mark();
  }

  flush(): Promise<void> {
    return this.#inner.flush();
  }

  probe(): Promise<readonly ProbeFinding[]> {
    return this.#inner.probe();
  }

  prune(belowUow: Uow): Promise<number> {
    return this.#inner.prune(belowUow);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** Counts the tries of one attempt, from 1. */
  #nth(call: string, { uow, attempt }: Attempt): number {
    const name = `${call} ${uow}.${attempt}`;
    const nth = (this.#tries.get(name) ?? 0) + 1;
    this.#tries.set(name, nth);
    return nth;
  }

  #count(fault: string): void {
    this.done.set(fault, (this.done.get(fault) ?? 0) + 1);
  }

  async #delay(call: 'apply' | 'undo' | 'fence' | 'holds'): Promise<void> {
    const ms = this.plan.delayMs(call);
    if (ms > 0) await new Promise<void>((resolve) => this.#after(ms, resolve));
  }
}

function isReaching(fault: ApplyFault | undefined): boolean {
  return fault === undefined || fault.fault === 'none' || fault.fault === 'lost-applied';
}

function undoReaches(fault: UndoFault | undefined): boolean {
  return fault === undefined || fault === 'none' || fault === 'lost-applied';
}
