/** What the stashes of a write have said, put together for the table of decisions. */
import type { ReportLine } from '../kernel/words.ts';
import type { HeldWrite } from '../intake/write.ts';
import type { Facts } from './decide.ts';

export function factsOf(write: HeldWrite): Facts {
  const last = write.plan.stashes.length;
  let unknown = false;
  let refused = false;
  let failed = false;
  for (let at = 0; at < last; at += 1) {
    const reply = write.lines[at]?.reply;
    if (reply === 'unknown') unknown = true;
    else if (reply === 'refused') refused = true;
    else if (reply === 'failed') failed = true;
  }
  const readerAwaited = (write.awaited & (1 << last)) !== 0;
  return {
    awaited: (write.awaited & ~(1 << last)) !== 0,
    unknown,
    refused,
    failed,
    reader: readerAwaited ? 'awaited' : readerFact(write.lines[last]?.reply),
    readerSentBefore: write.readerSent,
    mayAbort: write.mayAbort,
  };
}

function readerFact(reply: ReportLine['reply'] | undefined): Facts['reader'] {
  switch (reply) {
    case 'stored':
    case 'declined':
      return 'stored';
    case 'refused':
    case 'failed':
    case 'unknown':
      return reply;
    default:
      return 'not-sent';
  }
}
