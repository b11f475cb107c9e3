/** A value that a mapping made and that cannot be kept: too large, too deep, or not JSON. */
export class UnwritableValue extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'UnwritableValue';
  }
}
