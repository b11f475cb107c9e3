/**
 * Replay: reads the intake at a start. Says which writes have no outcome, and brings State up to
 * date. Reads only; src/fanout/recover.ts acts on it.
 */
import type { Journal } from '../contracts/journal.ts';
import type { State, StateChange } from '../contracts/state.ts';
import { LIMITS } from '../kernel/limits.ts';
import { laneKey, type Position, type Uow } from '../kernel/words.ts';
import { commitOf, decode, fillReport, type IntakeRecord } from '../intake/records.ts';
import { changesOf, START_DOCUMENT } from '../intake/view.ts';
import { UNDO_CONFLICT, type HeldWrite } from '../intake/write.ts';
import type { FailedKeys } from './failed-keys.ts';

/** A write without an outcome, and how often the program died on it. */
export interface OpenWrite {
  readonly write: HeldWrite;
  /** Starts since it was held that did not end it. */
  starts: number;
  /** Tries of its own that the process did not outlive. */
  fatalTries: number;
}

export interface Replayed {
  readonly open: Map<Uow, OpenWrite>;
  readonly lastEpoch: number;
  /** Numbers below have been reserved by earlier starts. */
  readonly uowTo: Uow;
  readonly records: number;
}

export interface ReplayParts {
  readonly journal: Journal;
  readonly state: State;
  readonly failedKeys: FailedKeys;
  readonly from: Position;
}

/** State takes the changes of this many records at a time. */
const LOT_RECORDS = 2000;

/** Reads the intake from `from` to its end. Throws JournalDamaged for what it cannot understand. */
export async function replay(parts: ReplayParts): Promise<Replayed> {
  const { journal, state } = parts;
  const reading = new Reading(parts);
  await reading.startDocument();
  const appliedTo = await state.appliedTo();
  let changes: StateChange[] = [];
  let lot = 0;
  let position = parts.from;
  for await (const batch of journal.read(parts.from)) {
    position = batch.first;
    for (const bytes of batch.records) {
      const made = reading.take(decode(bytes, position), position);
      if (position >= appliedTo) changes.push(...made);
      position += 1;
      lot += 1;
    }
    if (lot >= LOT_RECORDS) {
      if (position > appliedTo) await state.commit(journal.id, position, changes);
      changes = [];
      lot = 0;
    }
  }
  if (position > appliedTo || appliedTo === 0) await state.commit(journal.id, position, changes);
  return reading.result();
}

class Reading {
  readonly #parts: ReplayParts;
  readonly #open = new Map<Uow, OpenWrite>();
  readonly #openByLane = new Map<string, Set<HeldWrite>>();
  #lastEpoch = 0;
  #uowTo: Uow = 1;
  #records = 0;

  constructor(parts: ReplayParts) {
    this.#parts = parts;
  }

  async startDocument(): Promise<void> {
    const row = await this.#parts.state.document(START_DOCUMENT.kind, START_DOCUMENT.id);
    if (row === null) return;
    const body = row.body as { epoch: number; uowTo: Uow };
    this.#lastEpoch = body.epoch;
    this.#uowTo = body.uowTo;
  }

  result(): Replayed {
    return {
      open: this.#open,
      lastEpoch: this.#lastEpoch,
      uowTo: this.#uowTo,
      records: this.#records,
    };
  }

  /** Takes one record in; returns what it changes in State. */
  take(record: IntakeRecord, position: Position): StateChange[] {
    if (record.type === 'commits') {
      return record.uows.flatMap((uow) => this.take(commitOf(record, uow), position));
    }
    this.#records += 1;
    const open = 'u' in record ? this.#open.get(record.u) : undefined;
    // Before the write leaves: an outcome's changes speak of its keys.
    const changes = changesOf(record, open?.write ?? null);
    switch (record.type) {
      case 'start':
        for (const each of this.#open.values()) each.starts += 1;
        this.#numbers(record.epoch, record.uowTo);
        break;
      case 'reserve':
        this.#numbers(record.epoch, record.uowTo);
        break;
      case 'hold':
      case 'attempt':
      case 'carried':
        this.#write(record.write, record.type, position);
        break;
      case 'verdict':
        if (open?.write.attempt === record.a) open.write.verdict = { existed: record.existed };
        break;
      case 'abort':
        this.#aborted(open, record);
        break;
      case 'parked':
        this.#parked(open, record);
        break;
      case 'owned':
        if (open !== undefined) open.write.owned = true;
        break;
      case 'trying':
        if (open !== undefined) open.fatalTries += 1;
        break;
      case 'tried':
        if (open !== undefined) open.fatalTries = 0;
        break;
      case 'outcome':
        this.#ended(open, record);
        break;
      case 'discard':
        this.#parts.failedKeys.remove(record.u);
        break;
      case 'document':
        break;
      default:
        record satisfies never;
    }
    return changes;
  }

  #numbers(epoch: number, uowTo: Uow): void {
    this.#lastEpoch = Math.max(this.#lastEpoch, epoch);
    this.#uowTo = Math.max(this.#uowTo, uowTo);
  }

