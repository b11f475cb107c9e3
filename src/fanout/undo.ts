/**
 * Undo: takes an aborted write back. The decision is on disk before the first undo is sent; every
 * stash that may hold the write undoes it, retried until it has; only then is the write ended.
 */
import type { UndoReply } from '../contracts/stash.ts';
import { planted } from '../kernel/plants.ts';
import { NO_CHANGES, type IntakeLog } from '../intake/log.ts';
import { encode } from '../intake/records.ts';
import { UNDO_CONFLICT, type HeldWrite } from '../intake/write.ts';
import type { StashDriver } from './driver.ts';
import type { FailedKeys } from './failed-keys.ts';
import type { Lanes } from './lanes.ts';

export interface UndoParts {
  readonly log: IntakeLog;
  readonly lanes: Lanes;
  readonly failedKeys: FailedKeys;
  readonly driver: (stash: string) => StashDriver;
  /** Every effect of the write is taken back, or there was none. */
  readonly ended: (write: HeldWrite) => void;
  /** Something moved outside of the pump. */
  readonly moved: () => void;
}

export class Undo {
  readonly #parts: UndoParts;
  #aborts: HeldWrite[] = [];

  constructor(parts: UndoParts) {
    this.#parts = parts;
  }

  get pending(): boolean {
    return this.#aborts.length > 0;
  }

  /** Decided: the write will not commit. Call `flush` after the last one of a turn. */
  abort(write: HeldWrite, why: 'refused' | 'failed'): void {
    write.abort = why;
    // From now on a later commit of one of its keys ends it.
    if (why === 'failed') this.#parts.failedKeys.add(write);
    // Nothing was kept anywhere: the outcome itself is the decision.
    if (write.mayHold === 0) return this.#parts.ended(write);
    write.phase = 'aborting';
    this.#aborts.push(write);
    if (planted('undo-before-decision')) this.#send(write);
  }

  /** Appends the decisions of this turn together; the undos follow once they are on disk. */
  flush(): void {
    const writes = this.#aborts;
    if (writes.length === 0) return;
    this.#aborts = [];
    const entries = writes.map((write) => {
      const { uow: u, attempt: a } = write;
      const out = write.abort ?? 'failed';
      const record = encode({ type: 'abort', u, a, out, rep: write.report() });
      return { record, changes: NO_CHANGES };
    });
    this.#parts.log.appendThen(entries, () => {
      for (const write of writes) this.begin(write);
      this.#parts.moved();
    });
  }

  /** The decision is on disk: sends the undos (again, after a start). */
  begin(write: HeldWrite): void {
    write.phase = 'undoing';
    if (this.#letsGoEarly(write)) this.#parts.lanes.release(write);
    this.#send(write);
    if (write.awaited === 0) this.#parts.ended(write);
  }

  #send(write: HeldWrite): void {
    let forget = planted('forget-a-stash-in-undo');
    for (const [at, stash] of write.plan.stashes.entries()) {
      if ((write.mayHold & (1 << at)) === 0 || (write.awaited & (1 << at)) !== 0) continue;
      if (forget) {
        forget = false;
        write.mayHold &= ~(1 << at);
        continue;
      }
      write.awaited |= 1 << at;
      this.#parts.driver(stash).undo(write);
    }
  }

  /**
   * Later versions cannot collide with an undo in insert-only stores, so one dead store does not
   * hold every key (P15). A write that Holdfast will retry keeps its lanes: its turn is still to
   * come.
   */
  #letsGoEarly(write: HeldWrite): boolean {
    if (write.owned && write.abort === 'failed') return false;
    return write.plan.stashes.every((stash, at) => {
      const { insertOnly } = this.#parts.driver(stash).stash.traits;
      return insertOnly || (write.mayHold & (1 << at)) === 0;
    });
  }

  /** What a stash answered to the undo of `write`. */
  undone(driver: StashDriver, write: HeldWrite, reply: UndoReply): void {
    const { id } = driver.stash;
    const at = write.plan.stashes.indexOf(id);
    if (reply.reply === 'failed') return driver.undoAgain(write);
    write.awaited &= ~(1 << at);
    if (reply.reply === 'undo-conflict') {
      write.lines[at] = { stash: id, reply: 'undo-conflict', detail: reply.detail };
      write.note = UNDO_CONFLICT;
    } else {
      write.mayHold &= ~(1 << at);
      // What a store refused or failed stays in the report: it says why the write was undone.
      const told = write.lines[at]?.reply;
      if (told !== 'failed' && told !== 'refused') write.lines[at] = { stash: id, reply: 'undone' };
    }
    if (write.awaited === 0 && write.phase === 'undoing') this.#parts.ended(write);
  }
}
