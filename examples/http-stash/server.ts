/**
 * A store of your own behind Holdfast. Every call it took stands in one file, which is played again
 * at start: `STASH_SECRET=... node server.ts 8090 crm.log`. The wire is in docs/HTTP-STASH.md.
 */
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';

type Place = { account: string; flow: string };
type Attempt = Place & { uow: number; attempt: number; kind: string; keys: string[] } & Content;
type Content = { value: string; encoding: string; digest: string; expiresAt: number | null };
type Kept = Attempt & { undone: boolean };
type Call = Place & { type: string; session: string; attempts: Attempt[] } & Book & { key: string };
type Book = { open?: boolean; mark?: unknown };

export function serve(port: number, file: string, secret: string) {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const kept = new Map<string, Kept>(); // by uow and attempt, what was undone included
  let mark: unknown = null;
  let session: string = randomUUID();

  function one(type: string, attempt: Attempt): string {
    const id = `${attempt.uow}.${attempt.attempt}`;
    const was = kept.get(id);
    if (type === 'holds') return was ? (was.undone ? 'tombstone' : 'live') : 'never';
    if (type === 'apply' && was?.undone) return 'failed';
    if (type === 'apply' && was) return was.digest === attempt.digest ? 'stored' : 'failed';
    if (type === 'apply' && attempt.keys[0]?.startsWith('bad-')) return 'refused';
    kept.set(id, { ...attempt, undone: type === 'undo' });
    return type === 'undo' ? 'undone' : 'stored';
  }
  function all(call: Call) {
    const replies = call.attempts.map((attempt) => ({ reply: one(call.type, attempt) }));
    mark = call.mark ?? mark;
    return { replies };
  }
  function read({ account, flow, key: wanted }: Call) {
    const own = [...kept.values()].filter((a) => a.account === account && a.flow === flow);
    const live = own.filter((a) => !a.undone && a.keys.includes(wanted));
    const [newest] = live.sort((a, b) => b.uow - a.uow || b.attempt - a.attempt);
    const there = newest?.kind === 'set' && (newest.expiresAt ?? Infinity) > Date.now();
    return { found: there ? newest : null };
  }
  function isOurs(headers: IncomingHttpHeaders, body: string) {
    const [id, time, given] = ['id', 'timestamp', 'signature'].map((n) => headers[`webhook-${n}`]);
    const mac = createHmac('sha256', key).update(`${String(id)}.${String(time)}.${body}`);
    const wanted = Buffer.from(`v1,${mac.digest('base64')}`);
    const tags = String(given).split(' ');
    const fits = tags.some((tag) => {
      return tag.length === wanted.length && timingSafeEqual(Buffer.from(tag), wanted);
    });
    return fits && Math.abs(Date.now() / 1000 - Number(time)) < 300;
  }
  function answer(headers: IncomingHttpHeaders, body: string): [status: number, reply: unknown] {
    if (!isOurs(headers, body)) return [401, {}];
    const call = JSON.parse(body) as Call;
    if (call.type === 'probe') return [200, {}];
    if (call.type === 'read') return [200, read(call)];
    if (call.type === 'mark' && call.open) session = randomUUID();
    if (call.type === 'mark') return [200, { mark, session }];
    if (call.session !== session) return [412, {}];
    if (call.type !== 'holds') appendFileSync(file, `${body}\n`, { flush: true });
    return [200, all(call)];
  }
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  for (const line of lines) if (line !== '') all(JSON.parse(line) as Call);
  const server = createServer((req, res) => {
    const end = ([status, reply]: [number, unknown]) => {
      res.writeHead(status).end(JSON.stringify(reply));
    };
    text(req)
      .then((body) => end(answer(req.headers, body)))
      .catch(() => res.destroy());
  });
  return server.listen(port, '127.0.0.1');
}

const [, , port = '8090', file = 'crm.log'] = process.argv;
if (import.meta.main) serve(Number(port), file, process.env['STASH_SECRET'] ?? '');
