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

export type StashRole = 'reader' | 'member' | 'both';

/** The physical name of a key is `before`, the key, `after`. */
export interface KeyPlace {
  /** One server, database or bucket, such that names in two of them never meet. */
  readonly store: string;
  readonly before: string;
  readonly after: string;
}

export interface StashSpec {
  /** The word behind `kind:`. */
  readonly kind: string;
  readonly title: string;
  readonly doc: string;
  readonly roles: readonly ('stash' | 'reader')[];
  readonly fields: Readonly<Record<string, FieldSpec>>;
  /**
   * Where a flow's keys land, for the check that no two flows can collide in one store; null when
   * account and flow are part of every physical name by construction. `options` as checked, and
   * `id`; `names` renders a `template` option for the flow and a key. Throws a Fault when keys of
   * the flow could not be told apart.
   */
  readonly placeOf?: (
    options: Readonly<Record<string, unknown>>,
    names: (option: string, key: string) => string,
  ) => KeyPlace | null;
  /**
   * The physical store behind these options (and `id`), such that two entries with the same one
   * would mix their versions and marks; null when entries may share a store.
   */
  readonly sameStore?: (options: Readonly<Record<string, unknown>>) => string | null;
  /** It keeps its values in another way as reader than as a member, so it cannot be both. */
  readonly oneRole?: boolean;
}

/** A connection as it is written down before anything that changes the store goes over it (P25). */
export interface RecordedConnection {
  /** The server it leads to, as `host:port`. */
  readonly node: string;
  /** The server process, by a name that no other process ever has (Redis: `run_id`). */
  readonly server: string;
  /** The server's own number of the connection. */
  readonly connection: string;
  /** The start that opened it. */
  readonly epoch: number;
}

/** What one stash has written down about its connections; outlives the process. */
export interface ConnectionBook {
  /** Of this start: rises with each start of the program. */
  readonly epoch: number;
  list(): Promise<readonly RecordedConnection[]>;
  /** On disk when it resolves. */
  record(connection: RecordedConnection): Promise<void>;
  /** Of those that are known to be dead. */
  forget(connections: readonly RecordedConnection[]): Promise<void>;
}

/** How a store answers later than in its reply. */
export interface Callbacks {
  /** Where it sends the answer for `token`; null when nobody can reach this process. */
  url(token: string): string | null;
  /**
   * Resolves with the body of the first answer for `token`, or null when `withinMs` is over. The
   * body is what came from outside: nothing about it was checked.
   */
  expect(token: string, withinMs: number): Promise<CallbackAnswer | null>;
  /** Ends the wait for `token`, if there is one: it resolves with null. */
  forget(token: string): void;
}

export interface CallbackAnswer {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a store adapter is opened with. */
export interface StashSetup {
  readonly id: string;
  /** As checked against the spec: defaults filled in, durations in ms, sizes in bytes. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly dataDirectory: string;
  readonly world: World;
  /**
   * `reader`: some flow is read from it first; `member`: some flow writes to it before its reader.
   * A flow's reader is never undone.
   */
  readonly role: StashRole;
  /** Not to be asked before `Stash.mark` is called first. */
  readonly connections: ConnectionBook;
  readonly callbacks: Callbacks;
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
  /**
   * Throws a Fault with a hint when the store can never work as configured. One behind a network
   * does not wait for it here: it connects when its mark is asked for.
   */
  open(setup: StashSetup): Promise<OpenStash>;
}

export interface StateAdapter {
  readonly engine: string;
  open(dataDirectory: string, world: World): Promise<State>;
}

export type { Fault };
