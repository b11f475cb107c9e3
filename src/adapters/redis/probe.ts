/**
 * Looks at each Redis process for what it cannot promise: whether values may vanish, what a power
 * cut or a fail-over loses, whether the fence holds. On connections of its own; it never throws.
 */
import type { ProbeFinding } from '../../contracts/stash.ts';
import { Link, messageOf, nodeOf, type Answer } from './connection.ts';
import { infoOf } from './joining.ts';
import type { Address } from './options.ts';
import { APPLY } from './script.ts';
import type { RedisStore } from './store.ts';
import { locate } from './topology.ts';

/** Enough to be led to different servers by a balancer that takes turns. */
const CONNECTIONS = 3;
const CLOCK_MS_MAX = 1000;
const MAJOR_MIN = 7;
/** A number no connection has. */
const NOBODY = '9007199254740991';

type Level = ProbeFinding['level'];

export async function probe(store: RedisStore): Promise<readonly ProbeFinding[]> {
  const { options, setup } = store;
  try {
    const { seeds, access, cluster } = options;
    const nodes = cluster
      ? [...(await locate(seeds, access, setup.world.clock)).masters.values()]
      : seeds.slice(0, 1);
    return (await Promise.all(nodes.map((node) => probeNode(store, node)))).flat();
  } catch (error) {
    const hint = 'Look whether Redis runs, and at `url`, `nodes`, `username` and `password`.';
    return [finding('error', 'reach', messageOf(error), hint)];
  }
}

function finding(level: Level, check: string, detail: string, hint?: string): ProbeFinding {
  return hint === undefined ? { level, check, detail } : { level, check, detail, hint };
}

async function probeNode(store: RedisStore, address: Address): Promise<ProbeFinding[]> {
  const { access } = store.options;
  const { clock } = store.setup.world;
  const node = nodeOf(address);
  const opening = Array.from({ length: CONNECTIONS }, () => Link.open(address, access, clock));
  const opened = await Promise.allSettled(opening);
  const links = opened.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
  try {
    const [link] = links;
    const failed = opened.find((end) => end.status === 'rejected');
    if (link === undefined || failed !== undefined) {
      const why = failed?.status === 'rejected' ? messageOf(failed.reason) : 'no connection';
      const hint = 'Look whether Redis runs, and at `url`, `username` and `password`.';
      return [finding('error', 'reach', why, hint)];
    }
    const server = infoOf(await link.ask('INFO', 'server'));
    const found = [serverFinding(node, server), ...(await identity(store, links, node))];
    found.push(...(await placeFindings(link, node)));
    found.push(...(await memory(link, node)), ...(await persistence(link, node)));
    found.push(...(await rights(store, link, node)), ...(await clockFindings(store, link, node)));
    return found;
  } catch (error) {
    const hint = 'Holdfast needs INFO, CLIENT and TIME.';
    return [finding('error', 'reach', `${node}: ${messageOf(error)}`, hint)];
  } finally {
    for (const link of links) link.close();
  }
}

function serverFinding(node: string, server: ReadonlyMap<string, string>): ProbeFinding {
  const valkey = server.get('valkey_version');
  const version = valkey ?? server.get('redis_version') ?? '';
  const name = `${node} is ${valkey === undefined ? 'Redis' : 'Valkey'} ${version}`;
  if (Number.parseInt(version, 10) >= MAJOR_MIN) return finding('ok', 'version', name);
  return finding('error', 'version', name, 'Holdfast needs Redis 7.0 or Valkey 7.2, or newer.');
}

/** Several connections, one process: else something stands between that the fence cannot see. */
async function identity(
  store: RedisStore,
  links: readonly Link[],
  node: string,
): Promise<ProbeFinding[]> {
  const servers = new Set<string>();
  const connections = new Set<string>();
  for (const link of links) {
    servers.add(infoOf(await link.ask('INFO', 'server')).get('run_id') ?? '');
    connections.add(String(await link.ask('CLIENT', 'ID')));
  }
  if (servers.size > 1) {
    const detail = `${node} leads to several servers, one connection here and one there`;
    const hint = 'Give the address of the server itself, not of a proxy or a balancer.';
    return [finding('error', 'identity', detail, hint)];
  }
  if (connections.size === links.length) {
    return [finding('ok', 'identity', `${node} is one process`)];
  }
  const detail = `${node} is reached through a proxy that shares its connections`;
  if (store.options.fence === 'key') return [finding('ok', 'identity', detail)];
  const hint = 'Say `fence: key`: ending a connection would not end what was sent over it.';
  return [finding('error', 'identity', detail, hint)];
}

