/** `/v1/failures`: the fail queue. `/v1/rejections`: what stores refused, which is never queued. */
import type { FailureRow } from '../../contracts/state.ts';
import { Fault } from '../../kernel/errors.ts';
import type { Uow } from '../../kernel/words.ts';
import type { Asked, Call } from './call.ts';
import { pageHeaders, pageOf } from './page.ts';
import { receiptText } from './receipt.ts';
import { uowParam } from './uow.ts';

export async function failureList(call: Call, asked: Asked): Promise<void> {
  const { cursor, limit } = pageOf(asked.query);
  const { cursor: _cursor, limit: _limit, ...filter } = { ...asked.query };
  const { failures } = call.door.ports;
  const page = await failures.list(filter, cursor, limit);
  const items = page.items.map(shown);
  call.json({ items, next: page.cursor }, 200, pageHeaders(call, page.cursor));
}

export async function failureShow(call: Call, asked: Asked): Promise<void> {
  const uow = uowParam(asked);
  const row = await call.door.ports.failures.show(uow);
  if (row === null) throw absent(uow);
  call.json(shown(row));
}

export async function failureRetry(call: Call, asked: Asked): Promise<void> {
  const uow = uowParam(asked);
  const receipt = await call.door.ports.failures.retry(uow);
  if (receipt === null) throw absent(uow);
  const headers = ['Location', `/v1/uow/${uow}`];
  call.answer(202, 'application/json', receiptText(receipt), headers, uow, 'retry');
}

export async function failureSkip(call: Call, asked: Asked): Promise<void> {
  const uow = uowParam(asked);
  if (!(await call.door.ports.failures.skip(uow))) throw absent(uow);
  call.json({ uow, done: 'skipped' });
}

export async function failureDiscard(call: Call, asked: Asked): Promise<void> {
  const uow = uowParam(asked);
  if (!(await call.door.ports.failures.discard(uow))) throw absent(uow);
  call.json({ uow, done: 'discarded' });
}

export async function rejections(call: Call, asked: Asked): Promise<void> {
  const { cursor, limit } = pageOf(asked.query);
  const { account, flow } = asked.query as { account?: string; flow?: string };
  const filter = {
    ...(account === undefined ? {} : { account }),
    ...(flow === undefined ? {} : { flow }),
  };
  const page = await call.door.ports.failures.rejections(filter, cursor, limit);
  const items = page.items.map((row) => ({
    uow: row.uow,
    account: row.account,
    flow: row.flow,
    kind: row.kind,
    keys: row.keys,
    outcome: row.outcome,
    settledAt: new Date(row.settledAt).toISOString(),
    report: row.report,
  }));
  call.json({ items, next: page.cursor }, 200, pageHeaders(call, page.cursor));
}

function absent(uow: Uow): Fault {
  return new Fault('not-found', `No failed write has the uow ${uow}.`);
}

/** The row as it is shown: times as text, without the plan. */
function shown(row: FailureRow): unknown {
  const { plan: _plan, ...rest } = row;
  return {
    ...rest,
    firstFailedAt: new Date(row.firstFailedAt).toISOString(),
    lastFailedAt: new Date(row.lastFailedAt).toISOString(),
    retryAt: row.retryAt === null ? null : new Date(row.retryAt).toISOString(),
  };
}
