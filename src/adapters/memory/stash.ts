/**
 * The memory stash: the contract kept in maps. It forgets everything with the process, says so by
 * having no mark, and can be told to refuse, fail or delay writes.
 */
import type {
  Attempt,
  HoldsReply,
  Mark,
  ProbeFinding,
  Stash,
  StashReply,
  StashTraits,
  UndoReply,
} from '../../contracts/stash.ts';
import type { Uow } from '../../kernel/words.ts';
import type { Clock } from '../../kernel/world.ts';
import { MemoryVersions } from './versions.ts';

export interface MemorySetup {
  readonly id: string;
  readonly clock: Clock;
  readonly refuseKeys?: readonly string[];
  readonly failKeys?: readonly string[];
  readonly delayMs?: number;
  readonly keepVersions?: number;
  /**
   * True in tests, where this object outlives what they call the process: it then stands for a
   * store that never loses anything, and can prove what it never held.
   */
  readonly outlives?: boolean;
}

const PRUNED_MAX = 1000;

export class MemoryStash implements Stash {
  readonly id: string;
  readonly kind = 'memory';
  readonly traits: StashTraits = { insertOnly: true, oneAttemptPerKey: false };
  readonly versions = new MemoryVersions();
  readonly #setup: MemorySetup;
  #mark: Mark | null = null;

  constructor(setup: MemorySetup) {
    this.id = setup.id;
    this.#setup = setup;
  }

  async apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]> {
    await this.#delay();
    const replies = attempts.map((attempt) => this.#applyOne(attempt));
    this.#mark = mark;
    return replies;
  }

  #applyOne(attempt: Attempt): StashReply {
    const there = this.versions.held(attempt.uow, attempt.attempt);
    if (there === 'tombstone') {
      return { reply: 'failed', status: 'undone', detail: 'this attempt was undone', sent: true };
    }
    if (there !== null) {
      if (there.kind === attempt.kind && there.digest === attempt.digest)
        return { reply: 'stored' };
      const detail = 'another value stands under the number of this attempt';
      return { reply: 'failed', status: 'mismatch', detail, sent: true };
    }
    const { refuseKeys = [], failKeys = [] } = this.#setup;
    const refused = startOf(attempt.keys, refuseKeys);
    if (refused !== undefined) {
      const detail = `told to refuse keys that start with "${refused}"`;
      return { reply: 'refused', status: 422, detail };
    }
    const failed = startOf(attempt.keys, failKeys);
    if (failed !== undefined) {
      const detail = `told to fail keys that start with "${failed}"`;
      return { reply: 'failed', status: 503, detail, sent: true };
    }
    this.versions.insert(attempt);
    return { reply: 'stored' };
  }

  async undo(attempts: readonly Attempt[], mark: Mark): Promise<readonly UndoReply[]> {
    await this.#delay();
    for (const attempt of attempts) this.versions.bury(attempt);
    this.#mark = mark;
    return attempts.map(() => ({ reply: 'undone' }));
  }

  #delay(): Promise<void> | undefined {
    const { delayMs = 0, clock } = this.#setup;
    if (delayMs === 0) return undefined;
    return new Promise((resolve) => {
      clock.after(delayMs, resolve);
    });
  }

  /** What is not here proves nothing, since an earlier process may have had it. */
  async holds(attempts: readonly Attempt[]): Promise<readonly HoldsReply[]> {
    return attempts.map(({ uow, attempt }) => {
      const there = this.versions.held(uow, attempt);
      if (there === null) return this.#setup.outlives === true ? 'never' : 'cannot-tell';
      return there === 'tombstone' ? 'tombstone' : 'live';
    });
  }

  /** Nothing outlives its call, a delayed one included: the host waits for each. */
  async fence(): Promise<void> {}

  async mark(): Promise<Mark | null> {
    return this.#mark;
  }

  /** There is nothing a power cut would leave: the lost mark says so at the next start. */
  async flush(): Promise<void> {}

  async probe(): Promise<readonly ProbeFinding[]> {
    const detail = 'kept in memory: a restart loses it and refills it from the intake';
    const finding: ProbeFinding = { level: 'warning', check: 'durability', detail };
    return [{ ...finding, hint: 'Use kind: sqlite where the data must stay.' }];
  }

  async prune(belowUow: Uow): Promise<number> {
    const { keepVersions = 10, clock } = this.#setup;
    return this.versions.prune(belowUow, keepVersions, clock.wallMs(), PRUNED_MAX);
  }

  async close(): Promise<void> {}
}

function startOf(keys: readonly string[], starts: readonly string[]): string | undefined {
  return starts.find((start) => keys.some((key) => key.startsWith(start)));
}
