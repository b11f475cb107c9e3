/** Checks one value against one simple field: texts, numbers, durations, sizes, words, lists. */
import { durationMs, sizeBytes } from '../kernel/units.ts';
import type { ScalarTree, Tree } from './document.ts';
import type { FaultList } from './faults.ts';
import type { ChoiceField, Leaf, TtlField } from './field.ts';
import { didYouMean } from './nearest.ts';

export const LATER = 'is not in this version of Holdfast';

const INTEGER = /^[+-]?\d{1,16}$/;

/** What a value is, in the words of YAML. */
export function treeKind(tree: Tree): string {
  if (tree.kind !== 'scalar') return tree.kind === 'map' ? 'a mapping' : 'a list';
  if (tree.value === null) return 'nothing';
  if (tree.untyped || typeof tree.value === 'string') return `"${String(tree.value).slice(0, 40)}"`;
  return `${tree.text.slice(0, 40)}`;
}

/** The checked value: durations in milliseconds, sizes in bytes; undefined after a fault. */
export function checkLeaf(field: Leaf | TtlField, tree: Tree, faults: FaultList): unknown {
  if (field.type === 'strings') return checkStrings(tree, faults);
  if (tree.kind !== 'scalar') {
    const later = field.type === 'choice' ? laterName(field, tree) : null;
    if (later !== null) {
      faults.add(tree.place, `"${later}" ${LATER}`, `Known here: ${hintWords(field)}.`);
      return undefined;
    }
    faults.add(tree.place, `${wanted(field)} is wanted here, not ${treeKind(tree)}`);
    return undefined;
  }
  if (field.type !== 'template' && tree.parts.some((part) => typeof part !== 'string')) {
    faults.add(tree.place, 'expressions are not evaluated in this field', 'Remove ${{ }}.');
    return undefined;
  }
  const value = leafValue(field, tree, faults);
  if (value === undefined) {
    faults.add(tree.place, `${wanted(field)} is wanted here, not ${treeKind(tree)}`, hintOf(field));
    return undefined;
  }
  return value === FAULTED ? undefined : value;
}

/** `access: { keys: required }`: a word of a later version, written as a mapping. */
function laterName(field: ChoiceField, tree: Tree): string | null {
  if (tree.kind !== 'map') return null;
  return field.later?.find((word) => tree.entries.has(word)) ?? null;
}

function hintWords(field: Leaf | TtlField): string {
  return field.type === 'choice' ? field.values.join(', ') : '';
}

const FAULTED = Symbol('faulted');

function leafValue(field: Leaf | TtlField, tree: ScalarTree, faults: FaultList): unknown {
  const text = typeof tree.value === 'string' ? tree.value : null;
  switch (field.type) {
    case 'string':
      if (text === null) return tree.value === null ? undefined : plainText(tree);
      return checkPattern(field.pattern, text, tree, faults);
    case 'template':
      return text ?? undefined;
    case 'integer':
      return checkInteger(field, tree, faults);
    case 'boolean':
      if (typeof tree.value === 'boolean') return tree.value;
      return tree.untyped && text !== null ? { true: true, false: false }[text] : undefined;
    case 'duration':
      return text === null ? undefined : within(durationMs(text), field, durationMs, tree, faults);
    case 'size':
      return text === null ? undefined : within(sizeBytes(text), field, sizeBytes, tree, faults);
    case 'choice':
      return checkChoice(field, text, tree, faults);
    case 'ttl':
      return checkTtl(text, tree, faults);
    case 'strings':
      return undefined;
    default:
      return field satisfies never;
  }
}

/** `host: 127` or `database: 1e3`: the text as it was written. */
function plainText(tree: ScalarTree): string {
  return tree.text;
}

function checkPattern(
  pattern: string | undefined,
  text: string,
  tree: ScalarTree,
  faults: FaultList,
): unknown {
  if (pattern === undefined || new RegExp(pattern, 'u').test(text)) return text;
  faults.add(tree.place, `"${text.slice(0, 60)}" does not match ${pattern}`);
  return FAULTED;
}

