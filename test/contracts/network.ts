/**
 * The conformance lines of a stash behind a network: what must hold when its server is away,
 * stopped, killed or emptied, and when the network between delays, loses or delivers late. They run
 * over real servers, with a proxy of ours between (`npm run test:real`).
 */
import assert from 'node:assert/strict';
import type { Attempt, StashReply } from '../../src/contracts/stash.ts';
import { MARK, apply, attemptOf, everything, look, undo, undoes, uowsOf } from './bench.ts';
import {
  applyUntilStored,
  inTime,
  isUnavailable,
  joined,
  manyOf,
  shown,
  sounds,
  truth,
  wordsOf,
  type NetworkBench,
} from './network-bench.ts';
import type { Line } from './suite.ts';

/** Larger than all a driver says by itself, so that the proxy can tell that it has an apply. */
const BULKY = new TextEncoder().encode('bulky '.repeat(20_000));

const holdsConnections = (bench: NetworkBench): boolean => bench.holdsConnections !== false;

const NOT_SENT = { reply: 'failed', sent: false, apart: true };

/** Every reply says that nothing was sent, the store being apart. */
function assertNotSent(replies: readonly StashReply[]): void {
  for (const { reply, sent, apart } of replies as (typeof NOT_SENT)[]) {
    assert.deepEqual({ reply, sent, apart }, NOT_SENT);
  }
}

const JOIN_LINES: readonly Line<NetworkBench>[] = [
  {
    promise: 'before its mark was asked it sends nothing and lets nobody read',
    async check(bench) {
      assertNotSent(await bench.stash.apply([attemptOf(1, 'a'), attemptOf(2, 'b')], MARK));
      if (undoes(bench)) {
        const [reply] = await bench.stash.undo([attemptOf(1, 'a')], MARK);
        assert.ok(reply?.reply === 'failed' && reply.apart === true);
      }
      await assert.rejects(bench.reader.get('acme', 'orders', ['a'], everything), isUnavailable);
      await joined(bench);
      assert.equal(await look(bench, 'a'), null);
      assert.deepEqual(await apply(bench, attemptOf(1, 'a')), ['stored']);
      assert.equal(await look(bench, 'a'), 'value of 1');
    },
  },
  {
    promise: 'of a server that is not there the mark rejects in time, and nothing is sent',
    async check(bench) {
      await bench.server.kill();
      await inTime(bench, 'mark', assert.rejects(bench.stash.mark()));
      assertNotSent(await inTime(bench, 'apply', bench.stash.apply([attemptOf(1, 'a')], MARK)));
      await inTime(
        bench,
        'get',
        assert.rejects(bench.reader.get('acme', 'orders', ['a'], everything), isUnavailable),
      );
      await bench.server.restart();
      await joined(bench);
      assert.deepEqual(await apply(bench, attemptOf(1, 'a')), ['stored']);
    },
  },
  {
    promise: 'a server that is not there, or answers nothing, hinders neither opening nor a probe',
    async check(bench) {
      const looks = async (): Promise<void> => {
        const next = await inTime(bench, 'open', bench.openAgain());
        const findings = await inTime(bench, 'probe', next.stash.probe());
        const errors = findings.filter((finding) => finding.level === 'error');
        assert.ok(errors.length > 0, 'a store that is away is an error');
        await inTime(bench, 'mark', assert.rejects(next.stash.mark()));
        await inTime(bench, 'close', next.stash.close());
      };
      bench.server.stop();
      await looks();
      bench.server.cont();
      await bench.server.kill();
      await looks();
    },
  },
  {
    promise: 'a connection that breaks while nothing is under way is told once, with a reason',
    appliesTo: holdsConnections,
    async check(bench) {
      const told = await joined(bench);
      assert.deepEqual(await apply(bench, attemptOf(1, 'a')), ['stored']);
      bench.proxy.cut();
      await sounds(told);
      assertNotSent(await bench.stash.apply([attemptOf(2, 'a')], MARK));
      await assert.rejects(bench.reader.get('acme', 'orders', ['a'], everything), isUnavailable);
      assert.equal(told.length, 1);
      assert.match(told[0] ?? '', /\w/);
      await joined(bench);
      assert.equal(await look(bench, 'a'), 'value of 1');
      assert.deepEqual(await apply(bench, attemptOf(2, 'a')), ['stored']);
    },
  },
];

