/**
 * Runs many worlds: `npm run test:sim -- --seed N --runs M [--plant NAME] [--trace]`. Prints what
 * happened and every violation with its seed; ends with 1 when there was one.
 */
import { parseArgs } from 'node:util';
import { plants, type Plant } from '../../src/kernel/plants.ts';
import { runWorld } from './world.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '300' },
    plant: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});

const first = Number(values.seed);
const runs = Number(values.runs);
if (values.plant !== undefined) plants.add(values.plant as Plant);
const totals = { writes: 0, crashes: 0, outages: 0, reads: 0, turnedAway: 0, steps: 0, bad: 0 };
const outcomes: Record<string, number> = {};
for (let seed = first; seed < first + runs; seed += 1) {
  const report = await runWorld(seed);
  if (values.trace) console.log(`trace ${report.trace}`);
  totals.writes += report.writes;
  totals.crashes += report.crashes;
  totals.steps += report.steps;
  totals.outages += report.outages;
  totals.reads += report.reads;
  totals.turnedAway += report.turnedAway;
  for (const [name, count] of Object.entries(report.outcomes)) {
    outcomes[name] = (outcomes[name] ?? 0) + count;
  }
  if (report.violations.length === 0) continue;
  totals.bad += 1;
  console.log(`seed ${seed}: ${report.violations.length} violations`);
  for (const { promise, detail } of report.violations.slice(0, 5)) {
    console.log(`  ${promise}: ${detail}`);
  }
}
console.log(
  `seeds ${first} to ${first + runs - 1}: ${totals.writes} writes, ${totals.crashes} crashes, ` +
    `${totals.outages} outages of a store, ${totals.reads} reads (and ${totals.turnedAway} told ` +
    `that the reader is away), ` +
    `${totals.steps} events, outcomes ${JSON.stringify(outcomes)}, ${totals.bad} bad worlds`,
);
process.exitCode = totals.bad === 0 ? 0 : 1;
