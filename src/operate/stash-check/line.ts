/** A line of the stash check: one promise of a user's server, and how it is tried. */
import { isDeepStrictEqual } from 'node:util';
import type { Caller } from './caller.ts';

export interface CheckLine {
  /** The promise, as a sentence. */
  readonly promise: string;
  /** What it cannot be tried without: /read, the mark, a server that only adds versions. */
  readonly needs?: 'read' | 'mark' | 'session' | 'insert-only';
  /** Rejects with Broken when the promise is broken; a text says why it could not be tried. */
  readonly check: (caller: Caller) => Promise<string | void>;
}

/** A promise that was not kept. */
export class Broken extends Error {
  constructor(words: string) {
    super(words);
    this.name = 'Broken';
  }
}

/** Throws Broken, with both, unless they are equal. */
export function wants(what: string, found: unknown, wanted: unknown): void {
  if (isDeepStrictEqual(found, wanted)) return;
  throw new Broken(`${what}: wanted ${shown(wanted)}, found ${shown(found)}`);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}