const STOPPED_LINES: readonly Line<NetworkBench>[] = [
  {
    promise: 'a server that is stopped: apply answers unknown in time, and the store is apart',
    async check(bench) {
      const told = await joined(bench);
      bench.server.stop();
      const lost = [attemptOf(1, 'a'), attemptOf(2, 'b')];
      const replies = await inTime(bench, 'apply', bench.stash.apply(lost, MARK));
      assert.deepEqual(wordsOf(replies), ['unknown', 'unknown']);
      assertNotSent(await inTime(bench, 'apply', bench.stash.apply([attemptOf(3, 'c')], MARK)));
      await inTime(bench, 'mark', assert.rejects(bench.stash.mark()));
      assert.equal(told.length, 1, told.join('; '));
      bench.server.cont();
      await joined(bench);
      await bench.stash.fence();
      assert.deepEqual(await apply(bench, ...lost), ['stored', 'stored']);
      assert.deepEqual(
        [await look(bench, 'a'), await look(bench, 'b')],
        ['value of 1', 'value of 2'],
      );
      assert.equal(await look(bench, 'c'), null);
      if (bench.reader.history !== undefined) assert.deepEqual(await uowsOf(bench, 'a'), [1]);
    },
  },
  {
    promise: 'a server that is stopped: reads reject in time',
    async check(bench) {
      const told = await joined(bench);
      await apply(bench, attemptOf(1, 'a'));
      bench.server.stop();
      const get = bench.reader.get('acme', 'orders', ['a'], everything);
      await inTime(bench, 'get', assert.rejects(get, isUnavailable));
      const scan = bench.reader.scan('acme', 'orders', '', null, 10, everything);
      await inTime(bench, 'scan', assert.rejects(scan, isUnavailable));
      assert.ok(told.length <= 1, told.join('; '));
      bench.server.cont();
      await joined(bench);
      assert.equal(await look(bench, 'a'), 'value of 1');
    },
  },
  {
    promise: 'a server that is stopped: close ends everything at once, calls under way too',
    async check(bench) {
      await joined(bench);
      bench.server.stop();
      const sent = bench.proxy.counts().toServer + BULKY.length;
      const attempt = attemptOf(1, 'a', BULKY);
      const call = bench.stash.apply([attempt], MARK).then(wordsOf, () => ['unknown']);
      await bench.proxy.seen(({ toServer }) => toServer >= sent);
      await inTime(bench, 'close', bench.stash.close());
      assert.deepEqual(await inTime(bench, 'apply', call), ['unknown']);
    },
  },
];

