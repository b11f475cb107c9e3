/**
 * The traffic of the fault tests: writers of every kind and readers, drawn from a seed, on a few
 * hot keys that all fight over and many cold ones. Whoever is told to come back later waits a
 * moment.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Http } from '../process/http.ts';
import { Recorder, type Flow, type Operation, type Wish } from '../crash/recorder.ts';
import { Readings } from './readings.ts';
import { SECOND_VALUE_BYTES_MAX } from './town.ts';

const WRITERS = 12;
const READERS = 3;
const COUNTERS = 2;
const HOT_KEYS = 4;
const COLD_KEYS = 150;
/** Of a client that was turned away, and of a reader between two reads. */
const TURNED_AWAY_MS = 25;
const READ_PAUSE_MS = 4;
const WRITE_PAUSE_MS = 4;

export interface TrafficWishes {
  /** Members added to every body. */
  readonly extra?: (draw: () => number) => Readonly<Record<string, unknown>>;
  /** False: nothing that a store refuses for good. */
  readonly refusals?: boolean;
}

export class Traffic {
  readonly recorder: Recorder = new Recorder();
  readonly readings: Readings = new Readings(this.recorder);
  readonly #draw: () => number;
  readonly #wishes: TrafficWishes;
  readonly #padding = 'x'.repeat(SECOND_VALUE_BYTES_MAX);
  #running = false;
  #clients: Promise<unknown> = Promise.resolve();
  readonly #waiting = new Set<() => void>();

  constructor(draw: () => number, wishes: TrafficWishes = {}) {
    this.#draw = draw;
    this.#wishes = wishes;
    this.recorder.onAnswer = () => {
      for (const look of this.#waiting) look();
    };
  }

  /** Clients that go on until `stop`; a server that is gone ends them too. */
  begin(http: Http): void {
    this.#running = true;
    const writers = Array.from({ length: WRITERS }, () => this.#write(http));
    const readers = Array.from({ length: READERS }, () => this.#read(http));
    const counters = Array.from({ length: COUNTERS }, (_, at) => this.#count(http, `c-${at}`));
    this.#clients = Promise.all([...writers, ...readers, ...counters]);
  }

  /** Resolves when every client has the answer it waits for. */
  async stop(): Promise<void> {
    this.#running = false;
    await this.#clients;
  }

  /** Writes that were sent and not answered yet. */
  get inFlight(): number {
    return this.recorder.count('waiting');
  }

  /** Operations so far. */
  get sent(): number {
    return this.recorder.operations.length;
  }

  /** How the operations from number `from` on ended. */
  tally(from = 0): Record<string, number> {
    const ends: Record<string, number> = {};
    for (const { end } of this.recorder.operations.slice(from)) ends[end] = (ends[end] ?? 0) + 1;
    return ends;
  }

  /** Resolves when `count` operations sent from now on have ended so; rejects after a minute. */
  more(count: number, ended: (operation: Operation) => boolean): Promise<void> {
    const from = this.sent;
    return new Promise((done, failed) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        failed(new Error(`never ${count} such answers: ${JSON.stringify(this.tally(from))}`));
      }, 60_000);
      const look = (): void => {
        const answered = this.recorder.operations.slice(from).filter(hasEnded);
        const found = answered.filter(ended);
        if (found.length < count) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        done();
      };
      this.#waiting.add(look);
    });
  }

  committed(count: number): Promise<void> {
    return this.more(count, ({ end }) => end === 'committed');
  }

  async #write(http: Http): Promise<void> {
    while (this.#running) {
      const { end } = await this.recorder.send(http, this.#wish());
      if (end === 'lost') return;
      await pause(end === 'turned-away' || end === 'failed' ? TURNED_AWAY_MS : WRITE_PAUSE_MS);
    }
  }

  async #read(http: Http): Promise<void> {
    while (this.#running) {
      const flow: Flow = this.#draw() < 0.7 ? 'shop/orders' : 'default/default';
      const well = await this.readings.read(http, flow, this.#key(flow));
      await pause(well ? READ_PAUSE_MS : TURNED_AWAY_MS);
    }
  }

  /** Reads, then replaces exactly what it read; two try, so that one loses. */
  async #count(http: Http, key: string): Promise<void> {
    const flow = 'shop/counters';
    while (this.#running) {
      await pause(TURNED_AWAY_MS);
      const { status, headers } = await http.ask(`/v1/data/${flow}/${key}`).catch(() => NO_ANSWER);
      if (status === 0) return;
      if (status !== 200 && status !== 404) continue;
      const base = status === 200 ? (headers['etag'] ?? '') : null;
      const condition = base === null ? { 'if-none-match': '*' } : { 'if-match': base };
      const wish = { flow, kind: 'set', keys: [key], record: false, base } as const;
      const both = [0, 1].map(() => this.recorder.send(http, { ...wish, headers: condition }));
      await Promise.all(both);
    }
  }

  #key(flow: Flow): string {
    const draw = this.#draw;
    const letter = flow === 'default/default' ? 'a' : 'o';
    if (draw() < 0.4) return `${letter}-hot-${Math.floor(draw() * HOT_KEYS)}`;
    return `${letter}-${Math.floor(draw() * COLD_KEYS)}`;
  }

  #wish(): Wish {
    const draw = this.#draw;
    const way = draw();
    const prefer = way < 0.25 ? 'respond-async' : way < 0.6 ? 'wait=1' : 'wait=8';
    const headers = { prefer };
    const { extra, refusals = true } = this.#wishes;
    const more = extra?.(draw) ?? {};
    const kind = draw();
    if (kind < 0.25) return { ...this.#one('default/default'), headers, more };
    if (kind < 0.55) return { ...this.#one('shop/orders'), headers, more };
    // The second Redis does not take it, and the history has it by then.
    const padding = refusals && kind > 0.9 ? { padding: this.#padding } : {};
    return { ...this.#record(), headers, more: { ...more, ...padding } };
  }

  #one(flow: Flow): Omit<Wish, 'headers'> {
    const keys = [this.#key(flow)];
    return { flow, kind: this.#draw() < 0.2 ? 'delete' : 'set', keys, record: false };
  }

  #record(): Omit<Wish, 'headers'> {
    const count = 1 + Math.floor(this.#draw() * 3);
    const keys = new Set(Array.from({ length: count }, () => this.#key('shop/orders')));
    return { flow: 'shop/orders', kind: 'set', keys: [...keys], record: true };
  }
}

function hasEnded({ end }: Operation): boolean {
  return end !== 'waiting';
}

const NO_ANSWER = { status: 0, headers: {} as Record<string, string | undefined> };
