/**
 * docs/ARCHITECTURE.md against the tree: each box of a drawing names a file that exists, the states
 * are those of the code, and each rule that is said to be tested has a test of its number.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { STATE_OF } from '../src/intake/write.ts';
import { realTree, Tree } from './tidy/tree.ts';

const PAGE = 'docs/ARCHITECTURE.md';

function drawings(text: string, kind: string): string[] {
  const found = [...text.matchAll(/```mermaid\n(.*?)```/gs)].map(([, inside = '']) => inside);
  return found.filter((drawing) => drawing.startsWith(kind));
}

/** Boxes that name no file, or one that is not there. Rounded ends are answers and need none. */
function boxFaults(tree: Tree, drawing: string): string[] {
  const boxes = [...drawing.matchAll(/(\w+)\["([^"]*)"\]/g)];
  if (boxes.length === 0) return ['there is no box'];
  return boxes.flatMap(([, id = '', label = '']) => {
    const paths = label.match(/src\/[\w./-]+/g) ?? [];
    if (paths.length === 0) return [`${id} names no file`];
    return paths.filter((path) => !tree.has(path)).map((path) => `${id}: there is no ${path}`);
  });
}

/** Ids that an arrow uses and no box or end says what they are. */
function looseEnds(drawing: string): string[] {
  const said = new Set([...drawing.matchAll(/(\w+)(?:\["|\(\[")/g)].map(([, id]) => id));
  const bare = drawing.replaceAll(/"[^"]*"/g, '');
  const used = [...bare.matchAll(/(?:^ *|(?:-->|==>|--) *)([A-Za-z]\w*)/gm)].map(([, id]) => id);
  return used.filter((id) => id !== 'flowchart' && !said.has(id)).map((id) => `${id} is nothing`);
}

function statesOf(drawing: string): string[] {
  const arrows = [...drawing.matchAll(/^ *(\S+) --> (\w+|\[\*\])/gm)];
  const sides = new Set(arrows.flatMap(([, from = '', to = '']) => [from, to]));
  sides.delete('[*]');
  return byName(sides);
}

function byName(names: Iterable<string>): string[] {
  return [...names].sort((one, other) => one.localeCompare(other, 'en'));
}

/** The types of the intake's records, out of the list that gives each its code. */
function recordTypes(source: string): string[] {
  const list = /^const TYPES = \[(.*?)^\]/ms.exec(source)?.[1] ?? '';
  return [...list.matchAll(/'(\w+)'/g)].map(([, type = '']) => type);
}

interface Rule {
  readonly number: string;
  readonly kept: string;
  readonly tested: string;
}

function rulesOf(text: string): Rule[] {
  const rows = text.matchAll(/^\| (P\d+) \|.*\| `([^`]+)` \| `([^`]+)` \|$/gm);
  return [...rows].map(([, number = '', kept = '', tested = '']) => ({ number, kept, tested }));
}

function ruleFaults(tree: Tree, { number, kept, tested }: Rule): string[] {
  const faults = tree.has(kept) ? [] : [`${number}: there is no ${kept}`];
  if (!tree.has(tested)) return [...faults, `${number}: there is no ${tested}`];
  const named = new RegExp(`(?:test|it|on)\\(['\`]${number}: `).test(tree.text(tested));
  return named ? faults : [...faults, `${number}: no test of ${tested} has its number`];
}

describe('the checks of the drawings', () => {
  const tree = new Tree({ 'src/a.ts': '', 'test/a.test.ts': "test('P1: a', f);" });

  it('see a box without a file, and one whose file is gone', () => {
    assert.deepEqual(boxFaults(tree, 'flowchart\n a["a<br/>src/a.ts"] --> b(["200"])'), []);
    assert.deepEqual(boxFaults(tree, 'a["apply"]'), ['a names no file']);
    assert.deepEqual(boxFaults(tree, 'a["src/b.ts"]'), ['a: there is no src/b.ts']);
    assert.deepEqual(boxFaults(tree, ''), ['there is no box']);
  });

  it('see an arrow to nothing', () => {
    assert.deepEqual(looseEnds('  a["x"] --> b(["y"])\n  b -- "no" --> a\n  a ==> b\n'), []);
    assert.deepEqual(looseEnds('  a["x"] -- "c" --> d\n'), ['d is nothing']);
  });

  it('see a rule without file or test', () => {
    const row = (number: string, kept: string, tested: string) => ({ number, kept, tested });
    assert.deepEqual(ruleFaults(tree, row('P1', 'src/a.ts', 'test/a.test.ts')), []);
    assert.equal(ruleFaults(tree, row('P2', 'src/b.ts', 'test/a.test.ts')).length, 2);
    assert.equal(ruleFaults(tree, row('P1', 'src/a.ts', 'test/b.test.ts')).length, 1);
  });
});

describe('docs/ARCHITECTURE.md', () => {
  const tree = realTree();
  const text = tree.text(PAGE);

  it('draws the path of a write with boxes that exist', () => {
    const paths = drawings(text, 'flowchart');
    assert.ok(paths.length > 0);
    for (const drawing of paths) {
      assert.deepEqual(boxFaults(tree, drawing), []);
      assert.deepEqual(looseEnds(drawing), []);
    }
  });

  it('draws the states that there are, all of them', () => {
    const [drawing = ''] = drawings(text, 'stateDiagram');
    assert.deepEqual(statesOf(drawing), byName(Object.keys(STATE_OF)));
  });

  it('tells every type of record of the intake', () => {
    const types = recordTypes(tree.text('src/intake/records.ts'));
    assert.ok(types.length > 10, 'the list of types was not found');
    const told = [...text.matchAll(/^\| (`\w+`(?:, `\w+`)*) \| /gm)].map(([, names = '']) => names);
    const untold = types.filter((type) => !told.some((names) => names.includes(`\`${type}\``)));
    assert.deepEqual(untold, []);
  });

  it('names for each rule a file that keeps it and a test of its number', () => {
    const rules = rulesOf(text);
    const numbers = [...text.matchAll(/^\| (P\d+) \|/gm)].map(([, number]) => number);
    assert.deepEqual(
      rules.map(({ number }) => number),
      numbers,
    );
    assert.ok(rules.length > 25, `${rules.length} rules`);
    assert.deepEqual(
      rules.flatMap((rule) => ruleFaults(tree, rule)),
      [],
    );
  });

  it('leaves out no rule that has a test', () => {
    const tested = new Set<string>();
    for (const path of tree.paths(/^test\/rules\/.*\.test\.ts$/)) {
      for (const [, number = ''] of tree.text(path).matchAll(/test\(['`](P\d+): /g)) {
        tested.add(number);
      }
    }
    const told = new Set(rulesOf(text).map(({ number }) => number));
    assert.deepEqual(
      [...tested].filter((number) => !told.has(number)),
      [],
    );
  });
});
