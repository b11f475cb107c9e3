/**
 * kill -9 in the middle of a load, again and again, over real stores: a Redis that is read from, a
 * second Redis, and a MongoDB (SecantusDB). Each stands behind a proxy that passes everything on a
 * little late, so that every phase lasts long enough to be met, and so that part of what the dead
 * process had sent arrives after its death, while the next one starts. After each restart nothing
 * acknowledged may be lost, and nothing mixed.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { historyOf, lookAt, mustBeWell, settle, SEED, unpark } from '../real/ordeal.ts';
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

/** The fourth store takes nothing with this in a key; it lasts no longer than the process. */
const FAILING = 'fail-';

const ACCOUNTS = `
  default: { flows: { default: { write: [history], read: [cache, history] } } }
  shop:
    flows:
      orders:
        map: { keys: "\${{ record.keys }}" }
        write: [history, second, picky]
        read: [cache, history]
      counters: { write: [history, second], read: [cache, history] }
`;

function picky(fails: boolean): string {
  const failKeys = fails ? `failKeys: [${FAILING}], ` : '';
  return `  picky: { kind: memory, ${failKeys}keepVersions: 1000000 }`;
}

/** Loads, kills, starts again; what the next start found open, by phase. */
async function round(town: Town, traffic: Traffic, draw: () => number) {
  const from = traffic.sent;
  traffic.begin(town.http);
  await traffic.committed(50 + Math.floor(draw() * 100));
  await town.program.kill();
  await traffic.stop();
  const told = traffic.tally(from);
  await town.start();
  const { open, refilled } = await town.program.line('recovery');
  assert.ok((told['lost'] ?? 0) > 0 && (told['committed'] ?? 0) > 0, 'nothing to lose');
  return { told, open: open as Counts, refilled };
}

describe('kill -9 over real stores', { timeout: 600_000 }, () => {
  it(`loses nothing and mixes nothing, in ${KILLS} kills at least (SEED=${SEED})`, async (t) => {
    const town = await Town.build(t, {
      proxied: STORES,
      options: { cache: 'metadata: true' },
      stashes: picky(true),
      accounts: ACCOUNTS,
    });
    if (town === null) return;
    for (const store of STORES) town.proxy(store).delay(DELAY_MS);
    await town.start();
    const draw = drawn(SEED);
    const traffic = new Traffic(draw, { failing: FAILING });
    const known = new Map<number, Receipt>();
    const met: Counts = { held: 0, fanningOut: 0, committing: 0, undoing: 0, parked: 0 };
    let kills = 0;
    while (kills < KILLS || (kills < KILLS_MAX && PHASES.some((phase) => met[phase] === 0))) {
      await town.joined();
      const { told, open, refilled } = await round(town, traffic, draw);
      kills += 1;
      for (const phase of PHASES) met[phase] += open[phase];
      t.diagnostic(
        `kill ${kills}: clients ${JSON.stringify(told)}; phases ${JSON.stringify(open)}; ` +
          `refilled ${JSON.stringify(refilled)}`,
      );
      for (const store of STORES) town.proxy(store).delay(0);
      await town.joined();
      await unpark(town, FAILING);
      const { seen, complaints } = await lookAt(town, traffic, known);
      const { operations } = traffic.recorder;
      const shown = judgeReadings(traffic.readings.all, operations, historyOf(seen));
      mustBeWell([...traffic.readings.complaints, ...shown, ...complaints], `kill ${kills}`);
      for (const store of STORES) town.proxy(store).delay(DELAY_MS);
    }
    t.diagnostic(
      `over ${kills} kills: ${JSON.stringify(met)}; ${JSON.stringify(traffic.tally())}; ` +
        `readings ${traffic.readings.all.length}`,
    );
    for (const phase of PHASES) assert.ok(met[phase] > 0, `no kill met a write ${phase}`);
    for (const end of ['lost', 'committed', 'accepted', 'refused', 'failed'] as const) {
      assert.ok(traffic.recorder.count(end) > 0, `no client ever saw ${end}`);
    }
    for (const store of STORES) town.proxy(store).delay(0);
    await town.program.stop();
    await town.start(picky(false));
    await town.joined();
    await settle(t, town, traffic);
  });
});
