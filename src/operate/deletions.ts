/**
 * Deletes by pattern: first a plan (how many keys, a sample, until when it may be run), then the
 * run, which sends one delete per key through the intake like any other write. A key that is set
 * after the run has begun is not touched unless its delete was already queued before it.
 */
import type { FlowPlan } from '../contracts/flow.ts';
import type { Deletion, DeletionPort, FlowsPort, ReadPort } from '../contracts/ports.ts';
import type { DocumentRow, State } from '../contracts/state.ts';
import { Fault } from '../kernel/errors.ts';
import { LIMITS } from '../kernel/limits.ts';
import type { World } from '../kernel/world.ts';
import type { IntakeLog } from '../intake/log.ts';
import { encode } from '../intake/records.ts';
import type { Answer, WritePort } from '../intake/request.ts';
import { changesOf } from '../intake/view.ts';

const KIND = 'deletion';
const SAMPLE_KEYS = 10;
const PLAN_MS = 15 * 60 * 1000;
/** Deletes of one run that are in flight together. */
const AT_ONCE = 100;

export interface DeletionParts {
  readonly world: World;
  readonly log: IntakeLog;
  readonly state: State;
  readonly flows: FlowsPort;
  readonly read: ReadPort;
  readonly write: WritePort;
}

interface Job extends Deletion {
  /** Uow-free and self-contained: what a restart needs to show it, not to go on with it. */
  readonly requestId: string;
}

export class Deletions implements DeletionPort {
  readonly #parts: DeletionParts;
  readonly #running = new Map<string, Job>();

  constructor(parts: DeletionParts) {
    this.#parts = parts;
  }

  async plan(flow: FlowPlan, pattern: string): Promise<Deletion> {
    const keys = await this.#matching(flow, pattern);
    const now = this.#parts.world.clock.wallMs();
    const id = Buffer.from(this.#parts.world.random.bytes(12)).toString('base64url');
    const job: Job = {
      id,
      account: flow.account,
      flow: flow.flow,
      pattern,
      state: 'planned',
      count: keys.length,
      sample: keys.slice(0, SAMPLE_KEYS),
      plannedAt: now,
      expiresAt: now + PLAN_MS,
      deleted: 0,
      detail: null,
      requestId: `deletion-${id}`,
    };
    await this.#keep(job);
    return shown(job);
  }

  async get(id: string): Promise<Deletion | null> {
    const job = await this.#find(id);
    return job === null ? null : shown(job);
  }

  async run(id: string): Promise<Deletion | null> {
    const job = await this.#find(id);
    if (job === null) return null;
    if (job.state !== 'planned' || this.#running.has(id)) {
      throw new Fault('conflict', `Deletion ${id} is ${job.state}; plan it again.`);
    }
    const started: Job = { ...job, state: 'running' };
    this.#running.set(id, started);
    await this.#keep(started);
    this.#runAll(started).then(
      () => {},
      () => {},
    );
    return shown(started);
  }

  async #runAll(job: Job): Promise<void> {
    let deleted = 0;
    let detail: string | null = null;
    try {
      const keys = await this.#matching(this.#flowOf(job), job.pattern);
      for (let at = 0; at < keys.length; at += AT_ONCE) {
        const lot = keys.slice(at, at + AT_ONCE);
        const answers = await Promise.all(lot.map((key) => this.#deleteOne(job, key)));
        const bad = answers.find((answer) => faultIn(answer) !== null);
        deleted += answers.filter((answer) => faultIn(answer) === null).length;
        if (bad !== undefined) detail ??= faultIn(bad);
        this.#running.set(job.id, { ...job, deleted, detail });
      }
    } catch (error) {
      detail = error instanceof Error ? error.message : String(error);
    }
    await this.#keep({ ...job, deleted, detail, state: detail === null ? 'done' : 'failed' });
    this.#running.delete(job.id);
  }

  #flowOf(job: Job): FlowPlan {
    const flow = this.#parts.flows.find(job.account, job.flow);
    if (flow === null) throw new Fault('not-found', 'Its flow is not configured now.');
    return flow;
  }

