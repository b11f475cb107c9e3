/** What the running program says of itself: live, ready, startup, and its figures for /metrics. */
import type { Figure, FiguresPort, StatusCheck, StatusPort } from '../contracts/ports.ts';
import type { Engine } from '../fanout/engine.ts';

/** Fewer free numbers or bytes than a handful of writes would need: not ready. */
const READY_WRITE_BYTES = 64 * 1024;

export class Status implements StatusPort, FiguresPort {
  readonly #shownConfig: unknown;
  #engine: Engine | null = null;

  /** `shownConfig` is what `config print` shows: secrets already replaced. */
  constructor(shownConfig: unknown) {
    this.#shownConfig = shownConfig;
  }

  /** Recovery is done. */
  started(engine: Engine): void {
    this.#engine = engine;
  }

  live(): readonly StatusCheck[] {
    const broken = this.#engine?.log.broken ?? null;
    if (broken === null) return [];
    return [{ name: 'journal', level: 'error', detail: broken.message }];
  }

  startup(): readonly StatusCheck[] {
    if (this.#engine !== null) return [{ name: 'recovery', level: 'ok', detail: 'done' }];
    return [{ name: 'recovery', level: 'error', detail: 'the intake is being read' }];
  }

  async ready(): Promise<readonly StatusCheck[]> {
    const engine = this.#engine;
    if (engine === null) return this.startup();
    const checks: StatusCheck[] = [journalCheck(engine)];
    const readers = new Set(engine.readerIds);
    for (const driver of engine.fanout.drivers()) {
      const { id } = driver.stash;
      const trouble = driver.apart ?? (driver.breaker.open ? 'failing; its breaker is open' : null);
      if (trouble !== null) {
        const level = readers.has(id) ? 'error' : 'warning';
        checks.push({ name: `stash ${id}`, level, detail: trouble });
        continue;
      }
      for (const finding of await driver.stash.probe()) {
        const level = finding.level === 'error' && !readers.has(id) ? 'warning' : finding.level;
        const { detail, hint, check } = finding;
        const name = `stash ${id}: ${check}`;
        checks.push({ name, level, detail, ...(hint === undefined ? {} : { hint }) });
      }
    }
    return checks;
  }

  config(): unknown {
    return this.#shownConfig;
  }

  figures(): readonly Figure[] {
    const engine = this.#engine;
    if (engine === null) return [];
    const { journal } = engine.log;
    const disk = journal.figures();
    return [
      one('holdfast_journal_bytes', 'Bytes of the intake on disk.', 'gauge', disk.bytes),
      one('holdfast_journal_segments', 'Segments of the intake.', 'gauge', disk.segments),
      one('holdfast_journal_syncs_total', 'Syncs of the intake.', 'counter', disk.syncs),
      one('holdfast_journal_records_total', 'Records appended.', 'counter', journal.next),
      one('holdfast_writes_unsettled', 'Held, without outcome.', 'gauge', engine.live.unsettled),
      one('holdfast_writes_bytes', 'Memory of live writes.', 'gauge', engine.live.bytes),
      one('holdfast_state_lag_records', 'Records State is behind.', 'gauge', engine.log.lag),
      one('holdfast_lanes', 'Keys with a write under way.', 'gauge', engine.fanout.lanes.size),
      one('holdfast_lanes_parked', 'Keys that wait for a retry.', 'gauge', engine.parking.size),
      one('holdfast_failures', 'Writes in the fail queue.', 'gauge', engine.failures),
      byStash(engine, 'holdfast_stash_queue_depth', 'Writes waiting for a stash.', (driver) => {
        return driver.depth;
      }),
      byStash(engine, 'holdfast_stash_breaker_open', '1 while the breaker is open.', (driver) => {
        return driver.breaker.open ? 1 : 0;
      }),
      byStash(engine, 'holdfast_stash_apart', '1 while it does not take part.', (driver) => {
        return driver.apart === null ? 0 : 1;
      }),
    ];
  }
}

type Driver = ReturnType<Engine['fanout']['drivers']>[number];

function one(name: string, help: string, type: 'counter' | 'gauge', value: number): Figure {
  return { name, help, type, samples: [{ labels: {}, value }] };
}

function byStash(
  engine: Engine,
  name: string,
  help: string,
  value: (driver: Driver) => number,
): Figure {
  const samples = engine.fanout.drivers().map((driver) => {
    return { labels: { stash: driver.stash.id }, value: value(driver) };
  });
  return { name, help, type: 'gauge', samples };
}

function journalCheck(engine: Engine): StatusCheck {
  const { broken, journal } = engine.log;
  if (broken !== null) return { name: 'journal', level: 'error', detail: broken.message };
  if (!engine.short && journal.admits(READY_WRITE_BYTES)) {
    return { name: 'journal', level: 'ok', detail: 'writable' };
  }
  const hint = 'Free disk space; serving resumes by itself.';
  return { name: 'journal', level: 'error', detail: 'no room for new writes', hint };
}
