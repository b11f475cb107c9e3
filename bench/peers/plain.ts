/**
 * What HTTP alone costs on this machine: a plain `node:http` server that reads the body of a PUT
 * and answers it as Holdfast would, and a GET likewise, with the same bytes each time. It keeps
 * nothing. The two bodies come in the environment; the address goes to stderr.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const receipt = Buffer.from(process.env['PLAIN_RECEIPT'] ?? '{}');
const value = Buffer.from(process.env['PLAIN_VALUE'] ?? '{}');

const server = createServer((request, response) => {
  const pieces: Buffer[] = [];
  request.on('data', (piece: Buffer) => pieces.push(piece));
  request.on('end', () => {
    const read = Buffer.concat(pieces);
    const body = request.method === 'PUT' && read.length > 0 ? receipt : value;
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': body.length,
    });
    response.end(body);
  });
});

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stderr.write(`plain serves on http://127.0.0.1:${port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
