/**
 * Configuration from outside the file: variables and flags laid over the document. Only variables
 * with `__` are configuration (`HOLDFAST_HTTP__PORT`), so what Kubernetes injects for services
 * (`HOLDFAST_PORT=tcp://10.0.0.1:4180`) is never taken for it.
 */
import type { StashSpec } from '../contracts/spec.ts';
import { emptyMap, outsideScalar } from './document.ts';
import type { MapTree, Tree } from './document.ts';
import type { FaultList } from './faults.ts';
import type { Field, Fields } from './field.ts';
import { FIELDS } from './fields.ts';
import { didYouMean } from './nearest.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Names other programs have agreed on, and the fields they stand for. */
const ALIASES: readonly (readonly [string, string])[] = [
  ['PORT', 'http.port'],
  ['LOG_LEVEL', 'logging.level'],
];

const PREFIX = 'HOLDFAST_';
/** What Kubernetes injects for a service: an address of somebody else. */
const SERVICE_ADDRESS = /^(tcp|udp|sctp):\/\//;

interface Overlay {
  readonly adapters: readonly StashSpec[];
  readonly faults: FaultList;
  /** Reads a secret from a file named by a variable that ends in `_FILE`; null: not readable. */
  readonly secret: (path: string) => string | null;
}

/** Names of the files that `_FILE` variables point to, so that they can be read beforehand. */
export function secretFiles(environment: Environment): string[] {
  const files: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (isOurs(name) && name.endsWith('_FILE') && value !== undefined) files.push(value);
  }
  return files;
}

function isOurs(name: string): boolean {
  return name.startsWith(PREFIX) && name.includes('__');
}

/** Lays aliases, then variables, then flags (`http.port` -> text) over the document. */
export function overlay(
  root: MapTree,
  environment: Environment,
  flags: Readonly<Record<string, string>>,
  how: Overlay,
): void {
  for (const [name, path] of ALIASES) {
    const value = environment[name];
    if (value === undefined || value === '' || SERVICE_ADDRESS.test(value)) continue;
    place(root, path.split('.'), outsideScalar(value, name), how);
  }
  for (const [name, value] of Object.entries(environment)) {
    if (!isOurs(name) || value === undefined) continue;
    place(root, segmentsOf(name), outsideScalar(value, name), how);
  }
  for (const [path, value] of Object.entries(flags)) {
    place(root, path.split('.'), outsideScalar(value, `--${path}`), how);
  }
}

/** `HOLDFAST_HTTP__PORT` -> http, port; `HOLDFAST__DATA_DIR` -> data_dir. */
function segmentsOf(name: string): string[] {
  const rest = name.slice(PREFIX.length);
  return (rest.startsWith('_') ? rest.slice(1) : rest).split('__');
}

/** Names are compared without case, `_` and `-`: DATA_DIR is dataDir, MY_CACHE is my-cache. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, '');
}

function place(
  root: MapTree,
  segments: readonly string[],
  value: ReturnType<typeof outsideScalar>,
  how: Overlay,
): void {
  const origin = value.place;
  let fields: Fields | null = FIELDS;
  let named: Field | null = null;
  let map = root;
  for (const [at, segment] of segments.entries()) {
    const last = at === segments.length - 1;
    const known: string[] = fields === null ? [...map.entries.keys()] : Object.keys(fields);
    let name = known.find((other) => plain(other) === plain(segment));
    let leaf = value;
    if (name === undefined && last && segment.endsWith('_FILE')) {
      name = known.find((other) => plain(other) === plain(segment.slice(0, -'_FILE'.length)));
      const secret = how.secret(String(value.value));
      if (name !== undefined && secret === null) {
        how.faults.add(origin, `the file ${String(value.value)} cannot be read`);
        return;
      }
      if (secret !== null) leaf = outsideScalar(secret.replace(/\r?\n$/, ''), origin.file);
    }
    if (name === undefined && fields === null) name = segment.toLowerCase();
    if (name === undefined) {
      const hint = didYouMean(segment.toLowerCase(), known);
      how.faults.add(origin, `there is no field "${segments.join('.').toLowerCase()}"`, hint);
      return;
    }
    const field: Field | null = fields === null ? named : (fields[name] ?? null);
    if (last) {
      if (field?.type === 'integer' && SERVICE_ADDRESS.test(String(leaf.value))) return;
      map.entries.set(name, { namePlace: origin, tree: leaf });
      return;
    }
    map = descend(map, name, origin);
    [fields, named] = within(field, map, how.adapters);
    if (fields === null && named === null) {
      how.faults.add(origin, `"${name}" has no fields that a variable or a flag could set`);
      return;
    }
  }
}

/** The mapping below `name`, made when it is not there. */
function descend(map: MapTree, name: string, origin: MapTree['place']): MapTree {
  const below: Tree | undefined = map.entries.get(name)?.tree;
  if (below?.kind === 'map') return below;
  const made = emptyMap(origin);
  map.entries.set(name, { namePlace: origin, tree: made });
  return made;
}

/** What stands below a field: fixed fields, or names of one kind of field. */
function within(
  field: Field | null,
  map: MapTree,
  adapters: readonly StashSpec[],
): [Fields | null, Field | null] {
  if (field?.type === 'record') return [field.fields, null];
  if (field?.type === 'named') return [null, field.of];
  if (field?.type !== 'stash') return [null, null];
  const kind = map.entries.get('kind')?.tree;
  const word = kind?.kind === 'scalar' ? kind.value : null;
  const spec = adapters.find((adapter) => adapter.kind === word);
  return [{ kind: { type: 'string', doc: '' }, ...spec?.fields }, null];
}
