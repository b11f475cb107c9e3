/**
 * Where things stand: fields in the document, and keys in the stores. Two flows, or two stashes,
 * whose keys could meet in one physical place would read, overwrite and undo each other's values,
 * so that is an error before anything is opened.
 */
import type { KeyPlace, StashSpec } from '../contracts/spec.ts';
import { Fault } from '../kernel/errors.ts';
import type { Checking } from './check.ts';
import type { FlowConfig } from './config.ts';
import { ExpressionError } from './expression.ts';
import type { Place } from './faults.ts';
import { placeText } from './faults.ts';
import type { StashConfig } from './field.ts';
import { roleOf } from './flows.ts';
import { checkExpression } from './mapping.ts';
import { textRenderer } from './text-template.ts';
import type { StoreNames } from './text-template.ts';

export interface Placing extends Checking {
  /** The document, for what was not written anywhere. */
  readonly source: string;
}

/** The nearest place that was written: of the path, or of what holds it. */
export function placeOf(placing: Placing, ...paths: readonly string[]): Place {
  for (const path of paths) {
    const place = placing.places.get(path);
    if (place !== undefined) return place;
  }
  return { file: placing.source, line: 1, col: 1 };
}

export function specOf(stash: StashConfig, placing: Placing): StashSpec | undefined {
  return placing.adapters.find((adapter) => adapter.kind === stash.kind);
}

/** Everything about stashes that only shows once it is known which flows use them. */
export function checkStores(
  flows: ReadonlyMap<string, FlowConfig>,
  stashes: ReadonlyMap<string, StashConfig>,
  placing: Placing,
): void {
  const renderers = new Map<string, Renderers>();
  for (const stash of stashes.values()) renderers.set(stash.id, renderersOf(stash, placing));
  checkRoles(flows, stashes, placing);
  checkShared(stashes, placing);
  checkCollisions(flows, stashes, renderers, placing);
}

type Renderers = ReadonlyMap<string, (names: StoreNames) => string>;

/** Of the templates that compile; each that does not is a fault at its place. */
function renderersOf(stash: StashConfig, placing: Placing): Renderers {
  const renderers = new Map<string, (names: StoreNames) => string>();
  for (const [option, parts] of stash.templates) {
    const place = placeOf(placing, `stashes.${stash.id}.${option}`, `stashes.${stash.id}`);
    const before = placing.faults.faults.length;
    for (const part of parts) {
      if (typeof part !== 'string') checkExpression(part.cel, 'store', place, placing.faults);
    }
    if (placing.faults.faults.length === before) renderers.set(option, textRenderer(parts));
  }
  return renderers;
}

function checkRoles(
  flows: ReadonlyMap<string, FlowConfig>,
  stashes: ReadonlyMap<string, StashConfig>,
  placing: Placing,
): void {
  for (const stash of stashes.values()) {
    if (specOf(stash, placing)?.oneRole !== true) continue;
    if (roleOf(stash.id, flows.values()) !== 'both') continue;
    const named = (uses: (flow: FlowConfig) => boolean): string =>
      [...flows].find(([, flow]) => uses(flow))?.[0] ?? '';
    const read = named((flow) => flow.reader === stash.id);
    const written = named((flow) => flow.stashes.includes(stash.id));
    placing.faults.add(
      placeOf(placing, `stashes.${stash.id}`),
      `"${stash.id}" is the reader of ${read} and a stash of ${written}: a store of kind ` +
        `${stash.kind} keeps its values in another way as reader, so one entry cannot be both`,
      'Declare it twice, each with its own key names: one for the flows that are read from it ' +
        'first, one for those that only write to it.',
    );
  }
}

