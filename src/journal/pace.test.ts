/** When a sync is made on the thread that serves everybody. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StillClock, turns } from '../../test/sim/bed.ts';
import { Pace } from './pace.ts';

/** A file whose syncs take as long as is said, and which thread each was made on. */
function build() {
  const clock = new StillClock();
  const place = { ms: 0.3, fails: false, made: [] as ('here' | 'apart')[], ended: [] as string[] };
  const take = (where: 'here' | 'apart'): void => {
    place.made.push(where);
    clock.advance(place.ms);
    if (place.fails) throw new Error('EIO');
  };
  const file = {
    sync: () => Promise.resolve().then(() => take('apart')),
    syncNow: () => take('here'),
  };
  const pace = new Pace(clock);
  const sync = async (records: number): Promise<'here' | 'apart' | undefined> => {
    const told = (word: string) => () => void place.ended.push(word);
    pace.sync(file, records, told('synced'), told('failed'));
    await turns(3);
    return place.made.at(-1);
  };
  return { place, sync };
}

test('a disk is trusted after it was fast for a while, until one slow sync', async () => {
  const { place, sync } = build();
  let needed = 0;
  while ((await sync(1)) === 'apart' && needed < 1000) needed += 1;
  assert.ok(needed >= 10 && needed < 1000, `${needed}`);
  place.ms = 5;
  assert.equal(await sync(1), 'here');
  place.ms = 0.3;
  for (let at = 0; at < needed; at += 1)
    assert.equal(await sync(1), 'apart', 'as long as at first');
  assert.equal(await sync(1), 'here');
});

test('only a lone writer is synced for there', async () => {
  const { sync } = build();
  for (let at = 0; at < 100; at += 1) await sync(1);
  const made = [await sync(1), await sync(2), await sync(3), await sync(100)];
  assert.deepEqual(made, ['here', 'here', 'apart', 'apart']);
});

test('each sync is told once, and one that failed as that, on either thread', async () => {
  const { place, sync } = build();
  place.fails = true;
  await sync(1);
  place.fails = false;
  for (let at = 0; at < 100; at += 1) await sync(1);
  place.fails = true;
  assert.equal(await sync(1), 'here');
  assert.deepEqual([place.ended.at(0), place.ended.at(-1)], ['failed', 'failed']);
  assert.equal(place.ended.length, 102);
});
