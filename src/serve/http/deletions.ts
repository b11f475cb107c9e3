/** `/v1/deletions`: delete by pattern, in two steps, so that nobody empties a flow by a typo. */
import type { Deletion } from '../../contracts/ports.ts';
import { Fault } from '../../kernel/errors.ts';
import { LIMITS } from '../../kernel/limits.ts';
import type { Asked, Call } from './call.ts';
import { jsonBody } from './jsonbody.ts';

export async function deletionPlan(call: Call, asked: Asked): Promise<void> {
  const wish = jsonBody(call, asked.body, 'DeletionRequest') as {
    account: string;
    flow: string;
    pattern: string;
    all?: boolean;
  };
  const flow = call.door.flow(wish.account, wish.flow);
  call.account = flow.account;
  call.flow = flow.flow;
  if (wish.pattern.includes('\0') || Buffer.byteLength(wish.pattern) > LIMITS.keyBytesMax) {
    const detail = `pattern: at most ${LIMITS.keyBytesMax} bytes without NUL`;
    throw new Fault('bad-request', detail, { errors: [{ pointer: '/pattern', detail }] });
  }
  if (/^\*+$/.test(wish.pattern) && wish.all !== true) {
    const detail = 'the pattern matches every key of the flow: add "all": true if that is meant';
    throw new Fault('bad-request', detail, { errors: [{ pointer: '/all', detail }] });
  }
  const plan = await call.door.ports.deletions.plan(flow, wish.pattern);
  call.json(shown(plan), 201, ['Location', `/v1/deletions/${encodeURIComponent(plan.id)}`]);
}

export async function deletionRun(call: Call, asked: Asked): Promise<void> {
  const id = asked.params['id'] ?? '';
  const job = await call.door.ports.deletions.run(id);
  if (job === null) throw absent();
  call.json(shown(job), 202, ['Location', `/v1/deletions/${encodeURIComponent(id)}`]);
}

export async function deletionShow(call: Call, asked: Asked): Promise<void> {
  const job = await call.door.ports.deletions.get(asked.params['id'] ?? '');
  if (job === null) throw absent();
  call.json(shown(job));
}

function absent(): Fault {
  return new Fault('not-found', 'There is no such deletion; plans that are not run expire.');
}

function shown(deletion: Deletion): unknown {
  return {
    ...deletion,
    plannedAt: new Date(deletion.plannedAt).toISOString(),
    expiresAt: new Date(deletion.expiresAt).toISOString(),
  };
}
