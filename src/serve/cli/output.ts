/** Data as commands print it: `json` for programs, `ndjson` for pipes, `table` for eyes. */
export type OutputForm = 'json' | 'table' | 'ndjson';

export const OUTPUT_FORMS: readonly OutputForm[] = ['json', 'table', 'ndjson'];

type Row = Readonly<Record<string, unknown>>;

/** One thing. In a table: a line per field. */
export function oneText(form: OutputForm, thing: Row): string {
  if (form === 'json') return `${JSON.stringify(thing, null, 2)}\n`;
  if (form === 'ndjson') return `${JSON.stringify(thing)}\n`;
  return columns(Object.entries(thing).map(([name, value]) => [name, cell(value)]));
}

/** Many things; `fields` are the columns of the table, in order. */
export function manyText(
  form: OutputForm,
  things: readonly Row[],
  fields: readonly string[],
): string {
  if (form === 'json') return `${JSON.stringify(things, null, 2)}\n`;
  if (form === 'ndjson') return things.map((thing) => `${JSON.stringify(thing)}\n`).join('');
  const head = fields.map((field) => field.toUpperCase());
  return columns([head, ...things.map((thing) => fields.map((field) => cell(thing[field])))]);
}

// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/** A value in one line; what would move the cursor or turn the text is escaped. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return '-';
  const text =
    typeof value === 'string'
      ? value
      : Array.isArray(value) && value.every((part) => typeof part === 'string')
        ? value.join(', ')
        : JSON.stringify(value);
  return text.replaceAll(
    UNPRINTABLE,
    (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, text] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, text.length);
  }
  return rows
    .map(
      (row) =>
        `${row
          .map((text, at) => text.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
