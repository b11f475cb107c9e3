/**
 * Loads the configuration: flag > environment > file > default. Every fault is told at once, with
 * its place and a hint.
 */
import * as files from 'node:fs/promises';
import { dirname, resolve as resolvePath } from 'node:path';
import type { StashSpec } from '../contracts/spec.ts';
import { checkFields } from './check.ts';
import type { Config } from './config.ts';
import { emptyMap, readDocument } from './document.ts';
import type { MapTree, Tree } from './document.ts';
import { overlay, secretFiles } from './environment.ts';
import type { Environment } from './environment.ts';
import { ConfigError, FaultList } from './faults.ts';
import type { ConfigFault, Place } from './faults.ts';
import { FIELDS } from './fields.ts';
import type { CheckedDocument } from './fields.ts';
import type { Variables } from './fill.ts';
import { resolve } from './resolve.ts';
import type { SchemaFiles } from './resolve.ts';

/** The text of a file; null when it is not there. Rejects when it is there and cannot be read. */
export type ReadFile = (path: string) => Promise<string | null>;

export interface Loading {
  /** As given by `--config`; it must be there. */
  readonly file?: string;
  readonly env: Environment;
  /** By dotted field: `http.port`. */
  readonly flags: Readonly<Record<string, string>>;
  readonly adapters: readonly StashSpec[];
  readonly readFile?: ReadFile;
}

/** Where a document is looked for when nothing names one. */
export const DEFAULT_FILES = ['./holdfast.yaml', '/etc/holdfast/holdfast.yaml'] as const;

const EMBEDDED_SOURCE = 'the embedded default';

/** Reads from disk; null when there is no such file. */
export async function readTextFile(path: string): Promise<string | null> {
  try {
    return await files.readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** The whole configuration. Throws a ConfigError with every fault that was found. */
export async function loadConfig(loading: Loading): Promise<Config> {
  const faults = new FaultList();
  const read = guarded(loading.readFile ?? readTextFile, faults);
  const found = await findDocument(loading, read, faults);
  if (faults.faults.length > 0) throw new ConfigError(faults.faults);
  const variables: Variables = (name) => loading.env[name];
  const root = rootOf(found.text, found.source, variables, faults);
  const secrets = new Map<string, string | null>();
  for (const path of secretFiles(loading.env)) secrets.set(path, await read(path));
  overlay(root, loading.env, loading.flags, {
    adapters: loading.adapters,
    faults,
    secret: (path) => secrets.get(path) ?? null,
  });
  const schemas = new Map<string, string | null>();
  for (const path of schemaPaths(root)) {
    schemas.set(path, await read(resolvePath(dirname(found.source), path)));
  }
  const config = build(root, found.source, loading.adapters, schemas, faults);
  if (config === null || faults.faults.length > 0) throw new ConfigError(faults.faults);
  return config;
}

/**
 * Every fault of a document that stands in a text; empty when it is fine. Variables that are not
 * given count as set, schema files are not looked at: for examples in documents.
 */
export function checkDocument(
  text: string,
  name: string,
  adapters: readonly StashSpec[],
  env: Environment = {},
): readonly ConfigFault[] {
  const faults = new FaultList();
  const variables: Variables = (variable, defaulted) =>
    env[variable] ?? (defaulted ? undefined : variable);
  const root = rootOf(text, name, variables, faults);
  build(root, name, adapters, null, faults);
  return faults.faults;
}

/** A file that cannot be read is a fault and reads as not there. */
function guarded(readFile: ReadFile, faults: FaultList): ReadFile {
  return async (path) => {
    try {
      return await readFile(path);
    } catch (error) {
      faults.add({ file: path, line: 0, col: 0 }, `it cannot be read: ${(error as Error).message}`);
      return null;
    }
  };
}

async function findDocument(
  loading: Loading,
  read: ReadFile,
  faults: FaultList,
): Promise<{ text: string; source: string }> {
  const named = loading.file ?? loading.env.HOLDFAST_CONFIG;
  for (const file of named === undefined || named === '' ? DEFAULT_FILES : [named]) {
    const text = await read(file);
    if (text !== null) return { text, source: file };
    if (file === named) {
      const hint = 'Check --config and HOLDFAST_CONFIG; without them the embedded default serves.';
      faults.add({ file, line: 0, col: 0 }, 'there is no such file', hint);
    }
  }
  return { text: '', source: EMBEDDED_SOURCE };
}

function rootOf(text: string, file: string, variables: Variables, faults: FaultList): MapTree {
  const place: Place = { file, line: 1, col: 1 };
  const tree = readDocument(text, file, variables, faults);
  if (tree?.kind === 'map') return tree;
  const empty = tree === null || (tree.kind === 'scalar' && tree.value === null);
  if (!empty) faults.add(place, 'a configuration is a mapping of fields');
  return emptyMap(place);
}

function build(
  root: MapTree,
  source: string,
  adapters: readonly StashSpec[],
  schemas: SchemaFiles,
  faults: FaultList,
): Config | null {
  const places = new Map<string, Place>();
  const checking = { adapters, faults, places };
  // The table is the type: what checkFields returns has the shape that Checked derives from it.
  const document = checkFields(FIELDS, root, '', checking, []) as unknown as CheckedDocument;
  return resolve(document, { ...checking, source, schemas });
}

/** Paths under accounts.*.flows.*.schema and valueSchema. */
function schemaPaths(root: MapTree): Set<string> {
  const paths = new Set<string>();
  const flows = below(below([root.entries.get('accounts')?.tree]), 'flows');
  for (const flow of below(flows)) {
    if (flow?.kind !== 'map') continue;
    for (const name of ['schema', 'valueSchema']) {
      const tree = flow.entries.get(name)?.tree;
      if (tree?.kind === 'scalar' && typeof tree.value === 'string') paths.add(tree.value);
    }
  }
  return paths;
}

/** The trees under a name, or under every name, of some mappings. */
function below(trees: readonly (Tree | undefined)[], name?: string): (Tree | undefined)[] {
  return trees.flatMap((tree) => {
    if (tree?.kind !== 'map') return [];
    if (name !== undefined) return [tree.entries.get(name)?.tree];
    return [...tree.entries.values()].map((entry) => entry.tree);
  });
}
