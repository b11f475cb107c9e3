/**
 * Installs every real server that tests use, and says how long each took. Ends with 1 when one is
 * missing and HOLDFAST_REQUIRE_SERVERS=1; tests say the same later, each for itself.
 */
import { SERVER_NAMES, serversAreRequired, unavailable } from './servers.ts';

let missing = 0;
for (const name of SERVER_NAMES) {
  const start = performance.now();
  const why = await unavailable(name);
  if (why !== null) missing += 1;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stdout.write(`${name.padEnd(14)} ${seconds.padStart(6)} s  ${why ?? 'installed'}\n`);
}
if (missing > 0 && serversAreRequired()) process.exitCode = 1;
