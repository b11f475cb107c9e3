/**
 * State as a view of the intake: what each record changes in the tables. The running program and
 * the start that reads the intake again both take it from here, so they cannot differ.
 */
import type { FailureRow, ReceiptRow, StateChange } from '../contracts/state.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { ReportLine } from '../kernel/words.ts';
import {
  encodeWrite,
  type IntakeRecord,
  type OutcomeRecord,
  type ParkedRecord,
} from './records.ts';
import type { HeldWrite } from './write.ts';

/** The document that keeps the highest numbers handed out. */
export const START_DOCUMENT = { kind: 'start', id: 'last' } as const;

const NO_REPORT: readonly ReportLine[] = [];

function receiptOf(write: HeldWrite, record: OutcomeRecord): ReceiptRow {
  return {
    uow: write.uow,
    attempt: record.a,
    account: write.account,
    flow: write.flow,
    kind: write.kind,
    keys: write.keys,
    outcome: record.out,
    settledAt: record.at,
    report: record.rep,
    existed: record.existed,
  };
}

/** The stash to blame: a failure before a refusal before anything else. */
function culprit(report: readonly ReportLine[]): ReportLine | undefined {
  return (
    report.find((line) => line.reply === 'failed' && line.detail !== undefined) ??
    report.find((line) => line.reply === 'unknown' || line.reply === 'undo-conflict') ??
    report.find((line) => line.detail !== undefined)
  );
}

/** The row of the fail queue for an attempt of `write` that failed. */
export function failureOf(write: HeldWrite, record: OutcomeRecord | ParkedRecord): FailureRow {
  const blamed = culprit(record.rep);
  return {
    uow: write.uow,
    attempt: record.a,
    account: write.account,
    flow: write.flow,
    kind: write.kind,
    keys: write.keys,
    firstFailedAt: write.firstFailedAt ?? record.at,
    lastFailedAt: record.at,
    parked: record.type === 'parked',
    retryAt: record.type === 'parked' ? record.retryAt : null,
    reason: blamed === undefined ? 'failed' : `${blamed.stash}: ${blamed.detail ?? blamed.reply}`,
    stash: blamed?.stash ?? '',
    status: blamed?.status ?? null,
    report: record.rep,
    plan: encodeWrite('attempt', write),
  };
}

function outcomeChanges(record: OutcomeRecord, write: HeldWrite): StateChange[] {
  const changes: StateChange[] = [{ change: 'receipt', row: receiptOf(write, record) }];
  if (record.out === 'failed') changes.push({ change: 'failure', row: failureOf(write, record) });
  else if (write.firstFailedAt !== null) changes.push({ change: 'failure-gone', uow: write.uow });
  for (const gone of record.sup ?? []) {
    changes.push({ change: 'failure-gone', uow: gone.u });
    changes.push({
      change: 'receipt',
      row: {
        uow: gone.u,
        attempt: gone.a,
        account: write.account,
        flow: write.flow,
        kind: gone.k,
        keys: gone.keys,
        outcome: 'superseded',
        settledAt: record.at,
        report: NO_REPORT,
        existed: null,
      },
    });
  }
  return changes;
}

/**
 * What `record` changes in State. `write` is the write it speaks of, null for those that speak of
 * none; an outcome whose write is unknown (trimmed and settled before) changes nothing.
 */
export function changesOf(record: IntakeRecord, write: HeldWrite | null): StateChange[] {
  switch (record.type) {
    case 'start':
    case 'reserve': {
      const body = { epoch: record.epoch, uowTo: record.uowTo };
      const row = { ...START_DOCUMENT, account: null, body, until: null };
      return [{ change: 'document', row }];
    }
    case 'hold': {
      const held = record.write;
      if (held.idempotent === null) return [];
      const row = {
        scope: `${held.account}/${held.flow}`,
        key: held.idempotent.key,
        digest: held.idempotent.digest,
        uow: held.uow,
        until: held.heldAt + LIMITS.idempotencyMs,
      };
      return [{ change: 'idempotency', row }];
    }
    case 'outcome':
      return write === null ? [] : outcomeChanges(record, write);
    case 'commits':
      // Its writes are told one by one: commitOf.
      return [];
    case 'parked':
      return write === null ? [] : [{ change: 'failure', row: failureOf(write, record) }];
    case 'discard':
      return [{ change: 'failure-gone', uow: record.u }];
    case 'document':
      return [{ change: 'document', row: record.row }];
    case 'attempt':
    case 'carried':
    case 'verdict':
    case 'abort':
    case 'owned':
    case 'trying':
    case 'tried':
      return [];
    default:
      return record satisfies never;
  }
}
