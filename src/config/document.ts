/**
 * A configuration document as a tree of plain nodes, each with its place. YAML is parsed first,
 * then variables are filled into the single values. Aliases are followed within a bound, so a few
 * lines cannot unfold into gigabytes.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Document, Node, Pair, Scalar } from 'yaml';
import type { FaultList, Place } from './faults.ts';
import { fill } from './fill.ts';
import type { Part, Variables } from './fill.ts';

export interface MapTree {
  readonly kind: 'map';
  readonly place: Place;
  readonly entries: Map<string, { readonly namePlace: Place; readonly tree: Tree }>;
}

export interface ListTree {
  readonly kind: 'list';
  readonly place: Place;
  readonly items: readonly Tree[];
}

export interface ScalarTree {
  readonly kind: 'scalar';
  readonly place: Place;
  /** As YAML typed it; a string when a variable was filled in or it came from outside the file. */
  readonly value: string | number | boolean | null;
  /** As it was written, for numbers whose digits matter. */
  readonly text: string;
  /** For strings: literal parts and expressions in order, each expression with its place. */
  readonly parts: readonly Part[];
  readonly partPlaces: readonly Place[];
  /** The text takes the type of its field: "8080" from a variable is a port. */
  readonly untyped: boolean;
}

export type Tree = MapTree | ListTree | ScalarTree;

export const DOCUMENT = {
  charsMax: 1024 * 1024,
  nodesMax: 100_000,
  depthMax: 100,
} as const;

/** A value from a variable or a flag; its field gives it its type. */
export function outsideScalar(text: string, name: string): ScalarTree {
  const place = { file: name, line: 0, col: 0 };
  return {
    kind: 'scalar',
    place,
    value: text,
    text,
    parts: [text],
    partPlaces: [place],
    untyped: true,
  };
}

export function emptyMap(place: Place): MapTree {
  return { kind: 'map', place, entries: new Map() };
}

/** Parses `text`; every fault goes to `faults`. Null when there is nothing to go on with. */
export function readDocument(
  text: string,
  file: string,
  variables: Variables,
  faults: FaultList,
): Tree | null {
  const start = { file, line: 1, col: 1 };
  if (text.length > DOCUMENT.charsMax) {
    faults.add(
      start,
      `the file has ${text.length} characters; at most ${DOCUMENT.charsMax} are read`,
    );
    return null;
  }
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    document = parseDocument(text, { lineCounter: lines, version: '1.2', prettyErrors: false });
  } catch (error) {
    const why = error instanceof RangeError ? 'it is nested too deeply' : String(error);
    faults.add(start, `the YAML cannot be read: ${why}`);
    return null;
  }
  for (const problem of [...document.errors, ...document.warnings]) {
    const at = lines.linePos(problem.pos[0]);
    faults.add({ file, line: at.line, col: at.col }, `the YAML cannot be read: ${problem.message}`);
  }
  if (document.errors.length > 0) return null;
  const walk = new Walk(text, file, document, lines, variables, faults);
  return document.contents === null ? emptyMap(start) : walk.tree(document.contents, 0, []);
}

class Walk {
  private nodes = 0;
  private readonly text: string;
  private readonly file: string;
  private readonly document: Document.Parsed;
  private readonly lines: LineCounter;
  private readonly variables: Variables;
  private readonly faults: FaultList;

  constructor(
    text: string,
    file: string,
    document: Document.Parsed,
    lines: LineCounter,
    variables: Variables,
    faults: FaultList,
  ) {
    this.text = text;
    this.file = file;
    this.document = document;
    this.lines = lines;
    this.variables = variables;
    this.faults = faults;
  }

  private place(offset: number): Place {
    const at = this.lines.linePos(offset);
    return { file: this.file, line: at.line, col: at.col };
  }

