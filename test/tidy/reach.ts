/** House rules about what is handed in: time, randomness, disk, environment, the terminal. */
import { isNode, PROGRAM, walk } from './tree.ts';
import type { Finding, Files, Node, Rule, Tree } from './tree.ts';

/** Something that a file may not reach for by itself, and the places that may. */
interface Reach {
  readonly name: string;
  /** Paths that may reach for it; a name that ends in a slash is a folder. */
  readonly allowed: readonly string[];
  /** Says whether this node reaches for it. */
  readonly is: (node: Node, parent: Node | null) => boolean;
  readonly bad: readonly string[];
  readonly good: readonly string[];
}

/** Files that run in a worker thread, where no world is handed in: name them here. */
const WORKERS: readonly string[] = [];

/** `object.member`, written with a dot or with brackets. */
function isMember(node: Node, object: string, members: RegExp): boolean {
  if (node.type !== 'MemberExpression' || !isName(node['object'], object)) return false;
  const property = node['property'];
  if (!isNode(property)) return false;
  const name = property['name'] ?? property['value'];
  return typeof name === 'string' && members.test(name);
}

function isName(node: unknown, name: string): boolean {
  return isNode(node) && node.type === 'Identifier' && node['name'] === name;
}

/** A name that stands for a value, not the member of something or the key of a literal. */
function isFree(node: Node, parent: Node | null, names: RegExp): boolean {
  if (node.type !== 'Identifier' || !names.test(String(node['name']))) return false;
  const named = parent?.['property'] === node || parent?.['key'] === node;
  return !named || parent?.['computed'] === true;
}

function importsFrom(node: Node, modules: RegExp): boolean {
  if (!/^(?:Import|Export)/.test(node.type) || node['importKind'] === 'type') return false;
  return isNode(node['source']) && modules.test(String(node['source']['value']));
}

const REACHES: readonly Reach[] = [
  {
    name: 'no clock but the one handed in',
    allowed: ['src/kernel/', 'src/config/', 'src/main.ts'],
    is: (node, parent) =>
      isMember(node, 'Date', /^now$/) ||
      isMember(node, 'performance', /^now$/) ||
      isMember(node, 'process', /^(?:hrtime|uptime)$/) ||
      (node.type === 'NewExpression' &&
        isName(node['callee'], 'Date') &&
        (node['arguments'] as unknown[]).length === 0) ||
      (node.type === 'CallExpression' && isName(node['callee'], 'Date')) ||
      (parent !== null && importsFrom(node, /^(?:node:)?perf_hooks$/)),
    bad: ['Date.now();', 'new Date();', 'Date();', 'performance.now();', 'const n = Date["now"];'],
    good: ['new Date(0);', 'clock.now();', 'Date.parse("2026-01-01");'],
  },
  {
    name: 'no chance but the one handed in',
    allowed: ['src/kernel/', 'src/config/', 'src/main.ts'],
    is: (node, parent) =>
      isMember(node, 'Math', /^random$/) ||
      isMember(node, 'crypto', /^(?:randomUUID|getRandomValues|randomBytes)$/) ||
      isFree(node, parent, /^(?:randomUUID|randomBytes|randomInt|getRandomValues)$/),
    bad: ['Math.random();', 'crypto.randomUUID();', "import { randomBytes } from 'node:crypto';"],
    good: ['random.bytes(4);', "import { createHash } from 'node:crypto';"],
  },
  {
    name: 'no timer but the clock handed in',
    allowed: ['src/kernel/', 'src/serve/', ...WORKERS],
    is: (node, parent) =>
      isFree(node, parent, /^(?:setTimeout|setInterval|setImmediate)$/) ||
      isMember(node, 'globalThis', /^(?:setTimeout|setInterval|setImmediate)$/) ||
      importsFrom(node, /^(?:node:)?timers(?:\/promises)?$/),
    bad: [
      'setTimeout(f, 1);',
      'const later = setImmediate;',
      "import { setTimeout as wait } from 'node:timers/promises';",
    ],
    good: ['clock.after(1, f);', 'socket.setTimeout(1);', 'const a = { setTimeout: 1 };'],
  },
  {
    name: 'no environment outside kernel, config and main',
    allowed: ['src/kernel/', 'src/config/', 'src/main.ts'],
    is: (node, parent) =>
      isMember(node, 'process', /^env$/) ||
      (parent?.type === 'ImportSpecifier' && isName(node, 'env')),
    bad: ['const a = process.env;', "import { env } from 'node:process';"],
    good: ['const a = world.env;', 'process.exitCode = 1;'],
  },
  {
    name: 'no console outside the command line',
    allowed: ['src/serve/cli/'],
    is: (node, parent) => isFree(node, parent, /^console$/) && parent?.type === 'MemberExpression',
    bad: ['console.log(1);', 'console.error(1);'],
    good: ['log.info(1);', 'const a = { console: 1 };'],
  },
  {
    name: 'no disk outside kernel, config, adapters and main',
    allowed: ['src/kernel/', 'src/config/', 'src/adapters/', 'src/main.ts', 'src/serve/cli/'],
    is: (node) => importsFrom(node, /^(?:node:)?fs(?:\/promises)?$/),
    bad: ["import { readFileSync } from 'node:fs';", "const fs = await import('fs/promises');"],
    good: ["import type { Stats } from 'node:fs';", "import 'node:path';"],
  },
  {
    name: 'only tests plant bugs',
    allowed: [],
    is: (node, parent) => parent?.type === 'ImportSpecifier' && isName(node, 'plants'),
    bad: ["import { plants } from '../kernel/plants.ts';"],
    good: ["import { planted } from '../kernel/plants.ts';"],
  },
];

const ELSEWHERE = 'src/fanout/a.ts';

function ruleOf(reach: Reach): Rule {
  const inFile = (text: string): Files => ({ [ELSEWHERE]: text });
  const allowed = reach.allowed.map((place) => {
    return { [place.endsWith('/') ? `${place}a.ts` : place]: reach.bad[0] ?? '' };
  });
  return {
    name: reach.name,
    bad: reach.bad.map(inFile),
    good: [...reach.good.map(inFile), ...allowed],
    check: (tree) =>
      tree
        .paths(PROGRAM)
        .filter((path) => !reach.allowed.some((place) => isAt(path, place)))
        .flatMap((path) => reachesOf(tree, path, reach)),
  };
}

function isAt(path: string, place: string): boolean {
  return place.endsWith('/') ? path.startsWith(place) : path === place;
}

function reachesOf(tree: Tree, path: string, reach: Reach): Finding[] {
  const found: Finding[] = [];
  walk(tree.source(path).program, (node, parent) => {
    if (!reach.is(node, parent)) return;
    const words = tree.text(path).slice(node.start, node.end).split('\n')[0] ?? '';
    found.push(tree.finding(path, node.start, words));
  });
  return found;
}

export const reachRules: readonly Rule[] = REACHES.map(ruleOf);