function checkInteger(
  field: Extract<Leaf, { type: 'integer' }>,
  tree: ScalarTree,
  faults: FaultList,
): unknown {
  let value = tree.value;
  if (tree.untyped && typeof value === 'string' && INTEGER.test(value)) value = Number(value);
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) return undefined;
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = field;
  if (value >= min && value <= max) return value;
  faults.add(tree.place, `${value} is out of range: ${min} to ${max}`);
  return FAULTED;
}

function within(
  value: number | null,
  field: { readonly min?: string; readonly max?: string },
  parse: (text: string) => number | null,
  tree: ScalarTree,
  faults: FaultList,
): unknown {
  if (value === null) return undefined;
  const least = field.min === undefined ? 0 : (parse(field.min) ?? 0);
  const most = field.max === undefined ? Infinity : (parse(field.max) ?? Infinity);
  if (value >= least && value <= most) return value;
  const range = `${field.min ?? '0'} to ${field.max ?? 'any'}`;
  faults.add(tree.place, `${String(tree.value)} is out of range: ${range}`);
  return FAULTED;
}

function checkChoice(
  field: ChoiceField,
  text: string | null,
  tree: ScalarTree,
  faults: FaultList,
): unknown {
  if (text === null) return undefined;
  if (field.values.includes(text)) return text;
  if (field.later?.includes(text) === true) {
    faults.add(tree.place, `"${text}" ${LATER}`, `Known here: ${field.values.join(', ')}.`);
  } else {
    faults.add(
      tree.place,
      `"${text.slice(0, 60)}" is not known here`,
      didYouMean(text, field.values),
    );
  }
  return FAULTED;
}

function checkTtl(text: string | null, tree: ScalarTree, faults: FaultList): unknown {
  if (text === 'none') return null;
  let ms: number | null = null;
  if (text !== null)
    ms = tree.untyped && INTEGER.test(text) ? Number(text) * 1000 : durationMs(text);
  else if (typeof tree.value === 'number') ms = tree.value * 1000;
  if (ms === null || !Number.isSafeInteger(ms)) return undefined;
  if (ms > 0) return ms;
  faults.add(
    tree.place,
    'a TTL must be longer than nothing',
    'Write none to keep values for ever.',
  );
  return FAULTED;
}

function checkStrings(tree: Tree, faults: FaultList): readonly string[] | undefined {
  if (tree.kind === 'scalar' && tree.untyped) {
    const text = String(tree.value).trim();
    return text === '' ? [] : text.split(',').map((item) => item.trim());
  }
  if (tree.kind !== 'list') {
    faults.add(tree.place, `a list of texts is wanted here, not ${treeKind(tree)}`);
    return undefined;
  }
  const items: string[] = [];
  for (const item of tree.items) {
    if (item.kind === 'scalar' && item.value !== null) {
      items.push(typeof item.value === 'string' ? item.value : item.text);
    } else {
      faults.add(item.place, `a text is wanted here, not ${treeKind(item)}`);
    }
  }
  return items;
}

function wanted(field: Leaf | TtlField): string {
  switch (field.type) {
    case 'string':
    case 'template':
      return 'a text';
    case 'integer':
      return 'an integer';
    case 'boolean':
      return 'true or false';
    case 'duration':
      return 'a duration';
    case 'size':
      return 'a size';
    case 'choice':
      return `one of ${field.values.join(', ')}`;
    case 'strings':
      return 'a list of texts';
    case 'ttl':
      return 'a duration or none';
    default:
      return field satisfies never;
  }
}

function hintOf(field: Leaf | TtlField): string {
  if (field.type === 'duration') return 'Durations look like 250ms, 15s, 5m, 24h or 30d.';
  if (field.type === 'ttl') return 'TTLs look like 15s, 5m, 24h or 30d; a bare number is seconds.';
  if (field.type === 'size') return 'Sizes look like 512B, 64KiB, 5MiB or 1GiB.';
  return '';
}