  /** Null once a bound is passed; the fault has then been told once. */
  tree(node: Node, depth: number, above: readonly Node[]): Tree | null {
    const place = this.place(node.range?.[0] ?? 0);
    this.nodes += 1;
    if (this.nodes > DOCUMENT.nodesMax || depth > DOCUMENT.depthMax) {
      if (this.nodes < DOCUMENT.nodesMax * 2) {
        const bound =
          depth > DOCUMENT.depthMax ? 'is nested too deeply' : 'unfolds into too many values';
        this.faults.add(place, `the document ${bound}`, 'Aliases count each time they are used.');
      }
      this.nodes = DOCUMENT.nodesMax * 2;
      return null;
    }
    if (isAlias(node)) {
      const target = node.resolve(this.document);
      if (target === undefined || above.includes(target)) {
        this.faults.add(place, `the alias *${node.source} leads nowhere or into itself`);
        return null;
      }
      return this.tree(target, depth + 1, [...above, target]);
    }
    if (isScalar(node)) return this.scalar(node, place);
    if (isSeq(node)) {
      const items: Tree[] = [];
      for (const item of node.items) {
        const tree = this.tree(item as Node, depth + 1, [...above, node]);
        if (tree === null) return null;
        items.push(tree);
      }
      return { kind: 'list', place, items };
    }
    return isMap(node) ? this.map(node.items, node, place, depth, above) : null;
  }

  private map(
    pairs: readonly Pair[],
    node: Node,
    place: Place,
    depth: number,
    above: readonly Node[],
  ): Tree | null {
    const entries: MapTree['entries'] = new Map();
    for (const pair of pairs) {
      const name = pair.key as Node | null;
      const namePlace = this.place(name?.range?.[0] ?? 0);
      if (!isScalar(name) || (typeof name.value !== 'string' && typeof name.value !== 'number')) {
        this.faults.add(namePlace, 'a name must be a plain text');
        continue;
      }
      const text = String(name.value);
      if (text === '__proto__') {
        this.faults.add(namePlace, 'the name __proto__ is reserved');
        continue;
      }
      const value = pair.value as Node | null;
      const tree =
        value === null
          ? this.scalarOf(null, '', namePlace)
          : this.tree(value, depth + 1, [...above, node]);
      if (tree === null) return null;
      entries.set(text, { namePlace, tree });
    }
    return { kind: 'map', place, entries };
  }

  private scalarOf(value: null, text: string, place: Place): ScalarTree {
    return { kind: 'scalar', place, value, text, parts: [], partPlaces: [], untyped: false };
  }

  private scalar(node: Scalar, place: Place): Tree {
    const value = node.value;
    const text = node.source ?? String(value);
    if (typeof value !== 'string') {
      if (typeof value === 'number' || typeof value === 'boolean' || value === null) {
        return { kind: 'scalar', place, value, text, parts: [], partPlaces: [], untyped: false };
      }
      this.faults.add(place, 'only texts, numbers, true, false and null are known here');
      return this.scalarOf(null, text, place);
    }
    const filled = fill(value, this.variables);
    for (const fault of filled.faults) this.faults.add(place, fault.detail, fault.hint);
    const starts = this.expressionPlaces(node);
    let expressions = 0;
    const partPlaces = filled.parts.map((part) => {
      if (typeof part === 'string') return place;
      expressions += 1;
      return starts[expressions - 1] ?? place;
    });
    const plain = filled.parts.every((part) => typeof part === 'string');
    return {
      kind: 'scalar',
      place,
      value: plain ? filled.parts.join('') : value,
      text,
      parts: filled.parts,
      partPlaces,
      untyped: filled.variable && plain,
    };
  }

  /** Where each `${{` of a scalar stands in the file. */
  private expressionPlaces(node: Scalar): Place[] {
    const [from, to] = node.range ?? [0, 0];
    const places: Place[] = [];
    for (const match of this.text.slice(from, to).matchAll(/\$\$|\$\{\{/g)) {
      if (match[0] === '${{') places.push(this.place(from + match.index));
    }
    return places;
  }
}
