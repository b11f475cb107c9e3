/**
 * Walks a document against the table of fields: gives the checked values, defaults filled in, and
 * remembers where each one stood for the checks that look at several at once.
 */
import type { StashSpec } from '../contracts/spec.ts';
import { isName } from '../kernel/keys.ts';
import { durationMs, sizeBytes } from '../kernel/units.ts';
import { emptyMap } from './document.ts';
import type { MapTree, Tree } from './document.ts';
import { FaultList } from './faults.ts';
import type { Place } from './faults.ts';
import { fill } from './fill.ts';
import { checkLeaf, LATER, treeKind } from './leaf.ts';
import type { Field, Fields, Leaf, NamedField, RecordField, StashConfig } from './field.ts';
import type { TextTemplate, TtlField } from './field.ts';
import { didYouMean } from './nearest.ts';

export interface Checking {
  readonly adapters: readonly StashSpec[];
  readonly faults: FaultList;
  /** Where each value stood, by dotted path; a path that was not written is absent. */
  readonly places: Map<string, Place>;
}

/** A field's default as its checked value: durations in milliseconds, sizes in bytes. */
export function defaultOf(field: Field): unknown {
  if (field.type === 'named') return new Map();
  if (!('default' in field) || field.default === undefined) return undefined;
  if (field.type === 'duration') return durationMs(field.default);
  if (field.type === 'size') return sizeBytes(field.default);
  return field.default;
}

/** The options of an adapter of which nothing was said. */
export function defaultOptions(spec: StashSpec): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(spec.fields)) options[name] = defaultOf(field);
  return said(options);
}

/** Without the options that have neither value nor default. */
function said(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Checks one value of any kind; undefined after a fault or where nothing is. */
export function checkField(field: Field, tree: Tree, path: string, checking: Checking): unknown {
  checking.places.set(path, tree.place);
  switch (field.type) {
    case 'record':
      return checkRecord(field, tree, path, checking);
    case 'named':
      return checkNamed(field, tree, path, checking);
    case 'stash':
      return checkStash(tree, path, checking);
    case 'schema':
    case 'mapping':
      return tree;
    case 'later': {
      const name = path.slice(path.lastIndexOf('.') + 1);
      checking.faults.add(tree.place, `"${name}" ${LATER}`, 'It comes in a later one; remove it.');
      return undefined;
    }
    default:
      if (tree.kind === 'list') {
        for (const [at, item] of tree.items.entries()) {
          checking.places.set(`${path}.${at}`, item.place);
        }
      }
      return checkLeaf(field satisfies Leaf | TtlField, tree, checking.faults);
  }
}

/** Nothing written (`http:`) counts as an empty mapping. */
function asMap(tree: Tree, what: string, checking: Checking): MapTree | null {
  if (tree.kind === 'map') return tree;
  if (tree.kind === 'scalar' && tree.value === null) return emptyMap(tree.place);
  checking.faults.add(tree.place, `${what} wanted here, not ${treeKind(tree)}`);
  return null;
}

function checkRecord(field: RecordField, tree: Tree, path: string, checking: Checking): unknown {
  const map = asMap(tree, `the fields ${Object.keys(field.fields).join(', ')} are`, checking);
  if (map !== null) return checkFields(field.fields, map, path, checking, []);
  // Defaults, so that the checks after this one find what they expect; the fault is told.
  const silent = { ...checking, faults: new FaultList(), places: new Map<string, Place>() };
  return checkFields(field.fields, emptyMap(tree.place), path, silent, []);
}

/** Checks a set of fields; names in `beside` are known and left alone. */
export function checkFields(
  fields: Fields,
  map: MapTree,
  path: string,
  checking: Checking,
  beside: readonly string[],
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  const known = [...beside, ...Object.keys(fields)];
  for (const [name, { namePlace }] of map.entries) {
    if (known.includes(name)) continue;
    const offered = known.filter((other) => fields[other]?.type !== 'later');
    checking.faults.add(namePlace, `unknown field "${name}"`, didYouMean(name, offered));
  }
  for (const [name, field] of Object.entries(fields)) {
    const entry = map.entries.get(name);
    const inner = path === '' ? name : `${path}.${name}`;
    if (entry !== undefined) {
      values[name] = checkField(field, entry.tree, inner, checking) ?? defaultOf(field);
      if (field.type === 'ttl' && values[name] === undefined) values[name] = null;
      continue;
    }
    if (field.required === true) {
      checking.faults.add(map.place, `"${name}" is missing`, field.doc);
    } else if (field.type === 'record' && field.optional !== true) {
      values[name] = checkFields(field.fields, emptyMap(map.place), inner, checking, []);
    } else {
      values[name] = defaultOf(field);
    }
  }
  return values;
}

function checkNamed(field: NamedField, tree: Tree, path: string, checking: Checking): unknown {
  const values = new Map<string, unknown>();
  const map = asMap(tree, `${field.noun} names are`, checking);
  if (map === null) return values;
  for (const [name, entry] of map.entries) {
    if (!isName(name)) {
      checking.faults.add(
        entry.namePlace,
        `"${name.slice(0, 80)}" cannot name a ${field.noun}`,
        'Names have at most 63 characters: a-z, 0-9, _ and -, the first a letter or digit.',
      );
      continue;
    }
    const value = checkField(field.of, entry.tree, `${path}.${name}`, checking);
    if (value !== undefined) values.set(name, value);
  }
  return values;
}

function checkStash(tree: Tree, path: string, checking: Checking): StashConfig | undefined {
  const map = asMap(tree, 'the options of a stash are', checking);
  if (map === null) return undefined;
  const kinds = checking.adapters.map((spec) => spec.kind);
  const kindTree = map.entries.get('kind')?.tree;
  if (kindTree === undefined) {
    checking.faults.add(map.place, '"kind" is missing', `Known kinds: ${kinds.join(', ')}.`);
    return undefined;
  }
  const kind = kindTree.kind === 'scalar' ? String(kindTree.value) : '';
  const spec = checking.adapters.find((adapter) => adapter.kind === kind);
  if (spec === undefined) {
    const detail = `there is no stash of kind "${kind.slice(0, 60)}" in this version of Holdfast`;
    checking.faults.add(kindTree.place, detail, didYouMean(kind, kinds));
    return undefined;
  }
  const options = said(checkFields(spec.fields, map, path, checking, ['kind']));
  const templates = new Map<string, TextTemplate>();
  for (const [name, field] of Object.entries(spec.fields)) {
    if (field.type !== 'template') continue;
    const written = map.entries.get(name)?.tree;
    if (written?.kind === 'scalar') templates.set(name, written.parts);
    else if (written === undefined && field.default !== undefined) {
      templates.set(name, fill(field.default, () => undefined).parts);
    }
  }
  return { id: path.slice(path.lastIndexOf('.') + 1), kind, options, templates };
}
