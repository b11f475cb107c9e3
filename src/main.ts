/**
 * One process, wired: the only file that knows every adapter, and where rooms that never import one
 * another are joined by their ports.
 */
import { readFileSync } from 'node:fs';
import { resolve as resolvePath } from 'node:path';
import { STASH_ADAPTERS, STATE_ADAPTERS } from './adapters/registry.ts';
import type { Config, StashConfig } from './config/config.ts';
import { planFlows, roleOf, shapeSources } from './config/flows.ts';
import { shownConfig } from './config/print.ts';
import { textRenderer } from './config/text-template.ts';
import { DiskFull, JournalDamaged } from './contracts/journal.ts';
import type { FlowsPort } from './contracts/ports.ts';
import type { Reader } from './contracts/reader.ts';
import type { StashAdapter } from './contracts/spec.ts';
import type { Stash } from './contracts/stash.ts';
import type { State } from './contracts/state.ts';
import { Connections } from './fanout/connections.ts';
import { Engine, type EngineEvents, type EngineParts } from './fanout/engine.ts';
import { createShaper } from './intake/shape/shaper.ts';
import { openJournal } from './journal/journal.ts';
import { Fault } from './kernel/errors.ts';
import { realWorld } from './kernel/realworld.ts';
import type { Clock, World } from './kernel/world.ts';
import { Callbacks } from './operate/callbacks.ts';
import { closedPorts } from './operate/closed.ts';
import { Deletions } from './operate/deletions.ts';
import { examine, illFindings } from './operate/doctor.ts';
import { Failures } from './operate/failures.ts';
import { stashCheck } from './operate/stash-check/stash-check.ts';
import { Status } from './operate/status.ts';
import { Read } from './read/read.ts';
import { runCli, type Bodies, type ConfigFlags } from './serve/cli/cli.ts';
import { runConfigPrint, runConfigSchema } from './serve/cli/config.ts';
import { EXIT, tinted, type CliIo } from './serve/cli/io.ts';
import { loadOrTell, runValidate, type ConfigArgs } from './serve/cli/validate.ts';
import { startHttp, type HttpServer, type Ports } from './serve/http/http.ts';
import { openLog, type Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';

const SPECS = STASH_ADAPTERS.map((adapter) => adapter.spec);
/** A second signal ends at once, but not the copy of the first that a shell sends along. */
const SECOND_SIGNAL_MS = 500;

interface Stores {
  readonly stashes: Map<string, Stash>;
  readonly readers: Map<string, Reader>;
}

function version(): string {
  // Beside src in a checkout, two folders up in what is published.
  for (const up of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(up, import.meta.url), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      // Not this one.
    }
  }
  return 'unknown';
}

function adapterOf(kind: string): StashAdapter {
  const adapter = STASH_ADAPTERS.find((each) => each.spec.kind === kind);
  if (adapter === undefined) throw new RangeError(`no adapter for ${kind}`);
  return adapter;
}

/** What every stash of a process is opened with. */
interface StashSurroundings {
  readonly config: Config;
  readonly dataDirectory: string;
  readonly world: World;
  readonly connections: Connections;
  readonly callbacks: Callbacks;
}

async function openStash(config: StashConfig, around: StashSurroundings) {
  const { dataDirectory, world, connections, callbacks } = around;
  const renders = new Map(
    [...config.templates].map(([option, template]) => [option, textRenderer(template)] as const),
  );
  return await adapterOf(config.kind).open({
    id: config.id,
    options: config.options,
    dataDirectory,
    world,
    role: roleOf(config.id, around.config.flows.values()),
    connections: connections.of(config.id),
    callbacks,
    render: (option, names) => {
      const render = renders.get(option);
      if (render === undefined) throw new RangeError(`option ${option} is no template`);
      return render(names);
    },
  });
}

async function openStores(around: StashSurroundings): Promise<Stores> {
  const stores: Stores = { stashes: new Map(), readers: new Map() };
  for (const stash of around.config.stashes.values()) {
    const open = await openStash(stash, around);
    stores.stashes.set(stash.id, open.stash);
    if (open.reader !== undefined) stores.readers.set(stash.id, open.reader);
  }
  return stores;
}

/** Everything of a running server, and how it ends. */
interface Running {
  readonly engine: Engine;
  readonly http: HttpServer;
  readonly log: Log;
  readonly stores: Stores;
  readonly state: State;
  readonly shaper: { close(): Promise<void> };
}

type Ends = (code: number) => void;

