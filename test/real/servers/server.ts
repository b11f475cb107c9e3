/**
 * A real server of a test, as tests see it, and what one kind of server has to say about itself so
 * that it can be started, killed, stopped and started again. Every server lives on 127.0.0.1 with a
 * temporary folder of its own; nothing of it is left when it was disposed, or when the process that
 * started it is gone.
 */
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { OwnProcess, type Launch } from './process.ts';

/** One process of a server. */
export interface ServerNode {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** Of the process that runs now; null when none does. */
  readonly pid: number | null;
  /** Where it keeps its data; gone once the server is disposed. */
  readonly folder: string;
  /** What it printed lately, over all its starts. */
  log(): string;
  /** SIGKILL to it and what it started; resolves when they are gone. Nothing if it runs no more. */
  kill(): Promise<void>;
  /** SIGSTOP: it takes connections (the kernel does) and answers nothing. */
  stop(): void;
  /** SIGCONT. */
  cont(): void;
  /**
   * Kills what runs and starts it again on the same port with the same data; resolves when it is
   * ready. `empty`: without its data. `args`: in place of those it had been given before.
   */
  restart(options?: RestartOptions): Promise<void>;
}

export interface RestartOptions {
  readonly empty?: boolean;
  readonly args?: readonly string[];
}

/** A server of one or of several nodes; its verbs mean all of them. */
export interface Server extends ServerNode {
  readonly name: string;
  readonly nodes: readonly ServerNode[];
  /** Ends it and removes its folder. */
  dispose(): Promise<void>;
}

/** What can be wished for; each kind says in its file what it does with it. */
export interface ServerOptions {
  /** Added to the command line, behind ours: what is said last counts. */
  readonly args?: readonly string[];
  readonly password?: string;
  /** Of the Redis servers that it works on: webdis one, Camel two. */
  readonly redisPorts?: readonly number[];
}

/** One kind of server. */
export interface ServerKind {
  /** Installs what is missing; rejects with a reason that tells a person what to do. */
  install(): Promise<void>;
  start(options: ServerOptions): Promise<Server>;
}

/** How one node is run. */
export interface NodePlan {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  readonly folder: string;
  launch(args: readonly string[]): Launch;
  /** Rejects as long as it does not answer as it should. */
  ready(): Promise<void>;
  /** Removes its data; called while it does not run. */
  wipe(): Promise<void>;
  /** Before every start: makes what it needs where that is missing. */
  prepare?(): Promise<void>;
  /** When it is disposed, after it was killed and before its folder is removed. */
  leave?(): Promise<void>;
}

const READY_MS_MAX = 60_000;
const LOOK_MS = 20;

/** A folder for one node, owned by `uid` where that is said. */
export async function newDataFolder(name: string, uid?: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `holdfast-server-${name}-`));
  if (uid !== undefined) await chown(folder, uid, uid);
  return folder;
}

/** Resolves when `look` does; rejects with its last reason after `withinMs`. */
export async function until(look: () => Promise<void>, withinMs = READY_MS_MAX): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    try {
      await look();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await pause(LOOK_MS);
  }
}

export class PlannedNode implements ServerNode {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly url: string;
  readonly folder: string;
  readonly #plan: NodePlan;
  readonly #process: OwnProcess;
  #args: readonly string[];

  constructor(plan: NodePlan, args: readonly string[] = []) {
    this.#plan = plan;
    this.#args = args;
    this.port = plan.port;
    this.url = plan.url;
    this.folder = plan.folder;
    this.#process = new OwnProcess(plan.folder);
  }

  get pid(): number | null {
    return this.#process.pid;
  }

  log(): string {
    return this.#process.log();
  }

  /** Starts it and waits until it is ready; rejects with its log when it ends before. */
  async start(): Promise<void> {
    await this.#plan.prepare?.();
    this.#process.start(this.#plan.launch(this.#args));
    let ended = false;
    await until(async () => {
      ended = this.pid === null;
      if (!ended) await this.#plan.ready();
    }).catch((error: unknown) => {
      throw new Error(`${this.#plan.name} is not ready: ${String(error)}\n${this.log()}`);
    });
    if (ended) throw new Error(`${this.#plan.name} ended at its start\n${this.log()}`);
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }

  stop(): void {
    this.#process.signal('SIGSTOP');
  }

  cont(): void {
    this.#process.signal('SIGCONT');
  }

  async restart({ empty = false, args }: RestartOptions = {}): Promise<void> {
    await this.kill();
    if (empty) await this.#plan.wipe();
    if (args !== undefined) this.#args = args;
    await this.start();
  }

  async dispose(): Promise<void> {
    await this.kill();
    await this.#plan.leave?.();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A server of one node. */
class Single extends PlannedNode implements Server {
  readonly name: string;
  readonly nodes: readonly ServerNode[] = [this];

  constructor(plan: NodePlan, args: readonly string[]) {
    super(plan, args);
    this.name = plan.name;
  }
}

/**
 * Starts one node. `planOn` is asked for a plan on a port; when another program took the port in
 * between, it is asked again.
 */
export async function startSingle(
  planOn: () => Promise<NodePlan>,
  args: readonly string[],
): Promise<Server> {
  for (let tries = 1; ; tries += 1) {
    const server = new Single(await planOn(), args);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.dispose();
      if (tries === 3 || !/address already in use/i.test(String(error))) throw error;
    }
  }
}
