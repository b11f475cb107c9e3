/** What a command touches of the process that runs it; handed in, so that tests hand in theirs. */
import type { CommandIo } from './validate.ts';

export interface CliIo extends CommandIo {
  /** Bytes of values go here as they are. */
  readonly stdout: { write(text: string | Uint8Array): unknown; readonly isTTY?: boolean };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly fetch: typeof fetch;
}

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 69,
  journal: 74,
  config: 78,
} as const;

/** Ends a command with words for stderr and an exit code. */
export class CommandFailed extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.name = 'CommandFailed';
    this.exitCode = exitCode;
  }
}

/** Text in a colour where stderr is a terminal and NO_COLOR is not set (no-color.org). */
export function tinted(io: CliIo, code: number, text: string): string {
  const { NO_COLOR = '' } = io.env;
  return io.stderr.isTTY === true && NO_COLOR === '' ? `\u001b[${code}m${text}\u001b[0m` : text;
}