async function start(config: Config, ends: Ends): Promise<Running> {
  const world = realWorld();
  const { clock } = world;
  const { level, keys } = config.logging;
  const log = openLog({ level, keys, clock, pretty: process.stdout.isTTY });
  const dataDirectory = resolvePath(config.dataDir);
  await world.disk.makeDirectory(dataDirectory);
  const { journal, recovery } = await openJournal({
    directory: `${dataDirectory}/intake`,
    world,
    segmentBytes: config.journal.segmentBytes,
  });
  log.logger.info({ type: 'journal', ...recovery }, 'intake opened');
  const state = await openState(config, dataDirectory, world);
  const connections = new Connections();
  const callbacks = new Callbacks(clock);
  const stores = await openStores({ config, dataDirectory, world, connections, callbacks });
  const flows = planFlows(config, 1);
  const shapeMsMax = config.limits.shapeMsMax;
  const shaper = createShaper(shapeSources(config), { clock, shapeMsMax });
  const status = new Status(shownConfig(config, SPECS));
  const find = (account: string, flow: string) => flows.get(`${account}/${flow}`) ?? null;
  const info = { version: version(), node: process.version };
  const metrics = new Metrics(info, [status]);
  const shared = { world, log, metrics, version: info.version };
  // The port is open while the intake is read: /live and /startup answer, the rest is 503.
  const http = await startHttp(closedPorts({ flows: { find }, status, callbacks }, clock), {
    ...config.http,
    ...shared,
  });
  callbacks.reachedAt(config.http.publicUrl ?? http.url);
  const engine = await startEngine(http, {
    world,
    journal,
    state,
    ...stores,
    connections,
    flows,
    shaper,
    journalKeepMs: config.journal.keepMs,
    dataDirectory,
    inFlightWritesMax: config.limits.inFlightWritesMax,
    events: eventsOf(log, clock, ends),
  });
  const { counts, epoch, replayedRecords, refilled } = engine.recovered;
  const found = { epoch, replayedRecords, open: counts, refilled: Object.fromEntries(refilled) };
  log.logger.info({ type: 'recovery', ...found }, 'recovered');
  status.started(engine);
  void illFindings(stores.stashes.values()).then((lines) => {
    for (const { part, check, detail, ...more } of lines) {
      const words = { type: 'store', part, hint: more.hint };
      log.logger.warn(words, `${part}: ${check}: ${detail}`);
    }
  });
  http.join(joinRooms({ world, state, engine, status, callbacks, flows: { find } }));
  return { engine, http, log, stores, state, shaper };
}

/** A start that cannot be must not leave the port open. */
async function startEngine(http: HttpServer, parts: EngineParts): Promise<Engine> {
  try {
    return await Engine.start(parts);
  } catch (error) {
    await http.close(0);
    throw error;
  }
}

async function openState(config: Config, dataDirectory: string, world: World): Promise<State> {
  const adapter = STATE_ADAPTERS.find((each) => each.engine === config.state.engine);
  if (adapter === undefined) throw new RangeError(`no State engine ${config.state.engine}`);
  return await adapter.open(dataDirectory, world);
}

/** The answers that say so leave before the process does. */
const BROKEN_MS = 100;

function eventsOf(log: Log, clock: Clock, ends: Ends): EngineEvents {
  const { logger } = log;
  return {
    settled: (write) => {
      if (write.outcome === 'committed' || write.outcome === null) return;
      const { uow, outcome, account, flow } = write;
      logger.info({ type: 'settled', uow, outcome, account, flow, report: write.report() });
    },
    broken: (cause) => {
      logger.fatal({ type: 'journal', err: cause }, 'nothing more can be acknowledged');
      log.flush();
      clock.after(BROKEN_MS, () => ends(EXIT.journal));
    },
    warned: (what, error) => logger.warn({ type: 'warning', err: error }, what),
  };
}

interface Rooms {
  readonly world: World;
  readonly state: State;
  readonly engine: Engine;
  readonly status: Status;
  readonly callbacks: Callbacks;
  readonly flows: FlowsPort;
}

/** Joins the rooms behind the door by their ports. */
function joinRooms({ world, state, engine, status, callbacks, flows }: Rooms): Ports {
  const read = new Read(engine.readers, engine.visible);
  const failures = new Failures(state, engine.log, engine.parking);
  const deletions = new Deletions({ world, log: engine.log, state, flows, read, write: engine });
  return { flows, write: engine, read, failures, deletions, lanes: failures, status, callbacks };
}

/**
 * Drains: no new work, what is held is settled or left for the next start, everything is synced.
 */
async function stop(running: Running, drainMs: number): Promise<void> {
  const { engine, http, log, stores, state, shaper } = running;
  http.drain();
  const { unsettled } = await engine.stop(drainMs);
  await http.close(1000);
  await shaper.close();
  for (const stash of stores.stashes.values()) await stash.close();
  await state.close();
  log.logger.info({ type: 'stop', unsettled }, 'stopped');
  log.flush();
}

