/**
 * The example servers of docs/HTTP-STASH.md against the published stash check, and for each of its
 * lines a server that breaks that promise: the TypeScript example with one place changed.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { serve } from '../../examples/http-stash/server.ts';
import { realWorld } from '../../src/kernel/realworld.ts';
import {
  CHECK_LINES,
  stashCheck,
  type CheckReport,
  type CheckWish,
} from '../../src/operate/stash-check/stash-check.ts';
import { until } from '../process/http.ts';
import { freePort, ROOT } from '../process/program.ts';

const EXAMPLE = join(ROOT, 'examples/http-stash');
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const REQUIRED = process.env['HOLDFAST_REQUIRE_SERVERS'] === '1';

function wishOf(port: number, more: Partial<CheckWish> = {}): CheckWish {
  return {
    url: `http://127.0.0.1:${port}`,
    secret: SECRET,
    headers: [],
    batch: 100,
    insertOnly: true,
    timeoutMs: 5000,
    deadlineMs: 1000,
    callbackHost: '127.0.0.1',
    ...more,
  };
}

const failed = ({ results }: CheckReport): string[] =>
  results.filter(({ result }) => result === 'failed').map(({ promise }) => promise);

/** Everything but what a server that answers at once cannot show. */
function mustBeSound(report: CheckReport): void {
  const bad = report.results.filter(({ result }) => result === 'failed');
  assert.deepEqual(bad, []);
  const skipped = report.results.filter(({ result }) => result === 'skipped');
  assert.deepEqual(
    skipped.map(({ detail }) => detail),
    ['it answers everything at once'],
  );
  assert.equal(report.results.length, CHECK_LINES.length);
}

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-http-stash-'));
});
after(() => rm(folder, { recursive: true, force: true }));

async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}

