/** What an HTTP stash can be told, and how it is opened. */
import type { StashAdapter, StashSpec } from '../../contracts/spec.ts';
import { numberOr } from '../option.ts';
import { Fault } from '../../kernel/errors.ts';
import { Connection } from './connection.ts';
import { Exchange } from './exchange.ts';
import { keysOf } from './signature.ts';
import { HttpStash } from './stash.ts';

const SPEC: StashSpec = {
  kind: 'http',
  title: 'Your own store over HTTP',
  doc:
    'A store of your own behind a few signed HTTP calls, as docs/HTTP-STASH.md describes them; ' +
    'holdfast stash-check tries whether yours keeps its promises.',
  roles: ['stash'],
  fields: {
    url: {
      type: 'string',
      required: true,
      pattern: String.raw`^https?://[^\s/?#@]+[^\s?#@]*$`,
      doc: 'The base below which the server answers: url/apply, url/undo, url/holds, url/probe.',
      example: 'https://crm.example.com/holdfast',
    },
    secret: {
      type: 'string',
      required: true,
      sensitive: true,
      doc:
        'Signs every call and checks every callback (Standard Webhooks, HMAC-SHA256). Several ' +
        'apart by a blank while one is changed for another, the newest first.',
      example: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    },
    headers: {
      type: 'strings',
      default: [],
      sensitive: true,
      doc: 'Headers sent along with every call, each as Name: value.',
      example: ['X-Api-Key: 4711'],
    },
    insertOnly: {
      type: 'boolean',
      default: false,
      doc:
        'The server keeps every attempt beside the others, so that undoing one never touches a ' +
        'later one. Lanes are then let go while an undo is pending.',
    },
    batch: {
      type: 'integer',
      default: 100,
      min: 1,
      max: 1000,
      doc: 'Attempts in one request, at most. With 1 a server may answer by status alone.',
    },
    concurrency: {
      type: 'integer',
      default: 8,
      min: 1,
      max: 256,
      doc: 'Requests in flight at once. Attempts of one key always keep their order.',
    },
    timeout: {
      type: 'duration',
      default: '5s',
      min: '10ms',
      max: '5m',
      doc: 'How long one request may take, until its whole answer is here.',
    },
    connectTimeout: {
      type: 'duration',
      default: '2s',
      min: '10ms',
      max: '1m',
      doc: 'How long connecting may take.',
    },
    deadline: {
      type: 'duration',
      default: '60s',
      min: '100ms',
      max: '1h',
      doc: 'How long a callback may take when the server answered 202.',
    },
    maxValue: {
      type: 'size',
      default: '64MiB',
      max: '512MiB',
      doc: 'A larger value is refused and never sent.',
    },
  },
  sameStore: (options) => textOr(options['url']).replace(/\/+$/, ''),
};

/** The adapter as the registry lists it. */
export const httpAdapter: StashAdapter = {
  spec: SPEC,
  async open({ id, options, world, callbacks }) {
    const url = textOr(options['url']).replace(/\/+$/, '');
    if (!URL.canParse(url)) throw new Fault('bad-request', `stash "${id}": ${url} is no URL`);
    const keys = keysOf(textOr(options['secret']));
    if (keys.length === 0 || keys.some((key) => key.length === 0)) {
      const hint = 'Make one: echo "whsec_$(openssl rand -base64 32)"';
      throw new Fault('bad-request', `stash "${id}" has no secret to sign with`, { hint });
    }
    const concurrency = numberOr(options['concurrency'], 8);
    const connection = new Connection({
      url,
      sockets: concurrency,
      connectTimeoutMs: numberOr(options['connectTimeout'], 2000),
      timeoutMs: numberOr(options['timeout'], 5000),
      clock: world.clock,
    });
    const exchange = new Exchange({
      connection,
      world,
      callbacks,
      keys,
      headers: headersOf(id, options['headers']),
      deadlineMs: numberOr(options['deadline'], 60_000),
    });
    const stash = new HttpStash({
      id,
      url,
      connection,
      exchange,
      clock: world.clock,
      insertOnly: options['insertOnly'] === true,
      batch: numberOr(options['batch'], 100),
      concurrency,
      valueBytesMax: numberOr(options['maxValue'], 64 * 1024 * 1024),
      secretBytes: Math.min(...keys.map((key) => key.length)),
    });
    return { stash };
  },
};

const HEADER = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
/** Ours, or those of the connection. */
const RESERVED = /^(?:webhook-.*|content-.*|host|connection|transfer-encoding|expect|upgrade)$/i;

/** Names and values in turn. Throws a Fault for what is no header, or one that is not theirs. */
function headersOf(id: string, option: unknown): string[] {
  const lines = Array.isArray(option) ? option.map(String) : [];
  return lines.flatMap((line) => {
    const [, name = '', value = ''] = HEADER.exec(line) ?? [];
    if (name !== '' && !RESERVED.test(name)) return [name, value.trim()];
    // The value may be a secret: only the name is shown.
    const shown = line.split(':', 1)[0] ?? '';
    throw new Fault('bad-request', `stash "${id}": headers: "${shown}" cannot be sent along`, {
      hint: 'Write each as "Name: value"; the names of signature, content and connection are ours.',
    });
  });
}

function textOr(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
