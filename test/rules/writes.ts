/** Writes made by hand, for tests of single parts. */
import { digestOf } from '../../src/kernel/digest.ts';
import { HeldWrite, type WriteFacts } from '../../src/intake/write.ts';

/** A write of `acme/settled` to one stash `a` and the reader; `uow` is its place too. */
export function heldWrite(uow: number, facts: Partial<WriteFacts> = {}): HeldWrite {
  const value = facts.value ?? Buffer.from(`v${uow}`);
  const write = new HeldWrite({
    uow,
    attempt: 1,
    account: 'acme',
    flow: 'settled',
    kind: 'set',
    keys: ['k'],
    value,
    raw: null,
    digest: digestOf(value),
    expiresAt: null,
    heldAt: 1000,
    plan: { stashes: ['a'], reader: 'reader', generation: 1 },
    conditions: [],
    idempotent: null,
    firstFailedAt: null,
    owned: false,
    ...facts,
  });
  write.position = uow;
  write.order = uow;
  return write;
}
