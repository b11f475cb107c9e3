/**
 * The command line. Data on stdout, words on stderr; exit codes: 0, 1 failed, 2 usage, 69 server
 * not reachable, 74 journal I/O, 78 configuration. What runs in this process (serve, validate,
 * config, doctor, stash-check) is handed in by main; everything else talks HTTP.
 */
import { Command, CommanderError, Option } from 'commander';

import { DEFAULT_SERVER } from './client.ts';
import { addDataCommands } from './data.ts';
import { addFailureCommands } from './failures.ts';
import { CommandFailed, EXIT, tinted } from './io.ts';
import type { CliIo } from './io.ts';
import { OUTPUT_FORMS, oneText } from './output.ts';
import type { OutputForm } from './output.ts';
import { addStashCheck, type RunCheck } from './stash-check.ts';

/** What commands that read the configuration were told. */
export interface ConfigFlags {
  /** `--config`. */
  readonly file?: string;
  /** Fields given on the command line, by dotted path: `http.port`. */
  readonly flags: Readonly<Record<string, string>>;
  readonly output: OutputForm;
}

/** Commands that run in this process; each resolves with its exit code. */
export interface Bodies {
  readonly version: string;
  serve(flags: ConfigFlags, io: CliIo): Promise<number>;
  validate(flags: ConfigFlags, io: CliIo): Promise<number>;
  configPrint(flags: ConfigFlags, io: CliIo): Promise<number>;
  configSchema(flags: ConfigFlags, io: CliIo): Promise<number>;
  doctor(flags: ConfigFlags, io: CliIo): Promise<number>;
  readonly stashCheck: RunCheck;
}

type ConfigBody = Exclude<keyof Bodies, 'version' | 'stashCheck'>;

/** Short names for the fields that are set most often. */
const SHORT: Readonly<Record<string, string>> = {
  host: 'http.host',
  port: 'http.port',
  dataDir: 'dataDir',
  logLevel: 'logging.level',
};

/** Runs one command line (without node and script); resolves with the exit code. Never rejects. */
export async function runCli(argv: readonly string[], io: CliIo, bodies: Bodies): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = programOf(io, bodies, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const words = error instanceof Error ? error.message : String(error);
    io.stderr.write(`${tinted(io, 31, 'error:')} ${words}\n`);
    return error instanceof CommandFailed ? error.exitCode : EXIT.failed;
  }
}

function programOf(io: CliIo, bodies: Bodies, ends: (code: number) => void): Command {
  const program = new Command('holdfast')
    .description(
      'Accept a change once. It becomes true in every store it was meant for, or in none.',
    )
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error:/, tinted(io, 31, 'error:'))),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .showHelpAfterError('(add --help for help)')
    .version(bodies.version, '-V, --version', 'print the version');
  const addOutput = (command: Command): Command =>
    command.addOption(
      new Option('-o, --output <form>', 'how data is printed')
        .choices([...OUTPUT_FORMS])
        .default('table'),
    );
  const addShared = (command: Command): Command =>
    addOutput(command).addOption(
      new Option('--server <url>', 'the server to talk to (HOLDFAST_SERVER)').default(
        io.env['HOLDFAST_SERVER'] ?? DEFAULT_SERVER,
      ),
    );
  const addLocal = (command: Command, summary: string, body: ConfigBody): void => {
    addOutput(command)
      .summary(summary)
      .option('-c, --config <file>', 'the configuration file (HOLDFAST_CONFIG)')
      .option('--host <address>', 'listen on this address')
      .option('--port <port>', 'listen on this port')
      .option('--data-dir <folder>', 'where the data lies')
      .option('--log-level <level>', 'how much is logged')
      .option('--set <field=value...>', 'any field, such as logging.keys=true')
      .action(async (flags: Record<string, unknown>) => {
        ends(await bodies[body](configFlags(flags, io), io));
      });
  };
  addLocal(program.command('serve'), 'run the server', 'serve');
  addLocal(program.command('validate'), 'check the configuration', 'validate');
  const config = program.command('config').summary('look at the configuration');
  addLocal(config.command('print'), 'what is in force, without secrets', 'configPrint');
  addLocal(config.command('schema'), 'its JSON Schema, for editors', 'configSchema');
  addDataCommands(program, io, addShared);
  addFailureCommands(program, io, addShared);
  addLocal(program.command('doctor'), 'look for what could go wrong', 'doctor');
  addStashCheck(addOutput(program.command('stash-check')), io, bodies.stashCheck, ends);
  addOutput(program.command('version'))
    .summary('print the version')
    .action(({ output }: { output: OutputForm }) => {
      const text = oneText(output, { version: bodies.version });
      io.stdout.write(output === 'table' ? `${bodies.version}\n` : text);
    });
  return program;
}

function configFlags(given: Record<string, unknown>, io: CliIo): ConfigFlags {
  const flags: Record<string, string> = {};
  for (const [short, field] of Object.entries(SHORT)) {
    const value = given[short];
    if (typeof value === 'string') flags[field] = value;
  }
  for (const pair of (given['set'] as string[] | undefined) ?? []) {
    const equals = pair.indexOf('=');
    if (equals < 1) throw new CommandFailed(`--set ${pair}: expected field=value`, EXIT.usage);
    flags[pair.slice(0, equals)] = pair.slice(equals + 1);
  }
  const file = (given['config'] as string | undefined) ?? io.env['HOLDFAST_CONFIG'];
  return {
    ...(file === undefined || file === '' ? {} : { file }),
    flags,
    output: given['output'] as OutputForm,
  };
}
