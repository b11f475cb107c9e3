/**
 * The records of the intake, and their bytes: one type byte, the length of a JSON header, the
 * header, then the write's bytes. Headers may gain fields; a reader passes over those it does not
 * know, and a type it does not know refuses the start, since skipping a decision loses it.
 */
import { JournalDamaged } from '../contracts/journal.ts';
import type { DocumentRow } from '../contracts/state.ts';
import type { EpochMs, Outcome, Position, ReportLine, Uow, WriteKind } from '../kernel/words.ts';
import type { Condition } from './request.ts';
import { HeldWrite, type Phase, type WriteFacts } from './write.ts';

/** A failed write that a later commit of one of its keys ends. */
export interface Superseded {
  u: Uow;
  a: number;
  k: WriteKind;
  keys: readonly string[];
}

export interface StartRecord {
  type: 'start';
  epoch: number;
  /** Numbers this start may hand out: from, below to. */
  uowFrom: Uow;
  uowTo: Uow;
  at: EpochMs;
}
/** More numbers for the running start. */
export interface ReserveRecord {
  type: 'reserve';
  epoch: number;
  uowFrom: Uow;
  uowTo: Uow;
}
/**
 * A write whole: as first held (`hold`), as its next try (`attempt`), or moved up so that older
 * records can be trimmed (`carried`, with what had been decided by then).
 */
export interface WriteRecord {
  type: 'hold' | 'attempt' | 'carried';
  write: HeldWrite;
}
export interface VerdictRecord {
  type: 'verdict';
  u: Uow;
  a: number;
  existed: boolean | null;
}
/** Durable before the first undo is sent: from here on the attempt cannot commit. */
export interface AbortRecord {
  type: 'abort';
  u: Uow;
  a: number;
  out: 'refused' | 'failed';
  rep: ReportLine[];
}
export interface OutcomeRecord {
  type: 'outcome';
  u: Uow;
  a: number;
  out: Outcome;
  at: EpochMs;
  rep: ReportLine[];
  existed: boolean | null;
  note: string | null;
  sup?: Superseded[];
}
/** Many writes that committed alike: first attempts, one store, nothing more to tell of any. */
export interface CommitsRecord {
  type: 'commits';
  uows: readonly Uow[];
  at: EpochMs;
  rep: ReportLine[];
}

/** What `record` says of one of its writes. */
export function commitOf(record: CommitsRecord, uow: Uow): OutcomeRecord {
  const { at, rep } = record;
  return { type: 'outcome', u: uow, a: 1, out: 'committed', at, rep, existed: null, note: null };
}

/** The attempt failed and is undone; the keys stay held until the next try or a person's word. */
export interface ParkedRecord {
  type: 'parked';
  u: Uow;
  a: number;
  at: EpochMs;
  retryAt: EpochMs | null;
  rep: ReportLine[];
}
/** The caller of a waiting write was told 202: from here on Holdfast owns it. */
export interface OwnedRecord {
  type: 'owned';
  u: Uow;
}
/** Appended before a write that has seen crashed starts is tried again (quarantine). */
export interface TryingRecord {
  type: 'trying';
  u: Uow;
}
/** The process outlived that try: the write is not what killed it. */
export interface TriedRecord {
  type: 'tried';
  u: Uow;
}
/** A person dropped a failed write for good. */
export interface DiscardRecord {
  type: 'discard';
  u: Uow;
  at: EpochMs;
}
export interface DocumentRecord {
  type: 'document';
  row: DocumentRow;
}

export type IntakeRecord =
  | StartRecord
  | ReserveRecord
  | WriteRecord
  | VerdictRecord
  | AbortRecord
  | OutcomeRecord
  | CommitsRecord
  | ParkedRecord
  | OwnedRecord
  | TryingRecord
  | TriedRecord
  | DiscardRecord
  | DocumentRecord;

const TYPES = [
  'start',
  'reserve',
  'hold',
  'attempt',
  'carried',
  'verdict',
  'abort',
  'outcome',
  'parked',
  'owned',
  'trying',
  'tried',
  'discard',
  'document',
  'commits',
] as const satisfies readonly IntakeRecord['type'][];
const CODE = Object.fromEntries(TYPES.map((type, at) => [type, at + 1])) as Record<
  IntakeRecord['type'],
  number
>;

/** The header of a write record: short names, since one stands before every write on disk. */
interface WriteHeader {
  u: Uow;
  a: number;
  acc: string;
  f: string;
  k: 's' | 'd';
  keys: readonly string[];
  dg: string;
  at: EpochMs;
  st: readonly string[];
  rd: string;
  g: number;
  exp?: EpochMs;
  /** Length of the record as received, which follows the value. */
  raw?: number;
  if?: readonly Condition[];
  idem?: { key: string; digest: string };
  ff?: EpochMs;
  own?: 1;
  /** Its place in its lanes, where that is not the position of this record. */
  o?: Position;
  /** Of a carried write: what had been decided. */
  ph?: Phase;
  ab?: 'refused' | 'failed';
  ex?: boolean | null;
  ra?: EpochMs | null;
  rep?: ReportLine[];
  /** Overtaken; passed by a later commit; quarantined. */
  ov?: 1;
  ps?: 1;
  q?: 1;
}

