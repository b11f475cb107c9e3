/**
 * Who answers at the other end, and what a session asks of it: settings that our promises rest on,
 * and those of the server that nobody but its owner can change.
 */
import type { Connection, Statement } from './connection.ts';

/** A server process and the data it serves. */
export interface Server {
  /** Names the data directory and its time line: another one may have lost something. */
  readonly data: string;
  /** Names the process: it changes with every start. */
  readonly started: string;
  readonly version: number;
  readonly inRecovery: boolean;
  readonly encoding: string;
  /** Whether what it commits survives a power cut. */
  readonly durable: boolean;
  readonly settings: ReadonlyMap<string, string>;
}

/** What the probe judges, and what `durable` follows from. */
const WATCHED = [
  'fsync',
  'full_page_writes',
  'synchronous_commit',
  'synchronous_standby_names',
  'server_version',
] as const;

/** In place of `Server.data` where this user may not ask: one cannot tell a store from its copy. */
export const UNKNOWN = 'unknown';

/** Settings of the session; one that a server does not know is left out. */
function settings(endedAfterMs: number): Readonly<Record<string, string>> {
  return {
    // Ended by the server before we give up on it, so that the answer is a definite one.
    statement_timeout: String(endedAfterMs),
    lock_timeout: '0',
    idle_session_timeout: '0',
    idle_in_transaction_session_timeout: '0',
    default_transaction_isolation: 'read committed',
    default_transaction_read_only: 'off',
    bytea_output: 'hex',
    client_min_messages: 'warning',
    jit: 'off',
    row_security: 'off',
  };
}

const SETTLE: Statement = {
  name: 'holdfast_settings',
  text: `SELECT set_config(s.name, w.value, false)
    FROM json_each_text($1::json) AS w (name, value) JOIN pg_settings s ON s.name = w.name
    UNION ALL
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')`,
};

const WATCH: Statement = {
  name: 'holdfast_server',
  text: `SELECT pg_postmaster_start_time()::text, pg_is_in_recovery(),
      current_setting('server_version_num')::bigint, current_setting('server_encoding'),
      json_object_agg(name, setting)::text
    FROM pg_settings WHERE name = ANY ($1::text[])`,
};

/** The functions may be closed to this user: then only the start of the process is known. */
const DATA: Statement = {
  name: 'holdfast_data',
  text: `SELECT CASE WHEN has_function_privilege('pg_control_system()', 'execute')
      AND has_function_privilege('pg_control_checkpoint()', 'execute')
    THEN (SELECT system_identifier::text FROM pg_control_system()) || '/' ||
      (SELECT timeline_id::text FROM pg_control_checkpoint()) END`,
};

/** A fifth of the time is left for the way and for the commit. */
export function statementMs(timeoutMs: number): number {
  return Math.max(1, Math.floor(timeoutMs * 0.8));
}

/** Sets up the session and says who it is with; rejects as `Connection.query` does. */
export async function greet(connection: Connection, timeoutMs: number): Promise<Server> {
  const wishes = JSON.stringify(settings(statementMs(timeoutMs)));
  await connection.query(SETTLE, [wishes], timeoutMs);
  const [row = []] = await connection.query(WATCH, [`{${WATCHED.join(',')}}`], timeoutMs);
  const [[data] = []] = await connection.query(DATA, [], timeoutMs);
  const [started, inRecovery, version, encoding, json] = row as [
    string,
    boolean,
    number,
    string,
    string,
  ];
  const known = new Map(Object.entries(JSON.parse(json) as Record<string, string>));
  const durable = known.get('fsync') === 'on' && known.get('full_page_writes') === 'on';
  return {
    data: typeof data === 'string' ? data : UNKNOWN,
    started,
    version,
    inRecovery,
    encoding,
    durable,
    settings: known,
  };
}
