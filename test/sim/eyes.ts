/** Who reads while a simulated world goes on: a foreign program, and clients of Holdfast. */
import { ACCOUNT, type Life } from './life.ts';
import type { Asked, Seen, Violation } from './model.ts';
import type { SimStore } from './store.ts';

/** Foreign eyes: a program that reads the reader's store without asking Holdfast. */
export function lookInto(life: Life, reader: SimStore, seen: (Seen | 'forgot')[]): void {
  if (life.engine === null) return;
  for (const lane of reader.contents.versions.keys()) {
    const version = reader.current(lane, () => true);
    if (version !== null) seen.push({ lane, version });
  }
}

/**
 * A client who reads through Holdfast: a write that was answered as committed before it asked is
 * there, or a later one. Rejects when it is told that the reader is away.
 */
export async function readThrough(
  life: Life,
  { flow, key }: { flow: string; key: string },
  asked: readonly Asked[],
): Promise<Violation | null> {
  let acknowledged = 0;
  let deleted = false;
  for (const { request, answer } of asked) {
    if (request.flow !== flow || request.key !== key) continue;
    // A later delete reads as nothing: whether it was one is held at the end.
    if (request.kind === 'delete') deleted = true;
    else if (answer?.answer === 'settled' && answer.receipt.outcome === 'committed') {
      acknowledged = Math.max(acknowledged, answer.receipt.uow);
    }
  }
  const reader = life.engine?.readers.get('reader');
  if (reader === undefined) return null;
  const [found] = await reader.get(ACCOUNT, flow, [key], () => true);
  const uow = found?.uow ?? 0;
  if (uow >= acknowledged || (uow === 0 && deleted)) return null;
  const shown = uow === 0 ? 'nothing' : String(uow);
  const detail = `${flow}/${key} read as ${shown}, acknowledged was ${acknowledged}`;
  return { promise: 'G15', detail };
}
