/** `/v1/uow/{uow}`: the receipt of a write, wherever it is on its way. */
import { Fault } from '../../kernel/errors.ts';
import type { Uow } from '../../kernel/words.ts';
import type { Asked, Call } from './call.ts';
import { uowOf } from './headers.ts';
import { receiptText } from './receipt.ts';

/** The uow in the path. Throws `bad-parameter`. */
export function uowParam(asked: Asked): Uow {
  const found = uowOf(asked.params['uow'] ?? '');
  if (found === null) throw new Fault('bad-parameter', 'uow: expected a whole number below 2^53');
  return found;
}

export async function uow(call: Call, asked: Asked): Promise<void> {
  const asks = uowParam(asked);
  const receipt = await call.door.ports.write.receipt(asks);
  if (receipt === null) throw new Fault('not-found', `There is no write ${asks}.`);
  if (receipt === 'gone') throw new Fault('gone', `The receipt of write ${asks} is not kept.`);
  const headers = ['Cache-Control', 'no-store'];
  const text = receiptText(receipt);
  call.answer(200, 'application/json', text, headers, asks, receipt.outcome ?? receipt.state);
}
