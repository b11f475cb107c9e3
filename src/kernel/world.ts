/**
 * The world as Holdfast sees it: clock, randomness, disk. Handed in from the outermost file, so
 * that a simulation runs the same code on a world of its own. Nothing outside kernel, config and
 * main reaches past these interfaces.
 */

export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  /**
   * Names the run of the operating system, which a power cut ends and the death of a process does
   * not; absent where nobody can tell the two apart.
   */
  readonly bootId?: string;
}

/** A timer that has been set. Cancelling one that has fired or was cancelled does nothing. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, for TTL and retention only: it may jump either way. */
  wallMs(): number;
  /** Monotonic milliseconds with fractions, for durations and deadlines. */
  monotonicMs(): number;
  /** Runs `task` once, not before `ms` have passed. Does not keep the process alive. */
  after(ms: number, task: () => void): Timer;
  /**
   * Runs `task` after the I/O that is ready now has been taken in: the point where a batch closes.
   */
  soon(task: () => void): void;
}

export interface Random {
  bytes(count: number): Uint8Array;
  /** A uniform fraction in [0, 1), for jitter. */
  fraction(): number;
}

/**
 * A disk with the guarantees of POSIX and no more: what was written is there after a crash only if
 * a later `sync` of the file resolved, and a name only if `syncDirectory` of its folder did.
 * Every method may throw or reject with a DiskError.
 */
export interface Disk {
  makeDirectory(path: string): Promise<void>;
  list(path: string): Promise<string[]>;
  /** Opens for reading and writing; `create` demands that the file is not there yet. */
  open(path: string, mode: 'existing' | 'create'): Promise<DiskFile>;
  exists(path: string): Promise<boolean>;
  /** Replaces `to` atomically. Durable after `syncDirectory` of both folders. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Bytes that may still be written on the file system that holds `path`. */
  freeBytes(path: string): Promise<number>;
  /** Takes the lock file at `path` for this process; it is let go when the process dies. */
  lock(path: string): Promise<Lock>;
}

export interface Lock {
  release(): Promise<void>;
}

export interface DiskFile {
  readonly path: string;
  /** Length in bytes. */
  size(): Promise<number>;
  /** Fills `into` from `offset`; returns the bytes read, fewer only at the end of the file. */
  read(into: Uint8Array, offset: number): Promise<number>;
  /**
   * Hands the bytes to the operating system at once (page cache); says nothing about the disk.
   * Throws unless all of them were taken.
   */
  write(bytes: Uint8Array, offset: number): void;
  /** fdatasync: when it resolves, everything written before the call is on disk. */
  sync(): Promise<void>;
  /** The same on this thread, done when it returns. Throws a DiskError. */
  syncNow(): void;
  close(): Promise<void>;
}

/** A disk call that failed; `code` is the system's word (ENOSPC, EIO, ...). */
export class DiskError extends Error {
  readonly code: string;
  readonly call: string;
  readonly path: string;
  constructor(code: string, call: string, path: string, cause?: unknown) {
    super(`${call} ${path}: ${code}`, { cause });
    this.name = 'DiskError';
    this.code = code;
    this.call = call;
    this.path = path;
  }
}
