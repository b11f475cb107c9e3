/** `holdfast validate`: that a configuration is fine and what it amounts to, or every fault. */
import type { StashSpec } from '../../contracts/spec.ts';
import type { Config } from '../../config/config.ts';
import { ConfigError, faultText } from '../../config/faults.ts';
import { loadConfig } from '../../config/load.ts';
import type { Environment } from '../../config/environment.ts';
import type { ReadFile } from '../../config/load.ts';

export interface CommandIo {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

/** What a command that reads the configuration is told. */
export interface ConfigArgs {
  readonly file?: string;
  readonly env: Environment;
  /** By dotted field: `http.port`. */
  readonly flags: Readonly<Record<string, string>>;
  readonly adapters: readonly StashSpec[];
  readonly readFile?: ReadFile;
  readonly output?: 'text' | 'json';
}

/** The exit code of a configuration that cannot be used (sysexits EX_CONFIG). */
export const EXIT_CONFIG = 78;

/** The configuration, or null once its faults have been told on stderr (`json`: on stdout). */
export async function loadOrTell(args: ConfigArgs, io: CommandIo): Promise<Config | null> {
  try {
    return await loadConfig(args);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (args.output === 'json') {
      io.stdout.write(`${JSON.stringify({ ok: false, faults: error.faults }, null, 2)}\n`);
      return null;
    }
    for (const fault of error.faults) io.stderr.write(`${faultText(fault)}\n`);
    const { length } = error.faults;
    io.stderr.write(`${length} fault${length === 1 ? '' : 's'} in the configuration\n`);
    return null;
  }
}

/** Exit code 0 with a summary on stdout, or 78 with every fault. */
export async function runValidate(args: ConfigArgs, io: CommandIo): Promise<number> {
  const config = await loadOrTell(args, io);
  if (config === null) return EXIT_CONFIG;
  if (args.output === 'json') {
    const flows = [...config.flows.values()].map(({ account, flow, stashes, reader, read }) => {
      return { account, flow, stashes, reader, read };
    });
    const stashes = [...config.stashes.values()].map(({ id, kind }) => ({ id, kind }));
    const summary = { ok: true, source: config.source, stashes, flows };
    io.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
    return 0;
  }
  io.stdout.write(summaryOf(config));
  return 0;
}

function summaryOf(config: Config): string {
  const lines = [`ok: ${config.source}`];
  lines.push(`  listens on ${config.http.host}:${config.http.port}, access ${config.access}`);
  for (const { id, kind } of config.stashes.values()) lines.push(`  stash ${id} (${kind})`);
  for (const [name, flow] of config.flows) {
    const write = flow.stashes.length === 0 ? '' : `write ${flow.stashes.join(', ')}; `;
    const shape = flow.shape === null ? '' : ', shaped';
    lines.push(`  flow ${name}: ${write}read ${flow.read.join(', ')}${shape}`);
  }
  return `${lines.join('\n')}\n`;
}
