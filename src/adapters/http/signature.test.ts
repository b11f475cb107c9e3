/** Signatures against the example of the specification, and against tampering. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keysOf, signatureFault, signed } from './signature.ts';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const ID = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
const SECONDS = 1_614_265_330;
const BODY = '{"test": 2432232314}';

/** The example of the specification: id, time, secret, payload and this signature. */
const WANTED = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';

function headersOf(list: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let at = 0; at < list.length; at += 2) headers[list[at] ?? ''] = list[at + 1] ?? '';
  return headers;
}

test('signs as the specification does', () => {
  const headers = headersOf(signed(keysOf(SECRET), ID, SECONDS * 1000 + 999, BODY));
  assert.deepEqual(headers, {
    'webhook-id': ID,
    'webhook-timestamp': String(SECONDS),
    'webhook-signature': WANTED,
  });
});

test('takes its own, from either secret, and nothing that was touched', () => {
  const now = SECONDS * 1000;
  const keys = keysOf(`a-secret-as-it-stands  ${SECRET}`);
  assert.equal(keys.length, 2);
  const body = Buffer.from(BODY);
  const fine = headersOf(signed(keysOf(SECRET), ID, now, BODY));
  assert.equal(signatureFault(keys, ID, now, fine, body), null);
  assert.equal(signatureFault(keys, ID, now + 299_000, fine, body), null);
  const touched: [Record<string, string>, string, number, Buffer][] = [
    [{ ...fine, 'webhook-id': 'other' }, ID, now, body],
    [fine, 'other', now, body],
    [{ ...fine, 'webhook-timestamp': String(SECONDS + 1) }, ID, now, body],
    [{ ...fine, 'webhook-timestamp': 'x' }, ID, now, body],
    [{ ...fine, 'webhook-signature': 'v1,AAAA' }, ID, now, body],
    [{ ...fine, 'webhook-signature': '' }, ID, now, body],
    [{}, ID, now, body],
    [fine, ID, now + 301_000, body],
    [fine, ID, now - 301_000, body],
    [fine, ID, now, Buffer.from(`${BODY} `)],
  ];
  for (const [headers, id, at, bytes] of touched) {
    assert.notEqual(signatureFault(keys, id, at, headers, bytes), null, JSON.stringify(headers));
  }
});
