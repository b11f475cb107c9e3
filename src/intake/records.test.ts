/** Records of the intake: what is encoded is decoded, nothing unknown is passed over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JournalDamaged } from '../contracts/journal.ts';
import type { ReportLine } from '../kernel/words.ts';
import { decode, encode, encodeWrite, type IntakeRecord } from './records.ts';
import { HeldWrite, type WriteFacts } from './write.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const bytes = fc.uint8Array({ maxLength: 200 });
const time = fc.nat(2 ** 45);
const uow = fc.nat(Number.MAX_SAFE_INTEGER);
const orNull = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => {
  return fc.option(arbitrary, { nil: null });
};
const plain = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> => {
  return fc.record(model, { noNullPrototype: true });
};
const line: fc.Arbitrary<ReportLine> = fc.record(
  {
    stash: fc.constantFrom('a', 'b', 'reader'),
    reply: fc.constantFrom('stored', 'failed', 'undone', 'skipped'),
    status: fc.oneof(fc.nat(600), text),
    detail: text,
    ms: fc.nat(1000),
  },
  { requiredKeys: ['stash', 'reply'], noNullPrototype: true },
);
const report = fc.uniqueArray(line, { selector: ({ stash }) => stash });
const facts: fc.Arbitrary<WriteFacts> = plain({
  uow,
  attempt: fc.integer({ min: 1, max: 20 }),
  account: text,
  flow: text,
  kind: fc.constantFrom('set', 'delete'),
  keys: fc.array(text, { minLength: 1, maxLength: 5 }),
  value: bytes,
  raw: orNull(fc.uint8Array({ minLength: 1, maxLength: 100 })),
  digest: text,
  expiresAt: orNull(time),
  heldAt: time,
  plan: fc.constant({ stashes: ['a', 'b'], reader: 'reader', generation: 7 }),
  conditions: fc.array(
    fc.oneof(
      fc.constant({ if: 'absent' } as const),
      plain({ if: fc.constant('match' as const), etags: fc.array(text) }),
    ),
  ),
  idempotent: orNull(plain({ key: text, digest: text })),
  firstFailedAt: orNull(time),
  owned: fc.boolean(),
});

const FACTS = [
  'uow',
  'attempt',
  'account',
  'flow',
  'kind',
  'keys',
  'digest',
  'expiresAt',
  'heldAt',
  'plan',
  'conditions',
  'idempotent',
  'firstFailedAt',
  'owned',
] as const satisfies readonly (keyof WriteFacts)[];

function sameFacts(one: HeldWrite, other: HeldWrite): void {
  for (const name of FACTS) assert.deepEqual(other[name], one[name], name);
  assert.ok(Buffer.from(one.value).equals(other.value), 'value');
  assert.equal(one.raw === null, other.raw === null);
  if (one.raw !== null && other.raw !== null) assert.ok(Buffer.from(one.raw).equals(other.raw));
}

function decoded(record: Uint8Array): HeldWrite {
  const found = decode(record, 0);
  assert.ok('write' in found);
  return found.write;
}

test('a held write comes back whole: every fact, value and record byte for byte', () => {
  fc.assert(
    fc.property(facts, (given) => {
      const write = new HeldWrite(given);
      for (const type of ['hold', 'attempt'] as const) {
        const found = decode(encodeWrite(type, write), 0);
        assert.equal(found.type, type);
        sameFacts(write, decoded(encodeWrite(type, write)));
      }
    }),
  );
});

test('a carried write takes along what had been decided', () => {
  const decisions = plain({
    abort: fc.constantFrom('refused', 'failed', null),
    phase: fc.constantFrom('queued', 'applying', 'undoing', 'parked'),
    verdict: orNull(plain({ existed: orNull(fc.boolean()) })),
    retryAt: orNull(time),
    order: fc.nat(1000),
    overtaken: fc.boolean(),
    passed: fc.boolean(),
    report,
  });
  fc.assert(
    fc.property(facts, decisions, (given, { report: lines, ...decided }) => {
      const write = Object.assign(new HeldWrite(given), decided);
      for (const each of lines) {
        const at = write.plan.stashes.indexOf(each.stash);
        write.lines[at < 0 ? 2 : at] = each;
      }
      const back = decoded(encodeWrite('carried', write));
      sameFacts(write, back);
      for (const name of ['abort', 'phase', 'verdict', 'retryAt', 'order'] as const) {
        assert.deepEqual(back[name], write[name], name);
      }
      assert.equal(back.overtaken, write.overtaken);
      assert.equal(back.outrun, write.outrun);
      assert.deepEqual(back.report(), write.report());
      write.quarantined = true;
      const apart = decoded(encodeWrite('carried', write));
      assert.ok(apart.quarantined && apart.phase !== 'parked', 'it has not failed');
    }),
  );
});

test('a place between two positions survives, as those that stand back have it', () => {
  fc.assert(
    fc.property(facts, fc.nat(1000), (given, place) => {
      const write = new HeldWrite(given);
      write.order = place + 0.5;
      assert.equal(decoded(encodeWrite('attempt', write)).order, place + 0.5);
      assert.equal(decoded(encodeWrite('hold', write)).order, -1, 'a hold stands where it is');
    }),
  );
});

test('every other record comes back as it was', () => {
  const a = fc.nat(20);
  const rep = report;
  const records: fc.Arbitrary<Exclude<IntakeRecord, { write: HeldWrite }>> = fc.oneof(
    plain({
      type: fc.constant('start' as const),
      epoch: a,
      uowFrom: uow,
      uowTo: uow,
      at: time,
    }),
    plain({ type: fc.constant('reserve' as const), epoch: a, uowFrom: uow, uowTo: uow }),
    plain({ type: fc.constant('verdict' as const), u: uow, a, existed: orNull(fc.boolean()) }),
    plain({
      type: fc.constant('abort' as const),
      u: uow,
      a,
      out: fc.constantFrom('refused' as const, 'failed' as const),
      rep,
    }),
    plain({
      type: fc.constant('outcome' as const),
      u: uow,
      a,
      out: fc.constantFrom('committed' as const, 'failed' as const, 'superseded' as const),
      at: time,
      rep,
      existed: orNull(fc.boolean()),
      note: orNull(text),
    }),
    plain({
      type: fc.constant('parked' as const),
      u: uow,
      a,
      at: time,
      retryAt: orNull(time),
      rep,
    }),
    plain({ type: fc.constantFrom('owned' as const, 'trying' as const), u: uow }),
    plain({ type: fc.constant('tried' as const), u: uow }),
    plain({ type: fc.constant('discard' as const), u: uow, at: time }),
  );
  fc.assert(
    fc.property(records, (record) => {
      assert.deepEqual(decode(encode(record), 0), record);
    }),
  );
});

test('a record of a newer version refuses the start and names its position', () => {
  for (const bad of [
    Buffer.from([99, 0, 0, 0, 0]),
    Buffer.from([0, 0, 0, 0, 0]),
    Buffer.from([1]),
  ]) {
    assert.throws(
      () => decode(bad, 4711),
      (error: unknown) => error instanceof JournalDamaged && error.place.includes('4711'),
    );
  }
});

test('fields that a newer version adds to a header are passed over', () => {
  const header = JSON.stringify({ u: 7, later: { any: 'thing' } });
  const bytesOf = encode({ type: 'owned', u: 7 });
  const longer = Buffer.concat([bytesOf.subarray(0, 1), Buffer.alloc(4), Buffer.from(header)]);
  longer.writeUInt32LE(Buffer.byteLength(header), 1);
  const found = decode(longer, 0);
  assert.ok(found.type === 'owned' && found.u === 7);
});
