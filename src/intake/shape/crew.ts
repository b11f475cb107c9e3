/**
 * One worker thread of the shaper and the batch it is at. A worker that dies, runs out of memory or
 * spends too long on one record is ended and replaced; the record it was at is told, and what stood
 * beside it in the batch is given back to be sent again.
 */
import { Worker } from 'node:worker_threads';
import type { ShapeSource } from '../../config/config.ts';
import type { Clock, Timer } from '../../kernel/world.ts';
import type { Answers, Ready, Task, TaskAnswer, WorkerStart } from './wire.ts';

export interface Job {
  readonly flow: string;
  readonly kind: Task['kind'];
  readonly bytes: Uint8Array;
  readonly answer: (answer: TaskAnswer) => void;
}

export interface CrewOptions {
  readonly flows: ReadonlyMap<string, ShapeSource>;
  readonly clock: Clock;
  readonly shapeMsMax: number;
  readonly heapMibMax: number;
  /** The worker is free: hand it more. */
  readonly onFree: (mate: Mate) => void;
  /** These were never worked on; put them in front of the queue. */
  readonly onGivenBack: (jobs: readonly Job[]) => void;
}

/** The time of one record is told in quarters, so it ends between one and one and a quarter. */
const TICKS = 4;
const STARTS_MAX = 3;
const FILE = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';

const TOO_LONG = 'shaping the record takes longer than a record may';
const TOO_MUCH = 'shaping the record takes more memory than a record may';

export class Mate {
  private readonly options: CrewOptions;
  private readonly progress = new Int32Array(new SharedArrayBuffer(4));
  private worker: Worker | null = null;
  private ready = false;
  private closed = false;
  private failedStarts = 0;
  /** The batch at work: jobs not answered yet, by their number in it. */
  private jobs: (Job | null)[] = [];
  private left = 0;
  private tick: Timer | null = null;
  private seen = 0;
  private seenTicks = 0;
  private tickDueMs = 0;

  constructor(options: CrewOptions) {
    this.options = options;
    this.start();
  }

  get free(): boolean {
    return this.ready && this.left === 0 && !this.closed;
  }

  /** No worker comes up any more: the shaper can do nothing. */
  get broken(): boolean {
    return this.failedStarts >= STARTS_MAX;
  }

  private start(): void {
    Atomics.store(this.progress, 0, 0);
    this.ready = false;
    const workerData: WorkerStart = {
      flows: [...this.options.flows],
      progress: this.progress.buffer,
    };
    const worker = new Worker(new URL(FILE, import.meta.url), {
      workerData,
      resourceLimits: {
        maxOldGenerationSizeMb: this.options.heapMibMax,
        maxYoungGenerationSizeMb: 32,
        stackSizeMb: 4,
      },
      env: {},
      stdin: false,
    });
    this.worker = worker;
    worker.on('message', (message: Answers | Ready) => {
      if (this.worker === worker) this.take(message);
    });
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (this.worker !== worker) return;
      this.lose(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? TOO_MUCH : null, String(error));
    });
    worker.on('exit', (code) => {
      if (this.worker === worker) this.lose(null, `the worker ended with code ${code}`);
    });
  }

  /** Hands over a batch. The caller has seen that the worker is free. */
  send(jobs: readonly Job[]): void {
    let size = 0;
    for (const job of jobs) size += job.bytes.byteLength;
    const bytes = new Uint8Array(size);
    let end = 0;
    const tasks = jobs.map((job): Task => {
      const start = end;
      bytes.set(job.bytes, start);
      end += job.bytes.byteLength;
      return { flow: job.flow, kind: job.kind, start, end };
    });
    this.jobs = [...jobs];
    this.left = jobs.length;
    this.worker?.ref();
    this.worker?.postMessage({ bytes, tasks }, [bytes.buffer]);
    this.seen = 0;
    this.seenTicks = 0;
    this.watch();
  }

  private take(message: Answers | Ready): void {
    if (message === 'ready') {
      this.ready = true;
      this.failedStarts = 0;
    } else {
      for (const [at, answer] of message.answers.entries()) {
        const job = this.jobs[message.first + at];
        if (job === null || job === undefined) continue;
        this.jobs[message.first + at] = null;
        this.left -= 1;
        job.answer(answer);
      }
    }
    if (this.left > 0) return;
    this.rest();
    this.options.onFree(this);
  }

  /** A thread that starts or works keeps the process alive; one that waits does not. */
  private rest(): void {
    this.tick?.cancel();
    this.tick = null;
    this.worker?.unref();
  }

  private watch(): void {
    const ms = this.options.shapeMsMax / TICKS;
    this.tickDueMs = this.options.clock.monotonicMs() + ms;
    this.tick = this.options.clock.after(ms, () => this.look());
  }

  /** A record that stays at work for all its quarters is ended with its worker. */
  private look(): void {
    this.tick = null;
    if (this.left === 0 || this.closed) return;
    const late = this.options.clock.monotonicMs() - this.tickDueMs;
    const at = Atomics.load(this.progress, 0);
    if (at !== this.seen) {
      this.seen = at;
      this.seenTicks = 0;
    } else if (at > 0 && late < this.options.shapeMsMax / TICKS) {
      // A tick that comes late says that the machine stood still: it does not count.
      this.seenTicks += 1;
    }
    if (this.seenTicks >= TICKS) this.lose(TOO_LONG, TOO_LONG);
    else this.watch();
  }

  /** Ends the worker, tells the record it was at, gives the others back, starts the next worker. */
  private lose(costly: string | null, why: string): void {
    const { worker } = this;
    this.worker = null;
    this.rest();
    if (worker !== null) {
      worker.unref();
      void worker.terminate();
    }
    const at = Atomics.load(this.progress, 0) - 1;
    const culprit = at >= 0 ? (this.jobs[at] ?? null) : null;
    const others = this.jobs.filter((job): job is Job => job !== null && job !== culprit);
    this.jobs = [];
    this.left = 0;
    if (!this.ready) this.failedStarts += 1;
    if (!this.closed && !this.broken) this.start();
    this.options.onGivenBack(others);
    culprit?.answer({
      ok: false,
      code: costly === null ? 'internal' : 'shape-too-costly',
      detail: costly ?? why,
      errors: [],
    });
  }

  async close(): Promise<readonly Job[]> {
    this.closed = true;
    this.rest();
    const left = this.jobs.filter((job): job is Job => job !== null);
    this.jobs = [];
    this.left = 0;
    const { worker } = this;
    this.worker = null;
    await worker?.terminate();
    return left;
  }
}
