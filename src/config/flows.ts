/** Flows as the write and read paths take them, made from a checked configuration. */
import type { FlowPlan } from '../contracts/flow.ts';
import type { StashRole } from '../contracts/spec.ts';
import type { Config, FlowConfig, ShapeSource } from './config.ts';

/** The name of a flow in maps: account and flow cannot hold `/`. */
export function flowKey(account: string, flow: string): string {
  return `${account}/${flow}`;
}

/** One plan per flow, by `account/flow`. */
export function planFlows(config: Config, generation: number): ReadonlyMap<string, FlowPlan> {
  const plans = new Map<string, FlowPlan>();
  for (const [name, flow] of config.flows) plans.set(name, planOf(flow, config, generation));
  return plans;
}

/** What the flows want of a stash; one that no flow names is as good as a member. */
export function roleOf(stash: string, flows: Iterable<FlowConfig>): StashRole {
  let reader = false;
  let member = false;
  for (const flow of flows) {
    if (flow.reader === stash) reader = true;
    if (flow.stashes.includes(stash)) member = true;
  }
  if (reader && member) return 'both';
  return reader ? 'reader' : 'member';
}

/** What the shaper compiles: only the flows that have a schema, a value schema or a mapping. */
export function shapeSources(config: Config): ReadonlyMap<string, ShapeSource> {
  const sources = new Map<string, ShapeSource>();
  for (const [name, { shape }] of config.flows) if (shape !== null) sources.set(name, shape);
  return sources;
}

function planOf(flow: FlowConfig, config: Config, generation: number): FlowPlan {
  const { bodyBytesMax, keysPerRecordMax, jsonDepthMax, ttlMsMax } = config.limits;
  return {
    account: flow.account,
    flow: flow.flow,
    generation,
    stashes: flow.stashes,
    reader: flow.reader,
    read: flow.read,
    respond: flow.respond,
    ttlMs: flow.ttlMs,
    mediaType: flow.mediaType,
    limits: { bodyBytesMax, keysPerRecordMax, jsonDepthMax, ttlMsMax },
    shaped: flow.shape !== null && (flow.shape.schema !== null || flow.shape.map !== null),
    valueChecked: flow.shape !== null && flow.shape.valueSchema !== null,
  };
}
