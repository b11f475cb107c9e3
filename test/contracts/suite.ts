/**
 * A conformance suite is data: named lines, one per promise of a contract. The same lines are run
 * as tests over each adapter, and over mutants that break one promise each, to show that the line
 * which names it is the one that notices.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';

export interface Line<Bench> {
  /** The promise, as a sentence. */
  readonly promise: string;
  /** Rejects when it is broken. */
  readonly check: (bench: Bench) => Promise<void>;
  /** False where the promise does not apply to this adapter. */
  readonly appliesTo?: (bench: Bench) => boolean;
}

export interface Disposable {
  dispose(): Promise<void>;
}

/** Registers one test per line, each on a bench of its own. */
export function runLines<Bench extends Disposable>(
  name: string,
  lines: readonly Line<Bench>[],
  make: () => Promise<Bench>,
): void {
  describe(name, () => {
    let ran = 0;
    for (const line of lines) {
      it(line.promise, async (t) => {
        const bench = await make();
        try {
          if (line.appliesTo?.(bench) === false) {
            t.skip('does not apply to this adapter');
            return;
          }
          await line.check(bench);
          ran += 1;
        } finally {
          await bench.dispose();
        }
      });
    }
    after(() => assert.ok(ran > lines.length / 2, `${name}: only ${ran} of ${lines.length} ran`));
  });
}

/** The promises that an adapter breaks. */
export async function brokenLines<Bench extends Disposable>(
  lines: readonly Line<Bench>[],
  make: () => Promise<Bench>,
): Promise<string[]> {
  const broken: string[] = [];
  for (const line of lines) {
    const bench = await make();
    try {
      if (line.appliesTo?.(bench) === false) continue;
      await line.check(bench);
    } catch {
      broken.push(line.promise);
    } finally {
      await bench.dispose();
    }
  }
  return broken;
}

export interface Mutant<Bench> {
  /** What it does wrong. */
  readonly bug: string;
  readonly make: () => Promise<Bench>;
  /**
   * The lines that notice, in the order of the suite: one, or the few that cannot but notice too.
   */
  readonly caughtBy: readonly string[];
}

/** Registers one test per mutant, and one that every line has a mutant which only it catches. */
export function runMutants<Bench extends Disposable>(
  name: string,
  lines: readonly Line<Bench>[],
  mutants: readonly Mutant<Bench>[],
): void {
  describe(`${name}: mutants`, () => {
    for (const { bug, make, caughtBy } of mutants) {
      it(`catches one that ${bug}`, async () => {
        assert.deepEqual(await brokenLines(lines, make), caughtBy);
      });
    }
    it('has for each line a mutant that this line catches', (t) => {
      const caught = new Set(mutants.flatMap((mutant) => mutant.caughtBy));
      const never = lines.map((line) => line.promise).filter((promise) => !caught.has(promise));
      assert.deepEqual(never, []);
      assert.ok(mutants.length > 0);
      t.diagnostic(`${lines.length} lines, ${mutants.length} mutants`);
    });
  });
}
