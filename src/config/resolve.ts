/**
 * The checks that look at several fields at once, and the step from a checked document to the
 * configuration that the other rooms use.
 */
import type { FlowLimits } from '../contracts/flow.ts';
import { parseStrictJson } from './json-file.ts';
import { defaultOptions } from './check.ts';
import type { Config, FlowConfig, Limits, MapSource, SchemaSource, ShapeSource } from './config.ts';
import type { StashConfig } from './field.ts';
import type { CheckedDocument, CheckedFlow } from './fields.ts';
import type { Tree } from './document.ts';
import { compileSchema } from './json-schema.ts';
import { plainOf, templateOf } from './mapping.ts';
import { didYouMean } from './nearest.ts';
import { checkStores, placeOf, specOf } from './places.ts';
import type { Placing } from './places.ts';

/** Schema files by the path written in the document: text, null when not readable. */
export type SchemaFiles = ReadonlyMap<string, string | null> | null;

/** The store that is there when none is configured. */
export const EMBEDDED = {
  account: 'default',
  flow: 'default',
  stash: 'store',
  kind: 'sqlite',
} as const;

export interface Resolving extends Placing {
  /** Null: schema files are not looked at (examples in documents). */
  readonly schemas: SchemaFiles;
}

/**
 * Fills in the embedded store and flow, checks flows against stashes, access against the address.
 */
export function resolve(document: CheckedDocument, resolving: Resolving): Config {
  const limits = limitsOf(document);
  const stashes = stashesOf(document, resolving);
  const flows = new Map<string, FlowConfig>();
  for (const flow of flowsOf(document)) {
    const resolved = resolveFlow(flow, stashes, limits, resolving);
    if (resolved !== null) flows.set(`${flow.account}/${flow.name}`, resolved);
  }
  checkStores(flows, stashes, resolving);
  return {
    source: resolving.source,
    http: document.http,
    access: accessOf(document, resolving),
    logging: document.logging,
    dataDir: document.dataDir,
    journal: {
      engine: document.journal.engine,
      keepMs: document.journal.keep,
      segmentBytes: document.journal.segment,
    },
    state: document.state,
    limits,
    stashes,
    flows,
    document,
  };
}

