/**
 * Judging (P6): conditions and "was it there" are decided once, when the lanes are granted, on the
 * committed state that the reader holds. The verdict is on disk before the first apply and recovery
 * uses it again: a second judgement would see the write's own value.
 */
import type { Found, Reader } from '../contracts/reader.ts';
import { digestOf } from '../kernel/digest.ts';
import type { Condition } from '../intake/request.ts';
import type { HeldWrite } from '../intake/write.ts';

export function needsJudging(write: HeldWrite): boolean {
  return write.verdict === null && (write.conditions.length > 0 || write.kind === 'delete');
}

export interface Judgement {
  readonly passed: boolean;
  readonly existed: boolean;
}

/** Reads the present values of the write's keys. Rejects when the reader cannot be read. */
export async function judge(write: HeldWrite, reader: Reader): Promise<Judgement> {
  const found = await reader.get(write.account, write.flow, write.keys, () => true);
  const existed = found.some((each) => each !== null);
  const passed = write.conditions.every((condition) => holds(condition, found[0] ?? null));
  return { passed, existed };
}

function holds(condition: Condition, present: Found | null): boolean {
  switch (condition.if) {
    case 'exists':
      return present !== null;
    case 'absent':
      return present === null;
    case 'match':
      return present !== null && condition.etags.includes(etag(present));
    case 'none-match':
      return present === null || !condition.etags.includes(etag(present));
    default:
      return condition satisfies never;
  }
}

function etag(found: Found): string {
  return found.digest ?? digestOf(found.value);
}
