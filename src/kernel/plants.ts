/**
 * Planted bugs: switches that the test suites throw to prove that they would notice. The set is
 * empty in every running program; test/tidy.test.ts holds that only tests add to it.
 */
export type Plant =
  | 'acknowledge-before-sync'
  | 'undo-before-decision'
  | 'forget-a-stash-in-undo'
  | 'release-a-lane-early'
  | 'skip-bad-record'
  | 'join-without-refill'
  | 'refill-without-the-open'
  | 'read-while-apart';

export const plants = new Set<Plant>();

/** True only in a test that planted this bug. */
export function planted(bug: Plant): boolean {
  return plants.size > 0 && plants.has(bug);
}
