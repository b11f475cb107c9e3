/**
 * Log: JSON lines on stdout (pretty on a terminal), one line per operation. Values are never
 * logged, keys only where `logging.keys` asks for them.
 *
 * What is in the nature of the data path (a committed or held write, a read with whatever it found,
 * a write turned away by overload) is logged at `debug`: such a line per call costs about four
 * tenths of the throughput (measured: 24 microseconds of CPU per PUT without, 44 with), and the
 * metrics count them anyway. At `info`: every other write that was turned away, refused or failed,
 * every administrative operation, and a summary of the rest once a minute. At `warn`: every 5xx.
 */
import { pino } from 'pino';
import type { DestinationStream, Level, Logger } from 'pino';

import type { Clock } from '../kernel/world.ts';

export type LogLevel = Level | 'silent';

export interface LogSetup {
  readonly level: LogLevel;
  /** Whether keys may stand in log lines. */
  readonly keys: boolean;
  /** Stands in every line; for machines that log into one place. */
  readonly cluster?: string;
  readonly clock: Clock;
  /** Stdout when absent: buffered, so that a line does not cost a system call each. */
  readonly to?: DestinationStream;
  readonly pretty?: boolean;
}

/** Buffered bytes before they are handed to the system; what waits goes out twice a second. */
const BUFFER_BYTES = 8 * 1024;
const FLUSH_MS = 500;

export interface Log {
  readonly logger: Logger;
  readonly keys: boolean;
  /** Hands over what is buffered, at the latest when the process ends. */
  flush(): void;
}

/** Makes the log of one process. */
export function openLog(setup: LogSetup): Log {
  const options = {
    level: setup.level,
    base: setup.cluster === undefined ? null : { cluster: setup.cluster },
    timestamp: () => `,"time":"${new Date(setup.clock.wallMs()).toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (setup.to !== undefined) {
    return { logger: pino(options, setup.to), keys: setup.keys, flush: () => undefined };
  }
  if (setup.pretty === true) {
    const logger = pino({ ...options, transport: { target: 'pino-pretty' } });
    return { logger, keys: setup.keys, flush: () => logger.flush() };
  }
  const to = pino.destination({
    dest: 1,
    sync: false,
    minLength: BUFFER_BYTES,
    periodicFlush: FLUSH_MS,
  });
  return { logger: pino(options, to), keys: setup.keys, flush: () => to.flush() };
}
