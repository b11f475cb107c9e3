/** examples/rollback as the README walks through it: refused, failed, seen, retried. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { until } from '../process/http.ts';
import { newFolder, Program, removeFolder, ROOT } from '../process/program.ts';
import { realTree } from '../tidy/tree.ts';

const PATH = 'examples/rollback/holdfast.yaml';

interface Line {
  readonly stash: string;
  readonly reply: string;
}

interface Told {
  readonly uow: number;
  readonly outcome?: string;
  readonly report: readonly Line[];
}

describe('the rollback of the README', () => {
  const folder = newFolder('rollback');
  let program: Program;
  let orders = '';

  const start = async (...flags: string[]): Promise<void> => {
    program = await Program.start({ folder, args: ['--config', join(ROOT, PATH), ...flags] });
    orders = `${program.url}/v1/data/demo/orders`;
  };
  const put = (key: string): Promise<Response> => {
    const headers = { 'content-type': 'application/json' };
    return fetch(`${orders}/${key}`, { method: 'PUT', headers, body: '{"total": 42}' });
  };
  const failures = async (): Promise<Told[]> => {
    const page = (await (await fetch(`${program.url}/v1/failures`)).json()) as { items: Told[] };
    return page.items;
  };
  const words = ({ report }: Told): string[] => report.map((line) => `${line.stash} ${line.reply}`);

  before(() => start());
  after(async () => {
    await program?.stop();
    removeFolder(folder);
  });

  it('shows the very file that is run', () => {
    const tree = realTree();
    const blocks = tree.text('README.md').matchAll(/```yaml\n(.*?)```/gs);
    assert.ok([...blocks].some(([, text]) => text === tree.text(PATH)));
  });

  it('keeps what every store takes', async () => {
    const answer = await put('order-1');
    assert.equal(answer.status, 200);
    const stored = ['history stored', 'crm stored', 'store stored'];
    assert.deepEqual(words((await answer.json()) as Told), stored);
    assert.equal(await (await fetch(`${orders}/order-1`)).text(), '{"total": 42}');
  });

  it('takes back what one store refuses, and leaves no value and no history', async () => {
    const answer = await put('bad-1');
    assert.equal(answer.status, 422);
    const problem = (await answer.json()) as Told;
    assert.deepEqual(words(problem), ['history undone', 'crm refused']);
    assert.equal((await fetch(`${orders}/bad-1`)).status, 404);
    const history = await fetch(`${orders}/bad-1/history`);
    assert.deepEqual(await history.json(), { items: [], next: null });
    const receipt = (await (await fetch(`${program.url}/v1/uow/${problem.uow}`)).json()) as Told;
    assert.equal(receipt.outcome, 'refused');
    assert.deepEqual(words(receipt), ['history undone', 'crm refused']);
    assert.deepEqual(await failures(), [], 'a refusal is not queued');
  });

  it('keeps what one store failed, and a retry commits it once that is well', async () => {
    const answer = await put('down-1');
    assert.equal(answer.status, 502);
    const { uow } = (await answer.json()) as Told;
    const [failed, ...others] = await failures();
    assert.deepEqual([failed?.uow, others.length], [uow, 0]);
    await program.stop();
    await start('--set', 'stashes.crm.failKeys=');
    assert.equal((await fetch(`${orders}/down-1`)).status, 404);
    const retry = `${program.url}/v1/failures/${uow}/retry`;
    assert.equal((await fetch(retry, { method: 'POST' })).status, 202);
    const found = await fetch(`${orders}/down-1`, { headers: { 'Holdfast-After': String(uow) } });
    assert.equal(await found.text(), '{"total": 42}');
    // State follows the outcome by a few milliseconds.
    await until('the fail queue is empty', async () => (await failures()).length === 0);
  });
});
