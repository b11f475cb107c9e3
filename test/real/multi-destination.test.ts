/**
 * examples/multi-destination as its README says it is run: the table that it prints, what a
 * newcomer looks at afterwards, and the servers that it is given.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ROOT } from '../process/program.ts';
import { ask } from './servers/redis-wire.ts';
import { ensure, serversAreRequired, unavailable } from './servers/servers.ts';

const missing = (await unavailable('redis')) ?? (await unavailable('secantus'));
const skip = missing !== null && !serversAreRequired() ? missing : false;

const RUN_MS_MAX = 180_000;
const running = new Set<ChildProcess>();

/** The example as a process of its own. */
class Example {
  text = '';
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;

  constructor(...args: string[]) {
    const program = join(ROOT, 'examples/multi-destination/run.ts');
    const child = spawn(process.execPath, [program, '--port', '0', ...args], {
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (piece: string) => (this.text += piece));
    }
    running.add(child);
    child.once('exit', () => running.delete(child));
    this.#child = child;
    this.#exit = once(child, 'close');
  }

  /** Resolves when it has said this; rejects when it ends or takes too long before. */
  async said(words: string): Promise<void> {
    const end = performance.now() + RUN_MS_MAX;
    while (!this.text.includes(words)) {
      const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (ended || performance.now() > end) throw new Error(`never "${words}":\n${this.text}`);
      await Promise.race([once(this.#child.stdout!, 'data'), this.#exit]);
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async exitCode(): Promise<number | null> {
    const [code] = await this.#exit;
    return code as number | null;
  }

  /** Writes and those undone, by outcome, of the first table and of the one after the redrive. */
  tables(): Map<string, { writes: number; undone: number }>[] {
    const parts = this.text.split(/^ {2}outcome .*\n.*\n/m).slice(1);
    return parts.map((part) => {
      const rows = part.matchAll(/^ {2}([a-z]+) +\| +(\d+) \| +(\d+) \|/gm);
      return new Map(
        [...rows].map(([, outcome = '', writes, undone]) => {
          return [outcome, { writes: Number(writes), undone: Number(undone) }];
        }),
      );
    });
  }

  /** The numbers behind the name of each store. */
  findings(): number[][] {
    const [, table = ''] = this.text.split(/^ {2}store .*\n.*\n/m);
    const rows = table.matchAll(/^ {2}\S.*?\| +(\d+) \| +(\d+) \| +(\d+) \| +(\d+)$/gm);
    return [...rows].map((row) => row.slice(1).map(Number));
  }
}

/** What holds whichever store was lost. */
function assertTold(example: Example): void {
  const [before, afterwards] = example.tables();
  assert.ok(before !== undefined && afterwards !== undefined, example.text);
  const of = (table: typeof before, outcome: string) => table.get(outcome)!;
  assert.ok(of(before, 'committed').writes > 600);
  assert.ok(of(before, 'refused').undone > 0);
  assert.equal(of(afterwards, 'refused').writes, 88, 'the partner refuses the same ones each time');
  assert.ok(of(before, 'failed').writes > 0, 'nothing failed: the store was not lost');
  assert.ok(of(before, 'failed').undone > 0, 'nothing had to be undone');
  assert.equal(of(afterwards, 'failed').writes, 0);
  assert.ok(!afterwards.has('parked') && !afterwards.has('held'));
  const all = [...afterwards.values()].reduce((sum, { writes }) => sum + writes, 0);
  assert.match(example.text, new RegExp(`^1\\. \\d+ writes of ${all}$`, 'm'));
  const findings = example.findings();
  assert.equal(findings.length, 4, example.text);
  for (const [same, ...wrong] of findings) {
    assert.equal(same, findings[0]?.[0]);
    assert.deepEqual(wrong, [0, 0, 0]);
  }
  assert.ok((findings[0]?.[0] ?? 0) > 2000);
  console.log(example.text.slice(0, example.text.indexOf('Look around')));
}

describe('examples/multi-destination', { skip }, () => {
  after(() => {
    // Not SIGKILL: it ends what it started itself.
    for (const child of running) child.kill('SIGTERM');
  });

  it('ends clean after MongoDB was lost, and can be looked at until Ctrl-C', async () => {
    const example = new Example('--keep');
    await example.said('until Ctrl-C');
    assertTold(example);
    const [, around = ''] = example.text.split('Look around:');
    const urls = [...around.matchAll(/curl [^\n]*?(http:[^\s']+)/g)].map(([, url = '']) => url);
    assert.equal(urls.length, 8);
    const answers = await Promise.all(urls.map((url) => fetch(url)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      urls.map(() => 200),
    );
    const [value, history, receipt] = await Promise.all(answers.map((answer) => answer.text()));
    const [, port = '', name = ''] = /redis-cli -p (\d+) GET (\S+)/.exec(around) ?? [];
    const [plain] = await ask(Number(port), undefined, ['GET', name]);
    // The answer is taken as bytes, one character each.
    assert.equal(Buffer.from(String(plain), 'latin1').toString('utf8'), value);
    assert.equal((JSON.parse(history ?? '') as { items: unknown[] }).items.length, 1);
    assert.equal((JSON.parse(receipt ?? '') as { outcome: string }).outcome, 'refused');
    example.signal('SIGINT');
    assert.equal(await example.exitCode(), 0);
    await assert.rejects(ask(Number(port), undefined, ['PING']), 'its Redis was left running');
  });

  it('works on servers that it is given, leaves them running, and loses the partner', async (t) => {
    const redis = await ensure('redis');
    t.after(() => redis.dispose());
    const mongodb = await ensure('secantus');
    t.after(() => mongodb.dispose());
    const args = ['--redis', redis.url, '--mongodb', mongodb.url];
    const example = new Example(...args);
    assert.equal(await example.exitCode(), 0, example.text);
    assertTold(example);
    assert.match(example.text, /^2\. the partner is taken away$/m);

    const again = new Example(...args);
    assert.equal(await again.exitCode(), 1);
    assert.match(again.text, /this database of Redis holds \d+ names/);
  });
});
