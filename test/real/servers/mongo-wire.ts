/** Just enough of MongoDB's protocol to know that a server answers, without a client library. */
import { connect } from 'node:net';

const ANSWER_MS_MAX = 2000;
const OP_MSG = 2013;

/** Resolves when the server on this port answers `hello` as a primary that takes writes. */
export function hello(port: number): Promise<void> {
  return new Promise((done, failed) => {
    const socket = connect(port, '127.0.0.1');
    let heard = Buffer.alloc(0);
    const end = (error?: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      if (error === undefined) done();
      else failed(error);
    };
    const timer = setTimeout(() => end(new Error(`no answer from port ${port}`)), ANSWER_MS_MAX);
    socket.on('error', end);
    socket.on('close', () => end(new Error(`port ${port} closed the connection`)));
    socket.on('data', (chunk: Buffer) => {
      heard = Buffer.concat([heard, chunk]);
      if (heard.length < 4 || heard.length < heard.readInt32LE(0)) return;
      const writable = heard.includes(Buffer.from('\x08isWritablePrimary\0\x01', 'latin1'));
      end(writable ? undefined : new Error('it takes no writes'));
    });
    socket.write(helloMessage());
  });
}

/** `{hello: 1, $db: 'admin'}` as a message with one section. */
function helloMessage(): Buffer {
  const fields = Buffer.concat([
    Buffer.from('\x10hello\0\x01\0\0\0', 'latin1'),
    Buffer.from('\x02$db\0\x06\0\0\0admin\0', 'latin1'),
  ]);
  const document = Buffer.concat([int32(fields.length + 5), fields, Buffer.from([0])]);
  const body = Buffer.concat([int32(0), Buffer.from([0]), document]);
  return Buffer.concat([int32(body.length + 16), int32(1), int32(0), int32(OP_MSG), body]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
