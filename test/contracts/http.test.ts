/**
 * The stash suite over the HTTP adapter: all attempts of a call in one request, in many at once,
 * and each in one of its own.
 */
import { WireServer, SECRET } from '../../src/adapters/http/server.testing.ts';
import { httpAdapter } from '../../src/adapters/http/spec.ts';
import { MemoryReader } from '../../src/adapters/memory/reader.ts';
import { MemoryStash } from '../../src/adapters/memory/stash.ts';
import type { Reader } from '../../src/contracts/reader.ts';
import type { Stash } from '../../src/contracts/stash.ts';
import { realWorld } from '../../src/kernel/realworld.ts';
import { Wall, worldOn, type StoreBench } from './bench.ts';
import { setupOf } from './setup.ts';
import { STASH_LINES } from './stash.ts';
import { runLines } from './suite.ts';

const OPTIONS = {
  secret: SECRET,
  insertOnly: true,
  concurrency: 8,
  timeout: 20_000,
  connectTimeout: 2000,
  deadline: 5000,
  maxValue: 64 * 1024 * 1024,
};

/** A server with a memory stash behind it; what the tests read is read there. */
async function httpBench(batch: number): Promise<StoreBench> {
  const wall = new Wall();
  const server = await WireServer.start();
  const { clock } = worldOn(wall);
  const store = new MemoryStash({ id: 'behind', clock, outlives: true });
  server.store = store;
  const versions = new MemoryReader(store.versions, clock);
  // Old versions are the server's own affair: the lines on history and pruning do not apply.
  const reader: Reader = {
    get: (...asked) => versions.get(...asked),
    scan: (...asked) => versions.scan(...asked),
  };
  const opened: Stash[] = [];
  const open = async (): Promise<StoreBench> => {
    const options = { ...OPTIONS, url: server.url, batch };
    // The suite's clock stands still in the past, and signatures are of now.
    const { stash } = await httpAdapter.open(setupOf({ id: 'crm', options, world: realWorld() }));
    opened.push(stash);
    await stash.mark();
    return {
      stash,
      reader,
      keepVersions: 0,
      wall,
      reopen: open,
      async dispose() {
        for (const each of opened) await each.close();
        await server.stop();
      },
    };
  };
  return await open();
}

runLines('stash: http', STASH_LINES, () => httpBench(1000));
runLines('stash: http, few attempts a request', STASH_LINES, () => httpBench(7));
runLines('stash: http, one attempt a request', STASH_LINES, () => httpBench(1));
