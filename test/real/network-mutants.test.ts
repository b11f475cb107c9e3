/**
 * Each conformance line of networked stashes notices what it is there for: a store on a real
 * server, with one bug laid over it, breaks the line that is named with it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Reader } from '../../src/contracts/reader.ts';
import type { Attempt, Mark, Stash, StashReply } from '../../src/contracts/stash.ts';
import { Fault } from '../../src/kernel/errors.ts';
import type { NetworkBench } from '../contracts/network-bench.ts';
import { NETWORK_LINES } from '../contracts/network.ts';
import { networkBench, REDIS_MEMBER, REDIS_READER } from './network-stores.ts';
import { serversAreRequired, unavailable } from './servers/servers.ts';

const RETRY_MS = 20;
const IMPATIENT_MS = 5;
const MEBIBYTE = 1024 * 1024;

interface Bug {
  readonly bug: string;
  /** The promises whose lines must notice. */
  readonly breaks: readonly string[];
  readonly stash?: (stash: Stash, bench: NetworkBench, ended: AbortSignal) => Partial<Stash>;
  readonly reader?: (reader: Reader, stash: Stash) => Partial<Reader>;
}

type Apply = Stash['apply'];

/** An apply that changes what was answered. */
function answering(stash: Stash, change: (reply: StashReply) => StashReply): Apply {
  return async (attempts, mark) => (await stash.apply(attempts, mark)).map(change);
}

const isUnknown = ({ reply }: StashReply): boolean => reply === 'unknown';

/** Asks for the mark until it is there or the test is over. */
async function persist(stash: Stash, ended: AbortSignal): Promise<Mark | null> {
  while (!ended.aborted) {
    try {
      return await stash.mark();
    } catch {
      await pause(RETRY_MS);
    }
  }
  return null;
}

/** As if it came behind `later`. */
function again(attempt: Attempt, { uow }: Attempt): Attempt {
  return { ...attempt, uow: uow + 1, grant: { epoch: 1, counter: uow + 1 } };
}

const APART = [
  'before its mark was asked it sends nothing and lets nobody read',
  'a connection that breaks while nothing is under way is told once, with a reason',
];

