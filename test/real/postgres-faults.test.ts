/**
 * What PostgreSQL refuses, withholds or has lost: each reply is the truth, and the probe says why.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { MARK, apply, attemptOf, everything, look } from '../contracts/bench.ts';
import {
  SHORT,
  isUnavailable,
  keysIn,
  over,
  postgresBench,
  quoted,
  rejoin,
  writerPid,
  type PostgresBench,
} from './postgres-bench.ts';
import { withServer } from './servers/servers.ts';

await withServer('postgres', (server) => {
  const url = (): string => server().url;
  const test = (
    name: string,
    body: (bench: PostgresBench) => Promise<void>,
    options: Record<string, unknown> = SHORT,
  ): void => void it(name, over(url, options, body));

  test('before the mark was asked nothing is sent or read, and nobody told', async (bench) => {
    const { stash, reader } = await bench.another();
    const told: string[] = [];
    stash.watch?.((why) => told.push(why));
    const [reply] = await stash.apply([attemptOf(1, 'a')], MARK);
    assert.ok(reply?.reply === 'failed' && !reply.sent && reply.apart === true);
    const [undone] = await stash.undo([attemptOf(1, 'a')], MARK);
    assert.ok(undone?.reply === 'failed' && undone.apart === true);
    await assert.rejects(reader.get('acme', 'orders', ['a'], everything), isUnavailable);
    await assert.rejects(reader.scan('acme', 'orders', '', null, 1, everything), isUnavailable);
    await assert.rejects(stash.holds([attemptOf(1, 'a')]), isUnavailable);
    await assert.rejects(stash.fence(), isUnavailable);
    await assert.rejects(stash.apply([], MARK), isUnavailable, 'the mark was not stored');
    assert.equal(await stash.prune(9), 0);
    assert.deepEqual(told, []);
    assert.deepEqual(await bench.sql(`SELECT * FROM ${quoted(bench)}`), []);
  });

  test('a row that a constraint refuses harms no neighbour', async (bench) => {
    await bench.sql(`ALTER TABLE ${quoted(bench)} ADD CHECK (octet_length(value) < 20)`);
    const long = attemptOf(2, 'b', 'x'.repeat(20));
    const batch = [attemptOf(1, 'a'), long, attemptOf(3, 'c')];
    const replies = await bench.stash.apply(batch, MARK);
    assert.deepEqual(
      replies.map((reply) => reply.reply),
      ['stored', 'refused', 'stored'],
    );
    assert.equal((replies[1] as { status?: unknown }).status, '23514');
    assert.deepEqual(await keysIn(bench), ['a', 'c']);
    assert.deepEqual(bench.told, []);
  });

  test("a row that meets another's in an index of the user is refused", async (bench) => {
    await bench.sql(`CREATE UNIQUE INDEX ON ${quoted(bench)} (digest) WHERE kind = 0`);
    const same = [attemptOf(1, 'a', 'x'), attemptOf(2, 'b', 'x'), attemptOf(3, 'c', 'y')];
    assert.deepEqual(await apply(bench, ...same), ['stored', 'refused', 'stored']);
  });

  test('a row that a trigger swallows does not count as stored', async (bench) => {
    await bench.sql(
      `CREATE FUNCTION ${quoted(bench).slice(0, -1)}_drop"() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF NEW.key = 'b' THEN RETURN NULL; END IF; RETURN NEW; END $$;
       CREATE TRIGGER swallow BEFORE INSERT ON ${quoted(bench)} FOR EACH ROW
         EXECUTE FUNCTION ${quoted(bench).slice(0, -1)}_drop"()`,
    );
    const batch = [attemptOf(1, 'a'), attemptOf(2, 'b'), attemptOf(3, 'c')];
    assert.deepEqual(await apply(bench, ...batch), ['stored', 'failed', 'stored']);
  });

  test(
    'what is larger than maxValue is refused before anything is sent',
    async (bench) => {
      const over20 = attemptOf(1, ['a', 'b', 'c'], 'x'.repeat(7));
      const batch = [over20, attemptOf(2, 'd', 'x'.repeat(20)), attemptOf(3, 'e', 'x'.repeat(21))];
      assert.deepEqual(await apply(bench, ...batch), ['refused', 'stored', 'refused']);
      assert.deepEqual(await keysIn(bench), ['d']);
    },
    { ...SHORT, maxValue: 20 },
  );

  test('a statement that waits too long for a lock fails for sure', async (bench) => {
    const other = new Client({ connectionString: bench.url });
    await other.connect();
    try {
      await other.query(`BEGIN; LOCK TABLE ${quoted(bench)} IN EXCLUSIVE MODE`);
      const [reply] = await bench.stash.apply([attemptOf(1, 'a')], MARK);
      assert.ok(reply?.reply === 'failed' && reply.status === '57014' && reply.sent);
      await other.query('COMMIT');
    } finally {
      await other.end();
    }
    assert.deepEqual(await keysIn(bench), []);
    assert.deepEqual(bench.told, []);
    assert.deepEqual(await apply(bench, attemptOf(1, 'a')), ['stored']);
  });

  test('rights that are taken away are an outage, and come back', async (bench) => {
    const table = quoted(bench);
    const role = `r${bench.table.slice(-8)}`;
    await bench.sql(`CREATE ROLE ${role} LOGIN PASSWORD 'x';
      GRANT USAGE ON SCHEMA holdfast TO ${role};
      GRANT ALL ON ${table}, ${table.slice(0, -1)}_mark" TO ${role}`);
    const as = new URL(bench.url);
    as.username = role;
    const limited = await bench.another({ url: as.href });
    await limited.stash.mark();
    assert.deepEqual(await apply(limited, attemptOf(1, 'a')), ['stored']);
    assert.deepEqual(await limited.stash.holds([attemptOf(9, 'x')]), ['never']);
    await bench.sql(`REVOKE INSERT ON ${table} FROM ${role}`);
    const [reply] = await limited.stash.apply([attemptOf(2, 'b')], MARK);
    assert.ok(reply?.reply === 'failed' && reply.status === '42501' && reply.outage === true);
    const findings = await limited.stash.probe();
    const rights = findings.find((finding) => finding.check === 'rights');
    assert.match(`${rights?.level} ${rights?.detail}`, /^error .*INSERT/);
    await bench.sql(`GRANT INSERT ON ${table} TO ${role}`);
    assert.deepEqual(await apply(limited, attemptOf(2, 'b')), ['stored']);
  });

  test('who asks for the mark takes over: the one before writes no more', async (bench) => {
    assert.deepEqual(await apply(bench, attemptOf(1, 'a')), ['stored']);
    const next = await bench.another();
    assert.deepEqual(await next.stash.mark(), MARK);
    const [reply] = await bench.stash.apply([attemptOf(2, 'b')], MARK);
    assert.ok(reply?.reply === 'failed' && reply.outage === true);
    const [undone] = await bench.stash.undo([attemptOf(1, 'a')], MARK);
    assert.equal(undone?.reply, 'failed');
    assert.equal(bench.told.length, 1);
    assert.match(bench.told[0] ?? '', /another process has taken over/);
    assert.deepEqual(await keysIn(bench), ['a']);
  });

  test('tables that are dropped are made again, and prove nothing', async (bench) => {
    await apply(bench, attemptOf(1, 'a'));
    await bench.sql(`DROP TABLE ${quoted(bench)}, ${quoted(bench).slice(0, -1)}_mark"`);
    const [reply] = await bench.stash.apply([attemptOf(2, 'b')], MARK);
    assert.equal(reply?.reply, 'failed');
    assert.equal(bench.told.length, 1);
    assert.equal(await bench.stash.mark(), null);
    assert.deepEqual(await bench.stash.holds([attemptOf(1, 'a')]), ['cannot-tell']);
    assert.deepEqual(await apply(bench, attemptOf(2, 'b')), ['stored']);
  });

  test('a store that comes back older shows it by its mark', async (bench) => {
    await bench.stash.apply([attemptOf(1, 'a')], MARK);
    await bench.stash.apply([attemptOf(2, 'b')], { ...MARK, position: 50 });
    const older = { ...MARK, position: 45 };
    await bench.sql(`DELETE FROM ${quoted(bench)} WHERE key = 'b'`);
    await bench.sql(`UPDATE ${quoted(bench).slice(0, -1)}_mark" SET position = 45`);
    await bench.sql('SELECT pg_terminate_backend($1)', [await writerPid(bench)]);
    while (bench.told.length === 0) await pause(5);
    assert.deepEqual(await bench.stash.mark(), older);
    assert.deepEqual(await bench.stash.holds([attemptOf(1, 'a')]), ['live']);
    assert.deepEqual(await bench.stash.holds([attemptOf(2, 'b')]), ['cannot-tell']);
  });

  test('a table of another shape or stash is refused with a hint', async (bench) => {
    await bench.sql(`ALTER TABLE ${quoted(bench)} ALTER COLUMN key TYPE text COLLATE "default"`);
    const next = await bench.another();
    await assert.rejects(next.stash.mark(), /\.key has the collation default, not "C"/);
    const findings = await next.stash.probe();
    assert.ok(findings.some(({ level, check }) => level === 'error' && check === 'tables'));
    await bench.sql(`ALTER TABLE ${quoted(bench)} ALTER COLUMN key TYPE text COLLATE "C"`);
    await bench.sql(`UPDATE ${quoted(bench).slice(0, -1)}_mark" SET stash = 'other'`);
    await assert.rejects(next.stash.mark(), /holds the stash "other", not "history"/);
  });

  test('a session waits for the disk whatever the server says by default', async (bench) => {
    await bench.sql('ALTER DATABASE postgres SET synchronous_commit = off');
    try {
      const next = await bench.another();
      await next.stash.mark();
      await bench.sql(
        `CREATE FUNCTION ${quoted(bench).slice(0, -1)}_sync"() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF current_setting('synchronous_commit') <> 'on' THEN
           RAISE 'it does not wait'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER waits BEFORE INSERT ON ${quoted(bench)} FOR EACH ROW
         EXECUTE FUNCTION ${quoted(bench).slice(0, -1)}_sync"()`,
      );
      assert.deepEqual(await apply(next, attemptOf(1, 'a')), ['stored']);
    } finally {
      await bench.sql('ALTER DATABASE postgres RESET synchronous_commit');
    }
  });

  test('a probe says what is wrong without ever throwing', async (bench) => {
    const nobody = new URL(bench.url);
    nobody.port = '1';
    const dead = await bench.another({ url: nobody.href });
    const [finding] = await dead.stash.probe();
    assert.equal(finding?.level, 'error');
    assert.match(finding?.detail ?? '', /127\.0\.0\.1:1/);
    await assert.rejects(dead.stash.mark(), isUnavailable);
    const wrong = new URL(bench.url);
    wrong.username = 'nobody-of-this-name';
    const stranger = await bench.another({ url: wrong.href });
    const [refused] = await stranger.stash.probe();
    assert.equal(refused?.level, 'error');
    assert.match(refused?.hint ?? '', /user and password/);
  });
});

await withServer(
  'postgres',
  (server) => {
    it('settings that lose data are errors, and nothing is proven with them', async () => {
      const bench = await postgresBench(server().url);
      try {
        const findings = await bench.stash.probe();
        const said = findings.map(({ level, check }) => `${level} ${check}`);
        assert.ok(said.includes('error fsync'), said.join());
        assert.ok(said.includes('warning full_page_writes'), said.join());
        for (const { level, hint } of findings) assert.ok(level === 'ok' || hint !== undefined);
        assert.deepEqual(await bench.stash.holds([attemptOf(1, 'a')]), ['cannot-tell']);
      } finally {
        await bench.dispose();
      }
    });

    it('a server that comes back empty has no mark, and proves nothing', async () => {
      const bench = await postgresBench(server().url);
      try {
        await apply(bench, attemptOf(1, 'a'));
        await server().restart({ empty: true, args: [] });
        await rejoin(bench);
        assert.equal(await bench.stash.mark(), null);
        assert.equal(await look(bench, 'a'), null);
        assert.deepEqual(await bench.stash.holds([attemptOf(1, 'a')]), ['cannot-tell']);
      } finally {
        await bench.dispose();
      }
    });
  },
  { args: ['-c', 'fsync=off', '-c', 'full_page_writes=off'] },
);
