/**
 * The examples of README.md, docs/ and the like as tests: every yaml block parses, a whole
 * configuration is checked like the real one, every sh block is sound and calls what exists.
 * Controls come first.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { generatedPages } from '../scripts/docs.ts';
import { faultText } from '../src/config/faults.ts';
import { checkDocument } from '../src/config/load.ts';
import type { StashSpec } from '../src/contracts/spec.ts';
import { realTree, root } from './tidy/tree.ts';

interface Block {
  readonly path: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

type Check = (text: string, name: string) => readonly string[];

interface Commands {
  /** Scripts of package.json. */
  readonly npm: readonly string[];
  /** Commands of the program; null while there is no program to ask. */
  readonly holdfast: readonly string[] | null;
}

/** Fenced blocks, also inside lists; the indentation of the fence is taken off. */
function blocksOf(path: string, text: string): Block[] {
  const fences = text.matchAll(/^( *)```([\w-]+)[^\n]*\n(.*?)^\1```\s*$/gms);
  return [...fences].map((match) => {
    const [, indent = '', language = '', inside = ''] = match;
    const lines = inside.split('\n').map((line) => line.replace(indent, ''));
    const line = text.slice(0, match.index).split('\n').length;
    return { path, line, language, text: lines.join('\n') };
  });
}

