/** The door: what every call shares. One per running server. */
import type { WritePort } from '../../intake/request.ts';
import type {
  CallbackPort,
  DeletionPort,
  FailurePort,
  FlowsPort,
  LanesPort,
  ReadPort,
  StatusPort,
} from '../../contracts/ports.ts';
import { Fault } from '../../kernel/errors.ts';
import type { FlowPlan } from '../../contracts/flow.ts';
import type { Uow } from '../../kernel/words.ts';
import type { Clock, Random } from '../../kernel/world.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

/** The rooms behind the door, joined in main. */
export interface Ports {
  readonly flows: FlowsPort;
  readonly write: WritePort;
  readonly read: ReadPort;
  readonly failures: FailurePort;
  readonly deletions: DeletionPort;
  readonly lanes: LanesPort;
  readonly callbacks: CallbackPort;
  readonly status: StatusPort;
}

/** What the log wants to know of a call. */
export interface Told {
  readonly operation: string;
  readonly quiet: boolean;
  readonly writes: boolean;
  readonly account: string | undefined;
  readonly flow: string | undefined;
  readonly key: string | undefined;
  readonly requestId: string;
  readonly trace: string | string[] | undefined;
}

const SUMMARY_MS = 60_000;

export class Door {
  /** Closed ones until recovery is done. */
  ports: Ports;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly version: string;
  draining = false;
  readonly #lineage: string;
  readonly #debug: boolean;
  #requests = 0;
  #quiet = 0;
  #quietMs = 0;

  constructor(
    ports: Ports,
    world: { clock: Clock; random: Random },
    log: Log,
    metrics: Metrics,
    version: string,
  ) {
    this.ports = ports;
    this.clock = world.clock;
    this.log = log;
    this.metrics = metrics;
    this.version = version;
    this.#lineage = Buffer.from(world.random.bytes(6)).toString('base64url');
    this.#debug = log.logger.isLevelEnabled('debug');
    this.#summarize();
  }

  /** Unique over starts: a random part per start, then a count. */
  nextRequestId(): string {
    this.#requests += 1;
    return `${this.#lineage}-${this.#requests.toString(36)}`;
  }

  /** The flow, or `not-found` in the same words for unknown and forbidden ones. */
  flow(account: string, flow: string): FlowPlan {
    const plan = this.ports.flows.find(account, flow);
    if (plan === null) throw new Fault('not-found', 'There is no such account or flow.');
    return plan;
  }

  /** Logs one answer by the rule of src/telemetry/log.ts. */
  tell(call: Told, status: number, ms: number, uow?: Uow, outcome?: string): void {
    const quiet = call.quiet && !isNotable(call, status);
    if (quiet) {
      this.#quiet += 1;
      this.#quietMs += ms;
      if (!this.#debug) return;
    }
    const line = {
      operation: call.operation,
      status,
      outcome,
      uow,
      account: call.account,
      flow: call.flow,
      key: this.log.keys ? call.key : undefined,
      ms: Math.round(ms * 100) / 100,
      request: call.requestId,
      trace: traceOf(call.trace),
    };
    const { logger } = this.log;
    if (status >= 500) logger.warn(line);
    else if (quiet) logger.debug(line);
    else logger.info(line);
  }

  #summarize(): void {
    this.clock.after(SUMMARY_MS, () => {
      if (this.#quiet > 0) {
        const meanMs = Math.round((this.#quietMs / this.#quiet) * 100) / 100;
        this.log.logger.info({ operation: 'summary', count: this.#quiet, meanMs });
      }
      this.#quiet = 0;
      this.#quietMs = 0;
      if (!this.draining) this.#summarize();
    });
  }
}

/** Of calls on the hot path: defects and outages, and writes that did not go through. */
function isNotable(call: Told, status: number): boolean {
  return status >= 500 || (call.writes && status >= 400 && status !== 429);
}

const TRACEPARENT = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/;

/** The trace id of a W3C traceparent; undefined for anything else. */
function traceOf(header: string | string[] | undefined): string | undefined {
  if (typeof header !== 'string') return undefined;
  return TRACEPARENT.exec(header)?.[1];
}
