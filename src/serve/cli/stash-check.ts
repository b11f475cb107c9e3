/** `holdfast stash-check URL`: tries a server of one's own against the promises of a stash. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';

import { durationMs } from '../../kernel/units.ts';
import type { CheckReport, CheckResult, CheckWish } from '../../operate/stash-check/stash-check.ts';
import { CommandFailed, EXIT, tinted } from './io.ts';
import type { CliIo } from './io.ts';
import type { OutputForm } from './output.ts';

/** Runs the check; `told` hears of each promise as soon as it was tried. */
export type RunCheck = (
  wish: CheckWish,
  told: (result: CheckResult) => void,
) => Promise<CheckReport>;

interface Flags {
  readonly output: OutputForm;
  readonly secretEnv: string;
  readonly secretFile?: string;
  readonly header?: readonly string[];
  readonly batch: string;
  readonly insertOnly?: true;
  readonly timeout: string;
  readonly deadline: string;
  readonly callbackHost: string;
}

const SECRET_ENV = 'HOLDFAST_STASH_SECRET';
const WORDS = { ok: 'ok', failed: 'FAILED', skipped: 'skipped' } as const;
const COLOURS = { ok: 32, failed: 31, skipped: 33 } as const;

/** Adds the command; exit code 0 when every promise that could be tried is kept, else 1. */
export function addStashCheck(
  command: Command,
  io: CliIo,
  run: RunCheck,
  ends: (code: number) => void,
): void {
  command
    .summary('try an HTTP store of your own')
    .description(
      'Tries an HTTP store of your own, promise by promise. It stores values under an account of ' +
        'its own, holdfast-stash-check, and says in the end what it leaves behind.',
    )
    .argument('<url>', 'the base: url/probe, url/apply, ... are called')
    .option('--secret-env <name>', 'the variable that holds the secret', SECRET_ENV)
    .option('--secret-file <file>', 'the file that holds the secret')
    .option('--header <header...>', 'sent along with every call, as "Name: value"')
    .option('--batch <count>', 'attempts in one request, at most', '100')
    .option('--insert-only', 'the server keeps every attempt beside the others')
    .option('--timeout <time>', 'how long one request may take', '5s')
    .option('--deadline <time>', 'how long a callback may take', '60s')
    .option('--callback-host <address>', 'where callbacks reach this machine', '127.0.0.1')
    .action(async (url: string, flags: Flags) => {
      const wish = wishOf(url, flags, io);
      const table = flags.output === 'table';
      const report = await run(wish, (result) => {
        if (table) io.stdout.write(lineOf(result, io));
        if (flags.output === 'ndjson') io.stdout.write(`${JSON.stringify(result)}\n`);
      });
      if (flags.output === 'json') io.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
      io.stderr.write(`${summaryOf(report)}\n`);
      const broken = report.results.some(({ result }) => result === 'failed');
      ends(broken ? EXIT.failed : EXIT.ok);
    });
}

function wishOf(url: string, flags: Flags, io: CliIo): CheckWish {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new CommandFailed(`${url} is no http URL`, EXIT.usage);
  }
  const batch = Number(flags.batch);
  if (!Number.isInteger(batch) || batch < 1 || batch > 1000) {
    throw new CommandFailed(`--batch ${flags.batch}: expected 1 to 1000`, EXIT.usage);
  }
  const odd = (flags.header ?? []).find((line) => !/^[\w-]+:/.test(line));
  if (odd !== undefined) {
    throw new CommandFailed('--header: expected "Name: value"', EXIT.usage);
  }
  return {
    url,
    secret: secretOf(flags, io),
    headers: flags.header ?? [],
    batch,
    insertOnly: flags.insertOnly === true,
    timeoutMs: msOf('--timeout', flags.timeout),
    deadlineMs: msOf('--deadline', flags.deadline),
    callbackHost: flags.callbackHost,
  };
}

/** Never from the command line itself, where everybody on the machine could read it. */
function secretOf({ secretEnv, secretFile }: Flags, io: CliIo): string {
  let secret = io.env[secretEnv] ?? '';
  if (secretFile !== undefined) {
    try {
      secret = readFileSync(secretFile, 'utf8');
    } catch (error) {
      throw new CommandFailed(`--secret-file: ${(error as Error).message}`, EXIT.usage);
    }
  }
  if (secret.trim() !== '') return secret.trim();
  const words = `there is no secret: set ${secretEnv}, or name a file with --secret-file`;
  throw new CommandFailed(words, EXIT.usage);
}

function msOf(name: string, text: string): number {
  const ms = durationMs(text);
  if (ms === null || ms < 1) {
    throw new CommandFailed(`${name} ${text}: expected a duration such as 5s`, EXIT.usage);
  }
  return ms;
}

function lineOf({ promise, result, detail, sent, came }: CheckResult, io: CliIo): string {
  const word = tinted(io, COLOURS[result], WORDS[result].padEnd(8));
  if (result === 'skipped') return `${word} ${promise} (${detail ?? ''})\n`;
  const lines = [`${word} ${promise}`];
  if (detail !== undefined) lines.push(`         ${detail}`);
  if (sent !== undefined) lines.push(`         sent: ${sent}`);
  if (came !== undefined) lines.push(`         came: ${came}`);
  return `${lines.join('\n')}\n`;
}

function summaryOf({ results, left }: CheckReport): string {
  const count = (wanted: string): number => {
    return results.filter(({ result }) => result === wanted).length;
  };
  return `${count('ok')} kept, ${count('failed')} broken, ${count('skipped')} not tried; ${left}`;
}
