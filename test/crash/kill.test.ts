/**
 * kill -9 in the middle of a load, then a restart, again and again. The clients live in this
 * process, so what they were told outlives the one that is killed. After each restart everything
 * that was acknowledged must be there, whole, and nothing else; over the run every phase of a write
 * must have been met by a kill.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, it } from 'node:test';
import { Http, until } from '../process/http.ts';
import { newFolder, Program, removeFolder } from '../process/program.ts';
import { judge, type Receipt, type Seen } from './judge.ts';
import { configOf, drawn, FILES, Load } from './load.ts';
import { Recorder, type Operation } from './recorder.ts';
import { inFiles, overHttp, quiet } from './sight.ts';

const KILLS = 10;
/** Further kills where a phase was not met yet. */
const KILLS_MAX = 20;
const CLIENTS = 48;
const SHOWN = 20;
const PHASES = ['held', 'fanningOut', 'committing', 'undoing', 'parked'] as const;
type Counts = Record<(typeof PHASES)[number], number>;

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));

function mustBeWell(complaints: readonly string[], when: string): void {
  const more = complaints.length > SHOWN ? `\nand ${complaints.length - SHOWN} more` : '';
  const shown = complaints.slice(0, SHOWN).join('\n');
  assert.equal(complaints.length, 0, `${when} (SEED=${SEED}):\n${shown}${more}`);
}

/**
 * One life: load until enough was answered, then SIGKILL at the moment a commit is told, when its
 * outcome is still on its way to disk. Returns what clients knew then.
 */
async function live(program: Program, recorder: Recorder, draw: () => number, round: number) {
  const http = new Http(program.url, CLIENTS * 2);
  const before = recorder.operations.length;
  const wanted = 150 + Math.floor(draw() * 350);
  const load = new Load(http, recorder, draw, `${SEED}-${round}`);
  let answers = 0;
  const known = new Promise<Record<string, number>>((done) => {
    recorder.onAnswer = ({ flow, end }) => {
      answers += 1;
      if (answers < wanted || flow !== 'default/default' || end !== 'committed') return;
      recorder.onAnswer = null;
      program.signal('SIGKILL');
      done(tally(recorder.operations.slice(before)));
    };
  });
  const clients = load.run(CLIENTS);
  const told = await known;
  await program.exit();
  load.stop();
  await clients;
  http.close();
  return told;
}

function tally(operations: readonly Operation[]): Record<string, number> {
  const known: Record<string, number> = {};
  for (const { end } of operations) known[end] = (known[end] ?? 0) + 1;
  return known;
}

/** Sends again what carries an Idempotency-Key and stands open, and some of what does not. */
async function resend(http: Http, recorder: Recorder, from: number, draw: () => number) {
  const again = recorder.operations.slice(from).filter(({ idempotencyKey, end }) => {
    if (idempotencyKey === undefined || end === 'turned-away') return false;
    return end === 'lost' || end === 'failed' || draw() < 0.5;
  });
  await Promise.all(again.map((operation) => recorder.resend(http, operation)));
  return again.length;
}

