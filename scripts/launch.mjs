/**
 * Starts Holdfast with a Node that is fit for it. Plain JavaScript that any Node from 20 on runs:
 * it finds a fit Node, fetching one if it must, and hands over to src/main.ts (in a checkout) or to
 * dist/src/main.js (as installed from a registry). Run by bin/holdfast.
 *
 * Exit codes of its own, before the program runs: 69 when no fit Node could be had, 70 when the
 * installation is broken. From then on the exit code is the program's.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { become, findNode, inCheckout, project, say, ToolchainError } from './toolchain.mjs';

async function launch(args) {
  const entry = join(project, inCheckout ? 'src/main.ts' : 'dist/src/main.js');
  if (!existsSync(entry)) {
    const hint = inCheckout ? 'is this a whole checkout?' : 'install the package again.';
    throw new ToolchainError(`${entry} is missing; ${hint}`, 70);
  }
  if (inCheckout && !existsSync(join(project, 'node_modules'))) {
    const { fetchDependencies } = await import('./setup.mjs');
    fetchDependencies();
  }
  // Node 24 calls node:sqlite and type stripping experimental; the user can do nothing about it.
  const flags = ['--disable-warning=ExperimentalWarning', ...process.execArgv];
  await become(findNode(), [...flags, entry, ...args]);
}

try {
  await launch(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ToolchainError)) throw error;
  say(error.message);
  process.exitCode = error.exitCode;
}