function hello(running: Running, config: Config, io: CliIo): void {
  const { url } = running.http;
  const at = `${url}/v1/data/default/default/greeting`;
  const lines = [
    `Holdfast ${version()} serves on ${url}`,
    `Data lies in ${resolvePath(config.dataDir)}; configuration: ${config.source}`,
  ];
  if (config.flows.has('default/default')) {
    lines.push(
      'Try:',
      `  curl -X PUT ${at} -H 'content-type: application/json' -d '{"hello":"world"}'`,
      `  curl -i ${at}`,
      `  curl ${url}/v1/failures`,
    );
  }
  io.stderr.write(`${lines.join('\n')}\n`);
}

/** The exit code and the words of a start that could not be. */
function startFault(error: unknown, io: CliIo): number {
  const tell = (words: string, hint?: string): void => {
    io.stderr.write(`${tinted(io, 31, 'error:')} ${words}\n`);
    if (hint !== undefined) io.stderr.write(`hint: ${hint}\n`);
  };
  if (error instanceof JournalDamaged) {
    tell(error.message, error.hint);
    return error.place === 'configuration' ? EXIT.config : EXIT.journal;
  }
  if (error instanceof Fault) {
    tell(error.detail, error.hint);
    return EXIT.failed;
  }
  if (error instanceof DiskFull) {
    tell(error.message, 'Free disk space and start again.');
    return EXIT.journal;
  }
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    tell(`the port is taken: ${error.message}`, 'Stop the other program, or give --port another.');
    return EXIT.failed;
  }
  throw error;
}

async function serve(flags: ConfigFlags, io: CliIo): Promise<number> {
  const config = await loadOrTell(argsOf(flags, io), io);
  if (config === null) return EXIT.config;
  let end: (code: number) => void = () => {};
  const ended = new Promise<number>((done) => {
    end = done;
  });
  let running: Running | null = null;
  let signalledAt: number | null = null;
  const drain = (): void => {
    if (running === null) return;
    stop(running, config.limits.drainMs).then(
      () => end(EXIT.ok),
      () => end(EXIT.failed),
    );
  };
  const onSignal = (): void => {
    const now = performance.now();
    if (signalledAt === null) {
      signalledAt = now;
      drain();
    } else if (now - signalledAt > SECOND_SIGNAL_MS) {
      process.exit(EXIT.failed);
    }
  };
  // The port answers before the start is over: a signal that comes meanwhile waits for its end.
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    running = await start(config, (code) => end(code));
  } catch (error) {
    return startFault(error, io);
  }
  if (signalledAt === null) hello(running, config, io);
  else drain();
  const code = await ended;
  // Timers and sockets of a broken journal must not keep a process alive that may not answer.
  if (code === EXIT.journal) process.exit(code);
  return code;
}

async function doctor(flags: ConfigFlags, io: CliIo): Promise<number> {
  const config = await loadOrTell(argsOf(flags, io), io);
  if (config === null) return EXIT.config;
  const world = realWorld();
  const dataDirectory = resolvePath(config.dataDir);
  const stashes = new Map<string, Stash | Error>();
  await world.disk.makeDirectory(dataDirectory);
  const connections = new Connections();
  const callbacks = new Callbacks(world.clock);
  const around = { config, dataDirectory, world, connections, callbacks };
  for (const stash of config.stashes.values()) {
    try {
      stashes.set(stash.id, (await openStash(stash, around)).stash);
    } catch (error) {
      stashes.set(stash.id, error instanceof Error ? error : new Error(String(error)));
    }
  }
  const lines = await examine(world, dataDirectory, stashes);
  for (const stash of stashes.values()) if (!(stash instanceof Error)) await stash.close();
  if (flags.output === 'json') io.stdout.write(`${JSON.stringify(lines, null, 2)}\n`);
  else if (flags.output === 'ndjson')
    for (const line of lines) io.stdout.write(`${JSON.stringify(line)}\n`);
  else {
    for (const { level, part, check, detail, hint } of lines) {
      io.stdout.write(`${level.padEnd(8)} ${part}: ${check}: ${detail}\n`);
      if (hint !== undefined) io.stdout.write(`         ${hint}\n`);
    }
  }
  return lines.some((line) => line.level === 'error') ? EXIT.failed : EXIT.ok;
}

function argsOf(flags: ConfigFlags, io: CliIo): ConfigArgs {
  const { file, flags: fields, output } = flags;
  const shared = { env: io.env, flags: fields, adapters: SPECS };
  const form = output === 'table' ? 'text' : 'json';
  return file === undefined ? { ...shared, output: form } : { ...shared, output: form, file };
}

const bodies: Bodies = {
  version: version(),
  serve,
  doctor,
  stashCheck: (wish, told) => stashCheck(wish, realWorld(), told),
  validate: (flags, io) => runValidate(argsOf(flags, io), io),
  configPrint: (flags, io) => runConfigPrint(argsOf(flags, io), io),
  configSchema: (_flags, io) => Promise.resolve(runConfigSchema(SPECS, io)),
};

const { stdin, stdout, stderr, env } = process;
process.exitCode = await runCli(
  process.argv.slice(2),
  { stdin, stdout, stderr, env, fetch },
  bodies,
);
