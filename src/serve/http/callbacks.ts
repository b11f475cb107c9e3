/** `/v1/callbacks/{token}`: the answer of a store that could not give it at once. */
import { Fault } from '../../kernel/errors.ts';
import type { Asked, Call } from './call.ts';

/**
 * Handed on as it came: whether it is from the store, the one who waits finds out by its signature.
 */
export function callback(call: Call, asked: Asked): void {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(call.req.headers)) {
    if (typeof value === 'string') headers[name] = value;
  }
  const token = asked.params['token'] ?? '';
  const { callbacks } = call.door.ports;
  if (!callbacks.deliver(token, { headers, body: asked.body })) {
    throw new Fault('not-found', 'Nobody waits for this answer, or not any more.');
  }
  call.bare(204);
}
