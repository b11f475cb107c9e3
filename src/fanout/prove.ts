/**
 * Prove: finds out, at a start, how far each write without an outcome had come, and which of them
 * may still be aborted (P14).
 */
import type { HoldsReply, Stash } from '../contracts/stash.ts';
import type { HeldWrite } from '../intake/write.ts';
import type { OpenWrite } from './replay.ts';

/** How far the writes without an outcome had come when the process ended. */
export interface OpenCounts {
  /** In no store yet. */
  held: number;
  /** In some store, not in the reader. */
  fanningOut: number;
  /** In the reader, the outcome not written. */
  committing: number;
  /** Aborted, the undo not finished. */
  undoing: number;
  parked: number;
}

/**
 * Those may still be aborted of which a stash proves, behind its fence, that it never held them, so
 * that the reader never showed them either. A stash that is not among `stashes` proves nothing.
 */
export async function prove(
  open: readonly OpenWrite[],
  stashes: ReadonlyMap<string, Stash>,
): Promise<OpenCounts> {
  const counts: OpenCounts = { held: 0, fanningOut: 0, committing: 0, undoing: 0, parked: 0 };
  const proofs = await askAll(open, stashes);
  for (const { write } of open) {
    const { stashes: before, reader } = write.plan;
    // Whatever a stash says now, what the dead process sent to it may still arrive.
    if (write.phase !== 'parked') write.mayHold = 2 ** before.length - 1;
    if (write.phase === 'parked') {
      counts.parked += 1;
    } else if (write.abort !== null) {
      counts.undoing += 1;
    } else {
      const answers = [...before, reader].map((id) => proofs.get(id)?.get(write) ?? 'cannot-tell');
      write.mayAbort = answers.includes('never');
      write.readerSent = !write.mayAbort;
      if (answers.at(-1) === 'live') counts.committing += 1;
      else if (answers.includes('live')) counts.fanningOut += 1;
      else counts.held += 1;
    }
  }
  return counts;
}

async function askAll(
  open: readonly OpenWrite[],
  stashes: ReadonlyMap<string, Stash>,
): Promise<Map<string, Map<HeldWrite, HoldsReply>>> {
  const proofs = new Map<string, Map<HeldWrite, HoldsReply>>();
  for (const [id, stash] of stashes) {
    const writes = open
      .map((each) => each.write)
      .filter((write) => write.plan.reader === id || write.plan.stashes.includes(id));
    const answers = new Map<HeldWrite, HoldsReply>();
    proofs.set(id, answers);
    if (writes.length === 0) continue;
    try {
      await stash.fence();
      const replies = await stash.holds(writes);
      for (const [at, write] of writes.entries()) answers.set(write, replies[at] ?? 'cannot-tell');
    } catch {
      // A store that is down proves nothing: its writes go forward.
    }
  }
  return proofs;
}
