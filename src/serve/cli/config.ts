/** `holdfast config print` and `holdfast config schema`. */
import { printConfig, shownConfig } from '../../config/print.ts';
import { configSchema } from '../../config/schema.ts';
import type { StashSpec } from '../../contracts/spec.ts';
import { EXIT_CONFIG, loadOrTell } from './validate.ts';
import type { CommandIo, ConfigArgs } from './validate.ts';

/** What is in force, as YAML, secrets left out. Exit code 0, or 78 with every fault. */
export async function runConfigPrint(args: ConfigArgs, io: CommandIo): Promise<number> {
  const config = await loadOrTell(args, io);
  if (config === null) return EXIT_CONFIG;
  const text =
    args.output === 'json'
      ? `${JSON.stringify(shownConfig(config, args.adapters), null, 2)}\n`
      : `# ${config.source}\n${printConfig(config, args.adapters)}`;
  io.stdout.write(text);
  return 0;
}

/** The JSON Schema of a configuration, for editors. Exit code 0. */
export function runConfigSchema(adapters: readonly StashSpec[], io: CommandIo): number {
  io.stdout.write(`${JSON.stringify(configSchema(adapters), null, 2)}\n`);
  return 0;
}
