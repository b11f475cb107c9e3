/** Milliseconds and bytes back as people write them. */
const DURATIONS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;
const SIZES = [
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
] as const;

function inUnits(
  value: number,
  units: readonly (readonly [string, number])[],
  least: string,
): string {
  for (const [unit, size] of units) {
    if (value >= size && value % size === 0) return `${value / size}${unit}`;
  }
  return `${value}${least}`;
}

/** 3600000 -> 1h. */
export function durationText(ms: number): string {
  return inUnits(ms, DURATIONS, 'ms');
}

/** 1048576 -> 1MiB. */
export function sizeText(bytes: number): string {
  return inUnits(bytes, SIZES, 'B');
}
