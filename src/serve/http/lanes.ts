/** `/v1/lanes/parked`: keys that wait, for which write, and how many wait behind it. */
import type { Asked, Call } from './call.ts';
import { pageHeaders, pageOf } from './page.ts';

export async function lanesParked(call: Call, asked: Asked): Promise<void> {
  const { cursor, limit } = pageOf(asked.query);
  const page = await call.door.ports.lanes.parked(cursor, limit);
  const items = page.items.map((lane) => ({
    ...lane,
    since: new Date(lane.since).toISOString(),
    retryAt: lane.retryAt === null ? null : new Date(lane.retryAt).toISOString(),
  }));
  call.json({ items, next: page.cursor }, 200, pageHeaders(call, page.cursor));
}