const PREFIX_BYTES = 5;

function frame(type: IntakeRecord['type'], header: string, value?: Uint8Array, raw?: Uint8Array) {
  const headerBytes = Buffer.byteLength(header);
  const record = Buffer.allocUnsafe(
    PREFIX_BYTES + headerBytes + (value?.length ?? 0) + (raw?.length ?? 0),
  );
  record[0] = CODE[type];
  record.writeUInt32LE(headerBytes, 1);
  record.write(header, PREFIX_BYTES, headerBytes, 'utf8');
  if (value !== undefined) record.set(value, PREFIX_BYTES + headerBytes);
  if (raw !== undefined) record.set(raw, PREFIX_BYTES + headerBytes + (value?.length ?? 0));
  return record;
}

/** The bytes of a record that holds a write whole. */
export function encodeWrite(type: WriteRecord['type'], write: HeldWrite): Buffer {
  const header: WriteHeader = {
    u: write.uow,
    a: write.attempt,
    acc: write.account,
    f: write.flow,
    k: write.kind === 'set' ? 's' : 'd',
    keys: write.keys,
    dg: write.digest,
    at: write.heldAt,
    st: write.plan.stashes,
    rd: write.plan.reader,
    g: write.plan.generation,
  };
  if (write.expiresAt !== null) header.exp = write.expiresAt;
  if (write.raw !== null) header.raw = write.raw.length;
  if (write.conditions.length > 0) header.if = write.conditions;
  if (write.idempotent !== null) header.idem = write.idempotent;
  if (write.firstFailedAt !== null) header.ff = write.firstFailedAt;
  if (write.owned) header.own = 1;
  if (type !== 'hold' && write.order >= 0) header.o = write.order;
  if (type === 'carried') {
    // A quarantined write is parked without having failed: it is open, and only goes forward.
    header.ph = write.quarantined ? 'queued' : write.phase;
    if (write.overtaken) header.ov = 1;
    if (write.outrun) header.ps = 1;
    if (write.quarantined) header.q = 1;
    if (write.abort !== null) header.ab = write.abort;
    if (write.verdict !== null) header.ex = write.verdict.existed;
    header.ra = write.retryAt;
    header.rep = write.report();
  }
  return frame(type, JSON.stringify(header), write.value, write.raw ?? undefined);
}

/** The bytes of every other record. */
export function encode(record: Exclude<IntakeRecord, WriteRecord>): Buffer {
  const { type, ...header } = record;
  return frame(type, JSON.stringify(header));
}

function writeOf(type: WriteRecord['type'], header: WriteHeader, rest: Uint8Array): HeldWrite {
  const rawBytes = header.raw ?? 0;
  const facts: WriteFacts = {
    uow: header.u,
    attempt: header.a,
    account: header.acc,
    flow: header.f,
    kind: header.k === 's' ? 'set' : 'delete',
    keys: header.keys,
    value: rest.slice(0, rest.length - rawBytes),
    raw: rawBytes > 0 ? rest.slice(rest.length - rawBytes) : null,
    digest: header.dg,
    expiresAt: header.exp ?? null,
    heldAt: header.at,
    plan: { stashes: header.st, reader: header.rd, generation: header.g },
    conditions: header.if ?? [],
    idempotent: header.idem ?? null,
    firstFailedAt: header.ff ?? null,
    owned: header.own === 1,
  };
  const write = new HeldWrite(facts);
  write.order = header.o ?? -1;
  if (type === 'carried') {
    write.phase = header.ph ?? 'held';
    write.abort = header.ab ?? null;
    if (header.ex !== undefined) write.verdict = { existed: header.ex };
    write.retryAt = header.ra ?? null;
    write.overtaken = header.ov === 1;
    write.passed = header.ps === 1;
    write.quarantined = header.q === 1;
    fillReport(write, header.rep ?? []);
  }
  return write;
}

/** Puts report lines back to the stashes they speak of. */
export function fillReport(write: HeldWrite, report: readonly ReportLine[]): void {
  for (const line of report) {
    const at = write.plan.stashes.indexOf(line.stash);
    write.lines[at === -1 ? write.plan.stashes.length : at] = line;
  }
}

/**
 * Reads one record. Throws JournalDamaged when it is none of ours: the journal vouches for the
 * bytes, so this is a newer version's record or a defect, and going on would lose a decision.
 */
export function decode(bytes: Uint8Array, position: Position): IntakeRecord {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = TYPES[(record[0] ?? 0) - 1];
  if (type === undefined || record.length < PREFIX_BYTES) {
    throw new JournalDamaged(
      `intake record ${position}`,
      `unknown record type ${record[0]}`,
      'This data folder was written by a newer version; start that one.',
    );
  }
  const headerEnd = PREFIX_BYTES + record.readUInt32LE(1);
  const header = JSON.parse(record.toString('utf8', PREFIX_BYTES, headerEnd)) as unknown;
  if (type === 'hold' || type === 'attempt' || type === 'carried') {
    return { type, write: writeOf(type, header as WriteHeader, bytes.subarray(headerEnd)) };
  }
  return { type, ...(header as object) } as Exclude<IntakeRecord, WriteRecord>;
}