function yamlFaults(block: Block, check: Check): string[] {
  const name = `${block.path}:${block.line}`;
  const documents = parseAllDocuments(block.text);
  const errors = [...documents].flatMap((document) => document.errors);
  if (errors.length > 0) return errors.map((error) => `${name}: ${error.message}`);
  return /^(?:#[^\n]*\n|\s)*version: 1\b/.test(block.text) ? [...check(block.text, name)] : [];
}

/** A prompt and what the command answers are left out: commands are the lines after `$ `. */
function commandsOf(text: string): string {
  if (!/^\$ /m.test(text)) return text;
  const lines = text.split('\n').filter((line) => line.startsWith('$ '));
  return lines.map((line) => line.slice(2)).join('\n');
}

function shellFaults(block: Block, known: Commands): string[] {
  const name = `${block.path}:${block.line}`;
  const text = commandsOf(block.text);
  const parsed = spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' });
  const faults = parsed.status === 0 ? [] : [`${name}: ${parsed.stderr.trim()}`];
  for (const [, script = ''] of text.matchAll(/\bnpm run ([\w:-]+)/g)) {
    if (!known.npm.includes(script)) faults.push(`${name}: there is no script ${script}`);
  }
  const calls = [...text.matchAll(/^\s*(?:sudo |npx |\S*\/)?holdfast +([a-z][\w-]*)/gm)];
  for (const [, command = ''] of calls) {
    if (known.holdfast?.includes(command) === false)
      faults.push(`${name}: no command holdfast ${command}`);
  }
  return faults;
}

/** The commands that `holdfast --help` lists; null while there is no src/main.ts. */
function holdfastCommands(): readonly string[] | null {
  if (!existsSync(join(root, 'src/main.ts'))) return null;
  const launcher = join(root, 'bin/holdfast');
  const help = execFileSync(process.execPath, [launcher, '--help'], { encoding: 'utf8' });
  const listed = help.split(/^Commands:$/m)[1] ?? '';
  return [...listed.matchAll(/^ {2}([a-z][\w-]*)/gm)].map(([, command = '']) => command);
}

/** The hook to the configuration checker, with the specs of every adapter that there is. */
async function configurationCheck(): Promise<Check> {
  const specs = await adapterSpecs();
  return (text, name) => checkDocument(text, name, specs).map(faultText);
}

async function adapterSpecs(): Promise<StashSpec[]> {
  const paths = realTree().paths(/^src\/adapters\/\w+\/spec\.ts$/);
  const modules = await Promise.all(paths.map(load));
  return modules.flatMap((module) => {
    const found = Object.values(module).map((each) => (isAdapter(each) ? each.spec : each));
    return found.filter(isSpec);
  });
}

function isAdapter(value: unknown): value is { spec: unknown } {
  return typeof value === 'object' && value !== null && 'spec' in value;
}

function isSpec(value: unknown): value is StashSpec {
  return typeof value === 'object' && value !== null && 'kind' in value && 'fields' in value;
}

async function load(path: string): Promise<Record<string, unknown>> {
  return (await import(pathToFileURL(join(root, path)).href)) as Record<string, unknown>;
}

describe('the checks of the examples', () => {
  const block = (text: string): Block => ({ path: 'a.md', line: 1, language: '', text });
  const known: Commands = { npm: ['test'], holdfast: ['serve'] };

  it('find the blocks of a page', () => {
    const page = 'a\n```yaml\nb: 1\n```\n- c\n  ```sh title\n  d\n    e\n  ```\n```\nplain\n```\n';
    assert.deepEqual(blocksOf('a.md', page), [
      { path: 'a.md', line: 2, language: 'yaml', text: 'b: 1\n' },
      { path: 'a.md', line: 6, language: 'sh', text: 'd\n  e\n' },
    ]);
  });

  it('see faults of yaml', () => {
    assert.equal(yamlFaults(block('a: [1'), () => []).length > 0, true);
    assert.deepEqual(
      yamlFaults(block('a: 1'), () => ['checked']),
      [],
    );
    assert.deepEqual(
      yamlFaults(block('# b\nversion: 1\n'), () => ['checked']),
      ['checked'],
    );
  });

  it('see faults of sh', () => {
    assert.equal(shellFaults(block("echo 'a"), known).length, 1);
    assert.equal(shellFaults(block('npm run lint'), known).length, 1);
    assert.equal(shellFaults(block('$ npx holdfast sevre\nanswer (1'), known).length, 1);
    assert.deepEqual(shellFaults(block('npm run test\nbin/holdfast serve --x'), known), []);
  });

  it('reach the configuration checker', async () => {
    const check = await configurationCheck();
    assert.match(String(check('version: 1\nnoSuchField: 1\n', 'a.md')), /a\.md:2:1.*noSuchField/);
  });
});

describe('the examples of README.md, CONTRIBUTING.md, docs/ and examples/', () => {
  const tree = realTree();
  const blocks = tree
    .paths(/^(?:README|CONTRIBUTING|docs\/.*|examples\/.*)\.md$/)
    .flatMap((path) => blocksOf(path, tree.text(path)));
  const known: { npm: string[]; holdfast: readonly string[] | null } = { npm: [], holdfast: null };

  before(() => {
    const manifest = JSON.parse(tree.text('package.json')) as { scripts: object };
    known.npm = Object.keys(manifest.scripts);
    known.holdfast = holdfastCommands();
  });

  it('are there', () => {
    const languages = blocks.map(({ language }) => language);
    assert.ok(languages.includes('yaml'), 'no yaml block was found');
    assert.ok(languages.includes('sh'), 'no sh block was found');
  });

  it('are sound yaml, and sound configuration', async () => {
    const check = await configurationCheck();
    const faults = blocks
      .filter(({ language }) => language === 'yaml')
      .flatMap((block) => yamlFaults(block, check));
    assert.deepEqual(faults, []);
  });

  it('are sound shell that calls what exists', () => {
    if (known.holdfast !== null) assert.ok(known.holdfast.includes('serve'), 'no help was read');
    const faults = blocks
      .filter(({ language }) => language === 'sh')
      .flatMap((block) => shellFaults(block, known));
    assert.deepEqual(faults, []);
  });
});

describe('the generated pages', () => {
  it('are committed as they would be generated now', async () => {
    const tree = realTree();
    const stale = [...(await generatedPages())]
      .filter(([path, content]) => !tree.has(path) || tree.text(path) !== content)
      .map(([path]) => `${path} is out of date: npm run docs`);
    assert.deepEqual(stale, []);
  });
});
