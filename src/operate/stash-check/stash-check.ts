/**
 * The stash check: the conformance suite that users run against a server of their own. It stores
 * under an account and numbers of its own, leaves a real mark as it is, and says what it leaves.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { keysOf } from '../../adapters/http/signature.ts';
import { LIMITS } from '../../kernel/limits.ts';
import type { World } from '../../kernel/world.ts';
import { Callbacks } from '../callbacks.ts';
import { BOOK_LINES, CALLBACK_LINE } from './book-lines.ts';
import { Caller, CHECK_ACCOUNT, type Shown } from './caller.ts';
import { Broken, type CheckLine } from './line.ts';
import { ATTEMPT_LINES } from './lines.ts';

export interface CheckWish {
  readonly url: string;
  /** As in the configuration; the first of several signs. */
  readonly secret: string;
  /** Each as `Name: value`. */
  readonly headers: readonly string[];
  readonly batch: number;
  readonly insertOnly: boolean;
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  /** Where this machine is reached for callbacks. */
  readonly callbackHost: string;
}

export interface CheckResult {
  readonly promise: string;
  readonly result: 'ok' | 'failed' | 'skipped';
  /** Why it failed or was skipped. */
  readonly detail?: string;
  /** The last request and its answer, where it failed. */
  readonly sent?: string;
  readonly came?: string;
}

export interface CheckReport {
  readonly results: readonly CheckResult[];
  /** What stays in the server, in one sentence. */
  readonly left: string;
}

/** Every line there is, in the order in which they are tried. */
export const CHECK_LINES: readonly CheckLine[] = [...BOOK_LINES, ...ATTEMPT_LINES, CALLBACK_LINE];

/**
 * Tries every promise, or those of `lines`, the first of which is that it answers at all; `told`
 * hears of each as soon as it was tried. Throws RangeError for no secret.
 */
export async function stashCheck(
  wish: CheckWish,
  world: World,
  told: (result: CheckResult) => void = () => {},
  lines: readonly CheckLine[] = CHECK_LINES,
): Promise<CheckReport> {
  const keys = keysOf(wish.secret);
  if (keys.length === 0) throw new RangeError('there is no secret to sign with');
  const callbacks = new Callbacks(world.clock);
  const listener = await listen(callbacks, wish.callbackHost);
  const headers = wish.headers.flatMap((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
  const url = wish.url.replace(/\/+$/, '');
  const caller = new Caller({ ...wish, url, keys, headers, world, callbacks });
  try {
    const results = await tryAll(caller, wish, lines, told);
    return { results, left: leftBehind(caller) };
  } finally {
    caller.close();
    await new Promise((done) => {
      listener.closeAllConnections();
      listener.close(done);
    });
  }
}

async function tryAll(
  caller: Caller,
  wish: CheckWish,
  [probe, ...lines]: readonly CheckLine[],
  told: (result: CheckResult) => void,
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  const tell = (result: CheckResult): boolean => {
    results.push(result);
    told(result);
    return result.result !== 'failed';
  };
  // A server that is not there breaks one promise, not thirty.
  if (probe === undefined || !tell(await tryOne(caller, probe, null))) return results;
  const opened = await caller.open();
  const readable = (await caller.read(caller.key())) !== undefined;
  for (const line of lines) {
    const why = missing(line, wish, caller, { hasMark: opened !== null, readable });
    tell(await tryOne(caller, line, why));
  }
  return results;
}

/** Why a line cannot be tried; null when it can. */
function missing(
  { needs }: CheckLine,
  { insertOnly }: CheckWish,
  caller: Caller,
  { hasMark, readable }: { hasMark: boolean; readable: boolean },
): string | null {
  if (needs === 'read' && !readable) return 'it has no /read, so nobody can see';
  if (needs === 'mark' && !hasMark) return 'it keeps no mark';
  if (needs === 'mark' && caller.foreignMark) return 'its mark is that of a journal in use';
  if (needs === 'session' && !caller.hasSessions) return 'it has no sessions';
  if (needs === 'insert-only' && !insertOnly) return 'only with --insert-only';
  return null;
}

async function tryOne(
  caller: Caller,
  { promise, check }: CheckLine,
  why: string | null,
): Promise<CheckResult> {
  if (why !== null) return { promise, result: 'skipped', detail: why };
  caller.shown = [];
  try {
    const skipped = await check(caller);
    return typeof skipped === 'string'
      ? { promise, result: 'skipped', detail: skipped }
      : { promise, result: 'ok' };
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    const last: Shown | undefined = caller.shown.at(-1);
    return { promise, result: 'failed', detail: error.message, ...last };
  }
}

function leftBehind(caller: Caller): string {
  const { attempts, firstUow, lastUow } = caller;
  if (attempts === 0) return 'nothing was stored';
  return (
    `about ${attempts} attempts of account ${CHECK_ACCOUNT} stay in the server, with uows from ` +
    `${firstUow} to ${lastUow} and two at ${Number.MAX_SAFE_INTEGER}: remove them as you like`
  );
}

const PATH = /^\/v1\/callbacks\/([\w-]+)$/;

/** Takes callbacks as the program itself would. */
async function listen(callbacks: Callbacks, host: string): Promise<Server> {
  const server = createServer((req, res) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    req.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes <= LIMITS.bodyBytesMax) parts.push(part);
    });
    req.on('end', () => {
      const token = PATH.exec(req.url ?? '')?.[1] ?? '';
      const headers = req.headers as Record<string, string>;
      const taken = callbacks.deliver(token, { headers, body: Buffer.concat(parts) });
      res.writeHead(taken ? 204 : 404).end();
    });
  });
  await new Promise<void>((done, failed) => {
    server.once('error', failed);
    server.listen(0, host, done);
  });
  const { port } = server.address() as AddressInfo;
  callbacks.reachedAt(`http://${host.includes(':') ? `[${host}]` : host}:${port}`);
  return server;
}
