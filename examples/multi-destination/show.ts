/** What the example prints: plain tables, and the lines by which a newcomer looks around. */
import type { Finding } from './compare.ts';
import type { Receipt } from './relay.ts';
import type { Stores } from './stores.ts';

/** One row of the table of outcomes. */
export interface Row {
  readonly outcome: string;
  readonly writes: number;
  /** Of them, those that some store had taken already and gave back. */
  readonly undone: number;
  /** Reasons, each with how often. */
  readonly why: ReadonlyMap<string, number>;
}

/** The last two are no outcomes yet: to be tried again by itself, and what waits behind that. */
const OUTCOMES = ['committed', 'refused', 'failed', 'superseded', 'parked', 'held'] as const;
const OPEN: readonly string[] = ['parked', 'held'];
const REASONS_MAX = 2;
const REASON_CHARS_MAX = 80;

/** A row for each outcome, whether or not it came to that. */
export function tally(receipts: readonly Receipt[]): Row[] {
  return OUTCOMES.map((outcome) => {
    const mine = receipts.filter((receipt) => outcomeOf(receipt) === outcome);
    const undone = mine.filter(({ report }) => report.some(({ reply }) => reply === 'undone'));
    const why = new Map<string, number>();
    for (const receipt of mine) {
      const reason = reasonOf(outcome, receipt);
      if (reason !== null) why.set(reason, (why.get(reason) ?? 0) + 1);
    }
    return { outcome, writes: mine.length, undone: undone.length, why };
  });
}

function outcomeOf({ state, outcome }: Receipt): string {
  return outcome ?? state;
}

/** What the store said that would not take it; null for what was committed. */
function reasonOf(outcome: string, { report }: Receipt): string | null {
  if (outcome === 'committed') return null;
  if (outcome === 'superseded') return 'failed, and a later write of its key was committed';
  if (outcome === 'held') return 'waits behind a parked write of its key';
  const line =
    report.find(({ reply }) => reply === 'refused') ??
    report.find(({ reply }) => reply === 'failed');
  if (line === undefined) return null;
  const status = line.status === undefined ? '' : ` (${line.status})`;
  const words = `${line.stash} ${line.reply}${status}: ${line.detail ?? ''}`;
  return words.length > REASON_CHARS_MAX ? `${words.slice(0, REASON_CHARS_MAX)}...` : words;
}

export function outcomeTable(rows: readonly Row[]): string {
  const shown = rows.filter(({ outcome, writes }) => !OPEN.includes(outcome) || writes > 0);
  return columns([
    ['outcome', 'writes', 'undone somewhere', 'why'],
    ...shown.map(({ outcome, writes, undone, why }) => {
      const reasons = [...why].toSorted((a, b) => b[1] - a[1]).slice(0, REASONS_MAX);
      const words = reasons.map(([reason, count]) => `${reason} (${count})`).join('; ');
      return [outcome, String(writes), String(undone), words];
    }),
  ]);
}

export function findingTable(findings: readonly Finding[]): string {
  return columns([
    ['store', 'keys, byte for byte', 'missing', 'different', 'should not be there'],
    ...findings.map(({ store, same, missing, different, extra }) => {
      return [store, ...[same, missing.length, different.length, extra.length].map(String)];
    }),
  ]);
}

/** Columns of equal width; numbers to the right. */
function columns(cells: readonly (readonly string[])[]): string {
  const widths = cells[0]?.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const lines = cells.map((row) => {
    const padded = row.map((cell, at) => {
      const width = widths?.[at] ?? 0;
      return /^\d+$/.test(cell) ? cell.padStart(width) : cell.padEnd(width);
    });
    return `  ${padded.join(' | ')}`.trimEnd();
  });
  const rule = `  ${(widths ?? []).map((width) => '-'.repeat(width)).join('-+-')}`;
  return [lines[0], rule, ...lines.slice(1)].join('\n');
}

/** `200 (31), 202 (11)`. */
export function statusWords(told: ReadonlyMap<string, number>): string {
  const sorted = [...told].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([words, count]) => `${words} (${count})`).join(', ');
}

export interface Sample {
  readonly committed: string;
  readonly refusedUow: number | null;
}

/** Lines to copy into a second terminal. */
export function lookAround(url: string, stores: Stores, sample: Sample): string {
  const key = encodeURIComponent(sample.committed);
  const data = `${url}/v1/data/github/deliveries/${key}`;
  const { port } = new URL(stores.redisUrl);
  const uow = sample.refusedUow ?? 1;
  return [
    ['a value, read from Redis', `curl -i ${data}`],
    ['its versions, from MongoDB', `curl ${data}/history`],
    ['the plain value in Redis', `redis-cli -p ${port} GET github:deliveries:${sample.committed}`],
    ['a refused write: what each store said', `curl ${url}/v1/uow/${uow}`],
    ['all that was refused', `curl '${url}/v1/rejections?limit=3'`],
    ['the fail queue', `curl '${url}/v1/failures?limit=3'`],
    ['keys that wait for a retry', `curl ${url}/v1/lanes/parked`],
    ['how the stores are', `curl ${url}/ready`],
    ["the partner's own store", `curl -s ${stores.partnerUrl()}/records | head -c 600`],
  ]
    .map(([what, line]) => `  # ${what}\n  ${line}`)
    .join('\n');
}
