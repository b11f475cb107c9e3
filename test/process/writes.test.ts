/** Writes and reads against the running program, over restarts: what a client may rely on. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Http, until, type Reply } from './http.ts';
import { newFolder, Program, removeFolder } from './program.ts';

const DATA = '/v1/data/default/default';
const HELD = { prefer: 'respond-async' };

/** `picky` fails and refuses by the start of a key; `healed`: it takes everything. */
function configOf(healed: boolean): string {
  const fails = healed ? '' : ', failKeys: [down-], refuseKeys: [bad-]';
  return `
stashes:
  store: { kind: sqlite }
  picky: { kind: memory${fails} }
  slow: { kind: memory, delay: 300ms }
  cache: { kind: memory }
accounts:
  default:
    flows:
      default: { write: [picky], read: [store] }
      slow: { write: [slow], read: [store] }
      through: { write: [store], read: [cache, store] }
`;
}

interface Told {
  readonly uow: number;
  readonly state: string;
  readonly outcome: string | null;
  readonly code?: string;
}

const told = ({ text }: Reply): Told => JSON.parse(text) as Told;

describe('writes over restarts', { timeout: 120_000 }, () => {
  let folder = '';
  let program: Program | null = null;
  let http = new Http('http://127.0.0.1:9');

  const stop = async (): Promise<void> => {
    http.close();
    if (program !== null) assert.deepEqual(await program.stop(), { code: 0, signal: null });
    program = null;
  };
  const restart = async (healed = false): Promise<void> => {
    await stop();
    program = await Program.start({ folder, config: configOf(healed) });
    http = new Http(program.url);
  };
  beforeEach(async () => {
    folder = newFolder('writes');
    await restart();
  });
  afterEach(async () => {
    await program?.kill();
    program = null;
    http.close();
    removeFolder(folder);
  });

  const receipt = async (uow: number): Promise<Told> =>
    (await http.json<Told>(`/v1/uow/${uow}`))[1];
  const settled = (uow: number): Promise<void> =>
    until(`write ${uow} is settled`, async () => (await receipt(uow)).outcome !== null);

  it('an Idempotency-Key has one effect, before and after a restart', async () => {
    const key = { 'idempotency-key': 'order-1' };
    const first = await http.put(`${DATA}/once`, { n: 1 }, key);
    const second = await http.put(`${DATA}/once`, { n: 1 }, key);
    await http.put(`${DATA}/once`, { n: 2 });
    await restart();
    const third = await http.put(`${DATA}/once`, { n: 1 }, key);
    assert.equal(first.headers['idempotency-replayed'], undefined);
    for (const again of [second, third]) {
      assert.equal(again.status, 200);
      assert.equal(told(again).uow, told(first).uow);
      assert.equal(again.headers['idempotency-replayed'], 'true');
    }
    assert.equal((await http.ask(`${DATA}/once`)).text, '{"n":2}');
    const other = await http.put(`${DATA}/once`, { n: 3 }, key);
    assert.equal(other.status, 422, other.text);
  });

  it('a failed write is in the fail queue before the answer, to be retried', async () => {
    const failed = await http.put(`${DATA}/down-1`, 'later');
    assert.ok([502, 503].includes(failed.status), failed.text);
    const { uow } = told(failed);
    const [status, row] = await http.json<{ report: { stash: string; status?: number }[] }>(
      `/v1/failures/${uow}`,
    );
    assert.equal(status, 200);
    assert.ok(row.report.some((line) => line.stash === 'picky' && line.status === 503));
    assert.equal((await http.ask(`${DATA}/down-1`)).status, 404);
    const refused = await http.put(`${DATA}/bad-1`, 1);
    assert.equal(refused.status, 422);
    assert.equal((await http.ask(`/v1/failures/${told(refused).uow}`)).status, 404);
    const rejections = await http.all<{ uow: number }>('/v1/rejections');
    assert.ok(rejections.some((each) => each.uow === told(refused).uow));
    await restart(true);
    const retry = await http.ask(`/v1/failures/${uow}/retry`, { method: 'POST' });
    assert.equal(retry.status, 202, retry.text);
    await settled(uow);
    assert.equal((await receipt(uow)).outcome, 'committed');
    assert.equal((await http.ask(`${DATA}/down-1`)).text, '"later"');
    await until('it has left the fail queue', async () => {
      return (await http.ask(`/v1/failures/${uow}`)).status === 404;
    });
  });

  it('a failed write never overwrites a newer one: superseded', async () => {
    const key = { 'idempotency-key': 'old' };
    const old = told(await http.put(`${DATA}/down-2`, 'old', key)).uow;
    await restart(true);
    assert.equal((await http.put(`${DATA}/down-2`, 'new')).status, 200);
    await until('it is superseded', async () => (await receipt(old)).outcome === 'superseded');
    const retry = await http.ask(`/v1/failures/${old}/retry`, { method: 'POST' });
    assert.equal(retry.status, 404, retry.text);
    const again = await http.put(`${DATA}/down-2`, 'old', key);
    assert.equal(told(again).uow, old);
    assert.notEqual(again.status, 200);
    assert.equal((await http.ask(`${DATA}/down-2`)).text, '"new"');
  });

  it('Prefer: wait runs out into 202 with Location; Holdfast-After waits', async () => {
    const slow = '/v1/data/default/slow';
    const zero = await http.put(`${slow}/a`, 1, { prefer: 'wait=0' });
    assert.equal(zero.status, 202);
    assert.equal(zero.headers['location'], `/v1/uow/${told(zero).uow}`);
    assert.match(zero.headers['preference-applied'] ?? '', /wait=0/);
    assert.match(zero.headers['vary'] ?? '', /Prefer/);
    const uow = String(told(zero).uow);
    assert.equal((await http.ask(`${slow}/a`)).status, 404, 'seen before it was committed');
    const after1 = await http.ask(`${slow}/a`, { headers: { 'holdfast-after': uow } });
    assert.deepEqual([after1.status, after1.text], [200, '1']);
    assert.equal((await receipt(Number(uow))).outcome, 'committed');
    const one = await http.put(`${slow}/a`, 2, { prefer: 'wait=1' });
    assert.equal(one.status, 200);
    const failed = told(await http.put(`${DATA}/down-3`, 1)).uow;
    const not = await http.ask(`${DATA}/down-3`, { headers: { 'holdfast-after': String(failed) } });
    assert.deepEqual([not.status, told(not).code], [409, 'not-committed']);
  });

  it('a 202-write that fails is parked and listed, and bars waiting calls', async () => {
    const { uow } = told(await http.put(`${DATA}/down-4`, 1, HELD));
    await until('it is parked', async () => (await receipt(uow)).state === 'parked');
    const lanes = await http.all<{ uow: number; key: string; retryAt: string }>('/v1/lanes/parked');
    const lane = lanes.find((each) => each.key === 'down-4');
    assert.equal(lane?.uow, uow);
    assert.ok(Date.parse(lane?.retryAt ?? '') > 0);
    const barred = await http.put(`${DATA}/down-4`, 2);
    assert.deepEqual([barred.status, told(barred).code], [409, 'key-parked']);
    assert.ok(Number(barred.headers['retry-after']) >= 1);
    const behind = await http.put(`${DATA}/down-4`, 3, HELD);
    assert.equal(behind.status, 202);
    await restart(true);
    await until('both are committed', async () => {
      return (await receipt(told(behind).uow)).outcome === 'committed';
    });
    assert.equal((await receipt(uow)).outcome, 'committed');
    assert.equal((await http.ask(`${DATA}/down-4`)).text, '3');
    assert.deepEqual(await http.all('/v1/lanes/parked'), []);
  });

  it('deletes by pattern: a plan, then a run', async () => {
    for (const key of ['d/1', 'd/2', 'e/1']) {
      await http.put(`${DATA}/${encodeURIComponent(key)}`, 1);
    }
    const wish = { account: 'default', flow: 'default', pattern: 'd/*' };
    const planned = await http.post('/v1/deletions', wish);
    assert.equal(planned.status, 201, planned.text);
    const plan = JSON.parse(planned.text) as { id: string; count: number; sample: string[] };
    assert.equal(plan.count, 2);
    assert.deepEqual(plan.sample.toSorted(), ['d/1', 'd/2']);
    assert.equal((await http.ask(`${DATA}/d%2F1`)).status, 200, 'a plan deletes nothing');
    const run = await http.ask(`/v1/deletions/${plan.id}/run`, { method: 'POST' });
    assert.equal(run.status, 202, run.text);
    await until('it is done', async () => {
      const [, job] = await http.json<{ state: string }>(`/v1/deletions/${plan.id}`);
      return job.state === 'done';
    });
    const keys = await http.all<{ key: string }>(`${DATA}?prefix=d/`);
    assert.deepEqual(keys, []);
    assert.equal((await http.ask(`${DATA}/e%2F1`)).status, 200);
    const all = await http.post('/v1/deletions', { ...wish, pattern: '*' });
    assert.equal(all.status, 400);
  });

  it('what has expired is 404 at once; history, at and atUow show what was', async () => {
    const path = `${DATA}/t`;
    const first = told(await http.put(path, 'one')).uow;
    const [, page] = await http.json<{ items: { heldAt: string }[] }>(`${path}/history`);
    const time = page.items[0]?.heldAt ?? '';
    await until('a later millisecond', async () => Date.now() > Date.parse(time));
    const second = await http.put(`${path}?ttl=1`, 'two');
    assert.equal(second.status, 200);
    const got = await http.ask(path);
    assert.deepEqual([got.text, got.headers['holdfast-ttl']], ['"two"', '1']);
    let seen = performance.now();
    await until('it has expired', async () => {
      const { status } = await http.ask(path);
      if (status === 200) seen = performance.now();
      return status === 404;
    });
    assert.ok(performance.now() - seen < 500);
    assert.equal((await http.ask(`${path}?atUow=${first}`)).text, '"one"');
    assert.equal((await http.ask(`${path}?at=${encodeURIComponent(time)}`)).text, '"one"');
    const versions = await http.all<{ uow: number; kind: string }>(`${path}/history`);
    assert.deepEqual(
      versions.map(({ uow }) => uow),
      [told(second).uow, first],
    );
  });

  it('a read falls through to the next store, and never to what was deleted', async () => {
    const path = '/v1/data/default/through';
    await http.put(`${path}/a`, 'kept');
    await http.put(`${path}/b`, 'gone');
    await http.ask(`${path}/b`, { method: 'DELETE' });
    await restart(true);
    assert.equal((await http.ask(`${path}/a`)).text, '"kept"');
    assert.equal((await http.ask(`${path}/b`)).status, 404);
    const wish = { account: 'default', flow: 'through', keys: ['a', 'b'] };
    const { text } = await http.post('/v1/reads', wish);
    const { items } = JSON.parse(text) as { items: { found: boolean }[] };
    assert.deepEqual(
      items.map(({ found }) => found),
      [true, false],
    );
  });

  it('metrics are Prometheus text; the OpenAPI document names the routes', async () => {
    const { text, headers } = await http.ask('/metrics');
    assert.match(headers['content-type'] ?? '', /^text\/plain/);
    const sample =
      /^[a-z_][a-z0-9_]*(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (?:[-+0-9.e]+|\+Inf|NaN)$/i;
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    assert.deepEqual(
      lines.filter((line) => !sample.test(line)),
      [],
    );
    assert.ok(lines.some((line) => line.startsWith('holdfast_writes')));
    const names = lines.map((line) => /^[a-z0-9_]+/i.exec(line)?.[0] ?? '');
    assert.deepEqual(
      names.filter((name) => !name.startsWith('holdfast_')),
      [],
    );
    const typed = [...text.matchAll(/^# TYPE (\S+) /gm)].map((match) => match[1]);
    assert.equal(new Set(typed).size, typed.length, 'a figure has two types');
    const [status, document] = await http.json<{ openapi: string; paths: object }>('/openapi.json');
    assert.equal(status, 200);
    assert.match(document.openapi, /^3\.1/);
    for (const path of [
      '/v1/data/{account}/{flow}/{key}',
      '/v1/reads',
      '/v1/failures',
      '/v1/deletions',
    ]) {
      assert.ok(path in document.paths, path);
    }
  });
});