const CUT_LINES: readonly Line<NetworkBench>[] = [
  {
    promise: 'connections cut in the middle of a batch: every reply is true',
    async check(bench) {
      let doubts = 0;
      for (const [round, bytes] of [1, 200, 3000, 30_000].entries()) {
        await joined(bench);
        const batch = manyOf(round * 100 + 1, 40, `round ${round} `);
        bench.proxy.cutAfterBytes(bytes);
        const replies = await inTime(bench, 'apply', bench.stash.apply(batch, MARK));
        bench.proxy.cut();
        await joined(bench);
        await bench.stash.fence();
        await truth(bench, batch, replies);
        doubts += replies.filter(({ reply }) => reply === 'unknown').length;
        await applyUntilStored(bench, batch);
        for (const attempt of batch)
          assert.ok(await shown(bench, attempt), `${attempt.keys[0]} is not there`);
      }
      assert.ok(doubts > 0, 'the cuts came too late to matter');
    },
  },
  {
    promise: 'a reply that is lost is unknown, whether or not the store did it',
    async check(bench) {
      await joined(bench);
      const batch = manyOf(1, 20, 'lost ');
      bench.proxy.holdReplies();
      const call = bench.stash.apply(batch, MARK);
      await bench.proxy.seen(({ heldToClient }) => heldToClient > 0);
      bench.proxy.cut();
      bench.proxy.releaseReplies();
      const replies = await inTime(bench, 'apply', call);
      await joined(bench);
      await bench.stash.fence();
      await truth(bench, batch, replies);
      assert.ok(!wordsOf(replies).includes('stored'), 'nobody can know that');
      await applyUntilStored(bench, batch);
      for (const attempt of batch)
        assert.ok(await shown(bench, attempt), `${attempt.keys[0]} is not there`);
    },
  },
  {
    promise: 'an undo whose reply is lost is not undone, and undone when it is asked again',
    appliesTo: undoes,
    async check(bench) {
      await joined(bench);
      await apply(bench, attemptOf(1, 'a'));
      await apply(bench, attemptOf(2, 'a'));
      bench.proxy.holdReplies();
      const call = bench.stash.undo([attemptOf(2, 'a')], MARK);
      await bench.proxy.seen(({ heldToClient }) => heldToClient > 0);
      bench.proxy.cut();
      bench.proxy.releaseReplies();
      const replies = await inTime(
        bench,
        'undo',
        call.then(wordsOf, () => ['failed']),
      );
      assert.deepEqual(replies, ['failed']);
      await joined(bench);
      assert.deepEqual(await undo(bench, attemptOf(2, 'a')), ['undone']);
      assert.equal(await look(bench, 'a'), 'value of 1');
      assert.deepEqual(await apply(bench, attemptOf(2, 'a')), ['failed']);
    },
  },
  {
    promise: 'a slow network changes nothing but the time',
    async check(bench) {
      await joined(bench);
      bench.proxy.delay(20);
      const batch = manyOf(1, 100, 'slow ');
      const replies = await inTime(bench, 'apply', bench.stash.apply(batch, MARK));
      assert.ok(wordsOf(replies).every((word) => word === 'stored'));
      assert.deepEqual(await apply(bench, attemptOf(201, 'a'), attemptOf(202, 'a')), [
        'stored',
        'stored',
      ]);
      assert.equal(await look(bench, 'a'), 'value of 202');
      bench.proxy.delay(0);
    },
  },
];

/** An apply that lies in the proxy; it was answered `unknown`, and other connections pass. */
async function heldApply(bench: NetworkBench, attempt: Attempt): Promise<void> {
  bench.proxy.hold();
  const call = bench.stash.apply([attempt], MARK);
  await bench.proxy.seen(({ heldToServer }) => heldToServer >= attempt.value.length);
  bench.proxy.keepHeld();
  assert.deepEqual(wordsOf(await inTime(bench, 'apply', call)), ['unknown']);
}

const LATE_LINES: readonly Line<NetworkBench>[] = [
  {
    promise: 'an apply that is delivered after its undo was answered has no effect',
    appliesTo: undoes,
    async check(bench) {
      await joined(bench);
      await apply(bench, attemptOf(1, 'a'));
      const late = attemptOf(2, ['a', 'b'], BULKY);
      await heldApply(bench, late);
      await joined(bench);
      await bench.stash.fence();
      assert.deepEqual(await undo(bench, late), ['undone']);
      await bench.proxy.release();
      assert.deepEqual([await look(bench, 'a'), await look(bench, 'b')], ['value of 1', null]);
      assert.deepEqual(await apply(bench, late), ['failed']);
      assert.deepEqual(await apply(bench, attemptOf(3, 'a')), ['stored']);
      assert.equal(await look(bench, 'a'), 'value of 3');
    },
  },
  {
    promise: 'an apply that is delivered after the fence takes nothing from what came later',
    async check(bench) {
      await joined(bench);
      const late = attemptOf(1, 'a', BULKY);
      await heldApply(bench, late);
      await joined(bench);
      await bench.stash.fence();
      assert.deepEqual(await apply(bench, late), ['stored']);
      assert.deepEqual(await apply(bench, attemptOf(2, 'a')), ['stored']);
      await bench.proxy.release();
      assert.equal(await look(bench, 'a'), 'value of 2');
      if (bench.reader.history !== undefined) assert.deepEqual(await uowsOf(bench, 'a'), [2, 1]);
    },
  },
  {
    promise: 'what an earlier process sent takes nothing from what the next one wrote',
    async check(bench) {
      await joined(bench);
      bench.proxy.hold();
      const late = attemptOf(1, 'a', BULKY);
      const call = bench.stash.apply([late], MARK).then(wordsOf, () => ['unknown']);
      await bench.proxy.seen(({ heldToServer }) => heldToServer >= BULKY.length);
      bench.proxy.keepHeld();
      const next = await bench.openAgain();
      await joined(next, bench.timeoutMs);
      assert.deepEqual(await apply(next, late), ['stored']);
      assert.deepEqual(await apply(next, attemptOf(2, 'a')), ['stored']);
      await bench.proxy.release();
      await inTime(bench, 'apply', call);
      assert.equal(await look(next, 'a'), 'value of 2');
      await next.stash.close();
    },
  },
];