  #write(write: HeldWrite, type: 'hold' | 'attempt' | 'carried', position: Position): void {
    const before = this.#open.get(write.uow);
    write.position = position;
    if (write.order < 0) write.order = position;
    if (before !== undefined) this.#leaveLanes(before.write);
    if (type === 'carried' && before?.write.overtaken === true) write.overtaken = true;
    const unseen = { starts: 0, fatalTries: write.quarantined ? LIMITS.quarantineStarts : 0 };
    const { starts, fatalTries } = before ?? unseen;
    this.#open.set(write.uow, { write, starts, fatalTries });
    this.#enterLanes(write);
    this.#uowTo = Math.max(this.#uowTo, write.uow + 1);
    const failed = write.attempt > 1 || write.abort === 'failed' || write.phase === 'parked';
    if (failed) this.#parts.failedKeys.add(write);
  }

  #aborted(open: OpenWrite | undefined, record: IntakeRecord & { type: 'abort' }): void {
    if (open?.write.attempt !== record.a) return;
    open.write.abort = record.out;
    fillReport(open.write, record.rep);
    if (record.out === 'failed') this.#parts.failedKeys.add(open.write);
  }

  #parked(open: OpenWrite | undefined, record: IntakeRecord & { type: 'parked' }): void {
    if (open?.write.attempt !== record.a) return;
    const { write } = open;
    write.phase = 'parked';
    write.abort = null;
    write.retryAt = record.retryAt;
    write.firstFailedAt ??= record.at;
    write.owned = true;
    fillReport(write, record.rep);
    if (record.rep.some((line) => line.reply === 'undo-conflict')) write.note = UNDO_CONFLICT;
    this.#parts.failedKeys.add(write);
  }

  #enterLanes(write: HeldWrite): void {
    for (const key of write.keys) {
      const lane = laneKey(write.account, write.flow, key);
      const writes = this.#openByLane.get(lane);
      if (writes === undefined) this.#openByLane.set(lane, new Set([write]));
      else writes.add(write);
    }
  }

  #leaveLanes(write: HeldWrite): void {
    for (const key of write.keys) {
      const lane = laneKey(write.account, write.flow, key);
      const writes = this.#openByLane.get(lane);
      writes?.delete(write);
      if (writes?.size === 0) this.#openByLane.delete(lane);
    }
  }

  /** Older open writes of its keys ran beside it: if they fail, they are superseded. */
  #passOlder(write: HeldWrite): void {
    for (const key of write.keys) {
      const writes = this.#openByLane.get(laneKey(write.account, write.flow, key)) ?? [];
      for (const other of writes) if (other.order < write.order) other.passed = true;
    }
  }

  #ended(open: OpenWrite | undefined, record: IntakeRecord & { type: 'outcome' }): void {
    const { failedKeys } = this.#parts;
    this.#open.delete(record.u);
    if (open === undefined) return;
    this.#leaveLanes(open.write);
    if (record.out === 'failed') {
      failedKeys.add(open.write);
      return;
    }
    failedKeys.remove(record.u);
    if (record.out !== 'committed') return;
    this.#passOlder(open.write);
    for (const ended of failedKeys.endedBy(open.write)) {
      const overtaken = this.#open.get(ended.u);
      if (overtaken !== undefined) overtaken.write.overtaken = true;
    }
  }
}
