/**
 * Readings: what readers were shown while all this happened, and the judge of it. A reading must be
 * the newest acknowledged value of its key at least, never one that was taken back, and never older
 * than what anybody was shown before.
 */
import type { Http } from '../process/http.ts';
import { placeOf, type Version } from '../crash/judge.ts';
import type { Flow, Operation, Recorder } from '../crash/recorder.ts';

export interface Reading {
  readonly place: string;
  readonly startedAt: number;
  readonly endedAt: number;
  /** Null: there was none (404). */
  readonly body: string | null;
}

/** Every answer to a read; those that say nothing of the value (503) are counted only. */
export class Readings {
  readonly all: Reading[] = [];
  unavailable = 0;
  readonly complaints: string[] = [];
  readonly #recorder: Recorder;

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  /** False when the answer was that there is none just now. */
  async read(http: Http, flow: Flow, key: string): Promise<boolean> {
    const startedAt = this.#recorder.moment();
    let status: number;
    let text: string;
    try {
      ({ status, text } = await http.ask(`/v1/data/${flow}/${key}`));
    } catch {
      return false;
    }
    const endedAt = this.#recorder.moment();
    if (status === 200 || status === 404) {
      const body = status === 200 ? text : null;
      this.all.push({ place: placeOf(flow, key), startedAt, endedAt, body });
      return true;
    }
    this.unavailable += 1;
    if (status !== 503) this.complaints.push(`a read of ${flow} ${key} got ${status}: ${text}`);
    return false;
  }
}

/**
 * Everything that should not have been shown. `committed` holds the committed versions of each
 * place, newest first; `operations` as they stand before anything that failed is tried again.
 */
export function judgeReadings(
  readings: readonly Reading[],
  operations: readonly Operation[],
  committed: ReadonlyMap<string, readonly Version[]>,
): string[] {
  const byPlace = new Map<string, Reading[]>();
  for (const each of readings) {
    const list = byPlace.get(each.place);
    if (list === undefined) byPlace.set(each.place, [each]);
    else list.push(each);
  }
  const acknowledged = acknowledgements(operations);
  const byBody = new Map(operations.map((each) => [each.body, each]));
  return [...byPlace].flatMap(([place, list]) => {
    return judgePlace(list, acknowledged.get(place) ?? [], committed.get(place) ?? [], byBody);
  });
}

interface Known {
  readonly at: number;
  readonly uow: number;
  readonly gone: boolean;
}

/** By place: what is known to be there from a moment on. */
function acknowledgements(operations: readonly Operation[]): Map<string, Known[]> {
  const known = new Map<string, Known[]>();
  for (const { flow, keys, kind, end, uow, answeredAt } of operations) {
    if (end !== 'committed' || uow === null) continue;
    for (const key of keys) {
      const place = placeOf(flow, key);
      const list = known.get(place);
      const one = { at: answeredAt, uow, gone: kind === 'delete' };
      if (list === undefined) known.set(place, [one]);
      else list.push(one);
    }
  }
  return known;
}

/** The version a reading shows, or what is wrong with it. `floor`: it must not be older. */
function versionOf(
  { place, body, endedAt }: Reading,
  floor: number,
  versions: readonly Version[],
  deletes: readonly number[],
  byBody: ReadonlyMap<string, Operation>,
): number | string {
  if (body === null) {
    if (floor === 0) return 0;
    // The oldest that may be what it shows.
    const marker = deletes.find((uow) => uow >= floor);
    return marker ?? `${place} was not found, and write ${floor} was there before`;
  }
  const operation = byBody.get(body);
  if (operation === undefined) return `${place} showed what nobody sent: ${body}`;
  const { id, sentAt } = operation;
  if (sentAt > endedAt) return `${place} showed operation ${id} before it was sent`;
  const version = versions.find(
    ({ kind, digest }) => kind === 'set' && digest === operation.digest,
  );
  if (version === undefined) {
    return `dirty: ${place} showed operation ${id}, which is not committed (${operation.end})`;
  }
  if (version.uow >= floor) return version.uow;
  return `stale: ${place} showed write ${version.uow}, and ${floor} was there before`;
}

/** All readings of one key, by their starts: what ended before one started binds it. */
function judgePlace(
  readings: readonly Reading[],
  acknowledged: readonly Known[],
  versions: readonly Version[],
  byBody: ReadonlyMap<string, Operation>,
): string[] {
  const wrong: string[] = [];
  // A marker with nothing below it may have been swept from the history.
  const markers = versions.filter(({ kind }) => kind === 'delete');
  const gone = [...markers, ...acknowledged.filter((each) => each.gone)].map(({ uow }) => uow);
  const deletes = gone.sort((a, b) => a - b);
  const starts = [...readings].sort((a, b) => a.startedAt - b.startedAt);
  let pending: readonly Known[] = acknowledged;
  let floor = 0;
  for (const reading of starts) {
    const left: Known[] = [];
    for (const one of pending) {
      if (one.at < reading.startedAt) floor = Math.max(floor, one.uow);
      else left.push(one);
    }
    const shown = versionOf(reading, floor, versions, deletes, byBody);
    if (typeof shown === 'string') wrong.push(shown);
    else left.push({ at: reading.endedAt, uow: shown, gone: false });
    pending = left;
  }
  return wrong;
}
