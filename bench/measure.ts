/**
 * What all benches share: rounds that alternate between the sides so that a slow minute of the
 * machine hits both, medians, ratios round by round, a description of the machine, and the raw
 * figures as JSON under bench/results, from which the docs are made.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';

/**
 * One side of a comparison: runs for about `ms` and returns its figure, of which more is better.
 */
export interface Side {
  readonly name: string;
  run(ms: number): Promise<number>;
}

export interface Comparison {
  readonly name: string;
  readonly unit: string;
  readonly rounds: readonly (readonly number[])[];
  /** One per side, in the order of the sides. */
  readonly medians: readonly number[];
  /** The first side divided by the one it is held against, median over the rounds. */
  readonly ratio: number;
  readonly against: string;
  readonly floor: number | null;
  /** The ratio that is wanted, where one was set beside the floor. */
  readonly aim?: number;
}

export function median(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export interface CompareOptions {
  readonly rounds?: number;
  /** How long each side runs in each round. */
  readonly ms?: number;
  /** The least ratio that passes. */
  readonly floor?: number;
  /** The ratio that is wanted; told beside the figures, and missing it is no failure. */
  readonly aim?: number;
  /** Index of the side that the first one is held against. */
  readonly against?: number;
}

/**
 * Runs the sides in turn, `rounds` times after one to warm up; every second round goes
 * backwards.
 */
export async function compare(
  name: string,
  unit: string,
  sides: readonly Side[],
  options: CompareOptions = {},
): Promise<Comparison> {
  const { rounds = 5, ms = 1000, against = 1 } = options;
  const figures: number[][] = [];
  for (let round = -1; round < rounds; round += 1) {
    const order = sides.map((_, index) => (round % 2 === 0 ? index : sides.length - 1 - index));
    const row = sides.map(() => Number.NaN);
    for (const index of order) row[index] = await (sides[index] as Side).run(ms);
    if (round >= 0) figures.push(row);
  }
  const medians = sides.map((_, index) => median(figures.map((row) => row[index] as number)));
  const ratio = median(figures.map((row) => (row[0] as number) / (row[against] as number)));
  const other = sides[against]?.name ?? '';
  const floor = options.floor ?? null;
  const aim = options.aim === undefined ? {} : { aim: options.aim };
  return { name, unit, rounds: figures, medians, ratio, against: other, floor, ...aim };
}

/** Names the machine; figures without it mean nothing. */
export function machine(): Record<string, unknown> {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.version,
    loadBefore: loadavg()[0],
  };
}

/** Writes bench/results/<bench>.json. */
export function keepResults(bench: string, results: Record<string, unknown>): void {
  const folder = join(import.meta.dirname, 'results');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${bench}.json`), `${JSON.stringify(results, null, 2)}\n`);
}

/** Prints one comparison as a line; returns whether it stays above its floor. */
export function report(comparison: Comparison, sides: readonly Side[]): boolean {
  const { name, unit, medians, ratio, against, floor, aim } = comparison;
  const figures = sides.map((side, index) => {
    return `${side.name} ${Math.round(medians[index] as number).toLocaleString('en')}`;
  });
  const passed = floor === null || ratio >= floor;
  const aims = aim === undefined ? '' : `, aim ${aim}${ratio >= aim ? ' met' : ''}`;
  const verdict = floor === null ? '' : ` (floor ${floor}${passed ? '' : ', MISSED'}${aims})`;
  console.log(
    `${name}: ${figures.join(', ')} ${unit}; ${ratio.toFixed(2)} of ${against}${verdict}`,
  );
  return passed;
}
