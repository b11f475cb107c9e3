/**
 * The store of a partner, behind `kind: http`: the server of examples/http-stash with a rule of its
 * own and a window to look in. It takes nothing of one organisation, and `GET /records` shows what
 * it holds, a line of JSON for each record. Run: PARTNER_SECRET=... node partner.ts PORT FILE
 */
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { text as textOf } from 'node:stream/consumers';

/** Whose repositories it refuses. */
export const UNWANTED = 'Octocoders';

interface Attempt {
  readonly uow: number;
  readonly attempt: number;
  readonly account: string;
  readonly flow: string;
  readonly kind: 'set' | 'delete';
  readonly keys: readonly string[];
  readonly digest: string;
  /** As text, or in base64 where `encoding` says so. */
  readonly value: string;
  readonly encoding: 'utf8' | 'base64';
}

/** One record that is in force, as `GET /records` tells it. */
export type Kept = Attempt & { readonly undone: boolean };

interface Call extends Attempt {
  readonly type: 'probe' | 'mark' | 'read' | 'holds' | 'apply' | 'undo';
  readonly session: string;
  readonly attempts: readonly Attempt[];
  readonly mark?: unknown;
  readonly open?: boolean;
}

interface Reply {
  readonly reply: string;
  readonly status?: number;
  readonly detail?: string;
}

/** What it knows; every call that changed it stands in `file`, and is played again at a start. */
class Partner {
  readonly #kept = new Map<string, Kept>();
  readonly #file: string;
  #mark: unknown = null;
  #session: string = randomUUID();

  constructor(file: string) {
    this.#file = file;
    const text = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
    // A kill may have cut the last line off; nobody was told that it was done.
    const whole = text.subarray(0, text.lastIndexOf('\n') + 1);
    if (whole.length < text.length) truncateSync(file, whole.length);
    const lines = whole.toString().split('\n').slice(0, -1);
    for (const line of lines) this.#all(JSON.parse(line) as Call);
  }

  answer(call: Call, body: string): [status: number, reply: unknown] {
    if (call.type === 'probe') return [200, {}];
    if (call.type === 'read') return [404, {}];
    if (call.type === 'mark') {
      // Whatever was sent before is answered 412 from now on.
      if (call.open === true) this.#session = randomUUID();
      return [200, { mark: this.#mark, session: this.#session }];
    }
    if (call.session !== this.#session) return [412, {}];
    if (call.type !== 'holds') appendFileSync(this.#file, `${body}\n`, { flush: true });
    return [200, this.#all(call)];
  }

  /** What is in force, oldest first. */
  records(): Kept[] {
    return [...this.#kept.values()].filter(({ undone }) => !undone);
  }

  #all(call: Call): { replies: Reply[] } {
    const replies = call.attempts.map((attempt) => this.#one(call.type, attempt));
    this.#mark = call.mark ?? this.#mark;
    return { replies };
  }

  #one(type: Call['type'], attempt: Attempt): Reply {
    const id = `${attempt.uow}.${attempt.attempt}`;
    const was = this.#kept.get(id);
    if (type === 'holds') {
      if (was === undefined) return { reply: 'never' };
      return { reply: was.undone ? 'tombstone' : 'live' };
    }
    if (type === 'undo') {
      this.#kept.set(id, { ...attempt, undone: true });
      return { reply: 'undone' };
    }
    if (was?.undone === true) return { reply: 'failed', detail: 'it was undone' };
    if (was !== undefined) return { reply: was.digest === attempt.digest ? 'stored' : 'failed' };
    if (isUnwanted(attempt)) {
      return { reply: 'refused', status: 422, detail: `takes nothing of ${UNWANTED}` };
    }
    this.#kept.set(id, { ...attempt, undone: false });
    return { reply: 'stored' };
  }
}

/** The bytes of a record's value. */
export function valueOf({ value, encoding }: Pick<Attempt, 'value' | 'encoding'>): Buffer {
  return Buffer.from(value, encoding);
}

function isUnwanted(attempt: Attempt): boolean {
  if (attempt.kind === 'delete') return false;
  const { payload } = JSON.parse(valueOf(attempt).toString()) as {
    payload: { repository?: { full_name: string } };
  };
  return payload.repository?.full_name.startsWith(`${UNWANTED}/`) === true;
}

/** Whether the call was signed with our secret, not long ago. */
function isOurs(key: Buffer, headers: IncomingHttpHeaders, body: string): boolean {
  const [id, time, given] = ['id', 'timestamp', 'signature'].map((name) => {
    return String(headers[`webhook-${name}`]);
  });
  const mac = createHmac('sha256', key).update(`${id}.${time}.${body}`).digest('base64');
  const wanted = Buffer.from(`v1,${mac}`);
  const fits = given?.split(' ').some((tag) => {
    return tag.length === wanted.length && timingSafeEqual(Buffer.from(tag), wanted);
  });
  return fits === true && Math.abs(Date.now() / 1000 - Number(time)) < 300;
}

function serve(port: number, file: string, secret: string): void {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const partner = new Partner(file);
  const server = createServer((req, res) => {
    if (req.method === 'GET' && req.url === '/records') {
      res.setHeader('content-type', 'application/x-ndjson');
      for (const kept of partner.records()) res.write(`${JSON.stringify(kept)}\n`);
      res.end();
      return;
    }
    const answered = textOf(req).then((body) => {
      const ours = isOurs(key, req.headers, body);
      const [status, reply] = ours ? partner.answer(JSON.parse(body) as Call, body) : [401, {}];
      res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(reply));
    });
    answered.catch(() => res.destroy());
  });
  server.listen(port, '127.0.0.1', () => {
    const address = server.address();
    const bound = typeof address === 'object' ? address?.port : port;
    console.error(`partner serves on http://127.0.0.1:${bound}`);
  });
}

if (import.meta.main) {
  const [, , port = '8090', file = 'partner.log'] = process.argv;
  serve(Number(port), file, process.env['PARTNER_SECRET'] ?? '');
}
