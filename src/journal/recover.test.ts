/** Recovery against damage: every row of the table, every cut, every bit, every segment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bed, bedOn, FOLDER, openOn, readAll, record, seeded, text } from '../../test/sim/bed.ts';
import type { Bed } from '../../test/sim/bed.ts';
import type { SimDisk } from '../../test/sim/disk.ts';
import { JournalDamaged } from '../contracts/journal.ts';
import { plants } from '../kernel/plants.ts';
import { encodeSegmentHead, segmentName } from './format.ts';
import type { Recovery } from './journal.ts';
import { VERDICTS, verdict } from './verdicts.ts';
import type { Row } from './verdicts.ts';

const RECORDS = 8;
/** Two sectors each, three to a segment: 0..2 in segment 1, 3..5 in 2, 6 and 7 in 3; 4 is blank. */
const expected = Array.from({ length: RECORDS }, (_, n) => text(record(n, 500)));
const path = (number: number) => `${FOLDER}/${segmentName(number)}`;
const frameAt = (n: number) => 512 + (n % 3) * 1024;

/** The disk a killed (or closed) process leaves. */
async function left(how: 'killed' | 'closed', seed = 1, sealed = false): Promise<SimDisk> {
  const on = bed(seed);
  const { journal } = await openOn(on);
  for (let n = 0; n < RECORDS; n += 1) {
    if (n === 7 && sealed) {
      on.clock.advance(1000);
      while (journal.figures().syncs < 10) await new Promise((resolve) => setImmediate(resolve));
    }
    await journal.append([record(n, 500)], 'admit');
  }
  while (!on.disk.paths().includes(path(4))) await new Promise((resolve) => setImmediate(resolve));
  if (how === 'closed') await journal.close();
  on.disk.halt();
  return on.disk.restart();
}

/** A copy of `disk` that answers without turns of the machine, for thousands of openings. */
function fast(disk: SimDisk): Bed {
  const random = seeded(99);
  return bedOn(disk.restart({ schedule: queueMicrotask, random }), random);
}

interface Opened {
  readonly recovery: Recovery;
  readonly records: string[];
}

async function reopen(disk: SimDisk): Promise<Opened> {
  const on = fast(disk);
  const { journal, recovery } = await openOn(on);
  const records = await readAll(journal);
  on.disk.halt();
  return { recovery, records };
}

function change(disk: SimDisk, number: number, edit: (bytes: Buffer) => void): void {
  const bytes = Buffer.from(disk.bytesOf(path(number)));
  edit(bytes);
  disk.plant(path(number), bytes);
}

function swap(disk: SimDisk, one: string, other: string): void {
  const [a, b] = [disk.bytesOf(one), disk.bytesOf(other)];
  disk.plant(one, b);
  disk.plant(other, a);
}

const keyOf = (row: Row) =>
  [row.found, row.where, row.standing, row.followed === undefined ? '' : 'followed']
    .filter(Boolean)
    .join(' ');

const idOf = async (disk: SimDisk) =>
  /"id":"([0-9a-f]{32})"/.exec(text(disk.bytesOf(`${FOLDER}/checkpoint`)))?.[1] ?? '';

/**
 * For each row a disk on which it applies; rows that let the start go on give what must be read.
 */
