/** Durations (`15s 5m 24h 30d 250ms`) and sizes (`512B 64KiB 5MiB 1GiB`) as people write them. */

const DURATION_MS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const SIZE_BYTES: Record<string, number> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** Milliseconds, or null when the text is no duration. */
export function durationMs(text: string): number | null {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text);
  if (match === null) return null;
  const ms = Number(match[1]) * (DURATION_MS[match[2] ?? ''] ?? Number.NaN);
  return Number.isSafeInteger(ms) ? ms : null;
}

/** Bytes, or null when the text is no size. */
export function sizeBytes(text: string): number | null {
  const match = /^(\d{1,12})(B|KiB|MiB|GiB|TiB)$/.exec(text);
  if (match === null) return null;
  const bytes = Number(match[1]) * (SIZE_BYTES[match[2] ?? ''] ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : null;
}
