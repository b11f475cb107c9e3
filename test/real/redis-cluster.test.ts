/** A Redis stash on a cluster: slots that move, nodes that die, one mark in each master. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { slotOf } from '../../src/adapters/redis/slots.ts';
import { apply, attemptOf, everything, look, MARK, undo } from '../contracts/bench.ts';
import { emptied, openRedis, redisBench } from './redis-bench.ts';
import { ask, type Answer } from './servers/redis-wire.ts';
import { withServer, type ServerNode } from './servers/servers.ts';

async function tell({ port }: ServerNode, ...words: string[]): Promise<Answer> {
  const [answer] = await ask(port, undefined, words);
  if (answer instanceof Error) throw answer;
  return answer ?? null;
}

/** Which node has a slot. */
function ownerOf(nodes: readonly ServerNode[], slot: number): ServerNode {
  const share = Math.ceil(16_384 / nodes.length);
  const node = nodes[Math.floor(slot / share)];
  assert.ok(node !== undefined);
  return node;
}

/** The steps of moving a slot, with time to do something between them. */
async function move(
  slot: number,
  from: ServerNode,
  to: ServerNode,
  halfway: () => Promise<void>,
): Promise<void> {
  const source = String(await tell(from, 'CLUSTER', 'MYID'));
  const target = String(await tell(to, 'CLUSTER', 'MYID'));
  await tell(to, 'CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', source);
  await tell(from, 'CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', target);
  await halfway();
  for (;;) {
    const keys = await tell(from, 'CLUSTER', 'GETKEYSINSLOT', String(slot), '10');
    if (!Array.isArray(keys) || keys.length === 0) break;
    const names = (keys as string[]).map((key) => Buffer.from(key, 'latin1').toString('utf8'));
    await tell(from, 'MIGRATE', to.host, String(to.port), '', '0', '5000', 'KEYS', ...names);
  }
  await tell(to, 'CLUSTER', 'SETSLOT', String(slot), 'NODE', target);
  await tell(from, 'CLUSTER', 'SETSLOT', String(slot), 'NODE', target);
}

await withServer('redis-cluster', (server) => {
  for (const role of ['reader', 'member'] as const) {
    it(`as ${role}, all follows a slot that moves, and the store stays joined`, async () => {
      const { nodes } = server();
      const bench = await redisBench(server(), { role });
      const told: string[] = [];
      bench.stash.watch?.((why) => told.push(why));
      const slot = slotOf('acme:orders:{tag}0');
      const from = ownerOf(nodes, slot);
      const to = nodes.find((node) => node !== from);
      assert.ok(to !== undefined);
      const keys = Array.from({ length: 8 }, (_, at) => `{tag}${at}`);
      await apply(bench, ...keys.map((key, at) => attemptOf(at + 1, key)));
      await move(slot, from, to, async () => {
        // Keys that are still there are written there, a new one where the slot goes.
        assert.deepEqual(await apply(bench, attemptOf(20, '{tag}0')), ['stored']);
        if (role === 'reader') {
          assert.deepEqual(await apply(bench, attemptOf(21, '{tag}new')), ['stored']);
          assert.equal(await look(bench, '{tag}new'), 'value of 21');
          assert.equal(await look(bench, '{tag}none'), null);
        }
        assert.equal(await look(bench, '{tag}0'), 'value of 20');
        assert.equal(await look(bench, '{tag}1'), 'value of 2');
      });
      assert.equal(await look(bench, '{tag}2'), 'value of 3');
      const more = [attemptOf(30, '{tag}3'), attemptOf(31, 'elsewhere'), attemptOf(32, keys)];
      assert.deepEqual(await apply(bench, ...more), ['stored', 'stored', 'stored']);
      if (role === 'member') {
        assert.deepEqual(await undo(bench, attemptOf(32, keys)), ['undone']);
        assert.equal(await look(bench, '{tag}3'), 'value of 30');
        assert.equal(await look(bench, '{tag}0'), 'value of 20');
      }
      const page = await bench.reader.scan('acme', 'orders', '{tag}', null, 100, everything);
      assert.equal(page.items.length, role === 'reader' ? 9 : 8);
      assert.deepEqual(told, []);
      await bench.dispose();
      const back = await openRedis(server(), { role });
      assert.equal(await look(back, '{tag}1'), role === 'reader' ? 'value of 32' : 'value of 2');
      await back.dispose();
      await emptied(server());
      await move(slot, to, from, async () => {});
    });
  }

  it('the mark is the lowest of all masters, and none where one has none', async () => {
    const bench = await redisBench(server(), { role: 'reader' });
    await bench.stash.apply([], { ...MARK, position: 50 });
    const [first, , third] = server().nodes;
    assert.ok(first !== undefined && third !== undefined);
    const marks = await tell(first, 'KEYS', '*');
    assert.ok(Array.isArray(marks) && marks.length === 1);
    await tell(first, 'SET', String(marks[0]), JSON.stringify({ ...MARK, position: 30 }));
    assert.deepEqual(await bench.stash.mark(), { ...MARK, position: 30 });
    await tell(third, 'FLUSHALL');
    assert.equal(await bench.stash.mark(), null);
    await bench.dispose();
  });

  it('P11: a node that dies takes its own attempts with it, and the store parts', async () => {
    const bench = await redisBench(server(), { role: 'reader' });
    const told: string[] = [];
    bench.stash.watch?.((why) => told.push(why));
    await bench.stash.apply([], MARK);
    const [victim] = server().nodes;
    assert.ok(victim !== undefined);
    const attempts = Array.from({ length: 60 }, (_, at) => attemptOf(at + 1, `key ${at}`));
    const everywhere = attemptOf(
      100,
      Array.from({ length: 60 }, (_, at) => `spread ${at}`),
    );
    victim.stop();
    const replies = [...(await bench.stash.apply([...attempts, everywhere], MARK))];
    // Some of its keys were written: it can only go forward.
    assert.equal(replies.pop()?.reply, 'unknown');
    for (const [at, { reply }] of replies.entries()) {
      const slot = slotOf(`acme:orders:key ${at}`);
      assert.equal(reply, ownerOf(server().nodes, slot) === victim ? 'unknown' : 'stored');
    }
    assert.equal(told.length, 1);
    await assert.rejects(bench.stash.mark());
    victim.cont();
    await bench.stash.mark();
    assert.deepEqual(
      new Set((await bench.stash.apply(attempts, MARK)).map(({ reply }) => reply)),
      new Set(['stored']),
    );
    await bench.dispose();
  });
});