const CASES: Record<string, () => Promise<{ disk: SimDisk; reads?: string[]; place?: string }>> = {
  frame: async () => ({ disk: await left('killed'), reads: expected }),
  'end-mark': async () => ({ disk: await left('closed'), reads: expected }),
  'zero inner': async () => {
    const disk = await left('killed');
    change(disk, 2, (bytes) => bytes.fill(0, frameAt(5)));
    return { disk, place: `${path(2)} at byte ${frameAt(5)}` };
  },
  'zero below': async () => {
    const disk = await left('closed');
    change(disk, 3, (bytes) => bytes.fill(0, frameAt(7)));
    return { disk, place: `${path(3)} at byte ${frameAt(7)}` };
  },
  zero: async () => ({ disk: await left('killed'), reads: expected }),
  'short inner': async () => {
    const disk = await left('killed');
    change(disk, 2, (bytes) => bytes.fill(0, frameAt(4) + 512, frameAt(5)));
    return { disk, place: `${path(2)} at byte ${frameAt(4)}` };
  },
  'short below': async () => {
    const disk = await left('closed');
    change(disk, 3, (bytes) => bytes.fill(0, frameAt(7), frameAt(7) + 512));
    return { disk, place: `${path(3)} at byte ${frameAt(7)}` };
  },
  'short followed': async () => {
    const disk = await left('killed', 1, true);
    change(disk, 3, (bytes) => bytes.fill(0, frameAt(7), frameAt(7) + 512));
    return { disk, place: `${path(3)} at byte ${frameAt(7)}` };
  },
  short: async () => {
    const disk = await left('killed');
    change(disk, 3, (bytes) => bytes.fill(0, frameAt(7), frameAt(7) + 512));
    return { disk, reads: expected.slice(0, 7) };
  },
  garbage: async () => {
    const disk = await left('killed');
    change(disk, 3, (bytes) => bytes.writeUInt8(1, frameAt(7) + 300));
    return { disk, place: `${path(3)} at byte ${frameAt(7)}` };
  },
  stranger: async () => {
    const disk = await left('killed');
    change(disk, 3, (bytes) => bytes.copy(bytes, frameAt(7), frameAt(6), frameAt(7)));
    return { disk, place: `${path(3)} at byte ${frameAt(7)}` };
  },
  'segment-missing': async () => {
    const disk = await left('killed');
    disk.plant(path(2), null);
    return { disk, place: path(2) };
  },
  'segment-header-bad': async () => {
    const disk = await left('killed');
    change(disk, 2, (bytes) => bytes.writeUInt8(7, 100));
    return { disk, place: `${path(2)} at byte 0` };
  },
  'segment-foreign': async () => {
    const disk = await left('killed');
    disk.plant(path(3), (await left('killed', 2)).bytesOf(path(3)));
    return { disk, place: `${path(3)} at byte 0` };
  },
  'segment-misplaced': async () => {
    const disk = await left('killed');
    swap(disk, path(2), path(3));
    return { disk, place: `${path(2)} at byte 0` };
  },
  'segment-not-closed': async () => {
    const disk = await left('killed');
    const head = encodeSegmentHead({ id: await idOf(disk), number: 5, bytes: 4096 });
    const blank = Buffer.alloc(4096);
    blank.set(head);
    disk.plant(path(5), blank);
    return { disk, place: path(3) };
  },
  'segment-blank': async () => ({ disk: await left('killed'), reads: expected }),
  'segment-below-checkpoint': async () => {
    const disk = await left('killed');
    const old = disk.bytesOf(path(1));
    const on = fast(disk);
    const { journal } = await openOn(on);
    assert.equal(await journal.trim(3), 3);
    await journal.close();
    on.disk.plant(path(1), old);
    return { disk: on.disk, reads: expected.slice(3) };
  },
  'temporary-file': async () => {
    const disk = await left('closed');
    disk.plant(`${FOLDER}/00000005.seg.tmp`, new Uint8Array(700));
    return { disk, reads: expected };
  },
  'first-segment-never-made': async () => {
    const disk = await left('killed');
    const on = fast(disk);
    for (const name of on.disk.paths()) on.disk.plant(name, null);
    on.disk.failNth(12, 'EIO');
    await assert.rejects(openOn(on), { name: 'DiskError' });
    assert.deepEqual(on.disk.paths(), [`${FOLDER}/checkpoint`]);
    on.disk.inject = null;
    return { disk: on.disk, reads: [] };
  },
  'checkpoint-missing': async () => {
    const disk = await left('killed');
    disk.plant(`${FOLDER}/checkpoint`, null);
    return { disk, place: `${FOLDER}/checkpoint` };
  },
  'checkpoint-damaged': async () => {
    const disk = await left('killed');
    disk.plant(`${FOLDER}/checkpoint`, disk.bytesOf(`${FOLDER}/checkpoint`).slice(1));
    return { disk, place: `${FOLDER}/checkpoint` };
  },
  'folder-empty': async () => {
    const { disk } = fast(await left('killed'));
    for (const name of disk.paths()) disk.plant(name, null);
    return { disk, reads: [] };
  },
};

