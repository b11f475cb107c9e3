/**
 * Spec: what an adapter can be told in the configuration. One table per adapter gives the type,
 * default, check, help text and JSON Schema of each option; nothing about an option stands
 * elsewhere.
 */
import type { Reader } from './reader.ts';
import type { Stash } from './stash.ts';
import type { State } from './state.ts';
import type { Fault } from '../kernel/errors.ts';
import type { World } from '../kernel/world.ts';

export interface FieldDoc {
  /** One sentence, for help, reference pages and editors. */
  readonly doc: string;
  readonly required?: boolean;
  /** Never printed, never logged. */
  readonly sensitive?: boolean;
  readonly example?: unknown;
}

/** The options an adapter may declare. Durations become milliseconds, sizes become bytes. */
export type FieldSpec = FieldDoc &
  (
    | { readonly type: 'string'; readonly default?: string; readonly pattern?: string }
    | {
        readonly type: 'integer';
        readonly default?: number;
        readonly min?: number;
        readonly max?: number;
      }
    | { readonly type: 'boolean'; readonly default?: boolean }
    | {
        readonly type: 'duration';
        readonly default?: string;
        readonly min?: string;
        readonly max?: string;
      }
    | {
        readonly type: 'size';
        readonly default?: string;
        readonly min?: string;
        readonly max?: string;
      }
    | { readonly type: 'choice'; readonly values: readonly string[]; readonly default?: string }
    | { readonly type: 'strings'; readonly default?: readonly string[] }
    /**
     * A text with `${{ CEL }}` over account, flow and key; compiled when the configuration is
     * checked.
     */
    | { readonly type: 'template'; readonly default?: string }
  );

export interface StashSpec {
  /** The word behind `kind:`. */
  readonly kind: string;
  readonly title: string;
  readonly doc: string;
  readonly roles: readonly ('stash' | 'reader')[];
  readonly fields: Readonly<Record<string, FieldSpec>>;
  /**
   * Names the place a flow's keys are put, for the check that no two flows can collide in one
   * store; null when account and flow are part of every physical name by construction.
   */
  readonly placeOf?: (options: Record<string, unknown>) => string | null;
}

/** What a store adapter is opened with. */
export interface StashSetup {
  readonly id: string;
  /** As checked against the spec: defaults filled in, durations in ms, sizes in bytes. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly dataDirectory: string;
  readonly world: World;
  /** Renders a `template` option. */
  readonly render: (
    option: string,
    names: { account: string; flow: string; key: string },
  ) => string;
}

export interface OpenStash {
  readonly stash: Stash;
  /** Present when the store can answer reads. */
  readonly reader?: Reader;
}

export interface StashAdapter {
  readonly spec: StashSpec;
  /** Connects; throws a Fault with a hint when the store can never work as configured. */
  open(setup: StashSetup): Promise<OpenStash>;
}

export interface StateAdapter {
  readonly engine: string;
  open(dataDirectory: string, world: World): Promise<State>;
}

export type { Fault };
