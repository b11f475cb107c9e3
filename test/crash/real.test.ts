/**
 * kill -9 in the middle of a load, again and again, over real stores: a Redis that is read from, a
 * second Redis, and a MongoDB (SecantusDB). Each stands behind a proxy that passes everything on a
 * little late, so that every phase lasts long enough to be met, and so that part of what the dead
 * process had sent arrives after its death, while the next one starts. After each restart nothing
 * acknowledged may be lost, and nothing mixed.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { valuesIn } from '../real/look.ts';
import { historyOf, lookAt, lookOnce, mustBeWell, SEED, settle, unpark } from '../real/ordeal.ts';
import { judgeReadings } from '../real/readings.ts';
import { STORES, Town } from '../real/town.ts';
import { Traffic } from '../real/traffic.ts';
import type { Receipt } from './judge.ts';
import { drawn } from './load.ts';

const KILLS = 10;
/** Further kills where a phase was not met yet. */
const KILLS_MAX = 20;
/** One way, between Holdfast and each store. */
const DELAY_MS = 12;
const PHASES = ['held', 'fanningOut', 'committing', 'undoing', 'parked'] as const;
type Counts = Record<(typeof PHASES)[number], number>;

/** Writes that fail for want of memory before the kill. */
const FAILED = 3;

/**
 * One life under load, ended by SIGKILL, and the start after it: what clients were told, and what
 * that start found open, by phase. `short`: the second Redis has no memory shortly before, so that
 * some writes have failed and others wait for their retry.
 */
async function round(town: Town, traffic: Traffic, draw: () => number, short: boolean) {
  for (const store of STORES) town.proxy(store).delay(DELAY_MS);
  await town.start();
  await town.joined();
  const from = traffic.sent;
  traffic.begin(town.http);
  await traffic.committed(50 + Math.floor(draw() * 100));
  const memory = ['CONFIG', 'SET', 'maxmemory'];
  if (short) {
    await town.redis('second', [...memory, '1']);
    await traffic.more(FAILED, ({ end }) => end === 'failed');
  }
  await town.program.kill();
  await traffic.stop();
  await town.redis('second', [...memory, '0']);
  await town.start();
  const { open, refilled } = await town.program.line('recovery');
  for (const store of STORES) town.proxy(store).delay(0);
  const told = traffic.tally(from);
  assert.ok((told['lost'] ?? 0) > 0 && (told['committed'] ?? 0) > 0, 'nothing to lose');
  return { told, open: open as Counts, refilled };
}

describe('kill -9 over real stores', { timeout: 600_000 }, () => {
  it(`loses nothing and mixes nothing, in ${KILLS} kills at least (SEED=${SEED})`, async (t) => {
    const options = { cache: 'metadata: true' };
    const town = await Town.build(t, { proxied: STORES, options });
    if (town === null) return;
    const draw = drawn(SEED);
    const traffic = new Traffic(draw);
    const known = new Map<number, Receipt>();
    const met: Counts = { held: 0, fanningOut: 0, committing: 0, undoing: 0, parked: 0 };
    let kills = 0;
    while (kills < KILLS || (kills < KILLS_MAX && PHASES.some((phase) => met[phase] === 0))) {
      const { told, open, refilled } = await round(town, traffic, draw, kills % 2 === 1);
      kills += 1;
      for (const phase of PHASES) met[phase] += open[phase];
      t.diagnostic(
        `kill ${kills}: clients ${JSON.stringify(told)}; phases ${JSON.stringify(open)}; ` +
          `refilled ${JSON.stringify(refilled)}`,
      );
      await town.joined();
      await unpark(town);
      const { seen, complaints } = await lookAt(town, traffic, known);
      const { operations } = traffic.recorder;
      const shown = judgeReadings(traffic.readings.all, operations, historyOf(seen));
      mustBeWell([...traffic.readings.complaints, ...shown, ...complaints], `kill ${kills}`);
      await town.program.stop();
    }
    t.diagnostic(
      `over ${kills} kills: ${JSON.stringify(met)}; ${JSON.stringify(traffic.tally())}; ` +
        `readings ${traffic.readings.all.length}`,
    );
    for (const phase of PHASES) assert.ok(met[phase] > 0, `no kill met a write ${phase}`);
    for (const end of ['lost', 'committed', 'accepted', 'refused', 'failed'] as const) {
      assert.ok(traffic.recorder.count(end) > 0, `no client ever saw ${end}`);
    }
    await town.start();
    await town.joined();
    await settle(t, town, traffic);
    const [name] = [...(await valuesIn(town, 'second')).keys()].map((place) => {
      return place.replaceAll(/[/ ]/g, ':');
    });
    await town.redis('second', ['DEL', name ?? '']);
    const { complaints } = await lookOnce(town, traffic);
    assert.match(complaints.join('\n'), /^in second: .* reads null/m, 'a value taken out by hand');
  });
});