/** Two entries for one physical store would take each other's versions and marks for their own. */
function checkShared(stashes: ReadonlyMap<string, StashConfig>, placing: Placing): void {
  const taken = new Map<string, string>();
  for (const { id, kind, options } of stashes.values()) {
    const adapter = placing.adapters.find((spec) => spec.kind === kind);
    const store = adapter?.sameStore?.({ ...options, id }) ?? null;
    if (store === null) continue;
    const name = `${kind} ${store}`;
    const other = taken.get(name);
    if (other === undefined) {
      taken.set(name, id);
      continue;
    }
    const first = placeText(placeOf(placing, `stashes.${other}`));
    placing.faults.add(
      placeOf(placing, `stashes.${id}`),
      `"${id}" and "${other}" (${first}) are the same store: each would take the other's ` +
        'versions and marks for its own',
      `Name one of them in all flows, or give "${id}" a place of its own.`,
    );
  }
}

/** A flow's keys in one stash. */
interface Taken extends KeyPlace {
  readonly kind: string;
  readonly flow: string;
  readonly stash: string;
}

function checkCollisions(
  flows: ReadonlyMap<string, FlowConfig>,
  stashes: ReadonlyMap<string, StashConfig>,
  renderers: ReadonlyMap<string, Renderers>,
  placing: Placing,
): void {
  const taken: Taken[] = [];
  for (const [name, flow] of flows) {
    for (const id of new Set([flow.reader, ...flow.stashes])) {
      const stash = stashes.get(id);
      const render = renderers.get(id);
      if (stash === undefined || render === undefined) continue;
      const where = keyPlace(flow, stash, render, placing);
      if (where === null) continue;
      const mine: Taken = { ...where, kind: stash.kind, flow: name, stash: id };
      const other = taken.find((each) => meet(each, mine));
      taken.push(mine);
      if (other !== undefined) tellCollision(flow.place, mine, other, placing);
    }
  }
}

function tellCollision(place: Place, mine: Taken, other: Taken, placing: Placing): void {
  const same = mine.flow === other.flow;
  const whom = same ? `stash "${other.stash}"` : `${other.flow} (stash "${other.stash}")`;
  placing.faults.add(
    place,
    `${mine.flow} (stash "${mine.stash}") could collide with ${whom}: a key of one can have the ` +
      `name of a key of the other, as both begin ${shown(mine.before, other.before)} and end ` +
      shown(mine.after, other.after),
    same
      ? `Give "${mine.stash}" and "${other.stash}" a place, or key names, of their own.`
      : 'Give each its own place, or let account and flow be part of the names, with something ' +
          'between them and the key that no account or flow holds, such as ":" or "/".',
  );
}

function shown(one: string, other: string): string {
  const texts = [...new Set([one, other])].map((text) => JSON.stringify(text.slice(0, 80)));
  return `with ${texts.join(' and ')}`;
}

/** Whether some key of one and some key of the other have the same name in one store. */
function meet(one: Taken, other: Taken): boolean {
  return (
    one.kind === other.kind &&
    one.store === other.store &&
    (one.before.startsWith(other.before) || other.before.startsWith(one.before)) &&
    (one.after.endsWith(other.after) || other.after.endsWith(one.after))
  );
}

/** Null: nothing can collide, or what is wrong with the names has been told. */
function keyPlace(
  flow: FlowConfig,
  stash: StashConfig,
  renderers: Renderers,
  placing: Placing,
): KeyPlace | null {
  const { account, flow: name } = flow;
  // A template that does not compile has been told, and whatever hangs on it is not looked at.
  if (renderers.size < stash.templates.size) return null;
  const names = (option: string, key: string): string => {
    const render = renderers.get(option);
    if (render === undefined) throw new RangeError(`option ${option} is no template`);
    return render({ account, flow: name, key });
  };
  try {
    return specOf(stash, placing)?.placeOf?.({ ...stash.options, id: stash.id }, names) ?? null;
  } catch (error) {
    if (!(error instanceof Fault || error instanceof ExpressionError)) throw error;
    const where = placeOf(placing, `stashes.${stash.id}`);
    const hint = error instanceof Fault ? error.hint : '';
    const detail = `"${stash.id}" cannot name the keys of ${account}/${name}: ${error.message}`;
    placing.faults.add(where, detail, hint);
    return null;
  }
}
