/** Generates docs/ERRORS.md from the catalogue of errors. */
import { CATALOGUE } from '../../src/kernel/errors.ts';

const HEAD = `# Errors

Every error is a problem of RFC 9457 (\`application/problem+json\`) with a \`code\`. A running
server shows the same rows under \`/errors\` and \`/errors/<code>\`. "Again" says whether the same
request, unchanged, can succeed later. A failed write has the status 502, 503 or 504, whichever
says best what the store did.

`;

/** Content by path, from the root of the repository. */
export default async function errorDocs(): Promise<Record<string, string>> {
  const rows = Object.entries(CATALOGUE)
    .sort(([one, a], [other, b]) => a.status - b.status || one.localeCompare(other, 'en'))
    .map(([code, { status, title, hint, retry }]) => {
      const cells = [`\`${code}\``, String(status), title, hint, retry ? 'yes' : 'no'];
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
    });
  const table = '| Code | Status | Title | What to do | Again |\n|---|---|---|---|---|\n';
  return { 'docs/ERRORS.md': HEAD + table + rows.join('') };
}
