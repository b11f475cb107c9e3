/** Generates docs/CONFIGURATION.md from the table of fields and the specs of the adapters. */
import { STASH_ADAPTERS } from '../../src/adapters/registry.ts';
import { configurationPage } from '../../src/config/reference.ts';

/** Content by path, from the root of the repository. */
export default async function configurationDocs(): Promise<Record<string, string>> {
  const specs = STASH_ADAPTERS.map((adapter) => adapter.spec);
  return { 'docs/CONFIGURATION.md': configurationPage(specs) };
}
