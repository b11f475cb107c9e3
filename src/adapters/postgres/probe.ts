/**
 * Whether a PostgreSQL server can keep the promises of a stash, asked over a connection of its own:
 * every finding says what is lost otherwise, and what to do.
 */
import type { ProbeFinding } from '../../contracts/stash.ts';
import { Connection, type Statement } from './connection.ts';
import { greet, type Server } from './server.ts';
import type { SessionSetup } from './session.ts';
import { shapeFault } from './shape.ts';
import type { Tables } from './tables.ts';
import { troubleOf } from './trouble.ts';

const VERSION_MIN = 130_000;
const CLOCK_MS_MAX = 1000;

const CLOCK: Statement = {
  name: 'holdfast_clock',
  text: 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint',
};

/** Never throws: a server that does not answer is a finding. */
export async function probe(setup: SessionSetup, tables: Tables): Promise<readonly ProbeFinding[]> {
  const { address, connectTimeoutMs, timeoutMs, world } = setup;
  let connection: Connection | null = null;
  try {
    connection = Connection.to(address, world.clock, () => undefined);
    await connection.connect(connectTimeoutMs);
    const server = await greet(connection, timeoutMs);
    const found: ProbeFinding[] = [
      versionOf(server, address.label),
      ...settingsOf(server),
      await clockOf(connection, setup),
    ];
    found.push(...(await tablesFound(connection, setup, tables)));
    return found;
  } catch (error) {
    const { status, message } = troubleOf(error);
    const hint = status.startsWith('28')
      ? 'Look at user and password in the url, and at pg_hba.conf of the server.'
      : 'Look whether the server runs and can be reached from here.';
    const detail = `${address.label}: ${message}`;
    return [{ level: 'error', check: 'connection', detail, hint }];
  } finally {
    connection?.close();
  }
}

function versionOf(
  { version, settings, inRecovery, encoding }: Server,
  label: string,
): ProbeFinding {
  const detail = `${label}, PostgreSQL ${settings.get('server_version') ?? version}`;
  const check = 'server';
  if (inRecovery) {
    const hint = 'Name the primary in the url: a standby takes no writes.';
    return { level: 'error', check, detail: `${detail}, which is a standby`, hint };
  }
  if (encoding !== 'UTF8') {
    const hint = "Keys are Unicode: make a database with ENCODING 'UTF8'.";
    return { level: 'error', check, detail: `${detail}, encoded in ${encoding}`, hint };
  }
  if (version < VERSION_MIN) {
    const hint = 'Versions below 13 are not tried.';
    return { level: 'warning', check, detail, hint };
  }
  return { level: 'ok', check, detail };
}

/** Settings of the server, each with what is lost when it is off. */
function settingsOf({ settings }: Server): ProbeFinding[] {
  const found: ProbeFinding[] = [];
  const off = (name: string): boolean => settings.get(name) === 'off';
  if (off('fsync')) {
    found.push({
      level: 'error',
      check: 'fsync',
      detail: 'fsync is off: a power cut loses or damages what was acknowledged',
      hint: 'Set fsync = on in postgresql.conf.',
    });
  }
  if (off('full_page_writes')) {
    found.push({
      level: 'warning',
      check: 'full_page_writes',
      detail: 'full_page_writes is off: a power cut may damage pages that were half written',
      hint: 'Set full_page_writes = on, unless the file system never tears a page.',
    });
  }
  const waits = settings.get('synchronous_commit') ?? 'unknown';
  if (waits !== 'on' && waits !== 'remote_apply') {
    found.push({
      level: 'error',
      check: 'synchronous_commit',
      detail: `synchronous_commit stays ${waits} in our session: no commit waits for the disk`,
      hint: 'Connect without a proxy that drops settings of the session.',
    });
  }
  const standbys = settings.get('synchronous_standby_names') ?? '';
  found.push({
    level: 'ok',
    check: 'durability',
    detail:
      standbys === ''
        ? 'commits wait for the disk of this server; a fail-over to a standby that lags behind ' +
          'loses the last of them (its mark tells, and the intake refills it for journal.keep)'
        : `commits wait for the disk of this server and for standbys: ${standbys}`,
  });
  return found;
}

