/** Did you mean: the known name nearest to one that is not known. */

/** Edits (insert, delete, change, swap neighbours) that turn `a` into `b`. */
function edits(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let row = 1; row <= a.length; row += 1) {
    const line = [row];
    for (let col = 1; col <= b.length; col += 1) {
      const same = a[row - 1] === b[col - 1] ? 0 : 1;
      let least = Math.min((above[col] ?? 0) + 1, (line[col - 1] ?? 0) + 1);
      least = Math.min(least, (above[col - 1] ?? 0) + same);
      if (row > 1 && col > 1 && a[row - 1] === b[col - 2] && a[row - 2] === b[col - 1]) {
        least = Math.min(least, (before[col - 2] ?? 0) + 1);
      }
      line.push(least);
    }
    before = above;
    above = line;
  }
  return above[b.length] ?? 0;
}

/** The known name within a third of the length in edits, case aside; null when none is near. */
export function nearest(name: string, known: readonly string[]): string | null {
  if (name.length > 64) return null;
  let best: string | null = null;
  let least = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = edits(name.toLowerCase(), candidate.toLowerCase());
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** A hint for an unknown name: the nearest known one, or the whole list. */
export function didYouMean(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  if (near !== null) return `Did you mean "${near}"?`;
  return known.length === 0 ? 'Remove it.' : `Known here: ${[...known].sort().join(', ')}.`;
}
