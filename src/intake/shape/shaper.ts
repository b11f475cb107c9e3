/**
 * Shapes records: JSON Schema and mapping, in worker threads. The caller's thread only copies bytes
 * and hands out answers, so no record and no expression can hold up anybody else's request. Records
 * that arrive together travel together; each has a time of its own, and one that passes it is
 * answered `shape-too-costly` while the others of its batch are sent again.
 */
import type { ShapeSource } from '../../config/config.ts';
import { flowKey } from '../../config/flows.ts';
import type { FlowPlan, Shaped, Shaper } from '../../contracts/flow.ts';
import { Fault } from '../../kernel/errors.ts';
import { LIMITS } from '../../kernel/limits.ts';
import type { Clock } from '../../kernel/world.ts';
import { Mate } from './crew.ts';
import type { Job } from './crew.ts';
import type { TaskAnswer } from './wire.ts';

export interface ShaperOptions {
  readonly clock: Clock;
  /** Threads; two by default, so that a costly record never stops all shaping. */
  readonly workers?: number;
  /** Milliseconds one record may take. */
  readonly shapeMsMax?: number;
  /** Heap of one worker. */
  readonly heapMibMax?: number;
}

/** A batch is copied in one go; these keep that copy well below a millisecond. */
const BATCH_RECORDS_MAX = 64;
const BATCH_BYTES_MAX = 512 * 1024;

const MIB = 1024 * 1024;
/** A parsed record takes some ten to twenty times its text. */
const HEAP_MIB = 96;
const HEAP_PER_BODY = 24;

/**
 * A shaper for the flows that declare a schema, a value schema or a mapping, by `account/flow`.
 * Without such flows no thread is started.
 */
export function createShaper(
  flows: ReadonlyMap<string, ShapeSource>,
  options: ShaperOptions,
): Shaper {
  return new ThreadShaper(flows, options);
}

class ThreadShaper implements Shaper {
  private readonly flows: ReadonlyMap<string, ShapeSource>;
  private readonly options: ShaperOptions;
  private readonly crew: Mate[] = [];
  private readonly queue: Job[] = [];
  private called = false;
  private closed = false;

  constructor(flows: ReadonlyMap<string, ShapeSource>, options: ShaperOptions) {
    this.flows = flows;
    this.options = options;
    const bodyBytesMax = Math.max(0, ...[...flows.values()].map((one) => one.limits.bodyBytesMax));
    const crewOptions = {
      flows,
      clock: options.clock,
      shapeMsMax: options.shapeMsMax ?? LIMITS.shapeMsMax,
      heapMibMax: options.heapMibMax ?? HEAP_MIB + Math.ceil((HEAP_PER_BODY * bodyBytesMax) / MIB),
      onFree: () => this.hand(),
      onGivenBack: (jobs: readonly Job[]) => {
        this.queue.unshift(...jobs);
        this.hand();
      },
    };
    const workers = flows.size === 0 ? 0 : (options.workers ?? 2);
    for (let at = 0; at < workers; at += 1) this.crew.push(new Mate(crewOptions));
  }

  async shape(flow: FlowPlan, record: Uint8Array): Promise<Shaped> {
    const answer = await this.ask(flow, 'record', record);
    const { keys, value, ttlMs } = answer;
    return { keys: keys.split('\0'), value: value ?? record, ttlMs };
  }

  async checkValue(flow: FlowPlan, value: Uint8Array): Promise<void> {
    await this.ask(flow, 'value', value);
  }

  private ask(
    flow: FlowPlan,
    kind: Job['kind'],
    bytes: Uint8Array,
  ): Promise<Extract<TaskAnswer, { ok: true }>> {
    const name = flowKey(flow.account, flow.flow);
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(closing());
      if (!this.flows.has(name)) {
        return reject(new Fault('shape-invalid', `the flow ${name} has no schema and no mapping`));
      }
      const answer = (said: TaskAnswer): void => {
        if (said.ok) resolve(said);
        else reject(faultOf(said));
      };
      this.queue.push({ flow: name, kind, bytes, answer });
      if (this.called) return;
      this.called = true;
      this.options.clock.soon(() => {
        this.called = false;
        this.hand();
      });
    });
  }

  /** Gives what waits to the workers that are free. */
  private hand(): void {
    for (const mate of this.crew) {
      if (this.queue.length === 0) return;
      if (mate.free) mate.send(this.batch());
    }
    if (this.crew.every((mate) => mate.broken)) {
      for (const job of this.queue.splice(0)) {
        job.answer({ ok: false, code: 'internal', detail: 'no shaping thread starts', errors: [] });
      }
    }
  }

  /** The front of the queue: at least one record, the rest within the bounds of a batch. */
  private batch(): Job[] {
    let bytes = 0;
    let count = 0;
    for (const job of this.queue) {
      bytes += job.bytes.byteLength;
      if (count > 0 && (bytes > BATCH_BYTES_MAX || count === BATCH_RECORDS_MAX)) break;
      count += 1;
    }
    return this.queue.splice(0, count);
  }

  /**
   * What has not been answered is answered `unavailable`; the threads are gone when it resolves.
   */
  async close(): Promise<void> {
    this.closed = true;
    const left = this.queue.splice(0);
    for (const jobs of await Promise.all(this.crew.map((mate) => mate.close()))) left.push(...jobs);
    const { code, message } = closing();
    for (const job of left) job.answer({ ok: false, code, detail: message, errors: [] });
  }
}

function closing(): Fault {
  return new Fault('unavailable', 'the program is stopping');
}

function faultOf(said: Extract<TaskAnswer, { ok: false }>): Fault {
  return new Fault(said.code, said.detail, said.errors.length > 0 ? { errors: said.errors } : {});
}