async function clockOf(connection: Connection, setup: SessionSetup): Promise<ProbeFinding> {
  const { clock } = setup.world;
  const start = clock.monotonicMs();
  const [[there] = []] = await connection.query(CLOCK, [], setup.timeoutMs);
  const way = (clock.monotonicMs() - start) / 2;
  const apart = Math.round(Number(there) - (clock.wallMs() - way));
  const detail = `the server's clock is ${apart} ms from ours`;
  if (Math.abs(apart) <= CLOCK_MS_MAX) return { level: 'ok', check: 'clock', detail };
  const hint = 'Expiry is judged by our clock, never by theirs; others who read the table differ.';
  return { level: 'warning', check: 'clock', detail, hint };
}

async function tablesFound(
  connection: Connection,
  { timeoutMs, schema, table }: SessionSetup,
  tables: Tables,
): Promise<ProbeFinding[]> {
  const { version, mark, books } = tables;
  const there = await connection.query(books.columns, [mark], timeoutMs);
  if (there.length === 0) return [await mayMake(connection, schema, timeoutMs, version)];
  const wrong = await shapeFault(connection, tables, timeoutMs);
  if (wrong !== null) {
    const hint = 'Name another table or schema.';
    return [{ level: 'error', check: 'tables', detail: wrong, hint }];
  }
  const found = [await rightsOf(connection, tables, timeoutMs)];
  const rows = await connection.query(books.indexes, [], timeoutMs);
  for (const name of [`${table}_uow`, `${table}_expiry`]) {
    if (rows.some(([index, valid]) => index === name && valid === true)) continue;
    found.push({
      level: 'warning',
      check: 'indexes',
      detail: `${version} lacks the index ${name}: removing old versions reads the whole table`,
      hint: 'Make it again, CONCURRENTLY, as docs/STORES.md shows it.',
    });
  }
  return found;
}

async function mayMake(
  connection: Connection,
  schema: string,
  timeoutMs: number,
  version: string,
): Promise<ProbeFinding> {
  const text = `SELECT CASE WHEN to_regnamespace('"${schema}"') IS NULL
      THEN has_database_privilege(current_database(), 'CREATE')
      ELSE has_schema_privilege(to_regnamespace('"${schema}"'), 'CREATE') END`;
  const [[may] = []] = await connection.query({ name: 'holdfast_make', text }, [], timeoutMs);
  const check = 'tables';
  if (may === true)
    return { level: 'ok', check, detail: `${version} will be made when it is used` };
  return {
    level: 'error',
    check,
    detail: `${version} is not there, and this user may not make it`,
    hint: `GRANT CREATE ON SCHEMA (or DATABASE) to the user, or make the tables by hand.`,
  };
}

async function rightsOf(
  connection: Connection,
  { version, mark }: Tables,
  timeoutMs: number,
): Promise<ProbeFinding> {
  const text = `SELECT string_agg(w.relation || ': ' || w.may, ', ')
    FROM (VALUES ($1, 'SELECT'), ($1, 'INSERT'), ($1, 'UPDATE'), ($1, 'DELETE'),
      ($2, 'SELECT'), ($2, 'INSERT'), ($2, 'UPDATE')) AS w (relation, may)
    WHERE NOT has_table_privilege(w.relation, w.may)`;
  const statement = { name: 'holdfast_rights', text };
  const [[missing] = []] = await connection.query(statement, [version, mark], timeoutMs);
  if (typeof missing !== 'string') {
    return { level: 'ok', check: 'tables', detail: `${version} has its shape, and we our rights` };
  }
  const hint = 'GRANT SELECT, INSERT, UPDATE, DELETE on both tables to the user.';
  return { level: 'error', check: 'rights', detail: `not allowed: ${missing}`, hint };
}
