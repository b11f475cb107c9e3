/** Content digests: what ETags, idempotency and duplicate checks compare. */
import { hash } from 'node:crypto';

/**
 * Digest of a value: the first 128 bits of its SHA-256 in base64url (22 characters). It depends on
 * the bytes alone, so it needs no side data and survives restarts.
 */
export function digestOf(value: Uint8Array): string {
  return hash('sha256', value, 'base64url').slice(0, 22);
}