test('the table has a case here for each row, and no row is hidden by an earlier one', () => {
  assert.deepEqual(VERDICTS.map(keyOf), Object.keys(CASES));
  for (const row of VERDICTS) {
    const { where = 'last', standing = 'above', followed = false } = row;
    assert.equal(verdict(row.found, { where, standing, followed }), row);
  }
});

for (const row of VERDICTS) {
  test(`recovery: ${keyOf(row)}: ${row.decision}`, async () => {
    const { disk, reads, place } = await (CASES[keyOf(row)] as (typeof CASES)[string])();
    const before = new Map(disk.paths().map((name) => [name, text(disk.bytesOf(name))]));
    if (row.decision === 'refuse') {
      const on = fast(disk);
      await assert.rejects(openOn(on), (error) => {
        assert.ok(error instanceof JournalDamaged);
        assert.equal(error.message, `${error.place}: ${row.meaning}`);
        assert.equal(error.place, place);
        return true;
      });
      const after = new Map(on.disk.paths().map((name) => [name, text(on.disk.bytesOf(name))]));
      assert.deepEqual(after, before, 'a refusal changes nothing');
      return;
    }
    const { records, recovery } = await reopen(disk);
    assert.deepEqual(records, reads);
    const told = recovery.decisions.some((line) => line.includes(row.meaning));
    assert.equal(told, ['cut', 'remove', 'make'].includes(row.decision));
    assert.equal(recovery.cutBytes > 0, row.decision === 'cut');
  });
}

test('a missing last segment is noticed as well', async () => {
  const disk = await left('killed');
  for (const number of [3, 4]) disk.plant(path(number), null);
  await assert.rejects(reopen(disk), { name: 'JournalDamaged', place: path(3) });
});

test('an older copy of a segment is noticed, of the last one if older than a start', async () => {
  const young = bed(1);
  const { journal } = await openOn(young);
  for (let n = 0; n < 5; n += 1) await journal.append([record(n, 500)], 'admit');
  const stale = young.disk.bytesOf(path(2));
  for (let n = 5; n < RECORDS; n += 1) await journal.append([record(n, 500)], 'admit');
  const staleLast = young.disk.bytesOf(path(3));
  await journal.append([record(8, 400)], 'admit');
  await journal.close();
  const inner = young.disk.restart();
  inner.plant(path(2), stale);
  await assert.rejects(reopen(inner), { name: 'JournalDamaged', place: /0002\.seg at byte 2560/ });
  const last = young.disk.restart();
  last.plant(path(3), staleLast);
  await assert.rejects(reopen(last), { name: 'JournalDamaged', place: /0003\.seg at byte 2560/ });
});

test('frames of swapped segments do not pass, even under the right headers', async () => {
  const disk = await left('killed');
  const bodies = [1, 2].map((number) => disk.bytesOf(path(number)).slice(512));
  change(disk, 1, (bytes) => bytes.set(bodies[1] as Uint8Array, 512));
  change(disk, 2, (bytes) => bytes.set(bodies[0] as Uint8Array, 512));
  await assert.rejects(reopen(disk), { name: 'JournalDamaged', place: `${path(1)} at byte 512` });
});

test('cut at every byte: the torn last batch goes, all before it stays', async () => {
  let cuts = 0;
  const disk = await left('killed');
  const whole = Buffer.from(disk.bytesOf(path(3)));
  for (let at = frameAt(7); at <= frameAt(7) + 1024; at += 1) {
    for (const how of ['zeros', 'truncated'] as const) {
      const bytes = Buffer.from(whole.subarray(0, how === 'zeros' ? whole.byteLength : at));
      if (how === 'zeros') bytes.fill(0, at);
      disk.plant(path(3), bytes);
      const { records, recovery } = await reopen(disk);
      const kept = at === frameAt(7) + 1024 ? RECORDS : RECORDS - 1;
      assert.deepEqual(records, expected.slice(0, kept), `cut at ${at} by ${how}`);
      assert.equal(recovery.copiedTail, true);
      cuts += 1;
    }
  }
  console.log(`${cuts} cuts of the last batch opened with all before it`);
});

