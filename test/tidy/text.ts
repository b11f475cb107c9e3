/**
 * House rules about the texts of the tree: package files, left-overs, and docs in step with code.
 */
import { posix } from 'node:path';
import type { Files, Finding, Rule, Tree } from './tree.ts';

const ALL = /(?:)/;
/** These files name what they ban. */
const SELF = /^test\/tidy\//;

function linesThat(tree: Tree, paths: readonly string[], pattern: RegExp): Finding[] {
  return paths.flatMap((path) =>
    tree
      .text(path)
      .split('\n')
      .flatMap((text, index) => {
        const found = pattern.exec(text)?.[0];
        return found === undefined ? [] : [{ path, line: index + 1, words: found }];
      }),
  );
}

const leftOvers: Rule = {
  name: 'nothing is left to be done',
  bad: [{ 'src/a.ts': '// TODO: later' }, { 'docs/a.md': 'FIXME' }, { 'a.yaml': '# XXX odd' }],
  good: [{ 'src/a.ts': "mkdtemp('a-XXXXXX'); todo();" }],
  check: (tree) =>
    linesThat(
      tree,
      tree.paths(ALL).filter((path) => !SELF.test(path)),
      /(?<![\w-])(?:TODO|FIXME|XXX)\b/,
    ),
};

const PLACES = new RegExp(
  [
    String.raw`(?<![\w.~-])/(?:work|root)/`,
    String.raw`(?<![\w.~-])/(?:home|Users)/[a-z]`,
    String.raw`\.\./shared\b`,
    String.raw`\b[A-Z]:\\Users\b`,
    String.raw`\bregistry\.(?:npmjs|yarnpkg|npmmirror)\.`,
    String.raw`\b(?:proxy\.golang\.org|repo1\.maven\.org|files\.pythonhosted\.org)\b`,
    String.raw`\bartifactory\b`,
  ].join('|'),
);

const places: Rule = {
  name: 'no path of one machine, no registry host',
  bad: [
    { 'docs/a.md': `see ${['', 'work', 'notes'].join('/')}` },
    { 'src/a.ts': "const a = '/home/me/data';" },
    { 'package-lock.json': `"https://${['registry', 'npmjs', 'org'].join('.')}/a"` },
    { 'docs/a.md': ['..', 'shared', 'DESIGN.md'].join('/') },
  ],
  good: [{ 'docs/a.md': '/var/lib/holdfast ~/files/a https://example.com/home/' }],
  check: (tree) =>
    linesThat(
      tree,
      tree.paths(ALL).filter((path) => !SELF.test(path)),
      PLACES,
    ),
};

