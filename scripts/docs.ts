/**
 * Writes the generated pages: every file of scripts/docs/ has a default export that returns
 * contents by path from the root. test/docs.test.ts compares what is committed with what would be
 * written.
 */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

type Generate = () => Promise<Record<string, string>> | Record<string, string>;

const root = join(import.meta.dirname, '..');

/** Contents by path of every generated page. Throws when two files generate the same page. */
export async function generatedPages(): Promise<Map<string, string>> {
  const folder = join(root, 'scripts/docs');
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  const pages = new Map<string, string>();
  for (const name of names.filter((one) => /(?<!\.test)\.ts$/.test(one))) {
    const module = (await import(pathToFileURL(join(folder, name)).href)) as { default?: Generate };
    if (module.default === undefined) throw new Error(`scripts/docs/${name} has no default export`);
    for (const [path, content] of Object.entries(await module.default())) {
      if (pages.has(path)) throw new Error(`scripts/docs/${name}: ${path} is generated twice`);
      pages.set(path, content);
    }
  }
  return pages;
}

async function main(): Promise<void> {
  const pages = await generatedPages();
  for (const [path, content] of pages) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
    process.stdout.write(`${path}\n`);
  }
  if (pages.size === 0) process.stdout.write('no file of scripts/docs/ generates a page yet\n');
}

if (import.meta.main) await main();
