/** For tests of this room: a shaper made from a document, on a real clock. */
import { loadConfig } from '../../config/load.ts';
import { planFlows, shapeSources } from '../../config/flows.ts';
import type { StashSpec } from '../../contracts/spec.ts';
import type { Shaped, Shaper } from '../../contracts/flow.ts';
import { Fault } from '../../kernel/errors.ts';
import { realWorld } from '../../kernel/realworld.ts';
import { createShaper } from './shaper.ts';
import type { ShaperOptions } from './shaper.ts';

const STORE: StashSpec = {
  kind: 'sqlite',
  title: 'A store',
  doc: 'Stands for one.',
  roles: ['stash', 'reader'],
  fields: {},
};

export interface TestShaper {
  readonly shaper: Shaper;
  /** Shapes what is sent to account `a`; a text goes as it stands, all else as JSON. */
  shape(flow: string, record: unknown): Promise<Shaped>;
  checkValue(flow: string, value: unknown): Promise<void>;
  /** The fault that shaping ends with; fails when it does not. */
  fault(flow: string, record: unknown): Promise<Fault>;
}

export function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  return new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
}

/** `flows` is the YAML or JSON below `accounts.a.flows`. */
export async function testShaper(
  flows: Readonly<Record<string, unknown>>,
  options: Partial<ShaperOptions> = {},
  limits: Readonly<Record<string, unknown>> = {},
): Promise<TestShaper> {
  const document = JSON.stringify({ limits, accounts: { a: { flows } } });
  const config = await loadConfig({
    file: 'test.yaml',
    env: {},
    flags: {},
    adapters: [STORE],
    readFile: async () => document,
  });
  const plans = planFlows(config, 1);
  const planOf = (flow: string) => {
    const plan = plans.get(`a/${flow}`);
    if (plan === undefined) throw new Error(`no flow ${flow}`);
    return plan;
  };
  const { shapeMsMax } = config.limits;
  const shaper = createShaper(shapeSources(config), {
    clock: realWorld().clock,
    shapeMsMax,
    ...options,
  });
  const shape = async (flow: string, record: unknown): Promise<Shaped> =>
    shaper.shape(planOf(flow), bytesOf(record));
  return {
    shaper,
    shape,
    checkValue: async (flow, value) => shaper.checkValue(planOf(flow), bytesOf(value)),
    fault: async (flow, record) => {
      try {
        await shape(flow, record);
      } catch (error) {
        if (error instanceof Fault) return error;
        throw error;
      }
      throw new Error('it was shaped');
    },
  };
}
