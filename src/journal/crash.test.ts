/**
 * Power cuts, dying disks, full disks: random traces on the simulated disk, cut at any call, and
 * every call failed once. What was acknowledged is there afterwards, and what is there is a
 * prefix.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bed,
  bedOn,
  FOLDER,
  openOn,
  readAll,
  record,
  seeded,
  text,
  turns,
  until,
} from '../../test/sim/bed.ts';
import type { Bed } from '../../test/sim/bed.ts';
import type { SimDisk } from '../../test/sim/disk.ts';
import { DiskFull, JournalBroken } from '../contracts/journal.ts';
import type { Journal } from '../contracts/journal.ts';
import { plants } from '../kernel/plants.ts';
import type { Disk } from '../kernel/world.ts';
import { openJournal } from './journal.ts';

/**
 * What the world outside knows of a journal: the records handed over, and what was said of them.
 */
interface Story {
  /** In the order of the calls. */
  appended: string[];
  acknowledged: number;
  /** Lowest and highest `first` that a trim may have left. */
  trimmed: number;
}

interface Image {
  readonly disk: SimDisk;
  readonly acknowledged: number;
  readonly appended: number;
}

const IMAGES_PER_RUN = 12;

/** Runs a random trace; takes images of the disk at random calls, as power cuts would leave it. */
async function trace(on: Bed, story: Story, wrap: (disk: Disk) => Disk): Promise<Image[]> {
  const images: Image[] = [];
  const at = new Set(Array.from({ length: IMAGES_PER_RUN }, () => Math.floor(on.random() * 300)));
  on.disk.inject = (_call, _path, number) => {
    if (at.has(number)) {
      const { acknowledged, appended } = story;
      const disk = on.disk.crash(on.random);
      images.push({ disk, acknowledged, appended: appended.length });
    }
    return undefined;
  };
  const world = { ...on.world, disk: wrap(on.disk) };
  const { journal } = await openJournal({
    directory: FOLDER,
    world,
    segmentBytes: 4096,
    recordBytesMax: 1024,
    reserveBytes: on.random() < 0.5 ? 0 : 4096,
  });
  const pending: Promise<unknown>[] = [];
  for (let step = 0; step < 25; step += 1) {
    const dice = on.random();
    if (dice < 0.75) {
      const count = 1 + Math.floor(on.random() * 4);
      const records = Array.from({ length: count }, (_, n) =>
        record(story.appended.length + n, 10 + Math.floor(on.random() * 900)),
      );
      story.appended.push(...records.map(text));
      const end = story.appended.length;
      pending.push(
        journal.append(records, 'admit').then((first) => {
          assert.equal(first, end - count);
          story.acknowledged = Math.max(story.acknowledged, end);
        }),
      );
    } else if (dice < 0.85) {
      on.clock.advance(150);
    } else {
      const before = Math.floor(on.random() * (story.acknowledged + 1));
      story.trimmed = Math.max(story.trimmed, before);
      pending.push(journal.trim(before));
    }
    if (on.random() < 0.6) await Promise.all(pending.splice(0));
    else await turns(Math.floor(on.random() * 3));
  }
  await Promise.all(pending);
  if (on.random() < 0.5) await journal.close();
  else await turns(Math.floor(on.random() * 20));
  on.disk.halt();
  return images;
}

/** Opens an image, holds what is there against the story, appends, and cuts the power again. */
async function check(image: Image, story: Story, random: () => number): Promise<void> {
  const { journal } = await openOn(bedOn(image.disk, random));
  assert.ok(journal.next >= image.acknowledged, `${journal.next} < ${image.acknowledged}`);
  assert.ok(journal.next <= image.appended);
  assert.ok(journal.first <= story.trimmed);
  const kept = story.appended.slice(journal.first, journal.next);
  assert.deepEqual(await readAll(journal), kept);
  const more = [...kept, text(record(9999))];
  assert.equal(await journal.append([record(9999)], 'settle'), journal.next - 1);
  assert.deepEqual(await readAll(journal), more);
  image.disk.halt();
  const again = await openOn(bedOn(image.disk.restart().crash(random), random));
  assert.deepEqual(await readAll(again.journal), more);
}

interface Sum {
  images: number;
  failures: number;
  lost: number;
}

async function campaign(
  seeds: number,
  wrap: (disk: Disk) => Disk = (disk) => disk,
  stopAtFailure = false,
): Promise<Sum> {
  const sum = { images: 0, failures: 0, lost: 0 };
  for (let seed = 1; seed <= seeds; seed += 1) {
    const on = bed(seed);
    const story: Story = { appended: [], acknowledged: 0, trimmed: 0 };
    const images = await trace(on, story, wrap);
    for (const [number, image] of images.entries()) {
      sum.images += 1;
      sum.lost += image.appended - image.acknowledged;
      try {
        await check(image, story, seeded(seed * 1000 + number));
      } catch (error) {
        sum.failures += 1;
        if (!stopAtFailure) throw new Error(`seed ${seed}, image ${number}`, { cause: error });
      }
    }
    if (stopAtFailure && sum.failures > 0) break;
  }
  return sum;
}

