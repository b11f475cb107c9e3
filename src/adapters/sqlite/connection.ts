/**
 * One SQLite database file: how it is opened, how a transaction ends, and what its errors mean.
 *
 * WAL with synchronous=NORMAL: a commit survives the death of the process at once, and a power cut
 * once `flush` resolved. A power cut before that loses a suffix of the commits, never one in the
 * middle, so a mark stored in the same transactions always tells the truth.
 */
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { Fault } from '../../kernel/errors.ts';
import type { World } from '../../kernel/world.ts';
import { Checkpointer } from './checkpointer.ts';

export interface DatabaseShape {
  /** Four bytes in the file's header that say whose file it is. */
  readonly applicationId: number;
  /** Version of the tables. */
  readonly version: number;
  readonly tables: string;
  readonly cacheKiB: number;
}

const WAL_BYTES_KEPT = 16 * 1024 * 1024;
/** Another program that writes into the file is waited for this long, and blocks this one. */
const BUSY_MS = 100;

const SQLITE_BUSY = 5;
const SQLITE_IOERR = 10;
export const SQLITE_FULL = 13;

/** A transaction that failed. `nothing`: it was rolled back whole; `unknown`: nobody can say. */
export class StoreTrouble extends Error {
  readonly kept: 'nothing' | 'unknown';
  /** SQLite's own word, for example `database or disk is full`. */
  readonly status: string | number;

  constructor(kept: 'nothing' | 'unknown', error: unknown) {
    super(error instanceof Error ? error.message : String(error), { cause: error });
    this.name = 'StoreTrouble';
    this.kept = kept;
    this.status = resultCode(error) ?? 'error';
  }
}

function resultCode(error: unknown): number | null {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  return typeof code === 'number' ? code & 0xff : null;
}

export class Connection {
  readonly path: string;
  readonly #world: World;
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #checkpointer: Checkpointer;

  private constructor(path: string, world: World, database: DatabaseSync) {
    this.path = path;
    this.#world = world;
    this.#database = database;
    this.#begin = database.prepare('BEGIN IMMEDIATE');
    this.#commit = database.prepare('COMMIT');
    // `run` tells the row id inserted last, which may exceed 2^53 and would throw as a number.
    this.#begin.setReadBigInts(true);
    this.#commit.setReadBigInts(true);
    this.#checkpointer = new Checkpointer(path, () => this.#checkpoint('RESTART'));
  }

  /**
   * Opens the file and makes its tables where it is new. Throws a Fault when it is not a file of
   * this kind, or of a version this program does not know.
   */
  static async open(path: string, shape: DatabaseShape, world: World): Promise<Connection> {
    let database: DatabaseSync | undefined;
    try {
      await world.disk.makeDirectory(dirname(path));
      database = new DatabaseSync(path, { timeout: BUSY_MS });
      prepareFile(database, path, shape);
      await world.disk.syncDirectory(dirname(path));
      return new Connection(path, world, database);
    } catch (error) {
      database?.close();
      if (error instanceof Fault) throw error;
      const detail = error instanceof Error ? error.message : String(error);
      throw new Fault('unavailable', `${path} cannot be opened as a SQLite database: ${detail}`, {
        hint: 'Check that the folder is there, writable and on a local disk, and the file whole.',
        cause: error,
      });
    }
  }

  prepare(sql: string): StatementSync {
    return this.#database.prepare(sql);
  }

  /** A query whose rows come as arrays: cheaper than objects where many are read. */
  rows(sql: string): StatementSync {
    const statement = this.#database.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  }

  /**
   * Runs `work` in one transaction. Throws StoreTrouble when it did not become part of the file.
   */
  transact<T>(work: () => T): T {
    let committing = false;
    let result: T;
    try {
      this.#begin.run();
      result = work();
      committing = true;
      this.#commit.run();
    } catch (error) {
      throw new StoreTrouble(this.#rollback(committing, error), error);
    }
    this.#checkpointer.committed();
    return result;
  }

  /**
   * An I/O error while the commit itself is written leaves open what a later recovery of the file
   * would find in its log; every other error ends in a rollback that leaves nothing.
   */
  #rollback(committing: boolean, error: unknown): 'nothing' | 'unknown' {
    try {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
    } catch {
      return 'unknown';
    }
    const code = resultCode(error);
    return committing && (code === null || code === SQLITE_IOERR) ? 'unknown' : 'nothing';
  }

  /**
   * Resolves when everything committed before the call survives a power cut. It syncs the log file
   * off this thread: what the log no longer holds was synced when it was copied into the database.
   * (No lock of SQLite's stands on the log file, so closing a second descriptor drops none.)
   */
  async flush(): Promise<void> {
    const log = await this.#world.disk.open(`${this.path}-wal`, 'existing');
    try {
      await log.sync();
    } finally {
      await log.close();
    }
  }

  /** Copies the log into the database and empties it; harmless when somebody reads meanwhile. */
  checkpoint(): void {
    this.#checkpoint('TRUNCATE');
  }

  #checkpoint(mode: 'RESTART' | 'TRUNCATE'): void {
    try {
      this.#database.exec(`PRAGMA wal_checkpoint(${mode})`);
    } catch (error) {
      if (resultCode(error) !== SQLITE_BUSY) throw error;
    }
  }

  get isOpen(): boolean {
    return this.#database.isOpen;
  }

  async close(): Promise<void> {
    await this.#checkpointer.close();
    if (this.#database.isOpen) this.#database.close();
  }
}

function prepareFile(database: DatabaseSync, path: string, shape: DatabaseShape): void {
  database.exec(`PRAGMA cache_size = -${shape.cacheKiB}`);
  const owner = pragma(database, 'application_id');
  const version = pragma(database, 'user_version');
  const tables = database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'];
  const isNew = owner === 0 && version === 0 && tables === 0;
  if (!isNew && owner !== shape.applicationId) {
    throw new Fault('conflict', `${path} is a database of something else`, {
      hint: 'Name another file, or move this one away.',
    });
  }
  if (!isNew && version !== shape.version) {
    throw new Fault('conflict', `${path} has tables of version ${String(version)}`, {
      hint: `Start the version of Holdfast that wrote it; this one knows version ${shape.version}.`,
    });
  }
  const mode = database.prepare('PRAGMA journal_mode = WAL').get()?.['journal_mode'];
  if (mode !== 'wal') {
    throw new Fault('conflict', `${path} lies where SQLite cannot keep a write-ahead log`, {
      hint: 'Put the data directory on a local disk.',
    });
  }
  database.exec('PRAGMA synchronous = NORMAL');
  // Copied in a thread of its own (checkpointer.ts).
  database.exec('PRAGMA wal_autocheckpoint = 0');
  database.exec(`PRAGMA journal_size_limit = ${WAL_BYTES_KEPT}`);
  if (!isNew) return;
  database.exec(`BEGIN IMMEDIATE; ${shape.tables};
    PRAGMA application_id = ${shape.applicationId};
    PRAGMA user_version = ${shape.version}; COMMIT`);
}

function pragma(database: DatabaseSync, name: string): unknown {
  return database.prepare(`PRAGMA ${name}`).get()?.[name];
}
