/**
 * The configuration as every other room sees it: checked, complete, in milliseconds and bytes.
 * Immutable; a reload makes a new one.
 */
import type { FlowLimits } from '../contracts/flow.ts';
import type { Place } from './faults.ts';
import type { StashConfig } from './field.ts';
import type { CheckedDocument } from './fields.ts';

export type { StashConfig } from './field.ts';

export interface Config {
  /** The file it was read from, or `the embedded default`. */
  readonly source: string;
  readonly http: CheckedDocument['http'];
  /** `loopback`: nothing beyond this machine can reach the port. */
  readonly access: 'open' | 'loopback';
  readonly logging: CheckedDocument['logging'];
  readonly dataDir: string;
  readonly journal: {
    readonly engine: 'files';
    readonly keepMs: number;
    readonly segmentBytes: number;
  };
  readonly state: { readonly engine: 'sqlite' };
  readonly limits: Limits;
  readonly stashes: ReadonlyMap<string, StashConfig>;
  /** By `account/flow`. */
  readonly flows: ReadonlyMap<string, FlowConfig>;
  /** The checked document, defaults filled in: what `config print` shows. */
  readonly document: CheckedDocument;
}

export interface Limits extends FlowLimits {
  readonly writeWaitMs: number;
  readonly shapeMsMax: number;
  readonly inFlightWritesMax: number;
  readonly drainMs: number;
}

export interface FlowConfig {
  readonly account: string;
  readonly flow: string;
  /** What must take a write before the reader; never names the reader, no two alike. */
  readonly stashes: readonly string[];
  readonly reader: string;
  readonly read: readonly string[];
  readonly respond: 'settled' | 'held';
  readonly ttlMs: number | null;
  readonly mediaType: string;
  /** Null when the flow declares neither schema nor mapping nor valueSchema. */
  readonly shape: ShapeSource | null;
  readonly place: Place;
}

/** What the shaper compiles: plain data, so that it can be sent to another thread. */
export interface ShapeSource {
  readonly schema: SchemaSource | null;
  readonly valueSchema: SchemaSource | null;
  readonly map: MapSource | null;
  readonly limits: FlowLimits;
}

export interface SchemaSource {
  readonly json: unknown;
  readonly place: Place;
}

export interface MapSource {
  readonly keys: Template;
  /** Null: the bytes of the record as received. */
  readonly value: Template | null;
  readonly ttl: Template | null;
  readonly place: Place;
}

/** A mapping template: JSON whose texts may hold expressions, each with its place in the file. */
export type Template =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'expression'; readonly cel: string; readonly place: Place }
  /** Literal texts and expressions, joined to one text. */
  | { readonly kind: 'text'; readonly parts: readonly TextPart[]; readonly place: Place }
  | { readonly kind: 'list'; readonly items: readonly Template[]; readonly place: Place }
  | {
      readonly kind: 'map';
      readonly entries: readonly (readonly [string, Template])[];
      readonly place: Place;
    };

export type TextPart = string | { readonly cel: string; readonly place: Place };