function limitsOf(document: CheckedDocument): Limits {
  const { limits } = document;
  return {
    bodyBytesMax: limits.body,
    keysPerRecordMax: limits.keysPerRecord,
    jsonDepthMax: limits.jsonDepth,
    ttlMsMax: limits.ttl,
    writeWaitMs: limits.writeWait,
    shapeMsMax: limits.shape,
    inFlightWritesMax: limits.inFlightWrites,
    drainMs: limits.drain,
  };
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/;

function accessOf(document: CheckedDocument, resolving: Resolving): 'open' | 'loopback' {
  if (document.access === 'open') return 'open';
  const { host } = document.http;
  if (LOOPBACK.test(host)) return 'loopback';
  const place = placeOf(resolving, 'http.host', 'http');
  resolving.faults.add(
    place,
    `listening on ${host} lets other machines in, and nothing says who may call`,
    'Either listen on 127.0.0.1, or write "access: open" when everybody who reaches the port may ' +
      'read and write. Access keys come in a later version.',
  );
  return 'loopback';
}

function stashesOf(
  document: CheckedDocument,
  resolving: Resolving,
): ReadonlyMap<string, StashConfig> {
  if (document.stashes.size > 0 || resolving.places.has('stashes')) return document.stashes;
  const spec = resolving.adapters.find((adapter) => adapter.kind === EMBEDDED.kind);
  if (spec === undefined) return document.stashes;
  const { stash: id, kind } = EMBEDDED;
  const options = defaultOptions(spec);
  return new Map([[id, { id, kind, options, templates: new Map() }]]);
}

interface NamedFlow {
  readonly account: string;
  readonly name: string;
  readonly path: string;
  readonly ttl: number | null | undefined;
  readonly fields: CheckedFlow | null;
}

/** Every flow of every account; the embedded one when no account is configured. */
function flowsOf(document: CheckedDocument): NamedFlow[] {
  const flows: NamedFlow[] = [];
  for (const [account, { ttl, flows: named }] of document.accounts) {
    for (const [name, fields] of named) {
      const path = `accounts.${account}.flows.${name}`;
      flows.push({ account, name, path, ttl: fields.ttl === undefined ? ttl : fields.ttl, fields });
    }
  }
  if (document.accounts.size > 0) return flows;
  const { account, flow: name } = EMBEDDED;
  return [{ account, name, path: 'accounts', ttl: undefined, fields: null }];
}

function resolveFlow(
  flow: NamedFlow,
  stashes: ReadonlyMap<string, StashConfig>,
  limits: Limits,
  resolving: Resolving,
): FlowConfig | null {
  const { path, fields } = flow;
  const write = fields?.write ?? [];
  const read = fields?.read ?? defaultRead(flow, stashes, resolving);
  for (const [at, id] of write.entries()) {
    checkStash(id, 'stash', stashes, resolving, `${path}.write.${at}`, `${path}.write`);
  }
  for (const [at, id] of read.entries()) {
    checkStash(id, 'reader', stashes, resolving, `${path}.read.${at}`, `${path}.read`);
  }
  const [reader] = read;
  if (reader === undefined) {
    if (fields?.read !== undefined) {
      const place = placeOf(resolving, `${path}.read`);
      resolving.faults.add(
        place,
        'a flow needs a reader',
        'Name the stash that answers reads first.',
      );
    }
    return null;
  }
  for (const id of read.slice(1)) {
    if (id === reader || write.includes(id)) continue;
    const detail = `"${id}" is read from but never written to`;
    const place = placeOf(resolving, `${path}.read`);
    resolving.faults.add(place, detail, `Add "${id}" to write, or take it out of read.`);
  }
  const ttlMs = flow.ttl ?? null;
  if (ttlMs !== null && limits.ttlMsMax !== null && ttlMs > limits.ttlMsMax) {
    const place = placeOf(resolving, `${path}.ttl`, `accounts.${flow.account}.ttl`);
    resolving.faults.add(place, 'the TTL is longer than limits.ttl allows');
  }
  return {
    account: flow.account,
    flow: flow.name,
    stashes: [...new Set(write)].filter((id) => id !== reader),
    reader,
    read: [...new Set(read)],
    respond: fields?.respond ?? 'settled',
    ttlMs,
    mediaType: fields?.mediaType ?? 'application/json',
    shape: fields === null ? null : shapeOf(fields, path, limits, resolving),
    place: placeOf(resolving, path),
  };
}

/** With one store that can be read, nothing needs to be said. */
function defaultRead(
  flow: NamedFlow,
  stashes: ReadonlyMap<string, StashConfig>,
  resolving: Resolving,
): readonly string[] {
  const readers = [...stashes.values()].filter((stash) => {
    return specOf(stash, resolving)?.roles.includes('reader') === true;
  });
  const [only] = readers;
  if (only !== undefined && readers.length === 1) return [only.id];
  const which = readers.length === 0 ? 'no stash can be read' : 'several stashes can be read';
  const place = placeOf(resolving, flow.path, 'stashes');
  const hint = readers.length === 0 ? 'Configure one.' : 'Say which: read: [name].';
  resolving.faults.add(
    place,
    `the flow ${flow.account}/${flow.name} has no reader: ${which}`,
    hint,
  );
  return [];
}

function checkStash(
  id: string,
  role: 'stash' | 'reader',
  stashes: ReadonlyMap<string, StashConfig>,
  resolving: Resolving,
  ...paths: readonly string[]
): void {
  const place = placeOf(resolving, ...paths);
  const stash = stashes.get(id);
  if (stash === undefined) {
    // A stash that is there but faulty has been told already.
    if (resolving.places.has(`stashes.${id}`)) return;
    resolving.faults.add(place, `there is no stash "${id}"`, didYouMean(id, [...stashes.keys()]));
  } else if (specOf(stash, resolving)?.roles.includes(role) === false) {
    const cannot = role === 'reader' ? 'be read from' : 'stand among the stashes of a write';
    resolving.faults.add(place, `"${id}" is of kind ${stash.kind}, which cannot ${cannot}`);
  }
}

function shapeOf(
  fields: CheckedFlow,
  path: string,
  limits: FlowLimits,
  resolving: Resolving,
): ShapeSource | null {
  const { bodyBytesMax, keysPerRecordMax, jsonDepthMax, ttlMsMax } = limits;
  const schema = schemaOf(fields.schema, resolving);
  const valueSchema = schemaOf(fields.valueSchema, resolving);
  const map = fields.map === undefined ? null : mapOf(fields.map, path, resolving);
  if (schema === null && valueSchema === null && map === null) return null;
  const bounds = { bodyBytesMax, keysPerRecordMax, jsonDepthMax, ttlMsMax };
  return { schema, valueSchema, map, limits: bounds };
}

function mapOf(
  map: NonNullable<CheckedFlow['map']>,
  path: string,
  resolving: Resolving,
): MapSource | null {
  // A missing `keys` has been told already.
  if (map.keys === undefined) return null;
  const { faults } = resolving;
  const value = map.value === undefined ? null : templateOf(map.value, faults);
  const whole = value?.kind === 'expression' && value.cel === 'record';
  return {
    keys: templateOf(map.keys, faults),
    value: whole ? null : value,
    ttl: map.ttl === undefined ? null : templateOf(map.ttl, faults),
    place: placeOf(resolving, `${path}.map`),
  };
}

/** A schema that compiles, from a file or written in place; null when there is none to use. */
function schemaOf(tree: Tree | undefined, resolving: Resolving): SchemaSource | null {
  if (tree === undefined) return null;
  const { faults, schemas } = resolving;
  let place = tree.place;
  let json: unknown;
  if (tree.kind === 'scalar' && typeof tree.value === 'string') {
    if (schemas === null) return { json: true, place };
    const text = schemas.get(tree.value) ?? null;
    if (text === null) {
      faults.add(place, `the schema ${tree.value} cannot be read`, 'Paths start at the document.');
      return null;
    }
    place = { file: tree.value, line: 1, col: 1 };
    const parsed = parseStrictJson(text, tree.value, faults);
    if (parsed === undefined) return null;
    json = parsed;
  } else {
    json = plainOf(tree, faults);
  }
  try {
    compileSchema(json);
  } catch (error) {
    const endless = error instanceof RangeError;
    const why = endless ? 'a reference leads into itself' : (error as Error).message.slice(0, 300);
    faults.add(place, `the JSON Schema cannot be used: ${why}`);
    return null;
  }
  return { json, place };
}
