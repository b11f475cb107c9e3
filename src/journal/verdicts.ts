/**
 * What a start does with what it finds in a journal's folder: one table, first matching row wins.
 * The scan (recover.ts) only says what it found and where; every decision stands here, is printed
 * in the docs from here and is tested row by row.
 *
 * In words: the end of a log may be torn by a crash in one way only. One batch, the last, may
 * have been written in part, and it was never acknowledged. So a tail is cut only in the last
 * segment, above everything that was ever recorded as durable, when it is zero or cut short, and
 * when no whole frame stands behind it. Everything else is damage: the start refuses and names
 * the place.
 */

/** What can be found. `frame` ... `stranger` at a place in a segment, the others in the folder. */
export type Found =
  | 'frame'
  | 'end-mark'
  | 'zero'
  | 'short'
  | 'garbage'
  | 'stranger'
  | 'segment-missing'
  | 'segment-header-bad'
  | 'segment-foreign'
  | 'segment-misplaced'
  | 'segment-not-closed'
  | 'segment-blank'
  | 'segment-below-checkpoint'
  | 'temporary-file'
  | 'first-segment-never-made'
  | 'checkpoint-missing'
  | 'checkpoint-damaged'
  | 'folder-empty';

export type Decision =
  | 'accept'
  | 'next-segment'
  | 'end-of-log'
  | 'cut'
  | 'make'
  | 'keep-for-later'
  | 'remove'
  | 'refuse';

/** Where something was found; what does not matter for it is left out. */
export interface Circumstances {
  /** Whether a later segment holds anything. */
  readonly where: 'inner' | 'last';
  /** Whether the place lies below the highest position any record says was durable. */
  readonly standing: 'below' | 'above';
  /** Whether a whole frame of this journal stands behind it in the same segment. */
  readonly followed: boolean;
}

export interface Row {
  readonly found: Found;
  readonly where?: Circumstances['where'];
  readonly standing?: Circumstances['standing'];
  readonly followed?: boolean;
  readonly decision: Decision;
  /** What it means. */
  readonly meaning: string;
}

export const VERDICTS: readonly Row[] = [
  {
    found: 'frame',
    decision: 'accept',
    meaning: 'a whole frame that follows the one before it',
  },
  {
    found: 'end-mark',
    decision: 'next-segment',
    meaning: 'the segment was closed; the journal goes on in the next one',
  },
  {
    found: 'zero',
    where: 'inner',
    decision: 'refuse',
    meaning: 'the segment ends before it was closed, yet a later one holds frames',
  },
  {
    found: 'zero',
    standing: 'below',
    decision: 'refuse',
    meaning:
      'records that were on disk are missing at the end: the file is an older copy, or lost data',
  },
  {
    found: 'zero',
    decision: 'end-of-log',
    meaning: 'nothing was written here',
  },
  {
    found: 'short',
    where: 'inner',
    decision: 'refuse',
    meaning: 'a frame is incomplete, yet a later segment was written after it',
  },
  {
    found: 'short',
    standing: 'below',
    decision: 'refuse',
    meaning: 'a frame that was on disk is now incomplete',
  },
  {
    found: 'short',
    followed: true,
    decision: 'refuse',
    meaning:
      'a frame is incomplete, yet a whole one stands behind it, which was written after its sync',
  },
  {
    found: 'short',
    decision: 'cut',
    meaning: 'the last write was torn by a crash; it was never acknowledged',
  },
  {
    found: 'garbage',
    decision: 'refuse',
    meaning:
      'bytes have changed since they were written: a torn write leaves zeros, these are none',
  },
  {
    found: 'stranger',
    decision: 'refuse',
    meaning:
      'a whole frame, but of another place or time: the file was swapped, copied or is stale',
  },
  {
    found: 'segment-missing',
    decision: 'refuse',
    meaning: 'a segment that the journal needs is not there',
  },
  {
    found: 'segment-header-bad',
    decision: 'refuse',
    meaning: 'the first sector is not a segment header that this version can read',
  },
  {
    found: 'segment-foreign',
    decision: 'refuse',
    meaning: 'the segment belongs to another journal',
  },
  {
    found: 'segment-misplaced',
    decision: 'refuse',
    meaning: 'the segment was made with another number than its file name says',
  },
  {
    found: 'segment-not-closed',
    decision: 'refuse',
    meaning: 'segments stand behind one that was never closed',
  },
  {
    found: 'segment-blank',
    decision: 'keep-for-later',
    meaning: 'a segment that was made ahead of its use',
  },
  {
    found: 'segment-below-checkpoint',
    decision: 'remove',
    meaning: 'trimmed; the crash came before it was removed',
  },
  {
    found: 'temporary-file',
    decision: 'remove',
    meaning: 'a file that was being made when the process ended',
  },
  {
    found: 'first-segment-never-made',
    decision: 'make',
    meaning: 'the crash came while the journal was being made',
  },
  {
    found: 'checkpoint-missing',
    decision: 'refuse',
    meaning: 'there are segments, but nothing says with which one the journal begins',
  },
  {
    found: 'checkpoint-damaged',
    decision: 'refuse',
    meaning: 'the checkpoint is not what was written',
  },
  {
    found: 'folder-empty',
    decision: 'make',
    meaning: 'a new journal',
  },
];

/** The row that applies. Total: a finding without a row refuses. */
export function verdict(found: Found, circumstances?: Circumstances): Row {
  for (const row of VERDICTS) {
    if (row.found !== found) continue;
    if (row.where !== undefined && row.where !== circumstances?.where) continue;
    if (row.standing !== undefined && row.standing !== circumstances?.standing) continue;
    if (row.followed !== undefined && row.followed !== circumstances?.followed) continue;
    return row;
  }
  return { found, decision: 'refuse', meaning: 'nothing is known about this' };
}

/** What a person can do about a refusal. */
export const REFUSAL_HINT =
  'Nothing was changed. Keep a copy of the folder, then put back the named file as it was (from ' +
  'the same disk or a copy of this very moment), or restore the archive into a new data folder.';
