/** The journal as its contract promises it, on the simulated disk and on the real one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bed, FOLDER, openOn, readAll, record, text, turns, until } from '../../test/sim/bed.ts';
import { JournalBroken } from '../contracts/journal.ts';
import { realWorld } from '../kernel/realworld.ts';
import { openJournal } from './journal.ts';

test('positions count records without gaps, across segments and restarts', async () => {
  const on = bed(1);
  const written: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    const { journal, recovery } = await openOn(on);
    assert.equal(journal.next, written.length);
    assert.equal(recovery.records, written.length);
    assert.equal(recovery.cleanStop, true);
    assert.deepEqual(await readAll(journal), written);
    for (let call = 0; call < 12; call += 1) {
      const records = [record(written.length), record(written.length + 1, 700)];
      assert.equal(await journal.append(records, 'admit'), written.length);
      written.push(...records.map(text));
      assert.equal(journal.durable, written.length);
    }
    await journal.close();
  }
  assert.ok(on.disk.paths().length > 6, 'several segments were needed');
});

test('appends that arrive during a sync share the next one; one alone goes at once', async () => {
  const on = bed(2);
  const { journal } = await openOn(on, { segmentBytes: 64 * 1024 });
  await turns(50);
  await journal.append([record(0)], 'admit');
  assert.equal(journal.figures().syncs, 1);
  const first = journal.append([record(1)], 'admit');
  await new Promise((resolve) => setImmediate(resolve));
  const others = Array.from({ length: 40 }, (_, n) => journal.append([record(n + 2)], 'admit'));
  assert.equal(journal.figures().pending, 41);
  assert.equal(await first, 1);
  const positions = await Promise.all(others);
  assert.deepEqual(
    positions,
    Array.from({ length: 40 }, (_, n) => n + 2),
  );
  assert.equal(journal.figures().syncs, 3);
  await journal.close();
});

test('a call longer than a segment stands together and in order', async () => {
  const on = bed(3);
  const { journal } = await openOn(on);
  const records = Array.from({ length: 60 }, (_, n) => record(n, 50 + n * 10));
  const [one, many, last] = await Promise.all([
    journal.append([record(900)], 'admit'),
    journal.append(records, 'admit'),
    journal.append([record(901)], 'admit'),
  ]);
  assert.deepEqual([one, many, last], [0, 1, 61]);
  const expected = [record(900), ...records, record(901)].map(text);
  assert.deepEqual(await readAll(journal), expected);
  for (const from of [1, 17, 61, 62]) {
    assert.deepEqual(await readAll(journal, from), expected.slice(from));
  }
  await journal.close();
  const again = await openOn(on);
  assert.deepEqual(await readAll(again.journal), expected);
  await again.journal.close();
});

test('records come back byte for byte: empty, zeros, longest', async () => {
  const on = bed(4);
  const { journal } = await openOn(on);
  const records = [new Uint8Array(0), new Uint8Array(1024), record(1, 1024), Buffer.from([0])];
  for (const one of records) await journal.append([one], 'settle');
  await journal.append(records, 'settle');
  await journal.close();
  const again = await openOn(on);
  assert.deepEqual(await readAll(again.journal), [...records, ...records].map(text));
  await assert.rejects(again.journal.append([new Uint8Array(1025)], 'admit'), RangeError);
  await assert.rejects(again.journal.append([], 'admit'), RangeError);
  assert.throws(() => again.journal.read(9), RangeError);
  await again.journal.close();
});

test('the last batch is sealed when the journal has been idle', async () => {
  const on = bed(5);
  const { journal } = await openOn(on, { idleSealMs: 100 });
  await turns(50);
  await journal.append([record(0)], 'admit');
  on.clock.advance(99);
  await turns(10);
  assert.equal(journal.figures().syncs, 1);
  on.clock.advance(1);
  await turns(10);
  assert.equal(journal.figures().syncs, 2);
  on.clock.advance(1000);
  await turns(10);
  assert.equal(journal.figures().syncs, 2, 'one seal is enough');
  // The seal counts: with the batch before it changed, the journal is damaged, not torn.
  const path = `${FOLDER}/00000001.seg`;
  const bytes = on.disk.bytesOf(path);
  bytes[600] = (bytes[600] ?? 0) ^ 1;
  on.disk.halt();
  const after = on.disk.restart();
  after.plant(path, bytes);
  await assert.rejects(openOn({ ...on, world: { ...on.world, disk: after } }), {
    name: 'JournalDamaged',
    place: `${path} at byte 512`,
  });
});

test('trim removes whole segments below the position and nothing else', async () => {
  const on = bed(6);
  const { journal } = await openOn(on);
  for (let n = 0; n < 40; n += 1) await journal.append([record(n, 500)], 'admit');
  const before = journal.figures();
  assert.equal(await journal.trim(0), 0);
  const first = await journal.trim(23);
  assert.ok(first > 10 && first <= 23, `first is ${first}`);
  assert.equal(journal.first, first);
  assert.ok(journal.figures().segments < before.segments);
  assert.throws(() => journal.read(first - 1), RangeError);
  assert.equal((await readAll(journal)).length, 40 - first);
  await journal.close();
  const again = await openOn(on);
  assert.equal(again.journal.first, first);
  assert.equal(again.recovery.records, 40 - first);
  assert.equal((await readAll(again.journal))[0], text(record(first, 500)));
  await again.journal.trim(again.journal.next);
  await again.journal.append([record(40)], 'admit');
  await again.journal.close();
});

test('after close everything is refused; pending appends were answered first', async () => {
  const on = bed(7);
  const { journal } = await openOn(on);
  const pending = [journal.append([record(0)], 'admit'), journal.append([record(1)], 'admit')];
  const closed = journal.close();
  await assert.rejects(journal.append([record(2)], 'admit'), JournalBroken);
  assert.deepEqual(await Promise.all(pending), [0, 1]);
  await closed;
  assert.equal(journal.admits(1), false);
  await assert.rejects(journal.trim(0), JournalBroken);
});

test('on the real disk: written, closed, read back; a second opener is turned away', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'journal-'));
  try {
    const directory = join(folder, 'a', 'b');
    const sizes = { segmentBytes: 1024 * 1024, reserveBytes: 0, recordBytesMax: 256 * 1024 };
    const options = { directory, world: realWorld(), ...sizes };
    const { journal } = await openJournal(options);
    await assert.rejects(openJournal(options), { name: 'Fault', code: 'conflict' });
    const records = Array.from({ length: 900 }, (_, n) => record(n, 1 + ((n * 7919) % 9000)));
    await Promise.all(records.map((one) => journal.append([one], 'admit')));
    assert.deepEqual(await readAll(journal), records.map(text));
    await journal.close();
    const again = await openJournal(options);
    assert.equal(again.recovery.cleanStop, true);
    assert.deepEqual(await readAll(again.journal, 450), records.slice(450).map(text));
    await again.journal.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the lock of a killed process is free, and what it acknowledged is there', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'journal-'));
  const realWorldFile = join(import.meta.dirname, '../kernel/realworld.ts');
  const source = `
    import { openJournal } from ${JSON.stringify(join(import.meta.dirname, 'journal.ts'))};
    import { realWorld } from ${JSON.stringify(realWorldFile)};
    const directory = ${JSON.stringify(directory)};
    const { journal } = await openJournal({ directory, world: realWorld(), reserveBytes: 0,
      segmentBytes: 65536, recordBytesMax: 4096 });
    for (;;) console.log(await journal.append([Buffer.from('x'.repeat(500))], 'admit'));
  `;
  const args = ['--input-type=module-typescript', '-e', source];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    let printed = '';
    child.stdout.on('data', (piece) => {
      printed += piece;
    });
    const count = () => printed.split('\n').length - 1;
    while (count() < 300) await new Promise((resolve) => child.stdout.once('data', resolve));
    const options = { directory, world: realWorld(), reserveBytes: 0 };
    await assert.rejects(openJournal(options), { code: 'conflict' });
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await ended;
    const { journal, recovery } = await openJournal(options);
    const acknowledged = count();
    assert.equal(recovery.cleanStop, false);
    assert.equal(recovery.copiedTail, true);
    assert.ok(journal.next >= acknowledged, `${journal.next} of ${acknowledged} acknowledged`);
    console.log(`killed after ${acknowledged} acknowledgements; found ${journal.next}`);
    await journal.close();
  } finally {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  }
});

test('the next segment is made before it is needed', async () => {
  const on = bed(8);
  const { journal } = await openOn(on);
  await until('the second segment is there', () => journal.figures().segments === 2);
  assert.ok(on.disk.paths().includes(`${FOLDER}/00000002.seg`));
  await journal.close();
});
