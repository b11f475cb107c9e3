/**
 * A disk in memory that forgets what POSIX lets a disk forget. It keeps, per file, what is synced
 * and the writes since; per folder, the names that are synced and the changes since. `crash`
 * draws one of the disks a power cut could leave; `restart` is the same machine after the process
 * died.
 *
 * Deterministic: every choice comes from the random functions handed in, and every asynchronous
 * call ends when the scheduler handed in says so.
 */
import { dirname } from 'node:path';
import { DiskError } from '../../src/kernel/world.ts';
import type { Disk, DiskFile, Lock } from '../../src/kernel/world.ts';

const SECTOR = 512;

export interface SimDiskOptions {
  /** Runs `done` later: the moment at which a call ends. */
  readonly schedule: (done: () => void) => void;
  /** A fraction in [0, 1), for what a failed sync leaves behind. */
  readonly random: () => number;
}

/** `short`: part of the write is done, then it fails with EIO; any other call just fails. */
export type Injury = 'EIO' | 'ENOSPC' | 'short';

/** Asked at every call, which is numbered from 1; an Injury makes that call fail. */
export type Inject = (call: string, path: string, number: number) => Injury | undefined;

interface Write {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

class Inode {
  /** What a reader sees: the page cache. */
  content: Uint8Array;
  length: number;
  /** What is on the platter. */
  synced: Uint8Array;
  pending: Write[] = [];

  constructor(synced: Uint8Array) {
    this.synced = synced;
    this.content = new Uint8Array(synced);
    this.length = synced.byteLength;
  }

  write(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.byteLength;
    if (end > this.content.byteLength) {
      const larger = new Uint8Array(Math.max(end, this.content.byteLength * 2));
      larger.set(this.content);
      this.content = larger;
    }
    this.content.set(bytes, offset);
    this.length = Math.max(this.length, end);
    // Not `slice`: that of a Buffer would go on sharing the memory.
    this.pending.push({ offset, bytes: new Uint8Array(bytes) });
  }

  /** The first `count` pending writes have reached the platter. */
  settle(count: number): void {
    this.synced = applied(this.synced, this.pending.splice(0, count));
  }

  copy(): Inode {
    const copy = new Inode(new Uint8Array(this.synced));
    copy.content = new Uint8Array(this.content);
    copy.length = this.length;
    copy.pending = [...this.pending];
    return copy;
  }
}

/** A change of names that is atomic: at most one name goes and at most one comes. */
interface NameChange {
  readonly directory: string;
  readonly gone: string | null;
  readonly come: { readonly path: string; readonly inode: Inode } | null;
}

export class SimDisk implements Disk {
  readonly #options: SimDiskOptions;
  readonly #names = new Map<string, Inode>();
  #syncedNames = new Map<string, Inode>();
  #changes: NameChange[] = [];
  readonly #directories = new Set<string>();
  readonly #locks = new Set<string>();
  #dead = false;
  /** Calls so far, all kinds. */
  calls = 0;
  /** Bytes all files may have together. */
  capacityBytes = Number.POSITIVE_INFINITY;
  inject: Inject | null = null;

  constructor(options: SimDiskOptions) {
    this.#options = options;
  }

  /** Fails the n-th call from now. */
  failNth(count: number, injury: Injury): void {
    const target = this.calls + count;
    this.inject = (_call, _path, number) => (number === target ? injury : undefined);
  }