test('power cuts anywhere: what was acknowledged survives, what survives is a prefix', async () => {
  const sum = await campaign(120);
  console.log(`seeds 1 to 120: ${sum.images} power cuts, ${sum.lost} records not yet acknowledged`);
  assert.ok(sum.images > 500 && sum.lost > 100);
});

test('control: an acknowledgement before the sync is caught', async () => {
  plants.add('acknowledge-before-sync');
  try {
    const sum = await campaign(100, undefined, true);
    console.log(`acknowledge-before-sync: caught after ${sum.images} power cuts`);
    assert.ok(sum.failures > 0);
  } finally {
    plants.delete('acknowledge-before-sync');
  }
});

test('control: a missing sync of the folder is caught', async () => {
  const careless = (disk: Disk): Disk =>
    new Proxy(disk, {
      get: (target, name) => {
        if (name === 'syncDirectory') return async () => undefined;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  const sum = await campaign(100, careless, true);
  console.log(`no directory sync: caught after ${sum.images} power cuts`);
  assert.ok(sum.failures > 0);
});

/** A fixed trace for failing each of its calls in turn: three starts, appends, trim, close. */
async function fixedTrace(on: Bed, story: Story): Promise<string> {
  for (let start = 0; start < 2; start += 1) {
    let journal: Journal;
    try {
      ({ journal } = await openOn(on, { reserveBytes: 4096 }));
    } catch (error) {
      return `open: ${(error as Error).name}`;
    }
    try {
      for (let n = 0; n < 6; n += 1) {
        const one = record(story.appended.length, 600);
        story.appended.push(text(one));
        await journal.append([one], 'settle');
        story.acknowledged = story.appended.length;
        if (n === 3) on.clock.advance(100);
      }
      story.trimmed = story.acknowledged - 3;
      await journal.trim(story.trimmed);
      await journal.close();
    } catch (error) {
      assert.ok(error instanceof JournalBroken || error instanceof DiskFull, String(error));
      if (error instanceof DiskFull) return 'full';
      await assert.rejects(journal.append([record(0)], 'admit'), JournalBroken);
      await assert.rejects(journal.trim(0), JournalBroken);
      assert.equal(journal.admits(1), false);
      assert.equal(journal.figures().pending, 0);
      await journal.close().catch(() => undefined);
      return 'broken';
    }
  }
  return 'done';
}

test('every call failed once: nothing acknowledged is lost, nothing said after it', async () => {
  const count = bed(1);
  await fixedTrace(count, { appended: [], acknowledged: 0, trimmed: 0 });
  const calls = count.disk.calls;
  const ends = new Map<string, number>();
  for (let nth = 1; nth <= calls; nth += 1) {
    for (const injury of ['EIO', 'ENOSPC', 'short'] as const) {
      const on = bed(nth);
      const story: Story = { appended: [], acknowledged: 0, trimmed: 0 };
      on.disk.failNth(nth, injury);
      const end = await fixedTrace(on, story);
      ends.set(end, (ends.get(end) ?? 0) + 1);
      on.disk.halt();
      on.disk.inject = null;
      const random = seeded(nth);
      // The process dies and starts again on what the page cache shows; then the power is cut.
      const living = bedOn(on.disk.restart(), random);
      const { journal } = await openOn(living, { reserveBytes: 4096 });
      assert.ok(journal.next >= story.acknowledged, `call ${nth} ${injury}`);
      const kept = await readAll(journal);
      assert.deepEqual(kept, story.appended.slice(journal.first, journal.next));
      living.disk.halt();
      const dark = bedOn(living.disk.restart().crash(random), random);
      const again = await openOn(dark, { reserveBytes: 4096 });
      assert.deepEqual(await readAll(again.journal), kept, `call ${nth} ${injury}, power cut`);
      dark.disk.halt();
    }
  }
  console.log(`${calls} calls failed in 3 ways: ${JSON.stringify(Object.fromEntries(ends))}`);
  assert.ok((ends.get('broken') ?? 0) > 50);
});

test('a tail whose sync failed is written anew before anything is built on it', async () => {
  // The control is the disk itself: without the copy, the pages read back well and are nowhere.
  const on = bed(3);
  const { journal } = await openOn(on);
  await journal.append([record(0)], 'admit');
  const sizeBefore = on.disk.bytesOf(`${FOLDER}/00000001.seg`);
  on.disk.inject = (call) => (call === 'fdatasync' ? 'EIO' : undefined);
  await assert.rejects(journal.append([record(1)], 'admit'), JournalBroken);
  on.disk.halt();
  const living = bedOn(on.disk.restart(), seeded(3));
  assert.notDeepEqual(living.disk.bytesOf(`${FOLDER}/00000001.seg`), sizeBefore);
  assert.deepEqual(await readOf(living.disk.restart().crash(() => 0.3)), [text(record(0))]);
  const { journal: next, recovery } = await openOn(living);
  assert.equal(recovery.copiedTail, true);
  assert.equal(next.next, 2, 'the record whose outcome was unknown is there');
  living.disk.halt();
  const dark = living.disk.restart().crash(() => 0.3);
  assert.deepEqual(await readOf(dark), [text(record(0)), text(record(1))]);
});

async function readOf(disk: SimDisk): Promise<string[]> {
  const { journal } = await openOn(bedOn(disk, seeded(1)));
  return await readAll(journal);
}

test('a crash at each step of a trim: the journal opens with what it must still have', async () => {
  const on = bed(9);
  const { journal } = await openOn(on);
  const written = Array.from({ length: 20 }, (_, n) => record(n, 600));
  for (const one of written) await journal.append([one], 'admit');
  await turns(100);
  const images: SimDisk[] = [];
  const random = seeded(9);
  on.disk.inject = () => {
    for (let draw = 0; draw < 20; draw += 1) images.push(on.disk.crash(random));
    return undefined;
  };
  const first = await journal.trim(15);
  assert.ok(first > 10);
  const firsts = new Set<number>();
  for (const image of images) {
    const again = await openOn(bedOn(image, random));
    firsts.add(again.journal.first);
    assert.ok(again.journal.first === 0 || again.journal.first === first);
    const kept = written.slice(again.journal.first).map(text);
    assert.deepEqual(await readAll(again.journal), kept);
    const oldest = image.paths().find((name) => name.endsWith('.seg'));
    assert.equal(oldest?.endsWith('00000001.seg'), again.journal.first === 0);
    image.halt();
  }
  console.log(`${images.length} crashes during a trim; first was ${[...firsts].join(' or ')}`);
  assert.equal(firsts.size, 2);
});

function usedBytes(disk: SimDisk): number {
  return disk.paths().reduce((sum, path) => sum + disk.bytesOf(path).byteLength, 0);
}

test('a full disk turns new work away, settles from the reserve, then serves again', async () => {
  const on = bed(10);
  const { journal } = await openOn(on, { reserveBytes: 8192 });
  await until('the shelf is full', () => journal.figures().bytes === 4 * 4096);
  on.disk.capacityBytes = usedBytes(on.disk);
  const kept: string[] = [];
  let number = 0;
  const put = async (purpose: 'admit' | 'settle') => {
    const one = record(number, 600);
    number += 1;
    await journal.append([one], purpose);
    kept.push(text(one));
  };
  await assert.rejects(async () => {
    for (;;) await put('admit');
  }, DiskFull);
  const admitted = kept.length;
  assert.ok(admitted >= 3, `${admitted} fitted in the segments that were there`);
  assert.equal(journal.admits(600), false);
  await assert.rejects(async () => {
    for (;;) await put('settle');
  }, DiskFull);
  assert.ok(kept.length - admitted >= 5, `${kept.length - admitted} settled from the reserve`);
  assert.equal(journal.durable, kept.length);
  on.disk.capacityBytes += 100_000;
  assert.equal(journal.admits(600), false);
  on.clock.advance(1000);
  await until('serving resumes', () => journal.admits(600));
  await put('admit');
  assert.deepEqual(await readAll(journal), kept);
  await journal.close();
  assert.deepEqual(await readOf(on.disk.restart().crash(seeded(1))), kept);
  console.log(
    `${admitted} admitted, ${kept.length - admitted - 1} settled, then 1 after space came`,
  );
});

test('on a full disk an unclean start and a trim still work: the reserve pays', async () => {
  const on = bed(11);
  const { journal } = await openOn(on, { reserveBytes: 8192 });
  for (let n = 0; n < 10; n += 1) await journal.append([record(n, 600)], 'admit');
  await turns(500);
  on.disk.halt();
  const disk = on.disk.restart();
  disk.capacityBytes = usedBytes(disk);
  const full = bedOn(disk, seeded(11));
  const again = await openOn(full, { reserveBytes: 8192 });
  assert.equal(again.recovery.copiedTail, true);
  assert.equal(again.recovery.records, 10);
  assert.ok((await again.journal.trim(8)) > 0);
  await again.journal.append([record(10, 10)], 'settle');
  assert.equal(again.journal.durable, 11);
  await again.journal.close();
});