async function placeFindings(link: Link, node: string): Promise<ProbeFinding[]> {
  const info = infoOf(await link.ask('INFO', 'replication'));
  const role = info.get('role') ?? 'unknown';
  if (role !== 'master') {
    const hint = 'Give the address of the master.';
    return [finding('error', 'role', `${node} is no master but ${role}`, hint)];
  }
  const replicas = Number(info.get('connected_slaves') ?? 0);
  if (replicas === 0) return [finding('ok', 'role', `${node} is a master without replicas`)];
  const detail = `${node} has ${replicas} replicas: a fail-over loses what had not reached them`;
  const hint =
    'Keep `journal.keep` longer than a replica lags: what is lost is refilled from there.';
  return [finding('warning', 'replicas', detail, hint)];
}

async function memory(link: Link, node: string): Promise<ProbeFinding[]> {
  const info = infoOf(await link.ask('INFO', 'memory'));
  const policy = info.get('maxmemory_policy') ?? 'unknown';
  const bounded = info.get('maxmemory') !== '0';
  if (policy === 'noeviction') return [finding('ok', 'eviction', `${node}: noeviction`)];
  const hint = 'Set `maxmemory-policy noeviction`: Redis then says that it is full instead.';
  const detail = `${node}: maxmemory-policy is ${policy}`;
  if (!bounded) return [finding('warning', 'eviction', `${detail}, but no maxmemory is set`, hint)];
  return [finding('error', 'eviction', `${detail}: values vanish when memory runs short`, hint)];
}

async function persistence(link: Link, node: string): Promise<ProbeFinding[]> {
  const [answer] = await link.call([['CONFIG', 'GET', '*']]);
  if (!Array.isArray(answer)) {
    const detail = `${node}: CONFIG is forbidden, so what it writes to disk is not known`;
    const hint = 'Allow CONFIG GET, or see to it that appendonly is on.';
    return [finding('warning', 'persistence', detail, hint)];
  }
  const config = configOf(answer as Answer[]);
  const save = config.get('save') ?? '';
  const file = config.get('appendonly') === 'yes' ? (config.get('appendfsync') ?? '') : null;
  const kept = 'What is lost is refilled from the intake, within `journal.keep`.';
  const hint = `${kept} Less is lost with \`appendonly yes\` and \`appendfsync always\`.`;
  const tell = (what: string): ProbeFinding[] => [
    finding('warning', 'persistence', `${node}: ${what}`, hint),
  ];
  if (file === 'always') return [finding('ok', 'persistence', `${node}: each write on disk`)];
  if (file === 'everysec') {
    return tell('a power cut loses about the last second, a kill of Redis alone nothing written');
  }
  if (file !== null) return tell('a power cut loses what the system had not written yet (30 s)');
  if (save === '')
    return tell('nothing is written to disk: each restart of Redis loses everything');
  return tell(`a restart, a kill or a power cut loses all since the last snapshot (save ${save})`);
}

function configOf(answer: readonly Answer[]): ReadonlyMap<string, string> {
  const config = new Map<string, string>();
  for (let at = 0; at + 1 < answer.length; at += 2) {
    config.set(String(answer[at]), String(answer[at + 1]));
  }
  return config;
}

async function rights(store: RedisStore, link: Link, node: string): Promise<ProbeFinding[]> {
  const found: ProbeFinding[] = [];
  if (store.options.fence === 'connection') {
    const [answer] = await link.call([['CLIENT', 'KILL', 'ID', NOBODY]]);
    if (answer instanceof Error) {
      const detail = `${node} does not end connections: ${answer.message}`;
      found.push(finding('error', 'fence', detail, 'Allow CLIENT KILL, or say `fence: key`.'));
    } else found.push(finding('ok', 'fence', `${node} ends connections when told to`));
  }
  if (store.scripts) {
    const [answer] = await link.call([['SCRIPT', 'LOAD', APPLY.body]]);
    if (answer instanceof Error) {
      const detail = `${node} runs no functions of ours: ${answer.message}`;
      found.push(finding('error', 'functions', detail, 'Allow SCRIPT LOAD and EVALSHA.'));
    } else found.push(finding('ok', 'functions', `${node} runs functions`));
  }
  return found;
}

async function clockFindings(store: RedisStore, link: Link, node: string): Promise<ProbeFinding[]> {
  const before = store.setup.world.clock.wallMs();
  const answer = await link.ask('TIME');
  const after = store.setup.world.clock.wallMs();
  const [seconds, micros] = Array.isArray(answer) ? (answer as string[]) : [];
  const theirs = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  // It was read at some moment in between.
  const apart = theirs < before ? before - theirs : Math.max(0, theirs - after);
  if (apart <= CLOCK_MS_MAX) return [finding('ok', 'clock', `${node}: within a second of ours`)];
  const detail = `${node}: its clock is ${(apart / 1000).toFixed(1)} s away from ours`;
  const hint = 'Let both follow one source of time: values live shorter or longer by that much.';
  return [finding('warning', 'clock', detail, hint)];
}
