/** Every default and bound, in one place; the unit stands last in the name. */

const KIB = 1024;
const MIB = 1024 * KIB;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const LIMITS = {
  bodyBytesMax: 1 * MIB,
  keyBytesMax: 512,
  keysPerRecordMax: 1000,
  jsonDepthMax: 64,
  /** How long a call waits for its outcome unless it says otherwise. */
  writeWaitMs: 10 * SECOND,
  writeWaitMsMax: 300 * SECOND,
  batchWritesMax: 1000,
  batchBytesMax: 4 * MIB,
  idempotencyKeyCharsMax: 255,
  idempotencyMs: 24 * HOUR,
  inFlightWritesMax: 20_000,
  inFlightBytesMax: 256 * MIB,
  /** Writes that may queue behind one key. */
  laneDepthMax: 10_000,
  failureKeepMs: 14 * DAY,
  receiptKeepMs: 24 * HOUR,
  /** Tries after the first, spread over about three days. */
  retriesMax: 10,
  retryFirstMs: 1 * SECOND,
  retryMsMax: 18 * HOUR,
  /** Pause between tries to undo, to fence, to re-apply. */
  settleRetryFirstMs: 20,
  settleRetryMsMax: 5 * SECOND,
  retryAfterMsMax: 1 * HOUR,
  breakerFailuresMax: 20,
  breakerOpenMs: 1 * SECOND,
  /** A start waits this long for a store; then it serves what can do without it. */
  stashJoinMs: 10 * SECOND,
  /** Connections of one stash that are remembered until they are known to be dead. */
  connectionsRecordedMax: 1000,
  patternDeleteKeysMax: 100_000,
  journalSegmentBytes: 32 * MIB,
  journalKeepMs: 1 * HOUR,
  journalIdleSealMs: 100,
  journalReserveBytes: 64 * MIB,
  journalRecordBytesMax: 16 * MIB,
  /** Numbers a start reserves for its writes; a new block is reserved before one runs out. */
  uowBlock: 1_000_000,
  /** Starts that died on a write before it is set aside. */
  quarantineStarts: 3,
  drainMs: 25 * SECOND,
  /** Time for the headers of a request, and for all of it, to arrive. */
  httpHeadersMs: 20 * SECOND,
  httpRequestMs: 120 * SECOND,
  /** Longer than load balancers keep theirs, so that they never meet a socket that just closed. */
  httpKeepAliveMs: 75 * SECOND,
  /** Values that one call of /v1/reads may hand out together. */
  readBytesMax: 64 * MIB,
  pageItems: 100,
  pageItemsMax: 1000,
  readKeysMax: 1000,
  shapeMsMax: 250,
  ttlMsMax: 100 * 365 * DAY,
  housekeepingMs: 10 * SECOND,
} as const;
