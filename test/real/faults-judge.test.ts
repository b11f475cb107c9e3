/** The judge of the fault tests can say no: stores and readings changed by hand are found out. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { placeOf, type Version } from '../crash/judge.ts';
import { drawn } from '../crash/load.ts';
import type { Operation } from '../crash/recorder.ts';
import { historyOf, lookOnce, SEED, settle } from './ordeal.ts';
import { withVersions } from './look.ts';
import { judgeReadings } from './readings.ts';
import { Town } from './town.ts';
import { Traffic } from './traffic.ts';

describe('the judge of the fault tests', () => {
  it('finds what a hand changed in one store alone, and every false reading', async (t) => {
    const town = await Town.open(t);
    if (town === null) return;
    const traffic = new Traffic(drawn(SEED));
    traffic.begin(town.http);
    await traffic.committed(200);
    await traffic.stop();
    const seen = await settle(t, town, traffic);
    const history = historyOf(seen);
    const { operations } = traffic.recorder;
    const [place, [newest, older]] = rewritten(history);
    const name = place.replace(/[/ ]/g, ':');
    const complaints = async (): Promise<string> => {
      return (await lookOnce(town, traffic)).complaints.join('\n');
    };

    for (const store of ['cache', 'second'] as const) {
      const [truth] = await town.redis(store, ['GET', name]);
      const before = bodyOf(operations, older);
      await town.redis(store, ['SET', name, before]);
      assert.match(
        await complaints(),
        new RegExp(`${seenIn(store)}${place} reads`, 'm'),
        'an older value',
      );
      await town.redis(store, ['DEL', name]);
      assert.match(
        await complaints(),
        new RegExp(`${seenIn(store)}${place} reads null`, 'm'),
        'no value',
      );
      await town.redis(store, ['SET', name, String(truth)], ['SET', 'shop:orders:none', 'x']);
      assert.match(await complaints(), /shop\/orders none reads x/, 'a value of nobody');
      await town.redis(store, ['DEL', 'shop:orders:none']);
      assert.equal(await complaints(), '');
    }

    await withVersions(town, async (versions) => {
      await versions.deleteOne({ uow: newest.uow, key: place.split(' ')[1] });
    });
    assert.match(await complaints(), /lost/, 'a version taken out of the history');

    const read = (body: string | null, at: number) => {
      const reading = { place, startedAt: at, endedAt: at + 1, body };
      return judgeReadings([reading], operations, history).join('\n');
    };
    const late = operations.length * 10;
    assert.equal(read(bodyOf(operations, newest), late), '');
    assert.match(read(bodyOf(operations, older), late), /stale/);
    assert.match(read(null, late), /was not found/);
    assert.match(read('{"op":-1}', late), /nobody sent/);
    const undone = operations.find(({ end, kind }) => end === 'refused' && kind === 'set');
    assert.ok(undone !== undefined, 'nothing was refused');
    assert.match(read(undone.body, late), /dirty/);
    const readings = [newest, older].map((version, at) => {
      return { place, startedAt: -4 + 2 * at, endedAt: -3 + 2 * at, body: bodyOf([], version) };
    });
    assert.match(judgeReadings(readings, [], history).join('\n'), /nobody sent/);
  });
});

/** How a complaint begins: what is read over HTTP comes from the first. */
function seenIn(store: 'cache' | 'second'): string {
  return store === 'cache' ? '^(?:in cache: )?' : '^in second: ';
}

/** A key whose newest version is a value and replaced another one. */
function rewritten(
  history: ReadonlyMap<string, readonly Version[]>,
): [string, readonly [Version, Version]] {
  for (const [place, [newest, older]] of history) {
    if (place.startsWith(placeOf('shop/orders', '')) && newest?.kind === 'set') {
      if (older?.kind === 'set') return [place, [newest, older]];
    }
  }
  throw new Error('no key was written twice');
}

function bodyOf(operations: readonly Operation[], { digest }: Version): string {
  return operations.find((each) => each.digest === digest)?.body ?? `unknown ${digest}`;
}
