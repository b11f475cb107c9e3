/** When what a node acknowledged is on its disk: WAITAOF, where the server has it (P24). */
import { Link, messageOf } from './connection.ts';
import { unavailable, type Joined } from './joining.ts';
import type { RedisStore } from './store.ts';
import { addressOf } from './topology.ts';

/** How long the name lives by which the wait is counted. */
const TIDE_MS = '60000';

/**
 * Resolves when all that the node answered before is in its append-only file on disk, or when the
 * server cannot tell (before Redis 7.2, or without such a file). Rejects with a Fault when it is
 * down, or does not get there in time. On a connection of its own, since the wait would hold up
 * everything behind it; it waits for a write of its own, which comes after all that was answered.
 */
export async function flushNode(store: RedisStore, { node }: Joined): Promise<void> {
  const { access } = store.options;
  const address = addressOf(node);
  const slot = store.firstSlot(node);
  if (address === null || slot === null) return;
  let link: Link | null = null;
  try {
    link = await Link.open(address, access, store.setup.world.clock);
    const tide = store.names.tide(slot);
    const waitMs = String(Math.max(1, access.timeoutMs - 500));
    const [set, wait] = await link.call([
      ['SET', tide, '', 'PX', TIDE_MS],
      ['WAITAOF', '1', '0', waitMs],
    ]);
    if (set instanceof Error || wait instanceof Error) return;
    if (!Array.isArray(wait) || Number(wait[0]) >= 1) return;
  } catch (error) {
    throw unavailable(`${node} does not say when it is on disk: ${messageOf(error)}`);
  } finally {
    link?.close();
  }
  throw unavailable(`${node} did not get its append-only file to disk in time`);
}
