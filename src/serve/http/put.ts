/** Writes: PUT and DELETE of one key, POST of one record. */
import type { FlowPlan } from '../../contracts/flow.ts';
import type { Answer, Condition } from '../../intake/request.ts';
import { Fault } from '../../kernel/errors.ts';
import { checkJson } from '../../kernel/json.ts';
import type { WriteEnd } from '../../telemetry/metrics.ts';
import { discardBody, readBody } from './body.ts';
import type { Call } from './call.ts';
import { conditionsOf, idempotencyKeyOf, preferenceOf } from './headers.ts';
import type { Preference } from './headers.ts';
import { checkMedia, checkRecordMedia, isJson } from './media.ts';
import type { Query } from './query.ts';
import { receiptText } from './receipt.ts';

const EMPTY = new Uint8Array(0);
const VARY = ['Vary', 'Prefer'];

/** What the headers and parameters of a write say, before its body is there. */
interface Intent {
  readonly kind: 'set' | 'delete';
  readonly key: string | null;
  readonly ttlMs: number | null | undefined;
  readonly conditions: readonly Condition[];
  readonly idempotencyKey: string | null;
  readonly preference: Preference;
}

/** PUT: the body is the value. */
export function put(call: Call, flow: FlowPlan, key: string, query: Query): void {
  const { headers } = call.req;
  const intent = intentOf(call, flow, 'set', key, query);
  if (headers['content-range'] !== undefined) {
    throw new Fault('bad-request', 'Content-Range: a value is put whole, never in parts');
  }
  checkMedia(flow.mediaType, headers['content-type']);
  receive(call, flow, intent, isJson(flow.mediaType));
}

/** POST: the body is a record for the mapping of its flow. */
export function post(call: Call, flow: FlowPlan, query: Query): void {
  const { headers } = call.req;
  if (headers['if-match'] !== undefined || headers['if-none-match'] !== undefined) {
    throw new Fault('bad-parameter', 'If-Match and If-None-Match are for PUT and DELETE');
  }
  const intent = intentOf(call, flow, 'set', null, query);
  const cloudEvent = headers['ce-specversion'] !== undefined || headers['ce-id'] !== undefined;
  checkRecordMedia(headers['content-type'], cloudEvent);
  receive(call, flow, intent, true);
}

/** DELETE: a body, if there is one, says nothing and is thrown away. */
export function remove(call: Call, flow: FlowPlan, key: string, query: Query): void {
  const intent = intentOf(call, flow, 'delete', key, query);
  discardBody(call.req);
  submit(call, intent, EMPTY);
}

function intentOf(
  call: Call,
  flow: FlowPlan,
  kind: 'set' | 'delete',
  key: string | null,
  query: Query,
): Intent {
  const { headers } = call.req;
  const ttlMs = query['ttl'] as number | null | undefined;
  const { ttlMsMax } = flow.limits;
  if (ttlMsMax !== null && (ttlMs === null || (ttlMs ?? 0) > ttlMsMax)) {
    throw new Fault('bad-parameter', `ttl: at most ${ttlMsMax / 1000} seconds in this flow`);
  }
  return {
    kind,
    key,
    ttlMs,
    conditions: conditionsOf(headers['if-match'], headers['if-none-match']),
    idempotencyKey: idempotencyKeyOf(headers['idempotency-key'] as string | undefined),
    preference: preferenceOf(headers['prefer'] as string | undefined),
  };
}

function receive(call: Call, flow: FlowPlan, intent: Intent, json: boolean): void {
  const { bodyBytesMax, jsonDepthMax } = flow.limits;
  readBody(call.req, bodyBytesMax, (broken, body) => {
    const fault = broken ?? (json ? jsonFault(body, jsonDepthMax) : null);
    if (fault !== null) {
      turnAway(call, fault);
      return;
    }
    try {
      submit(call, intent, body);
    } catch (error) {
      turnAway(call, error);
    }
  });
}

/** The fault of a text that is not acceptable JSON, or null. */
export function jsonFault(body: Uint8Array, depthMax: number): Fault | null {
  const found = checkJson(body, { depthMax });
  if (found === null) return null;
  const { detail, kind, pointer, offset } = found;
  const code = kind === 'depth' ? 'too-deep' : 'bad-json';
  return new Fault(code, `${detail}, at byte ${offset}`, { errors: [{ pointer, detail }] });
}

function submit(call: Call, intent: Intent, body: Uint8Array): void {
  const { preference } = intent;
  call.door.ports.write.submit(
    {
      account: call.account as string,
      flow: call.flow as string,
      kind: intent.kind,
      key: intent.key,
      body,
      ttlMs: intent.ttlMs,
      conditions: intent.conditions,
      idempotencyKey: intent.idempotencyKey,
      respond: preference.respond,
      waitMs: preference.waitMs,
      requestId: call.requestId,
    },
    answering(call, preference),
  );
}

/**
 * Answers, and lets go of the request with that: a write is remembered for a while after it, and
 * what is held for longer than one collection of garbage is dear.
 */
function answering(call: Call, preference: Preference): (answer: Answer) => void {
  let waiting: Call | null = call;
  return (answer) => {
    const own = waiting;
    waiting = null;
    if (own === null) return;
    try {
      reply(own, preference, answer);
    } catch (error) {
      // A defect of the answer must not reach the room that calls back.
      own.fail(error);
    }
  };
}

function reply(call: Call, preference: Preference, answer: Answer): void {
  if (answer.answer === 'turned-away') {
    turnAway(call, answer.fault);
    return;
  }
  const { receipt } = answer;
  const headers = answer.replayed ? [...VARY, 'Idempotency-Replayed', 'true'] : VARY;
  const all =
    preference.applied === null ? headers : [...headers, 'Preference-Applied', preference.applied];
  if (answer.answer === 'held') {
    count(call, 'held');
    const location = ['Location', `/v1/uow/${receipt.uow}`];
    const text = receiptText(receipt);
    call.answer(202, 'application/json', text, [...all, ...location], receipt.uow, 'held');
    return;
  }
  const outcome = receipt.outcome ?? 'failed';
  count(call, outcome);
  if (answer.fault !== null) {
    call.fail(answer.fault, all);
    return;
  }
  const text = receiptText(receipt, answer.existed);
  call.answer(200, 'application/json', text, all, receipt.uow, outcome);
}

/** Answers a write that was never held, and counts it as that. */
export function turnAway(call: Call, fault: unknown): void {
  count(call, 'turned-away');
  call.fail(fault, VARY);
}

function count(call: Call, end: WriteEnd): void {
  call.door.metrics.writes[end] += 1;
}