test('cut at every byte below what is recorded as durable: refused', async () => {
  const disk = await left('closed');
  const whole = Buffer.from(disk.bytesOf(path(3)));
  let refused = 0;
  for (let at = 0; at < frameAt(7) + 1024; at += 1) {
    const bytes = Buffer.from(whole);
    bytes.fill(0, at);
    disk.plant(path(3), bytes);
    await assert.rejects(reopen(disk), { name: 'JournalDamaged' }, `cut at ${at}`);
    refused += 1;
  }
  console.log(`${refused} cuts below the durable position refused`);
});

/** Flips every `step`-th bit of the files; says how many were noticed, and where it did no harm. */
async function flipAll(
  disk: SimDisk,
  names: readonly string[],
  reads: readonly string[],
  step = 1,
) {
  let noticed = 0;
  const harmless: string[] = [];
  const wrong: string[] = [];
  for (const name of names) {
    const bytes = Buffer.from(disk.bytesOf(name));
    for (let bit = 0; bit < bytes.byteLength * 8; bit += step) {
      const at = bit >> 3;
      const was = bytes[at] as number;
      bytes[at] = was ^ (1 << (bit & 7));
      disk.plant(name, bytes);
      bytes[at] = was;
      const on = fast(disk);
      const opened = await openOn(on).catch((error: unknown) => {
        if (!(error instanceof JournalDamaged)) throw error;
        return null;
      });
      if (opened === null) {
        noticed += 1;
        continue;
      }
      const records = await readAll(opened.journal).catch(() => []);
      on.disk.halt();
      const same = records.length === reads.length && records.every((one, n) => one === reads[n]);
      (same ? harmless : wrong).push(`${name} ${at}`);
    }
    disk.plant(name, bytes);
  }
  return { noticed, harmless, wrong };
}

/** A closed journal of two segments of 2 KiB, the second one in use, and its checkpoint. */
async function small(): Promise<{ disk: SimDisk; reads: string[] }> {
  const on = bed(4);
  const { journal } = await openOn(on, { segmentBytes: 2560, recordBytesMax: 512 });
  const reads: string[] = [];
  for (const bytes of [700, 20, 30]) {
    const records = bytes > 512 ? [record(0, 350), record(1, 350)] : [record(reads.length, bytes)];
    await journal.append(records, 'admit');
    reads.push(...records.map(text));
  }
  await journal.close();
  return { disk: on.disk, reads };
}

test('every bit of a small journal flipped: noticed, or in zeros never written to', async () => {
  const { disk, reads } = await small();
  const names = [`${FOLDER}/checkpoint`, path(1), path(2)];
  const { noticed, harmless, wrong } = await flipAll(disk, names, reads);
  assert.deepEqual(wrong, []);
  const used = new Map([
    [path(1), 2560],
    [path(2), 512 + 512 + 512],
  ]);
  for (const place of harmless) {
    const [name = '', at] = place.split(' ');
    assert.ok(Number(at) >= (used.get(name) ?? Infinity), `a flip went unnoticed: ${place}`);
  }
  console.log(`${noticed} flips noticed, ${harmless.length} in zeros behind the end, harmless`);
  assert.ok(noticed > 30_000 && harmless.length > 0);
});

test('control: a recovery that skips bad records is caught by the flips', async () => {
  const { disk, reads } = await small();
  plants.add('skip-bad-record');
  try {
    const { wrong } = await flipAll(disk, [path(1)], reads, 41);
    console.log(`skip-bad-record: ${wrong.length} flips opened with records missing`);
    assert.ok(wrong.length > 0);
  } finally {
    plants.delete('skip-bad-record');
  }
});
