/** The stores that the suites run over, each on a fresh place of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MemoryReader } from '../../src/adapters/memory/reader.ts';
import { MemoryStash } from '../../src/adapters/memory/stash.ts';
import { MemoryState } from '../../src/adapters/memory/state.ts';
import { sqliteAdapter } from '../../src/adapters/sqlite/spec.ts';
import { sqliteState } from '../../src/adapters/sqlite/state.ts';
import type { State } from '../../src/contracts/state.ts';
import { Wall, worldOn, type StoreBench } from './bench.ts';
import { setupOf } from './setup.ts';
import type { StateBench } from './state-rows.ts';

const KEEP_VERSIONS = 3;

/** A SQLite stash in a folder of its own; a restart opens the same file. */
export async function sqliteBench(): Promise<StoreBench> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'holdfast-contract-'));
  const opened: StoreBench[] = [];
  const open = async (wall: Wall): Promise<StoreBench> => {
    const options = { keepVersions: KEEP_VERSIONS, keepFor: 1e12 };
    const world = worldOn(wall);
    const { stash, reader } = await sqliteAdapter.open(
      setupOf({ id: 'history', options, dataDirectory, world }),
    );
    if (reader === undefined) throw new Error('a SQLite stash can be read');
    const bench: StoreBench = {
      stash,
      reader,
      keepVersions: KEEP_VERSIONS,
      wall,
      reopen: () => open(wall),
      async dispose() {
        for (const one of opened) await one.stash.close();
        await rm(dataDirectory, { recursive: true, force: true });
      },
    };
    opened.push(bench);
    return bench;
  };
  return open(new Wall());
}

export async function memoryBench(): Promise<StoreBench> {
  const wall = new Wall();
  const { clock } = worldOn(wall);
  const stash = new MemoryStash({ id: 'memory', clock, keepVersions: KEEP_VERSIONS });
  const reader = new MemoryReader(stash.versions, clock);
  return {
    stash,
    reader,
    keepVersions: KEEP_VERSIONS,
    wall,
    reopen: memoryBench,
    async dispose() {},
  };
}

/**
 * `state.db` in a folder of its own; the next process opens it without the last having closed it.
 */
export async function sqliteStateBench(): Promise<StateBench> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-contract-'));
  const world = worldOn(new Wall());
  const opened: State[] = [await sqliteState.open(directory, world)];
  const [state] = opened;
  if (state === undefined) throw new Error('opened');
  return {
    state,
    async reopen() {
      const again = await sqliteState.open(directory, world);
      opened.push(again);
      return again;
    },
    async dispose() {
      for (const one of opened) await one.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export async function memoryStateBench(): Promise<StateBench> {
  const state = new MemoryState();
  return { state, reopen: async () => state.crash(state.unflushed), async dispose() {} };
}
