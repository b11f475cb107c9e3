/**
 * A flow as the rooms see it: one declared path of one kind of record inside an account, resolved
 * from the configuration. Immutable; a reload makes a new one with a higher generation.
 */
export interface FlowPlan {
  readonly account: string;
  readonly flow: string;
  /** Counts the configurations this data folder has been served with. */
  readonly generation: number;
  /** Stashes that must all take a write before the reader does; never names the reader. */
  readonly stashes: readonly string[];
  /** Answers reads first, applied last. */
  readonly reader: string;
  /** The whole read path, the reader first. */
  readonly read: readonly string[];
  readonly respond: 'settled' | 'held';
  /** TTL of flow or account, in milliseconds; null: keep. */
  readonly ttlMs: number | null;
  readonly mediaType: string;
  readonly limits: FlowLimits;
  /** True when the flow declares a schema or a mapping, so that POSTed records must be shaped. */
  readonly shaped: boolean;
  /** True when the flow declares `valueSchema`, so that PUT values must be checked. */
  readonly valueChecked: boolean;
}

export interface FlowLimits {
  readonly bodyBytesMax: number;
  readonly keysPerRecordMax: number;
  readonly jsonDepthMax: number;
  readonly ttlMsMax: number | null;
}

/** What shaping gives: the keys, the bytes to store, and the record's own TTL. */
export interface Shaped {
  readonly keys: readonly string[];
  readonly value: Uint8Array;
  /** Milliseconds; null: never expires (`none`); undefined: the record does not say. */
  readonly ttlMs: number | null | undefined;
}

/**
 * Shapes records by a flow's schema and mapping. Rejects with a Fault (`shape-invalid`,
 * `shape-too-costly`, ...) whose `errors` point into the record; never blocks the caller's thread
 * for longer than a few milliseconds, whatever the record or the template.
 */
export interface Shaper {
  shape(flow: FlowPlan, record: Uint8Array): Promise<Shaped>;
  checkValue(flow: FlowPlan, value: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