const BUGS: readonly Bug[] = [
  {
    bug: 'joins by itself when it is asked to apply',
    breaks: APART,
    stash: (stash) => ({
      async apply(attempts, mark) {
        const replies = await stash.apply(attempts, mark);
        if (!replies.some((reply) => reply.reply === 'failed' && reply.apart)) return replies;
        await stash.mark();
        return stash.apply(attempts, mark);
      },
    }),
  },
  {
    bug: 'tells nobody that it is apart',
    breaks: [
      APART[1]!,
      'a server that is stopped: apply answers unknown in time, and the store is apart',
    ],
    stash: () => ({ watch: () => {} }),
  },
  {
    bug: 'waits for its server as long as it takes',
    breaks: ['of a server that is not there the mark rejects in time, and nothing is sent'],
    stash: (stash, _bench, ended) => ({ mark: () => persist(stash, ended) }),
  },
  {
    bug: 'says stored where nobody can know',
    breaks: [
      'a server that is stopped: apply answers unknown in time, and the store is apart',
      'connections cut in the middle of a batch: every reply is true',
      'a reply that is lost is unknown, whether or not the store did it',
    ],
    stash: (stash) => ({
      apply: answering(stash, (reply) => (isUnknown(reply) ? { reply: 'stored' } : reply)),
    }),
  },
  {
    bug: 'says failed where nobody can know',
    breaks: ['a reply that is lost is unknown, whether or not the store did it'],
    stash: (stash) => ({
      apply: answering(stash, (reply) =>
        isUnknown(reply) ? { reply: 'failed', sent: true, detail: 'no answer' } : reply,
      ),
    }),
  },
  {
    bug: 'answers reads out of what it remembers',
    breaks: ['a server that is stopped: reads reject in time'],
    reader: (reader) => ({
      get: (...args) => reader.get(...args).catch(() => args[2].map(() => null)),
    }),
  },
  {
    bug: 'closes when its server has said good-bye',
    breaks: ['a server that is stopped: close ends everything at once, calls under way too'],
    stash: (stash, _bench, ended) => ({
      async close() {
        await persist(stash, ended);
        await stash.close();
      },
    }),
  },
  {
    bug: 'says undone where nobody can know',
    breaks: ['an undo whose reply is lost is not undone, and undone when it is asked again'],
    stash: (stash) => ({
      undo: async (attempts, mark) => {
        await stash.undo(attempts, mark).catch(() => []);
        return attempts.map(() => ({ reply: 'undone' }));
      },
    }),
  },
  {
    bug: 'has no patience with a slow network',
    breaks: ['a slow network changes nothing but the time'],
    stash: (stash) => ({
      async apply(attempts, mark) {
        const late = pause(IMPATIENT_MS).then((): StashReply[] =>
          attempts.map(() => ({ reply: 'unknown', detail: 'slow' })),
        );
        return Promise.race([stash.apply(attempts, mark), late]);
      },
    }),
  },
  {
    bug: 'undoes without a word to its server what it never heard to be stored',
    breaks: ['an apply that is delivered after its undo was answered has no effect'],
    stash(stash) {
      const doubtful = new Set<number>();
      return {
        async apply(attempts, mark) {
          const replies = await stash.apply(attempts, mark);
          for (const [at, { uow }] of attempts.entries()) {
            if (isUnknown(replies[at]!)) doubtful.add(uow);
          }
          return replies;
        },
        undo: (attempts, mark) =>
          attempts.every(({ uow }) => doubtful.has(uow))
            ? Promise.resolve(attempts.map(() => ({ reply: 'undone' })))
            : stash.undo(attempts, mark),
      };
    },
  },
  {
    bug: 'lets what was unknown land on top of what came later',
    breaks: ['an apply that is delivered after the fence takes nothing from what came later'],
    stash(stash) {
      let late: Attempt | undefined;
      return {
        async apply(attempts, mark) {
          const replies = await stash.apply(attempts, mark);
          const [attempt] = attempts;
          if (isUnknown(replies[0]!)) late = attempt;
          else if (late !== undefined && attempt!.uow > late.uow) {
            await stash.apply([again(late, attempt!)], mark);
          }
          return replies;
        },
      };
    },
  },
  {
    bug: 'lets what an earlier process sent land on top of what the next one wrote',
    breaks: ['what an earlier process sent takes nothing from what the next one wrote'],
    stash(stash) {
      let first: Attempt | undefined;
      return {
        async apply(attempts, mark) {
          const replies = await stash.apply(attempts, mark);
          const [attempt] = attempts;
          if (first !== undefined) await stash.apply([again(first, attempt!)], mark);
          first ??= attempt;
          return replies;
        },
      };
    },
  },
  {
    bug: 'stores no mark without attempts',
    breaks: ['killed and started again with its data: what was stored is there, the mark too'],
    stash: (stash) => ({
      apply: (attempts, mark) =>
        attempts.length === 0 ? Promise.resolve([]) : stash.apply(attempts, mark),
    }),
  },
  {
    bug: 'reads from whatever server it finds',
    breaks: ['started again empty: nobody reads before the mark was asked, and that is none'],
    reader: (reader, stash) => ({
      get: (...args) =>
        reader.get(...args).catch(async (error: unknown) => {
          if (!(error instanceof Fault)) throw error;
          await stash.mark();
          return reader.get(...args);
        }),
    }),
  },
  {
    bug: 'throws from its probe when its server is away',
    breaks: ['a server that is not there, or answers nothing, hinders neither opening nor a probe'],
    stash: (stash) => ({
      async probe() {
        await stash.mark();
        return stash.probe();
      },
    }),
  },
  {
    bug: 'refuses a whole call for one that is too large',
    breaks: ['a value larger than the store takes is refused and harms no neighbour'],
    stash: (stash) => ({
      async apply(attempts, mark) {
        const replies = await stash.apply(attempts, mark);
        const refused = replies.find(({ reply }) => reply === 'refused');
        return refused === undefined ? replies : replies.map(() => refused);
      },
    }),
  },
  {
    bug: 'keeps the first mebibyte of a value',
    breaks: ['stores 8 MiB of every byte there is, beside small ones'],
    stash: (stash) => ({
      apply: (attempts, mark) =>
        stash.apply(
          attempts.map((each) => ({ ...each, value: each.value.subarray(0, MEBIBYTE) })),
          mark,
        ),
    }),
  },
];

