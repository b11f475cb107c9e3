/**
 * Applying attempts to a MongoDB stash: all their documents in one unordered insert, and what the
 * errors of single documents mean for the attempts they belong to.
 *
 * A duplicate of an id is looked up: what stands there says whether the attempt is stored, undone
 * or another one. (An insert that met a duplicate has waited, before it answered, until what stood
 * there is as durable as if it had written it itself.)
 *
 * An attempt with several keys can end half in, since one of its documents was turned down. "No key
 * holds it" is then made true by a tombstone under every id of it, before the answer: but only in a
 * store that is no flow's reader (what a reader showed must not be taken back), only for a refusal
 * (a failure may be sent again, and would meet its own tombstones), and not while the store is
 * refilled (what it lost was committed). In every other case the answer is `unknown`, and the host
 * applies the attempt again, which is harmless, or undoes it.
 */
import type { Attempt, StashReply } from '../../contracts/stash.ts';
import type { Connection } from './connection.ts';
import {
  type Bson,
  DOCUMENT_BYTES_MAX,
  WRITE_CONCERN,
  lotsOf,
  sizeOf,
  versionsOf,
  type Kind,
  type VersionDocument,
} from './documents.ts';
import { contentOf } from './content.ts';
import type { Late } from './late.ts';
import type { Tombstones } from './tombstones.ts';
import type { Trouble } from './trouble.ts';
import { DUPLICATE_KEY, replyToCommand, replyToDocument, troubleOf } from './trouble.ts';

export interface InsertParts {
  readonly connection: Connection;
  readonly collection: string;
  readonly late: Late;
  readonly tombstones: Tombstones;
  /** Also as BSON, for queries by content. */
  readonly asDocument: boolean;
  /** Some flow is read from this store first, so nothing it showed may be taken back. */
  readonly isReader: boolean;
}

const STORED: StashReply = { reply: 'stored' };
const IDS_MAX = 500;

interface WriteError {
  readonly index: number;
  readonly code: number;
  readonly errmsg: string;
}

/** What became of one document; `there`: a duplicate, to be looked up. */
type Fate = 'live' | 'undone' | 'mismatch' | 'there' | 'unknown' | StashReply;

/** The documents of one attempt, in a call where not everything went in. */
interface Troubled {
  readonly attempt: Attempt;
  readonly documents: VersionDocument[];
  readonly fates: Fate[];
}

export class Insert {
  readonly #parts: InsertParts;
  /** What the server said about duplicates of the present calls, until they are judged. */
  readonly #errors = new WeakMap<VersionDocument, string>();

  constructor(parts: InsertParts) {
    this.#parts = parts;
  }

  /** One reply for each attempt; never rejects. */
  async run(attempts: readonly Attempt[]): Promise<StashReply[]> {
    const documents = this.#documents(attempts);
    const fates = new Map<VersionDocument, Fate>();
    const lots = lotsOf(documents, this.#parts.asDocument ? sizeWithContent : sizeOf);
    for (const lot of lots) await this.#send(lot, fates);
    if (fates.size === 0) {
      for (const attempt of attempts) this.#parts.late.settled(attempt);
      return attempts.map(() => STORED);
    }
    return this.#judge(attempts, documents, fates);
  }

  #documents(attempts: readonly Attempt[]): VersionDocument[] {
    const { late, asDocument } = this.#parts;
    const all: VersionDocument[] = [];
    for (const attempt of attempts) {
      const documents = versionsOf(attempt, late.keepUntil(attempt));
      const content =
        asDocument && attempt.kind === 'set'
          ? contentOf(attempt.value, DOCUMENT_BYTES_MAX)
          : undefined;
      for (const document of documents) {
        if (content !== undefined) document.document = content;
        all.push(document);
      }
    }
    return all;
  }

