/**
 * How an outcome is told: which fault of the catalogue a write that was not committed answers
 * with.
 */
import type { ReceiptRow } from '../contracts/state.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { Outcome, Receipt, ReportLine, Uow } from '../kernel/words.ts';

/**
 * Said in the report of a write whose condition did not hold; recovery and replay find it there.
 */
export const CONDITION_FAILED = 'the condition did not hold';

/** Stands as the status of a stash that was not sent to, since its breaker is open. */
export const BREAKER_OPEN = 'breaker-open';
/** As a status: not sent, since the store does not take part at present. */
export const APART = 'apart';

function failureStatus(report: readonly ReportLine[]): 502 | 503 | 504 {
  // A store's own status is in the report and never the client's.
  if (report.some(({ status }) => status === BREAKER_OPEN || status === APART)) return 503;
  if (report.some((line) => line.reply === 'unknown')) return 504;
  return 502;
}

function said(report: readonly ReportLine[], words: readonly string[]): string {
  const line = report.find((each) => words.includes(each.reply) && each.detail !== undefined);
  return line === undefined ? '' : ` (${line.stash}: ${line.detail})`;
}

/** Null exactly for `committed`. */
export function faultOf(
  outcome: Outcome,
  uow: Uow,
  report: readonly ReportLine[],
  retryAfterMs = 0,
): Fault | null {
  const extras = { uow, report };
  switch (outcome) {
    case 'committed':
      return null;
    case 'refused':
      if (report.some((line) => line.detail === CONDITION_FAILED)) {
        return new Fault('condition-failed', 'The condition was judged on the committed value.', {
          ...extras,
        });
      }
      return new Fault(
        'refused',
        `A store refused the write${said(report, ['refused'])}; it is in none of them.`,
        extras,
      );
    case 'failed': {
      const status = failureStatus(report);
      const wait = retryAfterMs > 0 ? retryAfterMs : status === 503 ? LIMITS.breakerOpenMs : 0;
      return new Fault(
        'failed',
        `A store failed${said(report, ['failed', 'unknown', 'undone'])}; ` +
          'the write is in none of them and waits in the fail queue.',
        { ...extras, status, ...(wait > 0 ? { retryAfterMs: wait } : {}) },
      );
    }
    case 'superseded':
      return new Fault('superseded', 'A later write of one of its keys was committed.', extras);
    default:
      return outcome satisfies never;
  }
}

/** The receipt of a write that State remembers. */
export function receiptOfRow(row: ReceiptRow): Receipt {
  return {
    uow: row.uow,
    account: row.account,
    flow: row.flow,
    keys: row.keys,
    state: 'settled',
    outcome: row.outcome,
    durable: 'local',
    report: row.report,
  };
}