describe('kill -9 under load', { timeout: 600_000 }, () => {
  const folder = newFolder('kill');
  const data = join(folder, 'data');
  const recorder = new Recorder();
  const known = new Map<number, Receipt>();
  const draw = drawn(SEED);
  let program: Program | null = null;
  let said: Seen | null = null;

  after(async () => {
    await program?.kill();
    removeFolder(folder);
  });

  it(`loses nothing and mixes nothing, in ${KILLS} kills at least (SEED=${SEED})`, async (t) => {
    const met: Counts = { held: 0, fanningOut: 0, committing: 0, undoing: 0, parked: 0 };
    let kills = 0;
    program = await Program.start({ folder, config: configOf(false) });
    while (kills < KILLS || (kills < KILLS_MAX && PHASES.some((phase) => met[phase] === 0))) {
      const from = recorder.operations.length;
      const told = await live(program, recorder, draw, kills);
      kills += 1;
      program = await Program.start({ folder, config: configOf(false) });
      const { open, refilled } = await program.line('recovery');
      for (const phase of PHASES) met[phase] += (open as Counts)[phase];
      t.diagnostic(
        `kill ${kills}: clients ${JSON.stringify(told)}; phases ${JSON.stringify(open)}; ` +
          `refilled ${JSON.stringify(refilled)}`,
      );
      const http = new Http(program.url);
      const resent = await resend(http, recorder, from, draw);
      await quiet(http);
      said = await overHttp(http, recorder.operations, known);
      http.close();
      mustBeWell([...recorder.complaints, ...judge(recorder.operations, said)], `kill ${kills}`);
      assert.ok(resent > 0 && (told['committed'] ?? 0) > 0, 'a round without anything to lose');
    }
    t.diagnostic(
      `over the run: ${JSON.stringify(met)}; ${JSON.stringify(tally(recorder.operations))}`,
    );
    for (const phase of PHASES) assert.ok(met[phase] > 0, `no kill met a write ${phase}`);
    for (const end of ['lost', 'committed', 'accepted', 'refused', 'failed'] as const) {
      assert.ok(recorder.count(end) > 0, `no client ever saw ${end}`);
    }
  });

  it('ends what failed once the store is whole again, and leaves all files equal', async (t) => {
    await program?.stop();
    program = await Program.start({ folder, config: configOf(true) });
    const http = new Http(program.url);
    const queue = await http.all<{ uow: number }>('/v1/failures');
    assert.ok(queue.length > 0, 'nothing waits in the fail queue');
    const queued = new Set(queue.map(({ uow }) => uow));
    for (const each of recorder.operations) if (queued.has(each.uow ?? -1)) each.retried = true;
    for (const { uow } of queue) {
      const [status, answer] = await http.json(`/v1/failures/${uow}/retry`, { method: 'POST' });
      // Superseded by the retry of another, or tried by itself a moment ago.
      assert.ok([202, 404, 409].includes(status), JSON.stringify(answer));
    }
    await quiet(http);
    await until('the fail queue is empty', async () => {
      return (await http.all('/v1/failures')).length === 0;
    });
    said = await overHttp(http, recorder.operations, known);
    http.close();
    mustBeWell(judge(recorder.operations, said), 'after the retries, over HTTP');
    assert.deepEqual(await program.stop(), { code: 0, signal: null });
    const files = inFiles(data, said);
    mustBeWell(judge(recorder.operations, files), 'in the files');
    const seen = [...files.stores].map(([name, places]) => `${name} ${places.size} keys`);
    t.diagnostic(`${queue.length} retried; in the files: ${seen.join(', ')}`);
  });

  it('would have noticed: a version taken out of one store', () => {
    assert.ok(said !== null);
    const victim = recorder.operations.find(({ flow, end }) => {
      return flow === 'shop/orders' && end === 'committed';
    });
    const complaints = judge(recorder.operations, tampered(said, victim?.uow ?? -1));
    assert.ok(
      complaints.some((each) => each.startsWith('lost or mixed')),
      complaints.join('\n'),
    );
  });

  it('would have noticed: a value that was never acknowledged so', () => {
    assert.ok(said !== null);
    const files = inFiles(data, said);
    const other = recorder.operations.map((each) => ({ ...each }));
    const [a, b] = other.filter(({ end, kind }) => end === 'committed' && kind === 'set');
    assert.ok(a !== undefined && b !== undefined);
    const [uow] = [a.uow, ([a.uow, b.uow] = [b.uow, a.uow])];
    assert.notDeepEqual(judge(other, files), [], 'two answers changed places');
    const missing = recorder.operations.filter(({ id }) => id !== a.id);
    assert.notDeepEqual(judge(missing, files), [], 'a value that nobody sent');
    const refused = recorder.operations.map((each) =>
      each.id === b.id ? { ...each, end: 'refused' as const } : each,
    );
    assert.notDeepEqual(judge(refused, files), [], 'a refused write that is there');
    const twice = recorder.operations.map((each) => (each.id === b.id ? { ...each, uow } : each));
    assert.notDeepEqual(judge(twice, said), [], 'a number given twice');
  });

  /** The files of a copy of the data folder, where one store has forgotten one write. */
  function tampered(truth: Seen, uow: number): Seen {
    const copy = join(folder, 'tampered');
    mkdirSync(copy);
    for (const name of new Set(Object.values(FILES).flat())) {
      copyFileSync(join(data, `${name}.db`), join(copy, `${name}.db`));
    }
    const database = new DatabaseSync(join(copy, 'history.db'));
    const { changes } = database.prepare('DELETE FROM attempt WHERE id >> 10 = ?').run(uow);
    database.close();
    assert.equal(changes, 1);
    return inFiles(copy, truth);
  }
});