const lock: Rule = {
  name: 'the lock file names versions and sums, no place',
  bad: [{ 'package-lock.json': '{ "packages": { "a": { "resolved": "x" } } }' }],
  good: [{ 'package-lock.json': '{ "packages": { "a": { "integrity": "x" } } }' }],
  check: (tree) =>
    linesThat(tree, tree.paths(/(?:^|\/)package-lock\.json$/), /"resolved": "(?!node_modules|\.)/),
};

interface Manifest {
  readonly version?: string;
  readonly scripts?: Record<string, string>;
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

function manifestOf(tree: Tree, path: string): Manifest {
  return JSON.parse(tree.text(path)) as Manifest;
}

const exactVersions: Rule = {
  name: 'versions are exact',
  bad: [
    { 'package.json': '{ "dependencies": { "a": "^1.2.3" } }' },
    { 'console/package.json': '{ "devDependencies": { "a": "latest" } }' },
  ],
  good: [{ 'package.json': '{ "dependencies": { "a": "1.2.3", "b": "1.0.0-rc.1" } }' }],
  check: (tree) =>
    tree.paths(/(?:^|\/)package\.json$/).flatMap((path) => {
      const { dependencies, devDependencies, optionalDependencies } = manifestOf(tree, path);
      return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
        .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
        .map(([name, version]) => ({ path, line: 1, words: `${name}: ${version}` }));
    }),
};

/** The commands of the house, and `prepack`, which npm calls so that a package holds the build. */
const SCRIPTS = [
  'start',
  'dev',
  'build',
  'check',
  'fix',
  'test',
  'test:sim',
  'test:real',
  'test:crash',
  'test:browser',
  'bench',
  'docs',
  'prepack',
];

const withScripts = (names: readonly string[]): Files => ({
  'package.json': JSON.stringify({ scripts: Object.fromEntries(names.map((name) => [name, ''])) }),
});

const scripts: Rule = {
  name: 'package.json has these scripts and no more',
  bad: [withScripts([...SCRIPTS, 'lint']), withScripts(SCRIPTS.slice(1))],
  good: [withScripts(SCRIPTS)],
  check: (tree) => {
    const names = Object.keys(manifestOf(tree, 'package.json').scripts ?? {});
    const extra = names.filter((name) => !SCRIPTS.includes(name)).map((name) => `${name} is new`);
    const gone = SCRIPTS.filter((name) => !names.includes(name)).map((name) => `no ${name}`);
    return [...extra, ...gone].map((words) => ({ path: 'package.json', line: 1, words }));
  },
};

const DOCS = /^(?:README|CONTRIBUTING|docs\/.*)\.?(?:md)?$/;
const NAMED = /(?<![\w./-])(?:src|client|test|bench|scripts|examples|deploy)\/[\w./-]*\w\/?/g;

const namedPaths: Rule = {
  name: 'a path that the docs name exists',
  bad: [{ 'README.md': 'See `src/kernel/gone.ts`.' }, { 'docs/a.md': 'in src/attic/ lies' }],
  good: [{ 'docs/a.md': '`src/kernel/a.ts`, src/kernel/, dist/src/b.js', 'src/kernel/a.ts': '' }],
  check: (tree) =>
    tree
      .paths(DOCS)
      .flatMap((path) =>
        [...tree.text(path).matchAll(NAMED)]
          .filter(([named]) => !tree.has(named))
          .map((match) => tree.finding(path, match.index, `there is no ${match[0]}`)),
      ),
};

const LINK = /\]\((?!https?:|mailto:|#|\/)([^)#\s]+)(?:#[^)\s]*)?\)/g;

const links: Rule = {
  name: 'a link between pages leads somewhere',
  bad: [{ 'README.md': '[a](docs/GONE.md)' }, { 'docs/a.md': '[b](../docs/b.md#top)' }],
  good: [{ 'README.md': '[a](docs/a.md#x) [b](https://example.com) [c](#c)', 'docs/a.md': '' }],
  check: (tree) =>
    tree
      .paths(/\.md$/)
      .flatMap((path) =>
        [...tree.text(path).matchAll(LINK)]
          .filter(([, to = '']) => !tree.has(posix.join(posix.dirname(path), to)))
          .map((match) => tree.finding(path, match.index, `there is no ${match[1]}`)),
      ),
};

const changelog: Rule = {
  name: 'the top of CHANGELOG.md is the version of package.json',
  bad: [
    { 'package.json': '{ "version": "0.2.0" }', 'CHANGELOG.md': '# Changes\n\n## 0.1.0\n' },
    { 'package.json': '{ "version": "0.2.0" }' },
    { 'package.json': '{ "version": "0.2.0" }', 'CHANGELOG.md': '' },
  ],
  good: [
    { 'package.json': '{ "version": "0.2.0" }', 'CHANGELOG.md': '## 0.2.0 - unreleased\n## 0.1.0' },
    { 'package.json': '{ "version": "0.2.0" }', 'CHANGELOG.md': '# Changes\n\n## [0.2.0]\n' },
  ],
  check: (tree) => {
    const { version } = manifestOf(tree, 'package.json');
    const text = tree.has('CHANGELOG.md') ? tree.text('CHANGELOG.md') : '';
    const top = /^## \[?v?(\d+\.\d+\.\d+(?:-[\w.]+)?)/m.exec(text)?.[1];
    if (top === version) return [];
    const words = `package.json says ${version}, the top section ${top ?? 'is missing'}`;
    return [{ path: 'CHANGELOG.md', line: 1, words }];
  },
};

export const textRules: readonly Rule[] = [
  leftOvers,
  places,
  lock,
  exactVersions,
  scripts,
  namedPaths,
  links,
  changelog,
];