  /** Sends one command and keeps the fate of every document that did not simply go in. */
  async #send(lot: readonly VersionDocument[], fates: Map<VersionDocument, Fate>): Promise<void> {
    const { connection, collection } = this.#parts;
    let reply: Bson;
    try {
      reply = await connection.command({
        insert: collection,
        documents: lot,
        ordered: false,
        writeConcern: WRITE_CONCERN,
      });
    } catch (error) {
      const fate = fateOfAll(troubleOf(error), connection.apart);
      for (const document of lot) fates.set(document, fate);
      return;
    }
    const errors = reply['writeErrors'] as readonly WriteError[] | undefined;
    if (errors === undefined) {
      if (reply['n'] === lot.length) return;
      for (const document of lot) fates.set(document, 'unknown');
      return;
    }
    for (const { index, code, errmsg } of errors) {
      const document = lot[index];
      if (document === undefined) continue;
      const duplicate = code === DUPLICATE_KEY || code === 11001;
      fates.set(document, duplicate ? 'there' : replyToDocument(code, errmsg));
      if (duplicate) this.#errors.set(document, errmsg);
    }
  }

  async #judge(
    attempts: readonly Attempt[],
    documents: readonly VersionDocument[],
    fates: Map<VersionDocument, Fate>,
  ): Promise<StashReply[]> {
    await this.#lookUp(fates);
    const replies: StashReply[] = [];
    let at = 0;
    for (const attempt of attempts) {
      const own = documents.slice(at, at + attempt.keys.length);
      at += attempt.keys.length;
      const ownFates = own.map((document) => fates.get(document) ?? 'live');
      const reply = await this.#reply({ attempt, documents: own, fates: ownFates });
      if (reply.reply === 'unknown') this.#parts.late.add(attempt);
      else this.#parts.late.settled(attempt);
      replies.push(reply);
    }
    return replies;
  }

  /** Finds out what stands under the ids that were there already. */
  async #lookUp(fates: Map<VersionDocument, Fate>): Promise<void> {
    const { connection, collection } = this.#parts;
    const asked = [...fates].filter(([, fate]) => fate === 'there').map(([document]) => document);
    const stay: VersionDocument[] = [];
    try {
      for (let from = 0; from < asked.length; from += IDS_MAX) {
        const lot = asked.slice(from, from + IDS_MAX);
        const found = await standing(connection, collection, lot);
        for (const document of lot) {
          const there = found.get(document._id);
          fates.set(document, this.#fateOf(document, there));
          if (document.keepUntil !== undefined && there?.keepUntil === undefined) {
            stay.push(document);
          }
        }
      }
      await this.#keep(stay);
    } catch {
      for (const document of asked) fates.set(document, 'unknown');
    }
  }

  #fateOf(document: VersionDocument, there: Standing | undefined): Fate {
    if (there === undefined) {
      const said = this.#errors.get(document) ?? '';
      // The id was in use and is free now: somebody removed what stood there.
      if (/index: _id_\b|\b_id_ dup key/.test(said)) return 'unknown';
      return replyToDocument(DUPLICATE_KEY, said);
    }
    if (there.kind === 'undone') return 'undone';
    const same = there.kind === document.kind && there.digest === document.digest;
    return same ? 'live' : 'mismatch';
  }

  /** Another sending of these may be under way still: what stands there must stay. */
  async #keep(documents: readonly VersionDocument[]): Promise<void> {
    const [first] = documents;
    if (first?.keepUntil === undefined) return;
    const { connection, collection } = this.#parts;
    for (const lot of lotsOf(documents, sizeOf)) {
      const _id = { $in: lot.map((document) => document._id) };
      const u = { $set: { keepUntil: first.keepUntil } };
      await connection.command({
        update: collection,
        updates: [{ q: { _id }, u, multi: true }],
        writeConcern: WRITE_CONCERN,
      });
    }
  }

  async #reply(troubled: Troubled): Promise<StashReply> {
    const { fates, attempt } = troubled;
    if (fates.every((fate) => fate === 'live')) return STORED;
    if (fates.includes('unknown')) return { reply: 'unknown', detail: 'no definite answer' };
    const told = fates.filter((fate) => typeof fate === 'object');
    const refusal = told.find((reply) => reply.reply === 'refused');
    const answer = refusal ?? definite(fates, told);
    if (!fates.includes('live')) {
      const mixed = told.some((reply) => reply.reply === 'failed' && reply.sent);
      if (answer.reply !== 'failed' || answer.sent || !mixed) return answer;
      return { ...answer, sent: true };
    }
    const detail = `some of its keys are in, others are not: ${detailOf(answer)}`;
    const undone = fates.includes('undone');
    const mayBury = refusal !== undefined && !this.#parts.isReader && attempt.grant.counter >= 0;
    if (!undone && !mayBury) return { reply: 'unknown', detail };
    return (await this.#bury(troubled)) ? answer : { reply: 'unknown', detail };
  }

  /** Takes back what is in, so that no key holds it; false when that is not certain. */
  async #bury({ attempt, documents, fates }: Troubled): Promise<boolean> {
    const keys = documents
      .filter((_, at) => fates[at] !== 'mismatch')
      .map((document) => document.key);
    const [fault] = await this.#parts.tombstones.put([{ ...attempt, keys }]);
    return fault === null;
  }
}

function sizeWithContent(document: VersionDocument): number {
  // What was taken as content is no larger than what fits beside the value.
  return sizeOf(document) * (document.document === undefined ? 1 : 8);
}

/** The fate of all documents of a command that was not answered as it should be. */
function fateOfAll(trouble: Trouble, apart: boolean): Fate {
  const { how, message: detail, code } = trouble;
  if (how !== 'not-sent') return replyToCommand(trouble) ?? 'unknown';
  const status = code === undefined ? {} : { status: code };
  return { reply: 'failed', detail, sent: false, outage: true, ...status, ...(apart && { apart }) };
}

function definite(fates: readonly Fate[], told: readonly StashReply[]): StashReply {
  const [first] = told;
  if (fates.includes('undone')) {
    return { reply: 'failed', status: 'undone', detail: 'this attempt was undone', sent: true };
  }
  if (fates.includes('mismatch') || first === undefined) {
    const detail = 'another value stands under the number of this attempt';
    return { reply: 'failed', status: 'mismatch', detail, sent: true };
  }
  return first;
}

function detailOf(reply: StashReply): string {
  return 'detail' in reply ? reply.detail : reply.reply;
}

interface Standing {
  readonly _id: string;
  readonly kind: Kind;
  readonly digest?: string;
  readonly keepUntil?: Date;
}

/** What stands under the ids of these documents. */
export async function standing(
  connection: Connection,
  collection: string,
  documents: readonly { readonly _id: string }[],
): Promise<Map<string, Standing>> {
  const ids = documents.map((document) => document._id);
  const projection = { kind: 1, digest: 1, keepUntil: 1 };
  const rows = await connection.all(collection, { _id: { $in: ids } }, projection);
  return new Map(rows.map((row) => [row['_id'] as string, row as unknown as Standing]));
}
