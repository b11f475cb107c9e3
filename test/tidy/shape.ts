/** House rules about size, names and the comment that opens a file. */
import { CODE, isNode, walk } from './tree.ts';
import type { Finding, Node, Rule, Tree } from './tree.ts';

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;
const LINE_COLUMNS_MAX = 100;

const fileLength: Rule = {
  name: `a file has ${FILE_LINES_MAX} lines at most`,
  bad: [{ 'src/kernel/a.ts': '//\n'.repeat(FILE_LINES_MAX + 1) }],
  good: [{ 'src/kernel/a.ts': '//\n'.repeat(FILE_LINES_MAX) }],
  check: (tree) =>
    tree.paths(CODE).flatMap((path) => {
      const lines = tree.text(path).trimEnd().split('\n').length;
      return lines > FILE_LINES_MAX ? [tree.finding(path, 0, `has ${lines} lines`)] : [];
    }),
};

const body = (lines: number): string => `{\n${'//\n'.repeat(lines - 2)}}`;

const functionLength: Rule = {
  name: `a function has ${FUNCTION_LINES_MAX} lines at most`,
  bad: [
    { 'src/kernel/a.ts': `export function a(): void ${body(FUNCTION_LINES_MAX + 1)}` },
    { 'src/kernel/a.ts': `export const a = (): void => ${body(FUNCTION_LINES_MAX + 1)};` },
    { 'src/kernel/a.ts': `class A { b(): void ${body(FUNCTION_LINES_MAX + 1)} }` },
  ],
  good: [
    { 'src/kernel/a.ts': `export function a(): void ${body(FUNCTION_LINES_MAX)}` },
    { 'src/kernel/a.test.ts': `describe('a', () => ${body(FUNCTION_LINES_MAX + 1)});` },
  ],
  check: (tree) => tree.paths(CODE).flatMap((path) => longFunctions(tree, path)),
};

/** The callbacks of a test file are chapters, which may hold any number of short tests. */
function longFunctions(tree: Tree, path: string): Finding[] {
  const found: Finding[] = [];
  const text = tree.text(path);
  walk(tree.source(path).program, (node, parent) => {
    if (!/Function/.test(node.type) || !isNode(node['body'])) return;
    if (path.endsWith('.test.ts') && parent?.type === 'CallExpression') return;
    const lines = text.slice(node.start, node.end).split('\n').length;
    if (lines > FUNCTION_LINES_MAX) {
      found.push(tree.finding(path, node.start, `a function of ${lines} lines`));
    }
  });
  return found;
}

const lineLength: Rule = {
  name: `a line has ${LINE_COLUMNS_MAX} columns at most`,
  bad: [{ 'src/kernel/a.ts': `// ${'long '.repeat(20)}` }, { 'deploy/a.sh': 'x'.repeat(101) }],
  good: [{ 'src/kernel/a.ts': `// ${'x'.repeat(97)}\n// https://example.com/${'x'.repeat(97)}` }],
  check: (tree) =>
    tree.paths(/\.(?:ts|mts|mjs|js|sh|yaml|yml)$/).flatMap((path) =>
      tree
        .text(path)
        .split('\n')
        .flatMap((line, index) => {
          const long = line.length > LINE_COLUMNS_MAX && !/https?:\/\/\S{60}/.test(line);
          return long ? [{ path, line: index + 1, words: `${line.length} columns` }] : [];
        }),
    ),
};

const SURNAMES = ['util', 'utils', 'helper', 'helpers', 'common', 'manager', 'service', 'services'];

/** `retry-helpers` and `RetryHelpers` alike: the words that a name is made of. */
function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
}

const names: Rule = {
  name: `nothing is named ${SURNAMES.join(', ')}`,
  bad: [
    { 'src/kernel/utils.ts': '' },
    { 'test/helpers/a.ts': '' },
    { 'src/kernel/retryHelper.ts': '' },
    { 'src/kernel/a.ts': 'export class LaneManager {}' },
    { 'src/kernel/a.ts': 'interface CommonService {}' },
  ],
  good: [{ 'src/serve/a.ts': 'export class Server {}', 'docs/SERVICES.md': '' }],
  check: (tree) => tree.paths(CODE).flatMap((path) => [...badPath(path), ...badTypes(tree, path)]),
};

function badPath(path: string): Finding[] {
  const word = wordsOf(path).find((part) => SURNAMES.includes(part));
  return word === undefined ? [] : [{ path, line: 1, words: `"${word}" says nothing` }];
}

const TYPES = ['ClassDeclaration', 'TSInterfaceDeclaration', 'TSTypeAliasDeclaration'];

function badTypes(tree: Tree, path: string): Finding[] {
  const found: Finding[] = [];
  walk(tree.source(path).program, (node) => {
    if (!TYPES.includes(node.type)) return;
    const name = nameOf(node);
    const last = wordsOf(name).at(-1) ?? '';
    if (SURNAMES.includes(last)) found.push(tree.finding(path, node.start, `the name ${name}`));
  });
  return found;
}

function nameOf(node: Node): string {
  const id = node['id'];
  return isNode(id) && typeof id['name'] === 'string' ? id['name'] : '';
}

const SENTENCE = /[A-Za-z].*\s.*\s\w/s;

const opening: Rule = {
  name: 'a file opens with a sentence',
  bad: [
    { 'src/kernel/a.ts': 'export const a = 1;' },
    {
      'src/kernel/a.ts': "import './b.ts';\nconst a = 1;\n/** Too late to say so. */\nconst b = 2;",
    },
    { 'src/kernel/a.ts': '/** a */\nexport const a = 1;' },
  ],
  good: [
    {
      'src/kernel/a.ts': '/** Says what the file promises. */\nexport const a = 1;',
      'src/kernel/b.ts': "import './a.ts';\n\n// Says what the file promises.\nexport const b = 1;",
      'src/kernel/b.test.ts': 'const noNeed = 1;',
    },
  ],
  check: (tree) =>
    tree
      .paths(/^(?:src|client|scripts|bench)\/(?!.*\.test\.ts$).*\.(?:ts|mjs)$/)
      .filter((path) => !opensWithSentence(tree, path))
      .map((path) => tree.finding(path, 0, 'does not say at its top what it is for')),
};

/** The sentence stands in the first line or right after the imports. */
function opensWithSentence(tree: Tree, path: string): boolean {
  const { body: statements, comments } = tree.source(path);
  const first = statements.find((node) => node.type !== 'ImportDeclaration');
  const before = first?.start ?? Infinity;
  return comments.some((comment) => comment.start < before && SENTENCE.test(comment.value));
}

export const shapeRules: readonly Rule[] = [fileLength, functionLength, lineLength, names, opening];
