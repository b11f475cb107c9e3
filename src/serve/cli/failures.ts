/** `holdfast failures list|show|retry|skip|discard`: the fail queue over HTTP. */
import type { Command } from 'commander';

import { Client } from './client.ts';
import type { CliIo } from './io.ts';
import { manyText, oneText } from './output.ts';
import type { OutputForm } from './output.ts';

interface Flags {
  readonly server: string;
  readonly output: OutputForm;
}

const FILTERS = ['account', 'flow', 'stash', 'status', 'q', 'from', 'to', 'limit'] as const;
const COLUMNS = ['uow', 'account', 'flow', 'keys', 'lastFailedAt', 'parked', 'retryAt', 'reason'];

/** Adds the commands; `addShared` gives each its --server and --output. */
export function addFailureCommands(
  program: Command,
  io: CliIo,
  addShared: (command: Command) => Command,
): void {
  const failures = program.command('failures').summary('the fail queue');
  const list = addShared(failures.command('list')).summary('failed writes, oldest first');
  list
    .option('--account <name>', 'only of this account')
    .option('--flow <name>', 'only of this flow')
    .option('--stash <name>', 'only where this store failed first')
    .option('--status <status>', 'only with this status of the store')
    .option('--q <text>', 'only where key or reason holds this text')
    .option('--from <time>', 'failed at or after this time')
    .option('--to <time>', 'failed before this time')
    .option('--limit <count>', 'at most so many')
    .action(async (flags: Flags & Partial<Record<(typeof FILTERS)[number], string>>) => {
      const query = new URLSearchParams();
      for (const name of FILTERS) {
        const value = flags[name];
        if (value !== undefined) query.set(name, value);
      }
      const page = await new Client(io, flags.server).json(`/v1/failures?${query.toString()}`);
      const items = page['items'] as Record<string, unknown>[];
      io.stdout.write(manyText(flags.output, items, COLUMNS));
      if (page['next'] !== null) io.stderr.write('there are more; narrow it or raise --limit\n');
    });
  addShared(failures.command('show').argument('<uow>'))
    .summary('one failed write with its report')
    .action(async (uow: string, flags: Flags) => {
      const row = await new Client(io, flags.server).json(pathOf(uow));
      io.stdout.write(oneText(flags.output, row));
    });
  const verbs = {
    retry: 'try it again, now',
    skip: 'let its keys go and keep the entry',
    discard: 'let its keys go and drop the entry',
  };
  for (const [verb, summary] of Object.entries(verbs)) {
    addShared(failures.command(verb).argument('<uow...>'))
      .summary(summary)
      .action(async (uows: string[], flags: Flags) => {
        const client = new Client(io, flags.server);
        for (const uow of uows) {
          const done = await client.json(`${pathOf(uow)}/${verb}`, { method: 'POST' });
          io.stdout.write(oneText(flags.output, done));
        }
      });
  }
}

function pathOf(uow: string): string {
  return `/v1/failures/${encodeURIComponent(uow)}`;
}