  #deleteOne(job: Job, key: string): Promise<Answer> {
    return new Promise((done) => {
      const request = {
        account: job.account,
        flow: job.flow,
        kind: 'delete',
        key,
        body: new Uint8Array(0),
        ttlMs: undefined,
        conditions: [],
        idempotencyKey: null,
        respond: 'settled',
        waitMs: LIMITS.writeWaitMs,
        requestId: job.requestId,
      } as const;
      this.#parts.write.submit(request, done);
    });
  }

  /** Every key of the flow that the pattern matches; too many are refused before any is touched. */
  async #matching(flow: FlowPlan, pattern: string): Promise<string[]> {
    const { prefix, test } = compilePattern(pattern);
    const keys: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await this.#parts.read.scan(flow, prefix, cursor, LIMITS.pageItemsMax);
      for (const { key } of page.items) if (test(key)) keys.push(key);
      if (keys.length > LIMITS.patternDeleteKeysMax) {
        throw new Fault(
          'conflict',
          `The pattern matches more than ${LIMITS.patternDeleteKeysMax} keys; narrow it.`,
        );
      }
      cursor = page.cursor;
    } while (cursor !== null);
    return keys;
  }

  async #find(id: string): Promise<Job | null> {
    const running = this.#running.get(id);
    if (running !== undefined) return running;
    const row = await this.#parts.state.document(KIND, id);
    if (row === null) return null;
    const job = row.body as Job;
    // The process that ran it ended: what it had sent is settled on its own, the rest was not sent.
    if (job.state === 'running') return { ...job, state: 'failed', detail: 'cut off by a restart' };
    const now = this.#parts.world.clock.wallMs();
    return job.state === 'planned' && job.expiresAt < now ? { ...job, state: 'expired' } : job;
  }

  async #keep(job: Job): Promise<void> {
    const { log } = this.#parts;
    const until = job.plannedAt + LIMITS.receiptKeepMs;
    const row: DocumentRow = { kind: KIND, id: job.id, account: job.account, body: job, until };
    const record = { type: 'document', row } as const;
    const entry = { record: encode(record), changes: changesOf(record, null) };
    await log.applied(await log.append([entry], 'settle'));
  }
}

function faultIn(answer: Answer): string | null {
  if (answer.answer === 'held') return null;
  return answer.fault?.detail ?? null;
}

function shown(job: Job): Deletion {
  const { requestId: _own, ...deletion } = job;
  return deletion;
}

/**
 * A glob as a prefix to scan by and a test for the rest. The matcher keeps one place to fall back
 * to, the last `*`, so its cost is at most pattern times key, never exponential.
 */
export function compilePattern(pattern: string): {
  prefix: string;
  test: (key: string) => boolean;
} {
  const parts: { glob: '*' | '?' | null; char: string }[] = [];
  const chars = Array.from(pattern);
  for (let at = 0; at < chars.length; at += 1) {
    const char = chars[at] ?? '';
    if (char === '\\' && at + 1 < chars.length) {
      at += 1;
      parts.push({ glob: null, char: chars[at] ?? '' });
    } else {
      parts.push({ glob: char === '*' || char === '?' ? char : null, char });
    }
  }
  const firstGlob = parts.findIndex((part) => part.glob !== null);
  const literal = firstGlob === -1 ? parts : parts.slice(0, firstGlob);
  const prefix = literal.map((part) => part.char).join('');
  return { prefix, test: (key) => globMatches(parts, Array.from(key)) };
}

function globMatches(
  parts: readonly { glob: '*' | '?' | null; char: string }[],
  key: readonly string[],
): boolean {
  let part = 0;
  let at = 0;
  let star = -1;
  let starAt = 0;
  while (at < key.length) {
    const here = parts[part];
    if (here?.glob === '*') {
      star = part;
      starAt = at;
      part += 1;
    } else if (here !== undefined && (here.glob === '?' || here.char === key[at])) {
      part += 1;
      at += 1;
    } else if (star >= 0) {
      part = star + 1;
      starAt += 1;
      at = starAt;
    } else {
      return false;
    }
  }
  while (parts[part]?.glob === '*') part += 1;
  return part === parts.length;
}
