/** The probe of an HTTP stash: what the server says of itself, and what it cannot promise. */
import type { ProbeFinding } from '../../contracts/stash.ts';
import type { Exchange } from './exchange.ts';
import { bodyOf, CHECK_JOURNAL, isObject, jsonOf, toldOf } from './wire.ts';

export interface ProbeParts {
  readonly id: string;
  readonly url: string;
  readonly exchange: Exchange;
  /** Of the shortest secret. */
  readonly secretBytes: number;
}

const SECRET_BYTES_MIN = 24;
const CHECKS_MAX = 20;

/** Never throws, and changes nothing at the server. */
export async function probeServer(parts: ProbeParts): Promise<readonly ProbeFinding[]> {
  const { exchange, url, id } = parts;
  const head = { stash: id, session: null };
  const answer = await exchange.ask('probe', bodyOf('probe', head, []));
  const check = 'server';
  if (answer.got !== 'answer') {
    const hint = 'Start the server, or correct `url`.';
    return [{ level: 'error', check, detail: `${url}/probe: ${answer.why}`, hint }];
  }
  const { status, text } = answer;
  if (status === 401 || status === 403) {
    const hint = 'Give the stash and the server the same secret, and compare their clocks.';
    return [{ level: 'error', check, detail: `${url}/probe answered ${status}`, hint }];
  }
  if (status < 200 || status > 299) {
    const hint = '`url` must be the base below which /probe, /apply and /undo are.';
    return [{ level: 'error', check, detail: `${url}/probe answered ${status}`, hint }];
  }
  const found: ProbeFinding[] = [{ level: 'ok', check, detail: `${url} answers` }];
  found.push(...ownWords(text), ...secrecy(parts), await book(parts));
  return found;
}

/** `{"checks": [{level, check, detail, hint?}]}`, as far as it is that. */
function ownWords(text: string): ProbeFinding[] {
  const body = jsonOf(text);
  const checks = isObject(body) && Array.isArray(body['checks']) ? body['checks'] : [];
  return checks.slice(0, CHECKS_MAX).flatMap((each: unknown): ProbeFinding[] => {
    if (!isObject(each)) return [];
    const { level, check, detail, hint } = each;
    if (level !== 'ok' && level !== 'warning' && level !== 'error') return [];
    if (typeof check !== 'string' || typeof detail !== 'string') return [];
    return [{ level, check, detail, ...(typeof hint === 'string' ? { hint } : {}) }];
  });
}

function secrecy({ url, secretBytes }: ProbeParts): ProbeFinding[] {
  const found: ProbeFinding[] = [];
  const { protocol, hostname } = new URL(url);
  if (protocol === 'http:' && !/^(?:localhost|127\.[\d.]+|\[::1\])$/.test(hostname)) {
    const detail = 'values travel unencrypted: calls are signed, not secret';
    const hint = 'Use https, or a network that nobody else reads.';
    found.push({ level: 'warning', check: 'secrecy', detail, hint });
  }
  if (secretBytes < SECRET_BYTES_MIN) {
    const detail = `the secret has ${secretBytes} bytes; it could be guessed`;
    const hint = 'Make one: echo "whsec_$(openssl rand -base64 32)"';
    found.push({ level: 'warning', check: 'secret', detail, hint });
  }
  return found;
}

/** Whether the server keeps mark and session. */
async function book({ exchange, id }: ProbeParts): Promise<ProbeFinding> {
  const head = { stash: id, session: null };
  const answer = await exchange.ask('mark', bodyOf('mark', head, [], { open: false }));
  const told = answer.got === 'answer' && answer.status === 200 ? toldOf(answer.text) : null;
  const check = 'mark';
  const hint =
    'Keep mark and session as docs/HTTP-STASH.md shows; stash-check tells when it is so.';
  if (told === null) {
    const detail =
      'it keeps no mark: each start sends it everything the intake holds, and a loss of data ' +
      'in between is noticed by nobody';
    return { level: 'warning', check, detail, hint };
  }
  if (told.session === null && told.mark !== null) {
    const detail = 'it has no sessions: that it lost data while we run is noticed by nobody';
    return { level: 'warning', check, detail, hint };
  }
  const { mark } = told;
  const isNone = mark === null || mark.journalId === CHECK_JOURNAL;
  const detail = isNone ? 'none yet' : `record ${mark.position} of journal ${mark.journalId}`;
  return { level: 'ok', check, detail };
}