/** The bench with a bug laid over it, also over what the next process opens. */
function withBug(bench: NetworkBench, bug: Bug): NetworkBench {
  const ended = new AbortController();
  const over = (stash: Stash): Stash => ({
    ...delegated(stash),
    ...bug.stash?.(stash, bench, ended.signal),
  });
  const stash = over(bench.stash);
  const read = { ...delegatedReader(bench.reader), ...bug.reader?.(bench.reader, bench.stash) };
  return {
    ...bench,
    stash,
    reader: read,
    async openAgain() {
      const next = await bench.openAgain();
      return { ...next, stash: over(next.stash) };
    },
    async dispose() {
      ended.abort();
      await bench.dispose();
    },
  };
}

/** `CLIENT KILL ID n` names a connection that is not there. */
function killNobody(bytes: Buffer): Buffer {
  const kill = /(KILL\r\n\$2\r\nID\r\n\$\d+\r\n)(\d+)/gi;
  const text = bytes.toString('latin1');
  if (!kill.test(text)) return bytes;
  const other = text.replace(kill, (_, head: string, id: string) => head + '9'.repeat(id.length));
  return Buffer.from(other, 'latin1');
}

function delegated(stash: Stash): Stash {
  return {
    id: stash.id,
    kind: stash.kind,
    traits: stash.traits,
    apply: (attempts, mark) => stash.apply(attempts, mark),
    undo: (attempts, mark) => stash.undo(attempts, mark),
    holds: (attempts) => stash.holds(attempts),
    fence: () => stash.fence(),
    mark: () => stash.mark(),
    watch: (told) => stash.watch?.(told),
    flush: () => stash.flush(),
    probe: () => stash.probe(),
    prune: (belowUow) => stash.prune(belowUow),
    close: () => stash.close(),
  };
}

function delegatedReader(reader: Reader): Reader {
  return {
    get: (...args) => reader.get(...args),
    scan: (...args) => reader.scan(...args),
    ...(reader.history && { history: (...args) => reader.history!(...args) }),
    ...(reader.at && { at: (...args) => reader.at!(...args) }),
  };
}

describe('the conformance lines of networked stashes: mutants', () => {
  for (const bug of BUGS) {
    it(`catches one that ${bug.bug}`, async (t) => {
      const why = await unavailable(REDIS_MEMBER.server);
      if (why !== null && !serversAreRequired()) return t.skip(why);
      for (const promise of bug.breaks) {
        const line = NETWORK_LINES.find((each) => each.promise === promise);
        assert.ok(line, promise);
        const bench = withBug(await networkBench(REDIS_MEMBER), bug);
        try {
          await assert.rejects(line.check(bench), (error: Error) => {
            t.diagnostic(error.message.split('\n')[0] ?? '');
            return true;
          });
        } finally {
          await bench.dispose();
        }
      }
    });
  }

  for (const promise of [
    'an apply that is delivered after the fence takes nothing from what came later',
    'what an earlier process sent takes nothing from what the next one wrote',
  ]) {
    it(`catches a Redis whose earlier connections live on: ${promise}`, async (t) => {
      const why = await unavailable(REDIS_READER.server);
      if (why !== null && !serversAreRequired()) return t.skip(why);
      const line = NETWORK_LINES.find((each) => each.promise === promise);
      const bench = await networkBench(REDIS_READER, killNobody);
      try {
        await assert.rejects(line!.check(bench), /bulky/);
      } finally {
        await bench.dispose();
      }
    });
  }

  it('has for each line a mutant that this line catches', () => {
    const caught = new Set(BUGS.flatMap((bug) => bug.breaks));
    const never = NETWORK_LINES.map((line) => line.promise).filter((each) => !caught.has(each));
    assert.deepEqual(never, []);
  });
});
