/**
 * HTTP as a plain client speaks it, without anything sent twice: a lost connection is told, so that
 * what was acknowledged and what was not stays certain.
 */
import { Agent, request } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

const WAIT_MS_MAX = 60_000;

/** One server's worth of connections. */
export class Http {
  readonly url: string;
  readonly #agent: Agent;

  constructor(url: string, sockets = 64) {
    this.url = url;
    this.#agent = new Agent({ keepAlive: true, maxSockets: sockets });
  }

  /** Rejects when the connection is lost before the whole answer is here. */
  ask(path: string, how: Ask = {}): Promise<Reply> {
    const { method = 'GET', headers = {}, body } = how;
    return new Promise((done, failed) => {
      const req = request(this.url + path, { method, headers, agent: this.#agent }, (res) => {
        const parts: Buffer[] = [];
        res.on('data', (part: Buffer) => parts.push(part));
        res.on('end', () => {
          if (!res.complete) return failed(new Error('the answer was cut off'));
          const told = res.headers as Record<string, string | undefined>;
          done({
            status: res.statusCode ?? 0,
            headers: told,
            text: Buffer.concat(parts).toString('utf8'),
          });
        });
        res.on('error', failed);
      });
      req.setTimeout(WAIT_MS_MAX, () => req.destroy(new Error('no answer in time')));
      req.on('error', failed);
      req.end(body);
    });
  }

  /** A JSON answer with its status; null where the body is none. */
  async json<T = Record<string, unknown>>(path: string, how: Ask = {}): Promise<[number, T]> {
    const { status, text } = await this.ask(path, how);
    return [status, (text === '' ? null : JSON.parse(text)) as T];
  }

  put(path: string, value: unknown, headers: Readonly<Record<string, string>> = {}) {
    const json = { 'content-type': 'application/json', ...headers };
    return this.ask(path, { method: 'PUT', headers: json, body: JSON.stringify(value) });
  }

  post(path: string, value: unknown, headers: Readonly<Record<string, string>> = {}) {
    const json = { 'content-type': 'application/json', ...headers };
    return this.ask(path, { method: 'POST', headers: json, body: JSON.stringify(value) });
  }

  /** Every item of a listing, page by page. */
  async all<T>(path: string): Promise<T[]> {
    const items: T[] = [];
    let next: string | null = null;
    do {
      const mark = path.includes('?') ? '&' : '?';
      const more: string = next === null ? '' : `&cursor=${encodeURIComponent(next)}`;
      const [status, page] = await this.json<{ items: T[]; next: string | null }>(
        `${path}${mark}limit=1000${more}`,
      );
      if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(page)}`);
      items.push(...page.items);
      next = page.next;
    } while (next !== null);
    return items;
  }

  /** The sum of the samples of one figure of /metrics. */
  async figure(name: string): Promise<number> {
    const { text } = await this.ask('/metrics');
    const lines = text.split('\n').filter((line) => line.match(/^[a-z_]+/)?.[0] === name);
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Asks until `true` comes back; throws with `what` when the time is over. */
export async function until(what: string, ask: () => Promise<boolean>, ms = 30_000): Promise<void> {
  const end = performance.now() + ms;
  while (!(await ask())) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((done) => {
      setTimeout(done, 15);
    });
  }
}
