/**
 * The program with a store of somebody's own over HTTP: what it refuses is rolled back elsewhere,
 * what it answers by callback is waited for, and while it is gone nothing is half done.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { SECRET, WireServer, type Heard } from '../../src/adapters/http/server.testing.ts';
import { keysOf, signed } from '../../src/adapters/http/signature.ts';
import { Http, until } from './http.ts';
import { newFolder, Program, removeFolder, run } from './program.ts';

const configOf = (url: string): string => `
version: 1
stashes:
  history: { kind: sqlite }
  store: { kind: sqlite }
  crm: { kind: http, url: '${url}', secret: ${SECRET}, timeout: 2s, deadline: 5s }
accounts: { default: { flows: { default: { write: [history, crm], read: [store] } } } }
`;

interface Told {
  readonly uow: number;
  readonly report: readonly { stash: string; reply: string; status?: number }[];
}

describe('a store of your own over HTTP', { timeout: 120_000 }, () => {
  const folder = newFolder('http-stash');
  const keys = keysOf(SECRET);
  let server: WireServer;
  let program: Program;
  let http: Http;

  before(async () => {
    server = await WireServer.start();
    program = await Program.start({ folder, config: configOf(server.url) });
    http = new Http(program.url);
  });
  beforeEach(() => {
    server.play = () => null;
  });
  after(async () => {
    http.close();
    await program.kill();
    await server.stop();
    removeFolder(folder);
  });

  const path = (key: string): string => `/v1/data/default/default/${key}`;
  const put = async (key: string): Promise<[number, Told]> => {
    const { status, text } = await http.put(path(key), { key });
    return [status, JSON.parse(text) as Told];
  };
  const words = ({ report }: Told): string[] => report.map((each) => `${each.stash} ${each.reply}`);
  const keyOf = ({ body }: Heard): string => {
    return (body['attempts'] as { keys: string[] }[])[0]?.keys[0] ?? '';
  };

  it('is written to like any other', async () => {
    const [status, told] = await put('fine');
    assert.equal(status, 200);
    assert.deepEqual(words(told), ['history stored', 'crm stored', 'store stored']);
    const sent = JSON.stringify(server.of('apply').at(-1)?.body['attempts']);
    const [row] = JSON.parse(sent) as { uow: number; value: string }[];
    assert.deepEqual([row?.uow, row?.value], [told.uow, '{"key":"fine"}']);
  });

  it('refuses one: 422 with its own words, and the others take it back', async () => {
    server.play = (heard) => {
      if (heard.type !== 'apply' || !keyOf(heard).startsWith('bad-')) return null;
      return { status: 422, body: '{"detail": "no such customer"}' };
    };
    const { status, text } = await http.put(path('bad-1'), 1);
    assert.equal(status, 422);
    assert.match(text, /no such customer/);
    assert.deepEqual(words(JSON.parse(text) as Told), ['history undone', 'crm refused']);
    assert.equal((await http.ask(path('bad-1'))).status, 404);
    assert.equal(server.of('undo').length, 0, 'nothing of it was there to be undone');
  });

  it('answers by callback: the write waits for it, and a forged one changes nothing', async () => {
    const answers: number[] = [];
    server.play = (heard) => {
      if (heard.type !== 'apply') return null;
      const to = String(heard.body['callback']);
      const id = String(heard.headers['webhook-id']);
      const body = '{"replies": [{"reply": "stored"}]}';
      const send = async (headers: readonly string[]): Promise<void> => {
        const named: Record<string, string> = { 'content-type': 'application/json' };
        for (let at = 0; at < headers.length; at += 2)
          named[headers[at] ?? ''] = headers[at + 1] ?? '';
        answers.push((await fetch(to, { method: 'POST', headers: named, body })).status);
      };
      const all = async (): Promise<void> => {
        await server.answer(heard);
        await send(signed([Buffer.from('forged')], id, Date.now(), body));
        await send(signed(keys, id, Date.now(), body));
        await send(signed(keys, id, Date.now(), body));
      };
      all().catch((error: unknown) => assert.fail(String(error)));
      return { status: 202 };
    };
    const [status, told] = await put('later');
    assert.equal(status, 200);
    assert.deepEqual(words(told), ['history stored', 'crm stored', 'store stored']);
    await until('the replay was turned away', async () => answers.length === 3);
    assert.deepEqual(answers, [204, 204, 404]);
  });

  it('breaks off: in every store or in none, once it is back', async () => {
    let cut = 0;
    server.play = (heard, res) => {
      if (heard.type !== 'apply' || cut > 0) return null;
      cut += 1;
      res.destroy();
      return 'silence';
    };
    const [status] = await put('cut');
    assert.ok(status === 200 || status === 202, String(status));
    await until('it is readable', async () => (await http.ask(path('cut'))).status === 200);
    const rows = server.of('apply').filter((heard) => keyOf(heard) === 'cut');
    assert.ok(rows.length >= 2, 'it was sent again, behind a new session');
    assert.notEqual(rows[0]?.body['session'], rows.at(-1)?.body['session']);
  });

  it('is looked at by the doctor', async () => {
    const other = newFolder('http-stash-doctor');
    const file = `${folder}/holdfast.yaml`;
    const args = ['doctor', '--config', file, '--data-dir', other, '-o', 'ndjson'];
    const told = await run({ folder, args });
    removeFolder(other);
    assert.equal(told.code, 0, told.stdout + told.stderr);
    assert.match(told.stdout, /"part":"stash crm","level":"ok","check":"server"/);
    assert.doesNotMatch(told.stdout, /MfKQ9r8/, 'no secret is shown');
  });
});
