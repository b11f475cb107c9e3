/**
 * Kinds of fields a configuration is made of. One value of these types says everything about a
 * field: its type in TypeScript, default, check, help text and JSON Schema.
 */
import type { FieldDoc, FieldSpec } from '../contracts/spec.ts';
import type { Tree } from './document.ts';

/** A fixed set of fields. Absent ones get their defaults, unless the record itself is optional. */
export interface RecordField extends FieldDoc {
  readonly type: 'record';
  readonly fields: Fields;
  readonly optional?: true;
}

/** Names chosen by the user, each with a value of one kind. */
export interface NamedField extends FieldDoc {
  readonly type: 'named';
  /** What one name stands for: "account", "flow", "stash". */
  readonly noun: string;
  readonly of: Field;
}

/** Options of one stash: `kind` picks the adapter whose spec checks the rest. */
export interface StashField extends FieldDoc {
  readonly type: 'stash';
}

/** A TTL: a duration, whole seconds, or `none`. */
export interface TtlField extends FieldDoc {
  readonly type: 'ttl';
}

/** A JSON Schema: a path to a file, or the schema itself. */
export interface SchemaField extends FieldDoc {
  readonly type: 'schema';
}

/** Any JSON whose texts may hold `${{ CEL }}` over the record. */
export interface MappingField extends FieldDoc {
  readonly type: 'mapping';
}

/** Known by name, and not part of this version: using it is an error that says so. */
export interface LaterField extends FieldDoc {
  readonly type: 'later';
}

/** A word; those in `later` are known and not part of this version. */
export type ChoiceField = Extract<FieldSpec, { type: 'choice' }> & {
  readonly later?: readonly string[];
};

export type Leaf = Exclude<FieldSpec, { type: 'choice' }> | ChoiceField;

export type Field =
  | Leaf
  | RecordField
  | NamedField
  | StashField
  | TtlField
  | SchemaField
  | MappingField
  | LaterField;

export interface Fields {
  readonly [name: string]: Field;
}

/** One stash as configured: its options are checked against the spec of its kind. */
export interface StashConfig {
  readonly id: string;
  readonly kind: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Options with expressions, ready to render; by option name. */
  readonly templates: ReadonlyMap<string, TextTemplate>;
}

/** A text with expressions over account, flow and key. */
export type TextTemplate = readonly (string | { readonly cel: string })[];

/** The value that a checked field has. */
export type Value<F> = F extends { type: 'string' | 'template' }
  ? string
  : F extends { type: 'integer' | 'duration' | 'size' }
    ? number
    : F extends { type: 'boolean' }
      ? boolean
      : F extends { type: 'choice'; values: readonly (infer Word)[] }
        ? Word
        : F extends { type: 'strings' }
          ? readonly string[]
          : F extends { type: 'record'; fields: infer Of }
            ? Checked<Of>
            : F extends { type: 'named'; of: infer Of }
              ? ReadonlyMap<string, Value<Of>>
              : F extends { type: 'stash' }
                ? StashConfig
                : F extends { type: 'ttl' }
                  ? number | null
                  : F extends { type: 'schema' | 'mapping' }
                    ? Tree
                    : undefined;

type Sure =
  | { required: true }
  | { default: unknown }
  | { type: 'named' }
  | { type: 'record'; optional?: never };

/**
 * The values that a checked set of fields has; undefined where nothing was said and no default is.
 */
export type Checked<Of> = {
  readonly [Name in keyof Of]: Of[Name] extends Sure
    ? Value<Of[Name]>
    : Value<Of[Name]> | undefined;
};
