/** Writes by number: compared with a Map over made-up lives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heldWrite } from '../../test/rules/writes.ts';
import { Chance } from '../../test/sim/schedule.ts';
import { ByUow } from './by-uow.ts';
import type { HeldWrite } from './write.ts';

test('what was set and not deleted is found, whatever the order of the numbers', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const chance = new Chance(seed);
    const table = new ByUow();
    const model = new Map<number, HeldWrite>();
    let next = 1_000_000 * seed;
    for (let step = 0; step < 6000; step += 1) {
      const what = chance.below(100);
      const known = [...model.keys()];
      if (what < 50) {
        const write = heldWrite((next += 1), { keys: ['k'] });
        table.set(write);
        model.set(write.uow, write);
      } else if (what < 55) {
        // One of an earlier start, or one that is tried again.
        const write = heldWrite(1 + chance.below(next), { keys: ['k'] });
        table.set(write);
        model.set(write.uow, write);
      } else if (known.length > 0) {
        // Mostly the oldest, as in life.
        const uow = known[chance.hits(0.9) ? 0 : chance.below(known.length)] ?? 0;
        table.delete(uow);
        model.delete(uow);
      }
      const asked = chance.hits(0.5) ? 1 + chance.below(next + 2) : (known.at(-1) ?? 0);
      assert.equal(table.get(asked), model.get(asked), `seed ${seed}, step ${step}, ${asked}`);
    }
    const all = [...table.values()].map(({ uow }) => uow).sort((a, b) => a - b);
    assert.deepEqual(
      all,
      [...model.keys()].sort((a, b) => a - b),
      `seed ${seed}`,
    );
  }
});
