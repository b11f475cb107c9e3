/**
 * A worker thread that shapes records. It has no timer and no access to the stores; the shaper ends
 * it when a record takes too long, so nothing here needs to watch the time.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { compileShape } from './compile.ts';
import type { CompiledShape } from './compile.ts';
import { checkValueBytes, shapeRecord } from './evaluate.ts';
import type { Answers, Batch, Task, TaskAnswer, WorkerStart } from './wire.ts';

/** Answers are sent off at this size, so that the main thread never has much to unpack at once. */
const ANSWER_BYTES = 256 * 1024;

interface KnownFlow {
  readonly account: string;
  readonly flow: string;
  readonly shape: CompiledShape;
}

function work(task: Task, bytes: Uint8Array, flows: ReadonlyMap<string, KnownFlow>): TaskAnswer {
  const known = flows.get(task.flow);
  if (known === undefined) {
    return { ok: false, code: 'internal', detail: `no shape for ${task.flow}`, errors: [] };
  }
  const body = bytes.subarray(task.start, task.end);
  try {
    return task.kind === 'record'
      ? shapeRecord(known.shape, known.account, known.flow, body)
      : checkValueBytes(known.shape, body);
  } catch (error) {
    if (error instanceof RangeError) {
      const detail = `shaping passes a bound: ${error.message}`;
      return { ok: false, code: 'shape-too-costly', detail, errors: [] };
    }
    return { ok: false, code: 'internal', detail: String(error).slice(0, 300), errors: [] };
  }
}

function serve(start: WorkerStart, port: NonNullable<typeof parentPort>): void {
  const progress = new Int32Array(start.progress);
  const flows = new Map<string, KnownFlow>();
  for (const [name, source] of start.flows) {
    const [account = '', flow = ''] = name.split('/');
    flows.set(name, { account, flow, shape: compileShape(source) });
  }
  port.on('message', ({ bytes, tasks }: Batch) => {
    let answers: TaskAnswer[] = [];
    let size = 0;
    let first = 0;
    const send = (next: number): void => {
      const transfer = answers.flatMap((one) => (one.ok && one.value ? [one.value.buffer] : []));
      port.postMessage({ first, answers } satisfies Answers, transfer);
      answers = [];
      size = 0;
      first = next;
    };
    for (const [at, task] of tasks.entries()) {
      Atomics.store(progress, 0, at + 1);
      const answer = work(task, bytes, flows);
      answers.push(answer);
      if (answer.ok) size += answer.keys.length + (answer.value?.byteLength ?? 0);
      if (size >= ANSWER_BYTES) send(at + 1);
    }
    Atomics.store(progress, 0, 0);
    if (answers.length > 0) send(tasks.length);
  });
  port.postMessage('ready');
}

if (parentPort !== null) serve(workerData as WorkerStart, parentPort);
