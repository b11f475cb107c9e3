/** `holdfast set`, `get` and `delete`: one key over HTTP. */
import type { Command } from 'commander';

import { Client } from './client.ts';
import type { CliIo } from './io.ts';
import { oneText } from './output.ts';
import type { OutputForm } from './output.ts';

interface DataFlags {
  readonly server: string;
  readonly output: OutputForm;
  readonly account: string;
  readonly flow: string;
}

interface WriteFlags extends DataFlags {
  readonly ttl?: string;
  readonly type?: string;
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  readonly idempotencyKey?: string;
  readonly async?: true;
  readonly wait?: string;
}

interface GetFlags extends DataFlags {
  readonly at?: string;
  readonly atUow?: string;
  readonly after?: string;
}

function pathOf(flags: DataFlags, key: string): string {
  const parts = [flags.account, flags.flow, key].map(encodeURIComponent);
  return `/v1/data/${parts.join('/')}`;
}

function queryOf(values: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) query.set(name, value);
  }
  return query.size === 0 ? '' : `?${query.toString()}`;
}

/** Only the headers that have a value. */
function headersOf(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as Record<string, string>;
}

function writeHeaders(flags: WriteFlags): Record<string, string> {
  const prefer = [
    ...(flags.async === true ? ['respond-async'] : []),
    ...(flags.wait === undefined ? [] : [`wait=${flags.wait}`]),
  ].join(', ');
  return headersOf({
    'If-Match': flags.ifMatch,
    'If-None-Match': flags.ifNoneMatch,
    'Idempotency-Key': flags.idempotencyKey,
    Prefer: prefer === '' ? undefined : prefer,
  });
}

/** Adds the three commands; `addShared` gives each its --server and --output. */
export function addDataCommands(
  program: Command,
  io: CliIo,
  addShared: (command: Command) => Command,
): void {
  const withFlow = (command: Command): Command =>
    addShared(command)
      .option('-a, --account <name>', 'the account', 'default')
      .option('-f, --flow <name>', 'the flow', 'default');
  const withWrite = (command: Command): Command =>
    withFlow(command)
      .option('--if-match <etag>', 'only over this value; * for any')
      .option('--if-none-match <etag>', '* for: only where nothing is')
      .option('--idempotency-key <key>', 'makes repeating it harmless')
      .option('--async', 'come back as soon as it is on disk')
      .option('--wait <seconds>', 'how long to wait for the outcome');
  withWrite(program.command('set').argument('<key>').argument('[value]', 'absent or -: stdin'))
    .summary('set one key')
    .option('--ttl <ttl>', 'seconds, 15s 5m 24h 30d, or none')
    .option('--type <type>', 'the media type of the value', 'application/json')
    .action(async (key: string, value: string | undefined, flags: WriteFlags) => {
      const body =
        value === undefined || value === '-' ? await all(io.stdin) : Buffer.from(value, 'utf8');
      const headers = { 'Content-Type': flags.type ?? '', ...writeHeaders(flags) };
      const path = pathOf(flags, key) + queryOf({ ttl: flags.ttl });
      const client = new Client(io, flags.server);
      const receipt = await client.json(path, { method: 'PUT', headers, body });
      io.stdout.write(oneText(flags.output, receipt));
    });
  withFlow(program.command('get').argument('<key>'))
    .summary('print the value of one key, byte for byte')
    .option('--at <time>', 'as it was at this time (RFC 3339)')
    .option('--at-uow <uow>', 'as it was after this write')
    .option('--after <uow>', 'wait until this write is settled')
    .action(async (key: string, flags: GetFlags) => {
      const path = pathOf(flags, key) + queryOf({ at: flags.at, atUow: flags.atUow });
      const headers = headersOf({ 'Holdfast-After': flags.after });
      const response = await new Client(io, flags.server).call(path, { headers });
      io.stdout.write(new Uint8Array(await response.arrayBuffer()));
      if (io.stdout.isTTY === true) io.stdout.write('\n');
    });
  withWrite(program.command('delete').argument('<key>'))
    .summary('delete one key')
    .action(async (key: string, flags: WriteFlags) => {
      const client = new Client(io, flags.server);
      const init = { method: 'DELETE', headers: writeHeaders(flags) };
      io.stdout.write(oneText(flags.output, await client.json(pathOf(flags, key), init)));
    });
}

async function all(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
