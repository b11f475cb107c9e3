/** What is wrong with a configuration, and where: all of it at once, not only the first. */

/**
 * A place in a file, counted from 1; line 0 stands for something without lines (a variable, a
 * flag).
 */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly col: number;
}

export interface ConfigFault extends Place {
  readonly detail: string;
  readonly hint: string;
}

/** `file:line:col`, or the bare name of what has no lines. */
export function placeText(place: Place): string {
  return place.line === 0 ? place.file : `${place.file}:${place.line}:${place.col}`;
}

/** One line per fault, with its hint below. */
export function faultText(fault: ConfigFault): string {
  const hint = fault.hint === '' ? '' : `\n    ${fault.hint}`;
  return `${placeText(fault)}: ${fault.detail}${hint}`;
}

/** Collects faults while a document is checked. */
export class FaultList {
  readonly faults: ConfigFault[] = [];

  add(place: Place, detail: string, hint = ''): void {
    const { file, line, col } = place;
    this.faults.push({ file, line, col, detail, hint });
  }
}

/** The configuration cannot be used. Every fault that was found stands in `faults`. */
export class ConfigError extends Error {
  readonly faults: readonly ConfigFault[];
  constructor(faults: readonly ConfigFault[]) {
    super(faults.map(faultText).join('\n'));
    this.name = 'ConfigError';
    this.faults = faults;
  }
}
