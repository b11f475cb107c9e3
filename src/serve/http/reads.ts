/** `/v1/reads`: many keys in one call, or keys that do not fit a path. */
import { isUtf8 } from 'node:buffer';

import type { FlowPlan } from '../../contracts/flow.ts';
import type { Got } from '../../contracts/ports.ts';
import { Fault } from '../../kernel/errors.ts';
import { keyFault } from '../../kernel/keys.ts';
import { LIMITS } from '../../kernel/limits.ts';
import type { Asked, Call } from './call.ts';
import { secondsOf } from './get.ts';
import { jsonBody } from './jsonbody.ts';
import { isJson } from './media.ts';

/** Asked of the reader at a time, so that the bound on bytes holds before memory is gone. */
const KEYS_AT_ONCE = 32;

export async function reads(call: Call, asked: Asked): Promise<void> {
  const wish = jsonBody(call, asked.body, 'ReadRequest') as {
    account: string;
    flow: string;
    keys: string[];
  };
  for (const [at, key] of wish.keys.entries()) {
    const detail = keyFault(key);
    if (detail !== null) {
      throw new Fault('bad-key', detail, { errors: [{ pointer: `/keys/${at}`, detail }] });
    }
  }
  const flow = call.door.flow(wish.account, wish.flow);
  call.account = flow.account;
  call.flow = flow.flow;
  const parts: string[] = [];
  let bytes = 0;
  for (let at = 0; at < wish.keys.length; at += KEYS_AT_ONCE) {
    const keys = wish.keys.slice(at, at + KEYS_AT_ONCE);
    const found = await call.door.ports.read.getMany(flow, keys);
    for (const [index, key] of keys.entries()) {
      const got = found[index] ?? null;
      bytes += got?.value.byteLength ?? 0;
      if (bytes > LIMITS.readBytesMax) {
        const detail = `the values have more than ${LIMITS.readBytesMax} bytes: ask for fewer keys`;
        throw new Fault('too-large', detail);
      }
      parts.push(itemText(flow, key, got));
    }
  }
  const text = `{"items":[${parts.join(',')}]}`;
  call.answer(200, 'application/json', text, ['Cache-Control', 'no-store']);
}

/** JSON values stand in the answer as they were stored, so that no number loses a digit. */
function itemText(flow: FlowPlan, key: string, got: Got | null): string {
  const name = JSON.stringify(key);
  if (got === null) return `{"key":${name},"found":false,"encoding":null,"value":null,"ttl":null}`;
  const value = Buffer.from(got.value.buffer, got.value.byteOffset, got.value.byteLength);
  const ttl = String(secondsOf(got.ttlMs));
  const [encoding, text] = isJson(got.mediaType ?? flow.mediaType)
    ? ['json', value.toString('utf8')]
    : isUtf8(value)
      ? ['utf8', JSON.stringify(value.toString('utf8'))]
      : ['base64', `"${value.toString('base64')}"`];
  return `{"key":${name},"found":true,"encoding":"${encoding}","value":${text},"ttl":${ttl}}`;
}
