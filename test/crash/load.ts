/**
 * The load of the crash test: the configuration whose stores make every phase last long enough to
 * be met, and clients that send, drawn from a seed, every kind of write into it.
 */
import type { Http } from '../process/http.ts';
import type { Flow, Operation, Recorder, Wish } from './recorder.ts';

const SLOW_MS = 60;

/** `healed`: the store that failed some keys takes them from now on. */
export function configOf(healed: boolean): string {
  const keep = 'keepVersions: 1000000, keepFor: 3650d';
  const fails = healed ? '[]' : '[fail-]';
  return `
version: 1
stashes:
  store: { kind: sqlite, ${keep} }
  history: { kind: sqlite, ${keep} }
  table: { kind: sqlite, ${keep} }
  ledger: { kind: sqlite, ${keep} }
  slow: { kind: memory, delay: ${SLOW_MS}ms, keepVersions: 1000000 }
  picky: { kind: memory, refuseKeys: [refuse-], failKeys: ${fails}, keepVersions: 1000000 }
  cache: { kind: memory, keepVersions: 1000000 }
accounts:
  default: { flows: { default: { read: [store] } } }
  shop:
    flows:
      orders:
        map: { keys: "\${{ record.keys }}" }
        write: [history, slow, picky]
        read: [table, history]
      views:
        map: { keys: "\${{ record.keys }}" }
        write: [ledger]
        read: [cache, ledger]
      counters: { write: [history], read: [table] }
`;
}

/** The files that keep every version of a flow; the reader's first. */
export const FILES: Readonly<Record<Flow, readonly string[]>> = {
  'default/default': ['store'],
  'shop/orders': ['table', 'history'],
  'shop/views': ['ledger'],
  'shop/counters': ['table', 'history'],
};

/** Mulberry32 by Tommy Ettinger (public domain): numbers in [0, 1) from a seed. */
export function drawn(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

type Draw = () => number;

function among(draw: Draw, count: number): number {
  return Math.floor(draw() * count);
}

const COUNTERS = 3;
const HELD = { prefer: 'respond-async' };

/** Clients that never stop by themselves; `stop` lets each end its call. */
export class Load {
  readonly #http: Http;
  readonly #recorder: Recorder;
  readonly #draw: Draw;
  readonly #name: string;
  #running = true;
  #keys = 0;

  /** `name` makes Idempotency-Keys of this load unlike those of any other. */
  constructor(http: Http, recorder: Recorder, draw: Draw, name: string) {
    this.#http = http;
    this.#recorder = recorder;
    this.#draw = draw;
    this.#name = name;
  }

  /** Resolves when all clients have ended: after `stop`, or when the server is gone. */
  async run(clients: number): Promise<void> {
    const counters = [...Array(COUNTERS).keys()].map((at) => this.#counter(`c-${at}`));
    await Promise.all([...[...Array(clients).keys()].map(() => this.#client()), ...counters]);
  }

  stop(): void {
    this.#running = false;
  }

  async #client(): Promise<void> {
    while (this.#running) {
      const done = await this.#recorder.send(this.#http, this.#wish());
      if (done.end === 'lost') return;
    }
  }

  /** Reads, then replaces exactly what it read: of all who try, one may win. */
  async #counter(key: string): Promise<void> {
    while (this.#running) {
      let base: string | null;
      try {
        const { status, headers } = await this.#http.ask(`/v1/data/shop/counters/${key}`);
        base = status === 200 ? (headers['etag'] ?? '') : null;
      } catch {
        return;
      }
      const condition: Record<string, string> =
        base === null ? { 'if-none-match': '*' } : { 'if-match': base };
      const headers = this.#draw() < 0.2 ? { ...condition, ...HELD } : condition;
      const wish: Wish = {
        flow: 'shop/counters',
        kind: 'set',
        keys: [key],
        record: false,
        headers,
        base,
      };
      // Two at once, so that there is somebody to lose.
      const both = await Promise.all([
        this.#recorder.send(this.#http, wish),
        this.#recorder.send(this.#http, wish),
      ]);
      if (both.some((each: Operation) => each.end === 'lost')) return;
    }
  }

  #wish(): Wish {
    const draw = this.#draw;
    const held = draw() < 0.25 ? HELD : {};
    const again = draw() < 0.3 ? { idempotencyKey: `${this.#name}-${(this.#keys += 1)}` } : {};
    const kind = draw();
    if (kind < 0.3) return { ...this.#plain('default/default', 'a', 16), headers: held, ...again };
    if (kind < 0.5) return { ...this.#record('shop/views', 'v', 16), headers: held, ...again };
    if (kind < 0.6) return { ...this.#plain('shop/views', 'v', 16), headers: held, ...again };
    if (kind < 0.72) return { ...this.#record('shop/orders', 'o', 24), headers: held, ...again };
    if (kind < 0.84) return { ...this.#plain('shop/orders', 'o', 24), headers: held, ...again };
    return { ...this.#doomed(kind > 0.94), headers: held, ...again };
  }

  #plain(flow: Flow, letter: string, count: number): Omit<Wish, 'headers'> {
    const keys = [`${letter}-${among(this.#draw, count)}`];
    return { flow, kind: this.#draw() < 0.2 ? 'delete' : 'set', keys, record: false };
  }

  #record(flow: Flow, letter: string, count: number): Omit<Wish, 'headers'> {
    const first = among(this.#draw, count);
    const keys = [first, first + 1, first + 3].map((at) => `${letter}-${at % count}`);
    return { flow, kind: 'set', keys: keys.slice(0, 2 + among(this.#draw, 2)), record: true };
  }

  /** One key that every store takes, and one that the last refuses or fails. */
  #doomed(fails: boolean): Omit<Wish, 'headers'> {
    const at = among(this.#draw, 24);
    const keys = fails ? [`p-${at}`, `fail-${at}`] : [`o-${at}`, `refuse-${at}`];
    return { flow: 'shop/orders', kind: 'set', keys, record: true };
  }
}
