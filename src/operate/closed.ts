/**
 * The rooms before recovery is done: the server answers live, startup and its pages, and turns
 * everything else away with 503, so that whoever waits can tell "starting" from "not there".
 */
import type {
  CallbackPort,
  DeletionPort,
  FailurePort,
  FlowsPort,
  LanesPort,
  ReadPort,
  StatusPort,
} from '../contracts/ports.ts';
import { Fault } from '../kernel/errors.ts';
import type { Clock } from '../kernel/world.ts';
import type { WritePort } from '../intake/request.ts';

const RETRY_MS = 1000;

function starting(): Fault {
  return new Fault('unavailable', 'The program is starting: the intake is being read.', {
    retryAfterMs: RETRY_MS,
    hint: 'Wait for Retry-After; /startup says when it is done.',
  });
}

function refuse(): Promise<never> {
  return Promise.reject(starting());
}

/** What is open from the start: stores may answer while the intake is read. */
export interface OpenPorts {
  readonly flows: FlowsPort;
  readonly status: StatusPort;
  readonly callbacks: CallbackPort;
}

/** Ports that turn everything else away. */
export function closedPorts(open: OpenPorts, clock: Clock) {
  const write: WritePort = {
    submit: (_request, answer) => {
      clock.soon(() => answer({ answer: 'turned-away', fault: starting() }));
    },
    receipt: refuse,
    settled: refuse,
  };
  const read: ReadPort = {
    get: refuse,
    getMany: refuse,
    scan: refuse,
    history: refuse,
    at: refuse,
  };
  const failures: FailurePort = {
    list: refuse,
    show: refuse,
    retry: refuse,
    skip: refuse,
    discard: refuse,
    rejections: refuse,
  };
  const deletions: DeletionPort = { plan: refuse, run: refuse, get: refuse };
  const lanes: LanesPort = { parked: refuse };
  return { ...open, write, read, failures, deletions, lanes };
}
