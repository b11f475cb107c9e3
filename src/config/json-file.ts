/** Reads a JSON file that the configuration names, strictly: duplicate names are faults. */
import { checkJson } from '../kernel/json.ts';
import type { FaultList } from './faults.ts';

const DEPTH_MAX = 200;

/** The value, or undefined after a fault. */
export function parseStrictJson(text: string, file: string, faults: FaultList): unknown {
  const bytes = new TextEncoder().encode(text);
  const fault = checkJson(bytes, { depthMax: DEPTH_MAX });
  if (fault === null) return JSON.parse(text);
  faults.add(
    { file, line: fault.line, col: fault.col },
    `the JSON cannot be read: ${fault.detail}`,
  );
  return undefined;
}
