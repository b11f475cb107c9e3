/** Lone reads go together when others are under way, and each gets its own answer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { realWorld } from '../../kernel/realworld.ts';
import { Gather } from './gather.ts';

interface Call {
  readonly name: string;
  readonly keys: readonly string[];
  readonly finish: (error?: Error) => void;
}

/** A gather over a store that answers when it is told to. */
function gather(atOnce: number): { gather: Gather<string>; calls: Call[] } {
  const calls: Call[] = [];
  const { clock } = realWorld();
  const ask = (account: string, flow: string, keys: readonly string[]) =>
    new Promise<readonly string[]>((resolve, reject) => {
      const name = `${account}/${flow}`;
      const finish = (error?: Error): void => {
        if (error === undefined) resolve(keys.map((key) => `${name}/${key}`));
        else reject(error);
      };
      calls.push({ name, keys, finish });
    });
  return { gather: new Gather(atOnce, clock, ask), calls };
}

test('a lone read is sent by itself; those behind it go together', async () => {
  const { gather: reads, calls } = gather(1);
  const first = reads.one('x', 'f', 'a');
  await turn();
  assert.deepEqual(calls[0]?.keys, ['a']);
  const rest = ['b', 'c', 'b'].map((key) => reads.one('x', 'f', key));
  await turn();
  assert.equal(calls.length, 1, 'no more at once than were wanted');
  calls[0]?.finish();
  assert.equal(await first, 'x/f/a');
  await turn();
  assert.deepEqual(calls[1]?.keys, ['b', 'c', 'b']);
  calls[1]?.finish();
  assert.deepEqual(await Promise.all(rest), ['x/f/b', 'x/f/c', 'x/f/b']);
});

test('accounts and flows never share a query, and a query is bounded', async () => {
  const { gather: reads, calls } = gather(10);
  const all = [
    ...Array.from({ length: 450 }, (_, at) => reads.one('x', 'f', `${at}`)),
    reads.one('x', 'g', 'a'),
    reads.one('y', 'f', 'a'),
  ];
  await turn();
  assert.deepEqual(
    calls.map(({ name, keys }) => [name, keys.length]),
    [
      ['x/f', 200],
      ['x/f', 200],
      ['x/f', 50],
      ['x/g', 1],
      ['y/f', 1],
    ],
  );
  for (const call of calls) call.finish();
  const answers = await Promise.all(all);
  assert.equal(answers[449], 'x/f/449');
  assert.deepEqual(answers.slice(450), ['x/g/a', 'y/f/a']);
});

test('a query that fails fails its own reads only, and the next ones go on', async () => {
  const { gather: reads, calls } = gather(1);
  const lost = reads.one('x', 'f', 'a');
  await turn();
  const next = reads.one('x', 'f', 'b');
  calls[0]?.finish(new Error('lost'));
  await assert.rejects(lost, /lost/);
  await turn();
  calls[1]?.finish();
  assert.equal(await next, 'x/f/b');
});
