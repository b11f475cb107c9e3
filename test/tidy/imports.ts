/** House rules about who imports whom: to the left only, no cycles, no barrels. */
import { posix } from 'node:path';
import { isNode, PROGRAM, walk } from './tree.ts';
import type { Finding, Node, Rule, Tree } from './tree.ts';

/**
 * The layout, from left to right. A room imports what stands to its left; rooms of one row do not
 * import one another. A folder of src that is not named here is a finding.
 */
export const LAYOUT: readonly (readonly string[])[] = [
  ['kernel'],
  ['contracts'],
  ['adapters', 'config', 'journal', 'access', 'jobs', 'telemetry', 'fetch', 'failures'],
  ['intake'],
  ['fanout'],
  ['read', 'streams', 'sinks', 'uploads', 'archive'],
  ['operate'],
  ['serve'],
  ['main.ts'],
];

interface Import {
  readonly from: string;
  /** A path of the tree for a relative import, else the package's name. */
  readonly to: string;
  readonly relative: boolean;
  readonly offset: number;
}

/** Every import, re-export, `import()` and `import('...')` type of a file. */
function importsOf(tree: Tree, path: string): Import[] {
  const found: Import[] = [];
  walk(tree.source(path).program, (node) => {
    const value = isNode(node['source']) ? node['source']['value'] : undefined;
    if (typeof value !== 'string' || !/Import|Export/.test(node.type)) return;
    const relative = value.startsWith('.');
    const to = relative ? posix.join(posix.dirname(path), value) : value;
    found.push({ from: path, to, relative, offset: node.start });
  });
  return found;
}

function rowOf(room: string): number {
  return LAYOUT.findIndex((row) => row.includes(room));
}

function roomOf(path: string): string {
  return path.split('/')[1] ?? '';
}

function wrongDirection({ from, to, relative }: Import): string | null {
  if (!relative) return null;
  if (/(?:\.test|\btesting)\.ts$/.test(to)) return `imports ${to}, which is for tests`;
  if (!to.startsWith('src/')) return `reaches out of src, to ${to}`;
  const [room, target] = [roomOf(from), roomOf(to)];
  if (rowOf(room) < 0) return `${room} has no place in the layout (test/tidy/imports.ts)`;
  if (to === 'src/adapters/registry.ts' && from !== 'src/main.ts') {
    return 'imports the registry, which only src/main.ts may';
  }
  if (room === target || rowOf(target) < rowOf(room)) return null;
  return `${room} may not import ${target}`;
}

const direction: Rule = {
  name: 'import to the left',
  bad: [
    { 'src/kernel/a.ts': "import type { B } from '../contracts/b.ts';", 'src/contracts/b.ts': '' },
    { 'src/read/a.ts': "import { b } from '../streams/b.ts';" },
    { 'src/adapters/redis/a.ts': "import { b } from '../../config/b.ts';" },
    { 'src/serve/a.ts': "export { b } from '../adapters/registry.ts';" },
    { 'src/operate/a.ts': "const b = await import('../serve/b.ts');" },
    { 'src/kernel/a.ts': "export type A = import('../journal/b.ts').B;" },
    { 'src/intake/a.ts': "import '../../test/sim/world.ts';" },
    { 'src/intake/a.ts': "import './b.test.ts';" },
    { 'src/intake/a.ts': "import './testing.ts';" },
    { 'src/attic/a.ts': "import '../kernel/b.ts';" },
  ],
  good: [
    {
      'src/main.ts': "import '../src/adapters/registry.ts'; import './serve/a.ts';",
      'src/serve/http/a.ts': "import '../cli/b.ts'; import '../../kernel/c.ts'; import 'a/b.js';",
      'src/kernel/a.test.ts': "import '../main.ts'; import './testing.ts';",
      'src/kernel/testing.ts': "import '../main.ts';",
    },
  ],
  check: (tree) =>
    tree.paths(PROGRAM).flatMap((path) =>
      importsOf(tree, path).flatMap((link) => {
        const words = wrongDirection(link);
        return words === null ? [] : [tree.finding(path, link.offset, words)];
      }),
    ),
};

const client: Rule = {
  name: 'the client stands alone',
  bad: [
    { 'client/a.ts': "import { readFile } from 'node:fs/promises';" },
    { 'client/a.ts': "import type { B } from '../src/kernel/b.ts';" },
  ],
  good: [{ 'client/a.ts': "import './b.ts';", 'client/a.test.ts': "import 'node:test';" }],
  check: (tree) =>
    tree.paths(/^client\/(?!.*\.test\.ts$).*\.ts$/).flatMap((path) =>
      importsOf(tree, path)
        .filter(({ to }) => !to.startsWith('client/'))
        .map(({ to, offset }) => tree.finding(path, offset, `imports ${to}`)),
    ),
};

const cycles: Rule = {
  name: 'no import cycles',
  bad: [
    {
      'src/kernel/a.ts': "import './b.ts';",
      'src/kernel/b.ts': "import type { C } from './c.ts';",
      'src/kernel/c.ts': "export * from './a.ts';",
    },
    { 'src/kernel/a.ts': "import './a.ts';" },
  ],
  good: [
    {
      'src/kernel/a.ts': "import './b.ts'; import './c.ts';",
      'src/kernel/b.ts': "import './c.ts';",
      'src/kernel/c.ts': '',
    },
  ],
  check: findCycles,
};

/** Depth first; an import of a file that is still open closes a cycle. */
function findCycles(tree: Tree): Finding[] {
  const found: Finding[] = [];
  const open: string[] = [];
  const done = new Set<string>();
  const files = new Set(tree.paths(/^(?:src|client|test|bench|scripts)\/.*\.(?:ts|mjs)$/));
  const enter = (path: string): void => {
    open.push(path);
    for (const { to, offset } of importsOf(tree, path)) {
      if (open.includes(to)) {
        const ring = [...open.slice(open.indexOf(to)), to].join(' -> ');
        found.push(tree.finding(path, offset, ring));
      } else if (files.has(to) && !done.has(to)) enter(to);
    }
    open.pop();
    done.add(path);
  };
  for (const path of files) if (!done.has(path)) enter(path);
  return found;
}

const barrels: Rule = {
  name: 'no barrels',
  bad: [
    { 'src/kernel/kernel.ts': "/** All of it. */\nexport * from './a.ts';" },
    { 'src/kernel/kernel.ts': "import { a } from './a.ts';\nexport { a };" },
    { 'src/kernel/kernel.ts': "export type { A } from './a.ts';" },
  ],
  good: [{ 'src/kernel/a.ts': "export { b } from './b.ts';\nexport const a = 1;" }],
  check: (tree) =>
    tree
      .paths(/^(?:src|client|test|bench)\/.*\.ts$/)
      .filter((path) => isBarrel(tree.source(path).body))
      .map((path) => tree.finding(path, 0, 'does nothing but pass on what others export')),
};

function isBarrel(body: readonly Node[]): boolean {
  const passesOn = (node: Node): boolean =>
    node.type === 'ExportAllDeclaration' ||
    (node.type === 'ExportNamedDeclaration' && node['declaration'] === null);
  const others = body.filter((node) => node.type !== 'ImportDeclaration');
  return others.length > 0 && others.every(passesOn);
}

export const importRules: readonly Rule[] = [direction, client, cycles, barrels];
