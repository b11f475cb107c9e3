/**
 * The SQLite stash: insert-only versions in one file, every call one transaction, with the mark
 * behind it now and then. Nothing is under way any more when a call has answered, so there is
 * nothing to fence.
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
import type { World } from '../../kernel/world.ts';
import { StoreTrouble } from './connection.ts';
import { Pruning } from './prune.ts';
import { ATTEMPTS_MAX, DELETE, SET, TOMBSTONE } from './tables.ts';
import type { TailSizes } from './tail.ts';
import { Versions } from './versions.ts';

export interface SqliteSetup {
  readonly id: string;
  readonly path: string;
  readonly keepVersions: number;
  readonly keepForMs: number;
  readonly valueBytesMax: number;
  readonly world: World;
  /** Small in tests, so that versions go over into the index all the time. */
  readonly tail?: TailSizes;
}

const STORED: StashReply = { reply: 'stored' };
const UNDONE: UndoReply = { reply: 'undone' };

export class SqliteStash implements Stash {
  readonly id: string;
  readonly kind = 'sqlite';
  readonly traits: StashTraits = { insertOnly: true, oneAttemptPerKey: false };
  readonly versions: Versions;
  readonly #setup: SqliteSetup;
  readonly #pruning: Pruning;
  #troubled = false;

  private constructor(setup: SqliteSetup, versions: Versions) {
    this.id = setup.id;
    this.#setup = setup;
    this.versions = versions;
    this.#pruning = new Pruning(versions, setup);
  }

  /** Opens or makes the file; throws a Fault when it can never serve as this stash. */
  static async open(setup: SqliteSetup): Promise<SqliteStash> {
    const { id, path, world, tail } = setup;
    return new SqliteStash(setup, await Versions.open(id, path, world, tail));
  }

  async apply(attempts: readonly Attempt[], mark: Mark): Promise<readonly StashReply[]> {
    try {
      const marks = attempts.length === 0;
      return this.versions.write(mark, marks, () => attempts.map((each) => this.#applyOne(each)));
    } catch (error) {
      const { kept, message, status } = this.#trouble(error);
      const reply: StashReply =
        kept === 'nothing'
          ? { reply: 'failed', status, detail: message, sent: true, outage: true }
          : { reply: 'unknown', detail: message };
      return attempts.map(() => reply);
    }
  }

  #applyOne(attempt: Attempt): StashReply {
    const { valueBytesMax } = this.#setup;
    if (attempt.value.length > valueBytesMax) {
      const detail = `${attempt.value.length} bytes; ${this.id} takes ${valueBytesMax}`;
      return { reply: 'refused', status: 'too-large', detail };
    }
    if (attempt.attempt > ATTEMPTS_MAX) {
      const detail = `tried ${ATTEMPTS_MAX} times: send it as a new write`;
      return { reply: 'failed', status: 'attempts', detail, sent: false };
    }
    this.#pruning.late(attempt.uow);
    if (this.versions.insert(attempt)) return STORED;
    const there = this.versions.held(attempt.uow, attempt.attempt);
    if (there?.kind === TOMBSTONE) {
      return { reply: 'failed', status: 'undone', detail: 'this attempt was undone', sent: true };
    }
    const kind = attempt.kind === 'delete' ? DELETE : SET;
    if (there?.kind === kind && there.digest === attempt.digest) return STORED;
    const detail = 'another value stands under the number of this attempt';
    return { reply: 'failed', status: 'mismatch', detail, sent: true };
  }

  async undo(attempts: readonly Attempt[], mark: Mark): Promise<readonly UndoReply[]> {
    try {
      return this.versions.write(mark, attempts.length === 0, () =>
        attempts.map((attempt) => {
          if (attempt.attempt > ATTEMPTS_MAX) return UNDONE;
          this.#pruning.late(attempt.uow);
          this.versions.bury(attempt);
          return UNDONE;
        }),
      );
    } catch (error) {
      const { message } = this.#trouble(error);
      return attempts.map(() => ({ reply: 'failed', detail: message }));
    }
  }

  #trouble(error: unknown): StoreTrouble {
    this.#troubled = true;
    return error instanceof StoreTrouble ? error : new StoreTrouble('unknown', error);
  }

  async holds(attempts: readonly Attempt[]): Promise<readonly HoldsReply[]> {
    return attempts.map(({ uow, attempt }) => {
      const there = attempt > ATTEMPTS_MAX ? null : this.versions.held(uow, attempt);
      if (there !== null) return there.kind === TOMBSTONE ? 'tombstone' : 'live';
      return this.versions.whole ? 'never' : 'cannot-tell';
    });
  }

  /** Opens the file again after trouble, which ends whatever transaction may have been left. */
  async fence(): Promise<void> {
    if (!this.#troubled) return;
    await this.versions.reopen();
    this.#troubled = false;
  }

  async mark(): Promise<Mark | null> {
    return this.versions.mark();
  }

  flush(): Promise<void> {
    return this.versions.connection.flush();
  }

  async probe(): Promise<readonly ProbeFinding[]> {
    const { path, world } = this.#setup;
    try {
      this.versions.mark();
      const free = await world.disk.freeBytes(path);
      const detail = `${path}, ${Math.floor(free / 1024 ** 2)} MiB free on its disk`;
      return [{ level: 'ok', check: 'file', detail }];
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      const hint = 'Look at the disk; `PRAGMA integrity_check` tells whether the file is whole.';
      return [{ level: 'error', check: 'file', detail: `${path}: ${detail}`, hint }];
    }
  }

  prune(belowUow: Uow): Promise<number> {
    return this.#pruning.prune(belowUow);
  }

  async close(): Promise<void> {
    await this.versions.close();
  }
}
