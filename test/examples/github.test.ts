/** examples/github-webhooks against the real program, on data that nobody here made. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { deliveries, ownKeys, sharedKey } from '../../examples/github-webhooks/deliveries.ts';
import { run } from '../../examples/github-webhooks/run.ts';
import { newFolder, Program, removeFolder, ROOT } from '../process/program.ts';

const CONFIG = join(ROOT, 'examples/github-webhooks/holdfast.yaml');

describe('the webhook payloads of GitHub', () => {
  const all = deliveries();
  const folder = newFolder('github');
  let program: Program;

  before(async () => {
    program = await Program.start({ folder, args: ['--config', CONFIG] });
  });
  after(async () => {
    await program?.stop();
    removeFolder(folder);
  });

  it('are all there, each under keys of its own, some of which are shared', () => {
    assert.ok(all.length > 700, `${all.length} payloads`);
    const own = all.flatMap(ownKeys);
    assert.equal(new Set(own).size, own.length);
    const shared = all.map(sharedKey).filter((key) => key !== null);
    assert.ok(new Set(shared).size < shared.length / 2, 'hardly any key is shared');
    const sources = new Set(all.map(({ source }) => source));
    assert.ok(sources.has('api.github.com') && sources.size > 1);
  });

  it('come back by every key, byte for byte; the newest by a shared one', async () => {
    const tally = await run(program.url);
    assert.deepEqual(tally.wrong, []);
    const { sent, own, shared, sharers, payloads } = tally;
    assert.equal(sent, all.length);
    assert.equal(own, all.flatMap(ownKeys).length);
    assert.equal(payloads, all.length);
    assert.ok(shared > 0 && sharers > 2 * shared);
    console.log(`${sent} deliveries, ${own} own keys, ${shared} keys shared by ${sharers}`);
  });

  it('would be found out if one byte differed', async () => {
    const [first] = all;
    assert.ok(first !== undefined);
    // A server that answers each read with a space more than was sent.
    const real = globalThis.fetch;
    globalThis.fetch = async (input, init) => {
      const answer = await real(input, init);
      if (init?.method === 'POST') return answer;
      return new Response(`${await answer.text()} `, { status: answer.status });
    };
    try {
      const { wrong } = await run(program.url, [first]);
      assert.equal(wrong.length, ownKeys(first).length + 2);
    } finally {
      globalThis.fetch = real;
    }
  });

  it('are refused when they do not fit the schema, and nothing is kept', async () => {
    const flow = `${program.url}/v1/data/github/deliveries`;
    const delivery = '00000000-0000-8000-8000-000000000000';
    const body = JSON.stringify({
      delivery,
      event: 'Push!',
      source: 'api.github.com',
      payload: {},
    });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(flow, { method: 'POST', headers, body });
    assert.equal(answer.status, 422);
    const problem = (await answer.json()) as { errors: { pointer: string }[] };
    assert.deepEqual(
      problem.errors.map(({ pointer }) => pointer),
      ['/event'],
    );
    assert.equal((await fetch(`${flow}/delivery:${delivery}`)).status, 404);
  });
});
