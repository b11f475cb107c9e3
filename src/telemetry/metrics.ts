/**
 * Metrics: what Holdfast counts, in the text format that Prometheus reads. Requests and writes are
 * counted by hand in arrays, because a labelled observation of the library costs more than all
 * other bookkeeping of a request; the library shows them, the process and the event loop.
 */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Metric, MetricValue } from 'prom-client';

import type { Figure, FiguresPort } from '../contracts/ports.ts';

/** Upper bounds in seconds. */
const BOUNDS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];
const BOUNDS_MS = Float64Array.from(BOUNDS_S, (bound) => bound * 1000);

/** The linter of Prometheus fails these: a `_total` that can fall. */
const UNFIT = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

/** How writes end at the door: an outcome, held (202), or never held. */
export type WriteEnd = 'committed' | 'refused' | 'failed' | 'superseded' | 'held' | 'turned-away';

class Slot {
  readonly counts = new Float64Array(BOUNDS_MS.length + 1);
  sumMs = 0;
}

/** Durations of one route, one distribution per status that it ever answered. */
export class RouteTimes {
  readonly method: string;
  readonly route: string;
  readonly slots = new Map<number, Slot>();

  constructor(method: string, route: string) {
    this.method = method;
    this.route = route;
  }

  /** Counts one answer that took `ms` milliseconds. */
  observe(status: number, ms: number): void {
    let slot = this.slots.get(status);
    if (slot === undefined) {
      slot = new Slot();
      this.slots.set(status, slot);
    }
    slot.sumMs += ms;
    let at = 0;
    while (at < BOUNDS_MS.length && ms > (BOUNDS_MS[at] as number)) at += 1;
    slot.counts[at] = (slot.counts[at] as number) + 1;
  }
}

export interface BuildInfo {
  readonly version: string;
  readonly node: string;
}

export class Metrics {
  readonly writes: Record<WriteEnd, number> = {
    committed: 0,
    refused: 0,
    failed: 0,
    superseded: 0,
    held: 0,
    'turned-away': 0,
  };
  readonly #registry = new Registry();
  readonly #routes: RouteTimes[] = [];
  readonly #sources: FiguresPort[];

  /** `sources` are asked each time the metrics are read. */
  constructor(build: BuildInfo, sources: readonly FiguresPort[]) {
    this.#sources = [...sources];
    collectDefaultMetrics({ register: this.#registry, prefix: 'holdfast_' });
    for (const name of UNFIT) this.#registry.removeSingleMetric(`holdfast_${name}`);
    this.#show('holdfast_build_info', 'What is running here.', 'gauge', () => [
      { labels: { version: build.version, node: build.node }, value: 1 },
    ]);
    this.#show('holdfast_writes_total', 'Writes by how they were answered.', 'counter', () =>
      Object.entries(this.writes).map(([outcome, value]) => ({ labels: { outcome }, value })),
    );
    const durations = 'holdfast_http_request_duration_seconds';
    this.#show(durations, 'From the first header to the answer.', 'histogram', () =>
      this.#routes.flatMap((times) => timesOf(durations, times)),
    );
  }

  /** The times of one route; call once per route. */
  route(method: string, route: string): RouteTimes {
    const times = new RouteTimes(method, route);
    this.#routes.push(times);
    return times;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything, in the text format. */
  async text(): Promise<string> {
    const own = await this.#registry.metrics();
    const figures = this.#sources.flatMap((source) => source.figures());
    return own + figures.map(figureText).join('');
  }

  #show(
    name: string,
    help: string,
    type: 'counter' | 'gauge' | 'histogram',
    values: () => MetricValue<string>[],
  ): void {
    const shown = {
      name,
      get: () => Promise.resolve({ name, help, type, values: values(), aggregator: 'sum' }),
    };
    this.#registry.registerMetric(shown as unknown as Metric<string>);
  }
}

function timesOf(name: string, times: RouteTimes): MetricValue<string>[] {
  const values: (MetricValue<string> & { metricName: string })[] = [];
  for (const [status, slot] of times.slots) {
    const labels = { method: times.method, route: times.route, status: String(status) };
    let count = 0;
    for (const [at, bound] of BOUNDS_S.entries()) {
      count += slot.counts[at] as number;
      values.push({ metricName: `${name}_bucket`, labels: { le: bound, ...labels }, value: count });
    }
    count += slot.counts[BOUNDS_S.length] as number;
    values.push({ metricName: `${name}_bucket`, labels: { le: '+Inf', ...labels }, value: count });
    values.push({ metricName: `${name}_sum`, labels, value: slot.sumMs / 1000 });
    values.push({ metricName: `${name}_count`, labels, value: count });
  }
  return values;
}

/** One figure in the text format: help, type, a line per sample. */
export function figureText(figure: Figure): string {
  const lines = [
    `\n# HELP ${figure.name} ${figure.help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
    `# TYPE ${figure.name} ${figure.type}`,
  ];
  for (const sample of figure.samples) {
    const { labels, value } = sample;
    if (figure.type !== 'histogram') {
      lines.push(`${figure.name}${labelText(labels)} ${value}`);
      continue;
    }
    const count = sample.count ?? 0;
    for (const [at, bound] of (sample.bounds ?? []).entries()) {
      const le = labelText({ ...labels, le: String(bound) });
      lines.push(`${figure.name}_bucket${le} ${sample.counts?.[at] ?? 0}`);
    }
    lines.push(`${figure.name}_bucket${labelText({ ...labels, le: '+Inf' })} ${count}`);
    lines.push(`${figure.name}_sum${labelText(labels)} ${value}`);
    lines.push(`${figure.name}_count${labelText(labels)} ${count}`);
  }
  return `${lines.join('\n')}\n`;
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const parts = Object.entries(labels).map(([name, value]) => {
    const safe = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
    return `${name}="${safe}"`;
  });
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}
