/**
 * Receipts as JSON, written by hand: they are the answer to every write, and their shape is fixed,
 * so only names, keys and details go through a serializer.
 */
import type { Receipt, ReportLine } from '../../kernel/words.ts';

/** One receipt; `existed` stands in it where it is known (deletes). */
export function receiptText(receipt: Receipt, existed: boolean | null = null): string {
  const { keys, report } = receipt;
  let keysText = '';
  for (const key of keys)
    keysText += keysText === '' ? JSON.stringify(key) : `,${JSON.stringify(key)}`;
  let lines = '';
  for (const line of report) lines += lines === '' ? lineText(line) : `,${lineText(line)}`;
  const outcome = receipt.outcome === null ? 'null' : `"${receipt.outcome}"`;
  const tail = existed === null ? '' : `,"existed":${existed}`;
  return (
    `{"uow":${receipt.uow},"account":"${receipt.account}","flow":"${receipt.flow}",` +
    `"keys":[${keysText}],"state":"${receipt.state}","outcome":${outcome},` +
    `"durable":"${receipt.durable}","report":[${lines}]${tail}}`
  );
}

function lineText(line: ReportLine): string {
  let text = `{"stash":${JSON.stringify(line.stash)},"reply":"${line.reply}"`;
  if (line.status !== undefined) text += `,"status":${JSON.stringify(line.status)}`;
  if (line.detail !== undefined) text += `,"detail":${JSON.stringify(line.detail)}`;
  if (line.ms !== undefined) text += `,"ms":${Math.round(line.ms * 100) / 100}`;
  return `${text}}`;
}
