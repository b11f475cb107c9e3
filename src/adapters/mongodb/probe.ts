/** What a look at a MongoDB server tells: whether it can keep the promises of a stash. */
import type { ProbeFinding } from '../../contracts/stash.ts';
import { Fault } from '../../kernel/errors.ts';
import type { Clock, World } from '../../kernel/world.ts';
import type { Bson } from './documents.ts';
import { Connection, type ServerIdentity } from './connection.ts';
import { collectionFindings } from './indexes.ts';

const SKEW_MS_MAX = 1000;

export interface ProbeSetup {
  readonly url: string;
  readonly database: string;
  readonly collection: string;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly world: World;
}

/** Over a connection of its own, closed when it is done; never rejects. */
export async function probe(setup: ProbeSetup): Promise<readonly ProbeFinding[]> {
  const { database, collection, world } = setup;
  let connection: Connection | null = null;
  const findings: ProbeFinding[] = [];
  try {
    connection = new Connection({ ...setup, clock: world.clock });
    const askedMs = world.clock.wallMs();
    const server = await connection.connect();
    findings.push(await serverFinding(connection, server));
    findings.push(topologyFinding(server));
    findings.push(...(await journalFindings(connection)));
    findings.push(...clockFindings(server, askedMs, world.clock));
    findings.push(...(await collectionFindings(connection, collection)));
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const hint =
      error instanceof Fault
        ? error.hint
        : `Check that the server runs, and that the user may read and write ${database}.`;
    findings.push({ level: 'error', check: 'server', detail, hint });
  }
  connection?.close();
  return findings;
}

async function serverFinding(
  connection: Connection,
  { address }: ServerIdentity,
): Promise<ProbeFinding> {
  const { version } = await connection.admin({ buildInfo: 1 });
  return { level: 'ok', check: 'server', detail: `${address}, version ${String(version)}` };
}

function topologyFinding({ topology, hello }: ServerIdentity): ProbeFinding {
  const check = 'replication';
  if (topology === 'standalone') {
    return {
      level: 'warning',
      check,
      detail:
        'a server alone: what it acknowledged is in its own journal only, and lost with its disk',
      hint: 'Run a replica set of three members; w: majority then means two disks at least.',
    };
  }
  if (topology === 'sharded') {
    const detail = 'sharded: a change of a shard shows as failing calls only';
    return { level: 'ok', check, detail };
  }
  const hosts = (hello['hosts'] ?? []) as readonly string[];
  const detail = `replica set ${String(hello['setName'])}, ${hosts.length} with data`;
  if (hosts.length >= 3) return { level: 'ok', check, detail };
  return {
    level: 'warning',
    check,
    detail: `${detail}: what is acknowledged may be on one disk only, and is lost with it`,
    hint: 'Run three members; w: majority then means two disks at least.',
  };
}

/** Old servers, and those that keep all in memory, can be without a journal. */
async function journalFindings(connection: Connection): Promise<ProbeFinding[]> {
  const check = 'journal';
  let status: Bson;
  try {
    status = await connection.admin({ serverStatus: 1 });
  } catch (error) {
    const detail = `cannot be told: ${error instanceof Error ? error.message : String(error)}`;
    const hint = 'Give the user the role clusterMonitor, or see that journaling is on.';
    return [{ level: 'warning', check, detail, hint }];
  }
  const engine = (status['storageEngine'] ?? {}) as { name?: string; persistent?: boolean };
  const name = engine.name ?? 'unnamed storage engine';
  if (engine.persistent !== false) return [{ level: 'ok', check, detail: name }];
  return [
    {
      level: 'error',
      check,
      detail: `${name} keeps nothing on disk: what was acknowledged is lost when it stops`,
      hint: 'Use a server with a storage engine that is persistent and journaled.',
    },
  ];
}

function clockFindings({ hello }: ServerIdentity, askedMs: number, clock: Clock): ProbeFinding[] {
  const { localTime } = hello as { localTime?: Date };
  if (!(localTime instanceof Date)) return [];
  const theirs = localTime.getTime();
  const skewMs = Math.max(askedMs - theirs, theirs - clock.wallMs(), 0);
  if (skewMs <= SKEW_MS_MAX) return [];
  return [
    {
      level: 'warning',
      check: 'clock',
      detail: `its clock and ours are ${Math.round(skewMs / 1000)} s apart`,
      hint: 'Let both follow NTP: queries of your own on expiresAt and heldAt go by its clock.',
    },
  ];
}
