/** Reading options: they were checked against the spec, which filled in what was not said. */

/** The number that an option holds; `otherwise` for a setup that was made without its spec. */
export function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}