async function started(server: Server): Promise<number> {
  if (!server.listening) await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

describe('the example server in TypeScript', () => {
  it('keeps every promise, also one attempt at a time, also after a restart', async (t) => {
    const file = join(folder, 'sound.log');
    let server = serve(0, file, SECRET);
    const report = await stashCheck(wishOf(await started(server)), realWorld());
    mustBeSound(report);
    t.diagnostic(`${report.results.length} promises; ${report.left}`);
    await stop(server);
    server = serve(0, file, SECRET);
    mustBeSound(await stashCheck(wishOf(await started(server), { batch: 1 }), realWorld()));
    await stop(server);
  });

  it('changes nothing of its file when it plays it again at start', async () => {
    const file = join(folder, 'again.log');
    const texts: string[] = [];
    for (let start = 0; start < 2; start += 1) {
      const server = serve(0, file, SECRET);
      const port = await started(server);
      if (start === 0) mustBeSound(await stashCheck(wishOf(port), realWorld()));
      await stop(server);
      texts.push(await readFile(file, 'utf8'));
    }
    assert.equal(texts[0], texts[1]);
    assert.ok((texts[0]?.split('\n').length ?? 0) > 50);
  });
});

describe('the example server in Python', () => {
  const has = spawnSync('python3', ['--version']).status === 0;
  const skip = has || REQUIRED ? false : 'there is no python3 on this machine';

  it('keeps every promise', { skip }, async () => {
    const port = await freePort();
    const env = { ...process.env, STASH_SECRET: SECRET };
    const args = [join(EXAMPLE, 'server.py'), String(port), join(folder, 'python.log')];
    const child: ChildProcess = spawn('python3', args, { env, stdio: 'inherit' });
    try {
      await until('the Python server listens', () => listens(port));
      mustBeSound(await stashCheck(wishOf(port), realWorld()));
    } finally {
      child.kill('SIGKILL');
    }
  });
});

function listens(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}

/** What it does wrong, what is changed into what, and words of the lines that must notice. */
type Row = readonly [bug: string, from: string, to: string, ...noticed: string[]];

const KEPT = "kept.set(id, { ...attempt, undone: type === 'undo' });";
const ALL = 'const replies = call.attempts.map(';

const MUTANTS: readonly Row[] = [
  ['answers no probe', "'probe') return [200", "'probe') return [404", 'answers a probe'],
  ['takes any signature', 'return fits &&', 'return', 'wrong signature'],
  ['takes any time', '< 300', '< 1e9', 'ten minutes ago'],
  [
    'looks at the first signature only',
    'tags.some(',
    'tags.slice(0, 1).some(',
    'several signatures',
  ],
  ['forgets the mark', 'mark = call.mark ?? mark', 'call.mark ??= mark', 'keeps the mark'],
  [
    'takes calls of any session',
    'call.session !== session',
    'false',
    'turns away calls of the one',
  ],
  ['opens with every look', "'mark' && call.open", "'mark'", 'looking at the mark'],
  ['holds nothing', "was.undone ? 'tombstone' : 'live'", "'never'", 'stores an attempt'],
  ['reads the oldest', 'b.uow - a.uow', 'a.uow - b.uow', 'stored last', 'the newest is read'],
  [
    'fails the second apply',
    "=== attempt.digest ? 'stored'",
    "=== '' ? 'stored'",
    'twice is as good',
  ],
  ['overlooks the digest', '=== attempt.digest ?', "!== '' ?", 'a number in use'],
  [
    'answers in another order',
    '{ replies };',
    '{ replies: replies.reverse() };',
    'in the order given',
  ],
  [
    'gives up at the first that fails',
    ALL,
    `const before: string[] = [];
     const replies = call.attempts.map((each) => {
       const is = before.includes('failed') ? 'failed' : one(call.type, each);
       before.push(is);
       return { reply: is };
     });
     void (`,
    'harms no other',
  ],
  ['takes fifty at a time', ALL, `${ALL.slice(0, -4)}slice(0, 50).map(`, 'a hundred attempts'],
  ['overlooks expiry', '(newest.expiresAt ?? Infinity) > Date.now()', 'true', 'already expired'],
  ['overlooks deletes', "newest?.kind === 'set'", 'newest !== undefined', 'a delete makes'],
  ['reads what was undone', '!a.undone && a.keys', 'a.keys', 'undo leaves nothing'],
  [
    'removes what is undone',
    KEPT,
    `${KEPT} if (type === 'undo') kept.delete(id);`,
    'held as a tombstone',
    'binds an apply',
    'arrives again after its undo',
  ],
  ['fails the second undo', KEPT, `if (was?.undone) return 'failed'; ${KEPT}`, 'undoing twice'],
  [
    'knows a write, not its attempts',
    '`${attempt.uow}.${attempt.attempt}`',
    'String(attempt.uow)',
    'the next attempt',
  ],
  [
    'undoes all of a key',
    KEPT,
    `for (const [each, has] of kept) if (type === 'undo' && has.keys[0] === attempt.keys[0]) {
       kept.set(each, { ...has, undone: true });
     }
     ${KEPT}`,
    'leaves a later write',
  ],
  [
    'keeps the first key only',
    'a.keys.includes(wanted)',
    'a.keys[0] === wanted',
    'one value is read',
  ],
  [
    'keeps text',
    KEPT,
    `${KEPT} kept.set(id, { ...attempt, encoding: 'utf8', undone: type === 'undo' });`,
    'keeps bytes exactly',
  ],
  [
    'bounds its bodies at 1 MB',
    'if (!isOurs(headers, body))',
    'if (body.length > 1e6 || !isOurs(headers, body))',
    'a value of 1 MiB',
  ],
  [
    'normalizes keys',
    'a.keys.includes(wanted)',
    "a.keys.some((k) => k.normalize('NFC') === wanted.normalize('NFC'))",
    'hostile keys',
  ],
  ['mixes up flows', 'a.account === account && a.flow === flow', 'a.account === account', 'apart'],
  [
    'keeps numbers as 32 bits',
    '`${attempt.uow}.${attempt.attempt}`',
    '`${Math.fround(attempt.uow)}.${attempt.attempt}`',
    'largest exact integer',
  ],
  [
    'refuses what it does not know',
    "if (call.type === 'probe')",
    "if ('later' in call) return [400, {}];\n    if (call.type === 'probe')",
    'ignores members',
  ],
];

/** Takes an apply with 202, and calls back, signed by the secret unless `secret` is another. */
const later = (secret: string): Row => [
  'answers later',
  'return [200, all(call)];',
  `const to = (call as unknown as { callback?: string }).callback;
   if (typeof to !== 'string') return [200, all(call)];
   const id = String(headers['webhook-id']);
   const time = String(Math.floor(Date.now() / 1000));
   const text = JSON.stringify(all(call));
   const by = Buffer.from('${secret}', 'base64');
   const tag = createHmac('sha256', by).update(id + '.' + time + '.' + text).digest('base64');
   const own = { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': 'v1,' + tag };
   fetch(to, { method: 'POST', headers: own, body: text }).catch(() => {});
   return [202, {}];`,
  'answers by callback',
];

let mutants = 0;

/** The example with one place changed. */
async function mutant([bug, from, to]: Row): Promise<typeof serve> {
  const source = await readFile(join(EXAMPLE, 'server.ts'), 'utf8');
  assert.equal(source.split(from).length, 2, `"${bug}" is to change one place: ${from}`);
  mutants += 1;
  const file = join(folder, `mutant-${mutants}.ts`);
  await writeFile(
    file,
    source.replace(from, () => to),
  );
  return ((await import(pathToFileURL(file).href)) as { serve: typeof serve }).serve;
}

/** Runs the lines whose promises hold these words (all: none given) behind the probe. */
async function checkMutant(row: Row, words: readonly string[], deadlineMs: number) {
  const lines = CHECK_LINES.filter(({ promise }, at) => {
    return at === 0 || words.length === 0 || words.some((word) => promise.includes(word));
  });
  assert.ok(words.every((word) => lines.some(({ promise }) => promise.includes(word))));
  const run = await mutant(row);
  const server = run(0, join(folder, `mutant-${mutants}.log`), SECRET);
  try {
    const wish = wishOf(await started(server), { deadlineMs });
    return await stashCheck(wish, realWorld(), () => {}, lines);
  } finally {
    await stop(server);
  }
}

describe('the stash check notices a server that', () => {
  const seen = new Set<string>();

  for (const row of MUTANTS) {
    const [bug, , , ...words] = row;
    it(bug, async () => {
      const found = failed(await checkMutant(row, words, 1000));
      for (const word of words) {
        const noticed = found.filter((promise) => promise.includes(word));
        assert.equal(noticed.length, 1, `"${word}" did not notice: ${found.join(', ')}`);
        seen.add(noticed[0] ?? '');
      }
    });
  }

  it('calls back with a wrong signature, and none that calls back well', async () => {
    const sound = await checkMutant(later(SECRET.slice(6)), [], 2000);
    assert.deepEqual(
      sound.results.filter(({ result }) => result !== 'ok'),
      [],
    );
    const wrong = later('bm90IHRoZSBzZWNyZXQ=');
    const found = failed(await checkMutant(wrong, ['stores an attempt', 'by callback'], 100));
    const line = found.find((promise) => promise.includes('by callback'));
    assert.ok(line !== undefined, found.join(', '));
    seen.add(line);
  });

  it('breaks any promise: each line has noticed something', () => {
    const never = CHECK_LINES.filter(({ promise }) => !seen.has(promise));
    assert.deepEqual(
      never.map(({ promise }) => promise),
      [],
    );
  });
});

describe('a stash check', () => {
  it('of nobody there breaks one promise, and says what came back', async () => {
    const report = await stashCheck(wishOf(await freePort()), realWorld());
    assert.equal(report.results.length, 1);
    assert.match(report.results[0]?.came ?? '', /ECONNREFUSED/);
    assert.equal(report.left, 'nothing was stored');
  });

  it('leaves a real mark as it is', async () => {
    const file = join(folder, 'real.log');
    const mark = { journalId: 'real', position: 7, from: 3 };
    await writeFile(file, `${JSON.stringify({ type: 'apply', attempts: [], mark })}\n`);
    const server = serve(0, file, SECRET);
    const { results } = await stashCheck(wishOf(await started(server)), realWorld());
    await stop(server);
    assert.deepEqual(failed({ results, left: '' }), []);
    const skipped = results.filter(({ result }) => result === 'skipped');
    assert.ok(skipped.some(({ detail }) => detail === 'its mark is that of a journal in use'));
    const lines = (await readFile(file, 'utf8')).trim().split('\n').slice(1);
    const marks = lines.map((line) => (JSON.parse(line) as { mark: unknown }).mark);
    assert.ok(marks.length > 50);
    for (const each of marks) assert.deepEqual(each, mark);
  });
});