  /** A disk this one could be after a power cut now. This one stays as it is. */
  crash(random: () => number, options: SimDiskOptions = this.#options): SimDisk {
    const after = new SimDisk(options);
    for (const path of this.#directories) after.#directories.add(path);
    after.capacityBytes = this.capacityBytes;
    const names = new Map(this.#syncedNames);
    for (const change of survivors(this.#changes, random)) applyChange(names, change);
    const inodes = new Map<Inode, Inode>();
    for (const [path, inode] of names) {
      let copy = inodes.get(inode);
      if (copy === undefined) {
        copy = new Inode(
          applied(new Uint8Array(inode.synced), survivingWrites(inode.pending, random)),
        );
        inodes.set(inode, copy);
      }
      after.#names.set(path, copy);
    }
    after.#syncedNames = new Map(after.#names);
    return after;
  }

  /** The same machine after the process died: the page cache lives on, locks do not. */
  restart(options: SimDiskOptions = this.#options): SimDisk {
    const after = new SimDisk(options);
    for (const path of this.#directories) after.#directories.add(path);
    after.capacityBytes = this.capacityBytes;
    const inodes = new Map<Inode, Inode>();
    const copyOf = (inode: Inode): Inode => {
      const copy = inodes.get(inode) ?? inode.copy();
      inodes.set(inode, copy);
      return copy;
    };
    for (const [path, inode] of this.#names) after.#names.set(path, copyOf(inode));
    for (const [path, inode] of this.#syncedNames) after.#syncedNames.set(path, copyOf(inode));
    after.#changes = this.#changes.map(({ directory, gone, come }) => {
      const link = come === null ? null : { path: come.path, inode: copyOf(come.inode) };
      return { directory, gone, come: link };
    });
    return after;
  }

  /** From now on no call ends and no write is taken: the process that uses it is gone. */
  halt(): void {
    this.#dead = true;
  }

  /** What a file holds now; for tests that look at or damage a disk. */
  bytesOf(path: string): Uint8Array {
    const inode = this.#inode(path, 'open');
    return inode.content.slice(0, inode.length);
  }

  /** Puts a file there, synced with its name, or takes it away (null). */
  plant(path: string, bytes: Uint8Array | null): void {
    this.#changes = this.#changes.filter(({ gone, come }) => gone !== path && come?.path !== path);
    for (const names of [this.#names, this.#syncedNames]) names.delete(path);
    if (bytes === null) return;
    const inode = new Inode(new Uint8Array(bytes));
    for (const names of [this.#names, this.#syncedNames]) names.set(path, inode);
  }

  /** Paths of all files, as a process sees them now. */
  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  /** A folder's own name is taken to be durable at once. */
  makeDirectory(path: string): Promise<void> {
    return this.#call('mkdir', path, () => {
      this.#directories.add(path);
    });
  }

  list(path: string): Promise<string[]> {
    return this.#call('readdir', path, () => {
      if (!this.#directories.has(path)) throw new DiskError('ENOENT', 'readdir', path);
      const inside = [...this.#names.keys()].filter((name) => dirname(name) === path);
      return inside.map((name) => name.slice(path.length + 1)).sort();
    });
  }

  open(path: string, mode: 'existing' | 'create'): Promise<DiskFile> {
    return this.#call('open', path, () => {
      if (mode === 'create') {
        if (this.#names.has(path)) throw new DiskError('EEXIST', 'open', path);
        this.#change(path, null, { path, inode: new Inode(new Uint8Array(0)) });
      }
      return this.#file(path, this.#inode(path, 'open'));
    });
  }

  exists(path: string): Promise<boolean> {
    return this.#call('access', path, () => this.#names.has(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call('rename', from, () => {
      this.#change(to, from, { path: to, inode: this.#inode(from, 'rename') });
    });
  }

  remove(path: string): Promise<void> {
    return this.#call('unlink', path, () => {
      this.#inode(path, 'unlink');
      this.#change(path, path, null);
    });
  }

  syncDirectory(path: string): Promise<void> {
    const mine = this.#changes.filter((change) => change.directory === path);
    return this.#call('fsync', path, () => {
      for (const change of this.#changes) {
        if (mine.includes(change)) applyChange(this.#syncedNames, change);
      }
      this.#changes = this.#changes.filter((change) => !mine.includes(change));
    });
  }

  freeBytes(path: string): Promise<number> {
    return this.#call('statfs', path, () => Math.max(0, this.capacityBytes - this.#used()));
  }

  lock(path: string): Promise<Lock> {
    return this.#call('lock', path, () => {
      if (this.#locks.has(path)) throw new DiskError('EBUSY', 'lock', path);
      this.#locks.add(path);
      return {
        release: async () => {
          this.#locks.delete(path);
        },
      };
    });
  }

