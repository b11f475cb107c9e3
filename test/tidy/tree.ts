/**
 * A tree of files as the house rules see it: paths with forward slashes, and texts. The real one is
 * what git knows or would take; a control is made by hand, so that every rule is seen to fail.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from 'oxc-parser';

/** What a rule found. The path may be '' for the tree as a whole; lines start at 1. */
export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly words: string;
}

/** One house rule with its controls: every `bad` tree must be found out, no `good` one may be. */
export interface Rule {
  readonly name: string;
  readonly bad: readonly Files[];
  readonly good: readonly Files[];
  check(tree: Tree): Finding[];
}

export type Files = Readonly<Record<string, string>>;

/** A syntax node, as far as the rules look: its type, its place, and members by name. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [member: string]: unknown;
}

export interface Source {
  readonly body: readonly Node[];
  readonly program: Node;
  readonly comments: readonly { start: number; end: number; value: string }[];
}

export class Tree {
  readonly #texts: Map<string, string>;
  readonly #sources = new Map<string, Source>();

  constructor(files: Files) {
    this.#texts = new Map(Object.entries(files));
  }

  /** Every path that the pattern matches, sorted. */
  paths(pattern: RegExp): string[] {
    return [...this.#texts.keys()].filter((path) => pattern.test(path)).sort();
  }

  /** True for a file, and for a folder that holds one. */
  has(path: string): boolean {
    const folder = path.endsWith('/') ? path : `${path}/`;
    return this.#texts.has(path) || this.paths(/(?:)/).some((known) => known.startsWith(folder));
  }

  text(path: string): string {
    const text = this.#texts.get(path);
    if (text === undefined) throw new Error(`${path} is not in the tree`);
    return text;
  }

  /** The parsed file. Throws when it does not parse. */
  source(path: string): Source {
    const known = this.#sources.get(path);
    if (known !== undefined) return known;
    const parsed = parseSync(path, this.text(path));
    const error = parsed.errors[0];
    if (error !== undefined) throw new Error(`${path}: ${error.message}`);
    const program = parsed.program as unknown as Node;
    const source = { program, body: program['body'] as Node[], comments: parsed.comments };
    this.#sources.set(path, source);
    return source;
  }

  finding(path: string, offset: number, words: string): Finding {
    return { path, line: this.text(path).slice(0, offset).split('\n').length, words };
  }
}

/** The project's root folder. */
export const root = join(import.meta.dirname, '..', '..');

/** The tree that git tracks or would track: new files count, ignored and deleted ones do not. */
export function realTree(): Tree {
  const flags = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const listed = execFileSync('git', flags, { cwd: root, encoding: 'utf8' });
  const paths = new Set(listed.split('\0').filter((path) => path !== ''));
  const files: Record<string, string> = {};
  for (const path of paths) {
    const full = join(root, path);
    if (existsSync(full) && statSync(full).isFile()) files[path] = readText(full);
  }
  return new Tree(files);
}

/** The text of a file; '' for one that holds anything but text. */
function readText(path: string): string {
  const bytes = readFileSync(path);
  return bytes.includes(0) ? '' : bytes.toString('utf8');
}

/** Calls `visit` for every node below, parents first. */
export function walk(node: Node, visit: (node: Node, parent: Node | null) => void): void {
  descend(node, null, visit);
}

function descend(
  node: Node,
  parent: Node | null,
  visit: (node: Node, parent: Node | null) => void,
): void {
  visit(node, parent);
  for (const member of Object.values(node)) {
    const children: unknown[] = Array.isArray(member) ? member : [member];
    for (const child of children) if (isNode(child)) descend(child, node, visit);
  }
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}

/** Code that people write: everything that oxfmt and the parser read. */
export const CODE = /\.(?:ts|mts|mjs|js)$/;
/**
 * Code of the program itself: what lies in src less the unit tests beside it and what only they
 * use, which stands in files named testing.ts.
 */
export const PROGRAM = /^src\/(?!.*(?:\.test|\btesting)\.ts$).*\.ts$/;
