/**
 * The collection of a MongoDB stash as it must be: which indexes it needs, and what about those of
 * others, or about the collection itself, would break a promise.
 */
import type { ProbeFinding } from '../../contracts/stash.ts';
import { Fault } from '../../kernel/errors.ts';
import type { Bson } from './documents.ts';
import type { Connection } from './connection.ts';
import { Trouble } from './trouble.ts';

/**
 * `holdfast_versions` answers which version of a key is the newest, and whether it is there,
 * without a look at the documents. `holdfast_expiry` is an ordinary index, and must not be made a
 * TTL index: a newest version that vanishes by itself uncovers an older one.
 */
const INDEXES: readonly Bson[] = [
  {
    name: 'holdfast_versions',
    key: { account: 1, flow: 1, key: 1, uow: -1, attempt: -1, kind: 1, expiresAt: 1 },
  },
  {
    name: 'holdfast_expiry',
    key: { expiresAt: 1, _id: 1 },
    partialFilterExpression: { expiresAt: { $gt: new Date(0) } },
  },
];

const NAMESPACE_NOT_FOUND = 26;
const NOT_IMPLEMENTED = 238;

/**
 * Makes the indexes that are missing. Throws a Fault when the collection, or an index of ours, is
 * of another shape than it must be; rejects with a Trouble.
 */
export async function prepareCollection(connection: Connection, name: string): Promise<void> {
  const wrong = shapeFault(await collectionOf(connection, name), name);
  if (wrong !== null) throw new Fault('conflict', wrong.detail, { hint: wrong.hint ?? '' });
  const there = await indexesOf(connection, name);
  for (const index of INDEXES) {
    const found = there.find((one) => one['name'] === index['name']);
    if (found !== undefined && !isAlike(found, index)) throw otherShape(name, index);
  }
  const missing = INDEXES.filter((index) => !there.some((one) => one['name'] === index['name']));
  if (missing.length === 0) return;
  try {
    await connection.command({ createIndexes: name, indexes: missing });
  } catch (error) {
    if (!(error instanceof Trouble) || error.code !== NOT_IMPLEMENTED) throw error;
    // A server without partial indexes: whole ones are larger and do the same.
    const indexes = missing.map(({ name: index, key }) => ({ name: index, key }));
    await connection.command({ createIndexes: name, indexes });
  }
}

function otherShape(name: string, index: Bson): Fault {
  const detail = `the index ${String(index['name'])} of ${name} is not the one Holdfast makes`;
  return new Fault('conflict', detail, {
    hint: `Drop it; it is made again as ${JSON.stringify(index['key'])} when the stash connects.`,
  });
}

async function collectionOf(connection: Connection, name: string): Promise<Bson | null> {
  const reply = await connection.command({ listCollections: 1, filter: { name } });
  return (reply['cursor'] as { firstBatch: Bson[] }).firstBatch[0] ?? null;
}

async function indexesOf(connection: Connection, name: string): Promise<readonly Bson[]> {
  try {
    const reply = await connection.command({ listIndexes: name });
    return (reply['cursor'] as { firstBatch: Bson[] }).firstBatch;
  } catch (error) {
    if (error instanceof Trouble && error.code === NAMESPACE_NOT_FOUND) return [];
    throw error;
  }
}

function isAlike(found: Bson, wanted: Bson): boolean {
  const { partialFilterExpression: partial } = found;
  return (
    JSON.stringify(found['key']) === JSON.stringify(wanted['key']) &&
    (partial === undefined || wanted['partialFilterExpression'] !== undefined) &&
    found['unique'] !== true &&
    found['expireAfterSeconds'] === undefined
  );
}

/** What makes a collection unfit to hold versions; null when nothing does. */
function shapeFault(collection: Bson | null, name: string): ProbeFinding | null {
  if (collection === null) return null;
  const options = (collection['options'] ?? {}) as Bson;
  const { type = 'collection' } = collection as { type?: string };
  const hint = 'Name another collection, which Holdfast makes by itself.';
  const bad = (what: string): ProbeFinding => {
    return { level: 'error', check: 'collection', detail: `${name} ${what}`, hint };
  };
  if (type !== 'collection') return bad(`is a ${type}`);
  if (options['capped'] === true) return bad('is capped: it drops versions by itself');
  const { locale = 'simple' } = (options['collation'] ?? {}) as { locale?: string };
  if (locale !== 'simple')
    return bad(`compares by the collation ${locale}: keys would be mixed up`);
  return null;
}

/** What a probe says about the collection; rejects with a Trouble. */
export async function collectionFindings(
  connection: Connection,
  name: string,
): Promise<readonly ProbeFinding[]> {
  const collection = await collectionOf(connection, name);
  const wrong = shapeFault(collection, name);
  if (wrong !== null) return [wrong];
  const there = collection === null ? [] : await indexesOf(connection, name);
  const findings = there.flatMap((index) => foreignIndex(index, name));
  const missing: unknown[] = [];
  for (const wanted of INDEXES) {
    const found = there.find((index) => index['name'] === wanted['name']);
    if (found === undefined) missing.push(wanted['name']);
    else if (found['expireAfterSeconds'] === undefined && !isAlike(found, wanted)) {
      const { detail, hint } = otherShape(name, wanted);
      findings.push({ level: 'error', check: 'indexes', detail, hint });
    }
  }
  if (collection !== null && (collection['options'] as Bson | undefined)?.['validator']) {
    const detail = `${name} has a validator: what it turns down is refused`;
    findings.push({ level: 'warning', check: 'collection', detail });
  }
  if (findings.length > 0) return findings;
  const made = 'made when the stash connects';
  const detail = missing.length === 0 ? 'all there' : `${missing.join(', ')}: ${made}`;
  return [{ level: 'ok', check: 'indexes', detail }];
}

function foreignIndex(index: Bson, name: string): ProbeFinding[] {
  const title = `the index ${String(index['name'])} of ${name}`;
  if (index['expireAfterSeconds'] !== undefined) {
    return [
      {
        level: 'error',
        check: 'TTL index',
        detail: `${title} lets the server remove versions: deleted values can come back`,
        hint: 'Drop it. Holdfast removes versions itself (keepVersions, keepFor).',
      },
    ];
  }
  if (index['unique'] === true && index['name'] !== '_id_') {
    return [
      {
        level: 'warning',
        check: 'unique index',
        detail: `${title} is unique: writes that it forbids are refused, and undoing may not end`,
        hint: 'Every version and tombstone is a document of its own: drop it.',
      },
    ];
  }
  return [];
}