const RESTART_LINES: readonly Line<NetworkBench>[] = [
  {
    promise: 'killed and started again with its data: what was stored is there, the mark too',
    async check(bench) {
      const told = await joined(bench);
      const batch = manyOf(1, 50, 'kept ');
      await applyUntilStored(bench, batch);
      if (undoes(bench)) assert.deepEqual(await undo(bench, batch[0]!), ['undone']);
      const mark = { ...MARK, position: 97 };
      assert.deepEqual(await bench.stash.apply([], mark), []);
      await bench.stash.flush();
      await bench.server.restart();
      if (holdsConnections(bench)) {
        await sounds(told);
        assertNotSent(await bench.stash.apply([attemptOf(99, 'z')], MARK));
        assert.equal(told.length, 1, told.join('; '));
      }
      await joined(bench);
      assert.deepEqual(await bench.stash.mark(), mark);
      for (const attempt of batch.slice(1)) assert.ok(await shown(bench, attempt));
      if (undoes(bench)) assert.equal(await look(bench, batch[0]!.keys[0]!), null);
      assert.deepEqual(await apply(bench, ...batch.slice(1)), Array(49).fill('stored'));
      if (undoes(bench)) assert.deepEqual(await apply(bench, batch[0]!), ['failed']);
    },
  },
  {
    promise: 'started again empty: nobody reads before the mark was asked, and that is none',
    appliesTo: holdsConnections,
    async check(bench) {
      const told = await joined(bench);
      await apply(bench, attemptOf(1, 'a'));
      await bench.stash.apply([], MARK);
      await bench.server.restart({ empty: true });
      await sounds(told);
      await assert.rejects(bench.reader.get('acme', 'orders', ['a'], everything), isUnavailable);
      await assert.rejects(
        bench.reader.scan('acme', 'orders', '', null, 10, everything),
        isUnavailable,
      );
      assertNotSent(await bench.stash.apply([attemptOf(2, 'b')], MARK));
      await joined(bench);
      assert.equal(await bench.stash.mark(), null);
      assert.equal(await look(bench, 'a'), null);
      assert.deepEqual(await apply(bench, attemptOf(1, 'a')), ['stored']);
      assert.equal(await look(bench, 'a'), 'value of 1');
    },
  },
];

const VALUE_LINES: readonly Line<NetworkBench>[] = [
  {
    promise: 'a value larger than the store takes is refused and harms no neighbour',
    appliesTo: (bench) => bench.bytesMax !== null,
    async check(bench) {
      await joined(bench);
      const large = attemptOf(2, 'b', new Uint8Array((bench.bytesMax ?? 0) + 1).fill(7));
      const replies = await apply(bench, attemptOf(1, 'a'), large, attemptOf(3, 'c'));
      assert.deepEqual(replies, ['stored', 'refused', 'stored']);
      const seen = [await look(bench, 'a'), await look(bench, 'b'), await look(bench, 'c')];
      assert.deepEqual(seen, ['value of 1', null, 'value of 3']);
    },
  },
  {
    promise: 'stores 8 MiB of every byte there is, beside small ones',
    async check(bench) {
      await joined(bench);
      const value = new Uint8Array(8 * 1024 * 1024);
      for (let at = 0; at < value.length; at += 1) value[at] = (at * 7 + (at >> 8)) & 0xff;
      const large = attemptOf(2, 'b', value);
      const replies = await apply(bench, attemptOf(1, 'a'), large, attemptOf(3, 'c'));
      assert.deepEqual(replies, ['stored', 'stored', 'stored']);
      assert.ok(await shown(bench, large));
      assert.equal(await look(bench, 'c'), 'value of 3');
    },
  },
];

export const NETWORK_LINES: readonly Line<NetworkBench>[] = [
  ...JOIN_LINES,
  ...STOPPED_LINES,
  ...CUT_LINES,
  ...LATE_LINES,
  ...RESTART_LINES,
  ...VALUE_LINES,
];
