/** Prints a configuration as YAML: every field, defaults filled in, what is sensitive left out. */
import { stringify } from 'yaml';
import type { StashSpec } from '../contracts/spec.ts';
import type { Config } from './config.ts';
import type { Tree } from './document.ts';
import type { Field, Fields, StashConfig } from './field.ts';
import { FIELDS } from './fields.ts';
import { durationText, sizeText } from './units-text.ts';

/** Stands where a secret was. */
export const REDACTED = '(redacted)';

const URL_SECRET = /^([a-z][a-z0-9+.-]*:\/\/[^/?#@\s]*:)[^/?#@\s]*@/i;

/** A YAML document that loads to the same configuration, secrets apart. */
export function printConfig(config: Config, adapters: readonly StashSpec[]): string {
  return stringify(shownConfig(config, adapters), { lineWidth: 0 });
}

/** What `printConfig` prints, as plain data. */
export function shownConfig(
  config: Config,
  adapters: readonly StashSpec[],
): Record<string, unknown> {
  const plain = recordOf(FIELDS, config.document, adapters);
  if (config.document.stashes.size === 0 && config.stashes.size > 0) {
    plain.stashes = namesOf(config.stashes, { type: 'stash', doc: '' }, adapters);
  }
  return plain;
}

function recordOf(
  fields: Fields,
  values: Readonly<Record<string, unknown>>,
  adapters: readonly StashSpec[],
): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(fields)) {
    const value = values[name];
    if (value === undefined) continue;
    if (value instanceof Map && value.size === 0) continue;
    plain[name] = plainOf(field, value, adapters);
  }
  return plain;
}

function namesOf(
  values: ReadonlyMap<string, unknown>,
  of: Field,
  adapters: readonly StashSpec[],
): Record<string, unknown> {
  return Object.fromEntries(
    [...values].map(([name, value]) => [name, plainOf(of, value, adapters)]),
  );
}

function plainOf(field: Field, value: unknown, adapters: readonly StashSpec[]): unknown {
  if (field.sensitive === true) return REDACTED;
  switch (field.type) {
    case 'record':
      return recordOf(field.fields, value as Readonly<Record<string, unknown>>, adapters);
    case 'named':
      return namesOf(value as ReadonlyMap<string, unknown>, field.of, adapters);
    case 'stash': {
      const stash = value as StashConfig;
      const spec = adapters.find((adapter) => adapter.kind === stash.kind);
      return { kind: stash.kind, ...recordOf(spec?.fields ?? {}, stash.options, adapters) };
    }
    case 'duration':
      return durationText(value as number);
    case 'ttl':
      return value === null ? 'none' : durationText(value as number);
    case 'size':
      return sizeText(value as number);
    case 'schema':
    case 'mapping':
      return treeOf(value as Tree);
    case 'string':
      return escaped(withoutPassword(value as string));
    case 'template':
      return value;
    default:
      return value;
  }
}

/** A password inside a URL is a secret, whatever the field says. */
function withoutPassword(text: string): string {
  return text.replace(URL_SECRET, `$1${REDACTED}@`);
}

/** A dollar that is no variable, so that the printed document loads as it was. */
function escaped(text: string): string {
  return text.replaceAll('$', '$$$$');
}

function treeOf(tree: Tree): unknown {
  if (tree.kind === 'list') return tree.items.map(treeOf);
  if (tree.kind === 'map') {
    return Object.fromEntries([...tree.entries].map(([name, entry]) => [name, treeOf(entry.tree)]));
  }
  if (typeof tree.value !== 'string') return tree.value;
  const parts = tree.parts.map((part) =>
    typeof part === 'string' ? escaped(part) : `\${{ ${part.cel} }}`,
  );
  return parts.join('');
}
