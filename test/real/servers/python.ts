/** Packages of PyPI, each in an environment of its own. */
import { join } from 'node:path';
import { debian, programOf, run } from './cache.ts';

/**
 * Makes an environment in the folder and installs into it, wheels only, exactly what is named;
 * `more` are further arguments of pip.
 */
export async function pipInstall(
  folder: string,
  wanted: string,
  more: readonly string[] = [],
): Promise<void> {
  const python = await debian('python3', () => programOf('python3'));
  const canMake = await run(python, ['-c', 'import ensurepip, venv']).then(
    () => true,
    () => false,
  );
  if (!canMake) throw new Error('python3 makes no environments: apt-get install python3-venv');
  await run(python, ['-m', 'venv', folder]);
  const args = ['install', '--quiet', '--only-binary=:all:', ...more, wanted];
  await run(join(folder, 'bin', 'pip'), args);
}
