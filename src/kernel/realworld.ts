/**
 * The real World: the machine's clock, randomness and disk. The only file of the program proper
 * that touches timers, `node:fs` and the random source; everything else is handed a World.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DiskError } from './world.ts';
import type { Clock, Disk, DiskFile, Lock, Random, World } from './world.ts';

/** The World of this process. */
export function realWorld(): World {
  const bootId = bootIdOfLinux();
  return {
    clock: realClock,
    random: realRandom,
    disk: realDisk,
    ...(bootId === null ? {} : { bootId }),
  };
}

/** Random per boot of the kernel (random(4)); null on other systems. */
function bootIdOfLinux(): string | null {
  try {
    return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return null;
  }
}

const realClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon(task) {
    setImmediate(task);
  },
};

const realRandom: Random = {
  bytes: (count) => randomBytes(count),
  fraction: () => Math.random(),
};

function diskError(call: string, path: string, error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  const code = (error as { code?: unknown } | null)?.code;
  return new DiskError(typeof code === 'string' ? code : 'EIO', call, path, error);
}

/** Runs one system call of the promise kind and names it when it fails. */
async function named<T>(call: string, path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw diskError(call, path, error);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await named('open', path, fs.promises.open(path, 'r'));
  try {
    await named('fsync', path, handle.sync());
  } finally {
    await handle.close();
  }
}

const realDisk: Disk = {
  /** Makes the folder and the folders above it; each new name is synced before it resolves. */
  async makeDirectory(path) {
    const first = await named('mkdir', path, fs.promises.mkdir(path, { recursive: true }));
    if (first === undefined) {
      // It was there, perhaps only since a moment before a crash.
      await syncDirectory(dirname(path)).catch((error: unknown) => {
        if (!(error instanceof DiskError) || error.code !== 'EACCES') throw error;
      });
      return;
    }
    for (let made = path; made.length >= first.length; made = dirname(made)) {
      await syncDirectory(dirname(made));
      if (made === dirname(made)) break;
    }
  },
  list: (path) => named('readdir', path, fs.promises.readdir(path)),
  open: (path, mode) =>
    new Promise((resolve, reject) => {
      fs.open(path, mode === 'create' ? 'wx+' : 'r+', 0o600, (error, fd) => {
        if (error) reject(diskError('open', path, error));
        else resolve(new RealFile(path, fd));
      });
    }),
  async exists(path) {
    try {
      await fs.promises.access(path);
      return true;
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') return false;
      throw diskError('access', path, error);
    }
  },
  rename: (from, to) => named('rename', from, fs.promises.rename(from, to)),
  remove: (path) => named('unlink', path, fs.promises.unlink(path)),
  syncDirectory,
  async freeBytes(path) {
    const stats = await named('statfs', path, fs.promises.statfs(path));
    return stats.bavail * stats.bsize;
  },
  /**
   * Node has no flock. SQLite takes fcntl locks on the file: the system drops them when the process
   * dies however it dies, they hold between containers that share the folder (an abstract socket
   * would not: it belongs to one network namespace), and SQLite itself keeps two connections of one
   * process apart. Nothing is ever written to the file. Rejects with EBUSY when another holds it.
   */
  async lock(path): Promise<Lock> {
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path, { timeout: 0 });
      database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    } catch (error) {
      database?.close();
      const busy = (error as { errcode?: unknown }).errcode === 5;
      throw new DiskError(busy ? 'EBUSY' : 'EIO', 'lock', path, error);
    }
    const held = database;
    return {
      async release() {
        if (held.isOpen) held.close();
      },
    };
  },
};

class RealFile implements DiskFile {
  readonly path: string;
  readonly #fd: number;
  #open = true;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#fd, (error, stats) => {
        if (error) reject(diskError('fstat', this.path, error));
        else resolve(stats.size);
      });
    });
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    let done = 0;
    while (done < into.byteLength) {
      const count = await this.#readOnce(into, done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  #readOnce(into: Uint8Array, at: number, offset: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.#fd, into, at, into.byteLength - at, offset, (error, count) => {
        if (error) reject(diskError('read', this.path, error));
        else resolve(count);
      });
    });
  }

  write(bytes: Uint8Array, offset: number): void {
    let done = 0;
    while (done < bytes.byteLength) {
      let count: number;
      try {
        count = fs.writeSync(this.#fd, bytes, done, bytes.byteLength - done, offset + done);
      } catch (error) {
        throw diskError('write', this.path, error);
      }
      if (count === 0) throw new DiskError('EIO', 'write', this.path);
      done += count;
    }
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#fd, (error) => {
        if (error) reject(diskError('fdatasync', this.path, error));
        else resolve();
      });
    });
  }

  syncNow(): void {
    try {
      fs.fdatasyncSync(this.#fd);
    } catch (error) {
      throw diskError('fdatasync', this.path, error);
    }
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await new Promise<void>((resolve, reject) => {
      fs.close(this.#fd, (error) => {
        if (error) reject(diskError('close', this.path, error));
        else resolve();
      });
    });
  }
}
