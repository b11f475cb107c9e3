/** Generates docs/DECISIONS.md from the tables that the program itself decides by. */
import { decisionTable } from '../../src/fanout/decide.ts';
import { VERDICTS, type Row } from '../../src/journal/verdicts.ts';

const HEAD = `# Decisions

Two questions are answered by tables in the code, and this page is made from them. Rows are read
from the top; the first that fits decides.

## What becomes of an attempt

Asked whenever a stash has answered (\`src/fanout/decide.ts\`). "Sent before" means that the reader
was handed this attempt earlier, perhaps by a process that is dead; "may abort" is false after a
crash, unless a stash proved that it never held the attempt.

`;

const RECOVERY = `
## What a start does with what it finds in the journal's folder

Asked when a journal is opened (\`src/journal/verdicts.ts\`). "Below" and "above" speak of the
highest position that any record says was on disk. A finding without a row refuses.

`;

function circumstances({ where, standing, followed }: Row): string {
  const parts: string[] = [];
  if (where !== undefined)
    parts.push(where === 'inner' ? 'in an inner segment' : 'in the last one');
  if (standing !== undefined) parts.push(`${standing} what was durable`);
  if (followed !== undefined) {
    parts.push(followed ? 'a whole frame stands behind it' : 'nothing stands behind it');
  }
  return parts.length === 0 ? 'any' : parts.join(', ');
}

function recoveryTable(): string {
  const rows = VERDICTS.map((row) => {
    return `| ${row.found} | ${circumstances(row)} | ${row.decision} | ${row.meaning} |\n`;
  });
  return `| Found | Where | Decision | Meaning |\n|---|---|---|---|\n${rows.join('')}`;
}

/** Content by path, from the root of the repository. */
export default function decisionDocs(): Promise<Record<string, string>> {
  return Promise.resolve({
    'docs/DECISIONS.md': HEAD + decisionTable() + RECOVERY + recoveryTable(),
  });
}
