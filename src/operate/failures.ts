/** The fail queue and the parked lanes as people see them: pages over State and over the lanes. */
import type { FailurePort, LanesPort, ParkedLane } from '../contracts/ports.ts';
import type {
  FailureFilter,
  FailureRow,
  ReceiptRow,
  State,
  StatePage,
} from '../contracts/state.ts';
import { Fault } from '../kernel/errors.ts';
import type { Receipt, Uow } from '../kernel/words.ts';
import type { IntakeLog } from '../intake/log.ts';
import type { Parking } from '../fanout/parking.ts';

export class Failures implements FailurePort, LanesPort {
  readonly #state: State;
  readonly #log: IntakeLog;
  readonly #parking: Parking;

  constructor(state: State, log: IntakeLog, parking: Parking) {
    this.#state = state;
    this.#log = log;
    this.#parking = parking;
  }

  async list(
    filter: FailureFilter,
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<FailureRow>> {
    await this.#caughtUp();
    return await this.#state.failures(filter, cursor, limit);
  }

  async show(uow: Uow): Promise<FailureRow | null> {
    await this.#caughtUp();
    return await this.#state.failure(uow);
  }

  async retry(uow: Uow): Promise<Receipt | null> {
    const write = await this.#parking.retry(uow);
    if (!(write instanceof Fault)) return write.receipt();
    if (write.code === 'not-found') return null;
    throw write;
  }

  skip(uow: Uow): Promise<boolean> {
    return found(this.#parking.skip(uow));
  }

  discard(uow: Uow): Promise<boolean> {
    return found(this.#parking.discard(uow));
  }

  async rejections(
    filter: { account?: string; flow?: string },
    cursor: string | null,
    limit: number,
  ): Promise<StatePage<ReceiptRow>> {
    await this.#caughtUp();
    return await this.#state.rejections(filter, cursor, limit);
  }

  /** What was told before is listed now: State lags the intake by a few milliseconds. */
  async #caughtUp(): Promise<void> {
    await this.#log.applied(this.#log.journal.durable - 1);
  }

  async parked(cursor: string | null, limit: number): Promise<StatePage<ParkedLane>> {
    const from = cursor === null ? 0 : Number(cursor);
    if (!Number.isSafeInteger(from)) throw new Fault('bad-cursor', 'Not a cursor of this list.');
    const all = this.#parking.lanes();
    const items = all.slice(from, from + limit);
    const next = from + items.length;
    return await Promise.resolve({ items, cursor: next < all.length ? String(next) : null });
  }
}

async function found(act: Promise<unknown>): Promise<boolean> {
  try {
    await act;
    return true;
  } catch (error) {
    if (error instanceof Fault && error.code === 'not-found') return false;
    throw error;
  }
}
