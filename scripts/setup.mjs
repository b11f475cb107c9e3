/**
 * Fetches the locked dependencies of a checkout when they are missing or not the locked ones.
 * Plain JavaScript for Node 20 and later, no dependency.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { npm, project, say, ToolchainError } from './toolchain.mjs';

/**
 * Compares what npm noted in node_modules with package-lock.json, entry by entry, rather than two
 * times of change: a fresh clone, a merge and `npm install` all leave times that mean nothing.
 */
export function dependenciesAreLocked() {
  const noted = join(project, 'node_modules', '.package-lock.json');
  if (!existsSync(noted)) return false;
  const have = JSON.parse(readFileSync(noted, 'utf8')).packages;
  const want = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(want).every(([path, entry]) => {
    // Optional ones are left out where they do not suit the machine.
    if (path === '' || entry.optional || entry.devOptional || entry.peer) return true;
    return have[path]?.version === entry.version && have[path]?.integrity === entry.integrity;
  });
}

/**
 * Installs what package-lock.json names and checks that it did. Not `npm ci`: that refuses a lock
 * file written where the registry lacks a tool's binaries for some other platform. No dependency
 * needs its install script, so none is run. Throws ToolchainError when it fails.
 */
export function fetchDependencies() {
  say('fetching the locked dependencies');
  npm(['install', '--no-save', '--ignore-scripts', '--include=dev'], project);
  if (dependenciesAreLocked()) return;
  throw new ToolchainError('npm installed other versions than package-lock.json names', 69);
}

/** Makes node_modules agree with package-lock.json, doing nothing when it does. */
export function setUp() {
  if (!dependenciesAreLocked()) fetchDependencies();
}
