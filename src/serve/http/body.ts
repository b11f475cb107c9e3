/**
 * Bodies: read within a bound, decoded within the same bound. What comes too long is answered at
 * once and the rest is thrown away while it arrives, so that the client gets to read the answer; a
 * client that goes on for too long loses its connection.
 */
import type { IncomingMessage } from 'node:http';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import type { CompressCallback, ZlibOptions } from 'node:zlib';

import { Fault } from '../../kernel/errors.ts';

/** Called once, unless the client goes away first: then never. */
export type BodyDone = (fault: Fault | null, body: Buffer) => void;

const EMPTY = Buffer.alloc(0);
/** How much of a refused body is thrown away before the connection is. */
const DISCARD_BYTES_MAX = 16 * 1024 * 1024;

type Decode = (body: Buffer, options: ZlibOptions, done: CompressCallback) => void;

const DECODERS: Readonly<Record<string, Decode>> = {
  gzip: gunzip,
  'x-gzip': gunzip,
  deflate: inflate,
  br: (body, options, done) => brotliDecompress(body, options as object, done),
};

/** Reads and decodes the body: at most `bytesMax`, before and after decoding. */
export function readBody(req: IncomingMessage, bytesMax: number, done: BodyDone): void {
  const encoding = req.headers['content-encoding'];
  const decode = encoding === undefined ? null : decoderOf(encoding);
  if (decode instanceof Fault) {
    discardBody(req);
    done(decode, EMPTY);
    return;
  }
  if (Number(req.headers['content-length'] ?? 0) > bytesMax) {
    discardBody(req);
    done(tooLarge(bytesMax), EMPTY);
    return;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  req.on('data', (chunk: Buffer) => {
    const within = bytes <= bytesMax;
    bytes += chunk.length;
    if (bytes <= bytesMax) {
      chunks.push(chunk);
    } else if (within) {
      chunks.length = 0;
      done(tooLarge(bytesMax), EMPTY);
    } else if (bytes > bytesMax + DISCARD_BYTES_MAX) {
      req.socket.destroy();
    }
  });
  req.on('end', () => {
    if (bytes > bytesMax) return;
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes);
    if (decode === null) done(null, body);
    else decodeBody(body, decode, bytesMax, done);
  });
}

/** Lets a body that nobody wants run out, within a bound. */
export function discardBody(req: IncomingMessage): void {
  if (req.complete) return;
  let bytes = 0;
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DISCARD_BYTES_MAX) req.socket.destroy();
  });
}

function decoderOf(encoding: string): Decode | null | Fault {
  const name = encoding.trim().toLowerCase();
  if (name === '' || name === 'identity') return null;
  const decode = Object.hasOwn(DECODERS, name) ? DECODERS[name] : undefined;
  return (
    decode ??
    new Fault('unsupported-media-type', 'Content-Encoding: gzip, deflate or br, one of them, once')
  );
}

function decodeBody(body: Buffer, decode: Decode, bytesMax: number, done: BodyDone): void {
  decode(body, { maxOutputLength: bytesMax }, (error, decoded) => {
    if (error === null) {
      done(null, decoded);
    } else if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      done(tooLarge(bytesMax), EMPTY);
    } else {
      done(new Fault('bad-encoding', `the body could not be decoded: ${error.message}`), EMPTY);
    }
  });
}

function tooLarge(bytesMax: number): Fault {
  return new Fault('too-large', `the body may have ${bytesMax} bytes, decoded`);
}