  #file(path: string, inode: Inode): DiskFile {
    return {
      path,
      size: () => this.#call('fstat', path, () => inode.length),
      read: (into, offset) =>
        this.#call('read', path, () => {
          const count = Math.max(0, Math.min(into.byteLength, inode.length - offset));
          into.set(inode.content.subarray(offset, offset + count));
          return count;
        }),
      write: (bytes, offset) => this.#write(path, inode, bytes, offset),
      sync: () => this.#sync(path, inode),
      syncNow: () => this.#syncNow(path, inode),
      close: () => this.#call('close', path, () => undefined),
    };
  }

  #write(path: string, inode: Inode, bytes: Uint8Array, offset: number): void {
    const injury = this.#count('write', path);
    if (this.#dead) throw new DiskError('EIO', 'write', path);
    if (injury === 'short') {
      inode.write(bytes.subarray(0, Math.floor(this.#options.random() * bytes.byteLength)), offset);
    }
    if (injury !== undefined) throw injured(injury, 'write', path);
    const growth = offset + bytes.byteLength - inode.length;
    if (growth > 0 && this.#used() + growth > this.capacityBytes) {
      throw new DiskError('ENOSPC', 'write', path);
    }
    inode.write(bytes, offset);
  }

  /**
   * A sync that fails has written some sectors and forgotten the rest: the pages count as clean,
   * are read back as written, and no later sync writes them.
   */
  #sync(path: string, inode: Inode): Promise<void> {
    const covered = [...inode.pending];
    const injury = this.#count('fdatasync', path);
    return this.#later(() => this.#settle(path, inode, covered, injury));
  }

  #syncNow(path: string, inode: Inode): void {
    if (this.#dead) throw new DiskError('EIO', 'fdatasync', path);
    const injury = this.#count('fdatasync', path);
    this.#settle(path, inode, [...inode.pending], injury);
  }

  #settle(path: string, inode: Inode, covered: readonly Write[], injury: Injury | undefined): void {
    const mine = inode.pending.filter((write) => covered.includes(write));
    if (injury === undefined) {
      inode.settle(mine.length);
      return;
    }
    inode.pending.splice(0, mine.length);
    inode.synced = applied(inode.synced, survivingWrites(mine, this.#options.random));
    throw injured(injury, 'fdatasync', path);
  }

  #inode(path: string, call: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw new DiskError('ENOENT', call, path);
    return inode;
  }

  #change(path: string, gone: string | null, come: NameChange['come']): void {
    const change = { directory: dirname(path), gone, come };
    applyChange(this.#names, change);
    this.#changes.push(change);
  }

  #used(): number {
    let used = 0;
    for (const inode of new Set(this.#names.values())) used += inode.length;
    return used;
  }

  #count(call: string, path: string): Injury | undefined {
    this.calls += 1;
    return this.inject?.(call, path, this.calls);
  }

  #call<T>(call: string, path: string, work: () => T): Promise<T> {
    const injury = this.#count(call, path);
    return this.#later(() => {
      if (injury !== undefined) throw injured(injury, call, path);
      return work();
    });
  }

  #later<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#options.schedule(() => {
        if (this.#dead) return;
        try {
          resolve(work());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }
}

function injured(injury: Injury, call: string, path: string): DiskError {
  return new DiskError(injury === 'short' ? 'EIO' : injury, call, path);
}

function applyChange(names: Map<string, Inode>, change: NameChange): void {
  if (change.gone !== null) names.delete(change.gone);
  if (change.come !== null) names.set(change.come.path, change.come.inode);
}

function applied(bytes: Uint8Array, writes: readonly Write[]): Uint8Array {
  let length = bytes.byteLength;
  for (const write of writes) length = Math.max(length, write.offset + write.bytes.byteLength);
  let result = bytes;
  if (length > bytes.byteLength) {
    result = new Uint8Array(length);
    result.set(bytes);
  }
  for (const write of writes) result.set(write.bytes, write.offset);
  return result;
}

/** All of them, none, the first few, or any subset. */
function survivors<T>(changes: readonly T[], random: () => number): T[] {
  const mode = Math.floor(random() * 4);
  if (mode === 0) return [...changes];
  if (mode === 1) return [];
  if (mode === 2) return changes.slice(0, Math.floor(random() * (changes.length + 1)));
  return changes.filter(() => random() < 0.5);
}

/** As `survivors`, or any subset of the sectors of each write. */
function survivingWrites(writes: readonly Write[], random: () => number): Write[] {
  if (random() < 0.4) return survivors(writes, random);
  const odds = random();
  return writes.flatMap(sectors).filter(() => random() < odds);
}

function sectors(write: Write): Write[] {
  const pieces: Write[] = [];
  const end = write.offset + write.bytes.byteLength;
  for (let at = write.offset; at < end;) {
    const next = Math.min(end, (Math.floor(at / SECTOR) + 1) * SECTOR);
    const bytes = write.bytes.subarray(at - write.offset, next - write.offset);
    pieces.push({ offset: at, bytes });
    at = next;
  }
  return pieces;
}
