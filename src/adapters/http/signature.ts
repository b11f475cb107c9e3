/**
 * Signatures of the HTTP stash: the symmetric scheme of Standard Webhooks
 * (https://www.standardwebhooks.com), so that a server may check them with a library of its own
 * language. HMAC-SHA256 over `id.timestamp.body`; several signatures while a secret is changed.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** A call whose time differs from ours by more is turned away, in both directions. */
export const TOLERANCE_MS = 5 * 60 * 1000;

/** What signs and checks: the keys of all secrets in force, the first one being the newest. */
export type Keys = readonly Buffer[];

/**
 * The keys of a configured text: secrets apart by blanks. `whsec_` and base64 stand for the bytes,
 * anything else for itself. Empty when there is no secret in it.
 */
export function keysOf(secret: string): Keys {
  const words = secret.split(/\s+/).filter((word) => word !== '');
  return words.map((word) =>
    word.startsWith('whsec_') ? Buffer.from(word.slice(6), 'base64') : Buffer.from(word, 'utf8'),
  );
}

/** The three headers of a message: names and values in turn. `timeMs` is wall time. */
export function signed(keys: Keys, id: string, timeMs: number, body: string | Uint8Array) {
  const seconds = String(Math.floor(timeMs / 1000));
  const signatures = keys.map((key) => `v1,${macOf(key, id, seconds, body)}`);
  return [
    'webhook-id',
    id,
    'webhook-timestamp',
    seconds,
    'webhook-signature',
    signatures.join(' '),
  ];
}

/** Null when the message is from somebody who knows a secret, is of now, and bears this id. */
export function signatureFault(
  keys: Keys,
  id: string,
  nowMs: number,
  headers: Readonly<Record<string, string | undefined>>,
  body: Uint8Array,
): string | null {
  const seconds = headers['webhook-timestamp'] ?? '';
  if (headers['webhook-id'] !== id) return 'its webhook-id is not that of the call it answers';
  if (!/^\d{1,12}$/.test(seconds)) return 'it has no webhook-timestamp';
  if (Math.abs(nowMs - Number(seconds) * 1000) > TOLERANCE_MS) return 'it is not of now';
  const given = (headers['webhook-signature'] ?? '').split(' ');
  const fits = keys.some((key) => {
    const wanted = Buffer.from(`v1,${macOf(key, id, seconds, body)}`);
    return given.some((text) => {
      const bytes = Buffer.from(text);
      return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
    });
  });
  return fits ? null : 'its signature is of none of the secrets';
}

function macOf(key: Buffer, id: string, seconds: string, body: string | Uint8Array): string {
  return createHmac('sha256', key).update(`${id}.${seconds}.`).update(body).digest('base64');
}
