/**
 * Sending writes: units go to the nodes that have their slots, all at once, each node's in one
 * pipeline on its one write connection. A node that says MOVED, ASK or TRYAGAIN, or that misses a
 * function, has not executed the unit, so it is sent where it belongs, a few rounds long (P25).
 * That is the only thing ever sent again here.
 */
import type { Timer } from '../../kernel/world.ts';
import { LinkLost, UNANSWERED, messageOf, type Answer, type Command } from './connection.ts';
import type { Joined } from './joining.ts';
import { isNoMaster, redirectOf } from './replies.ts';
import { SCRIPTS } from './script.ts';
import type { RedisStore } from './store.ts';

/** Commands on one slot. More than one are executed together, in a MULTI. */
export interface Unit {
  readonly slot: number;
  readonly commands: readonly Command[];
}

export type Result =
  /** Executed: one reply per command, each of which may still be an error. */
  | { readonly state: 'done'; readonly replies: readonly Answer[] }
  /** Definitely not executed, none of it. */
  | { readonly state: 'not'; readonly error: Error }
  | { readonly state: 'unknown'; readonly why: string };

const ROUNDS_MAX = 5;
const PAUSE_MS = 25;

const MULTI: Command = ['MULTI'];
const EXEC: Command = ['EXEC'];
const ASKING: Command = ['ASKING'];

/**
 * One result per unit, in order. Never rejects. A server that answers as one does which follows
 * another has lost what that one did not have, or is about to: the store is apart then.
 */
export async function execute(store: RedisStore, units: readonly Unit[]): Promise<Result[]> {
  const results = await executeAll(store, units);
  for (const result of results) {
    if (result.state === 'not' && isNoMaster(result.error)) store.lost(result.error.message);
  }
  return results;
}

async function executeAll(store: RedisStore, units: readonly Unit[]): Promise<Result[]> {
  const { single } = store;
  if (single !== null) {
    const results = await sendTo(single, units, false);
    return results.some(missesScript) ? rounds(store, units, results) : results;
  }
  return rounds(store, units, await everywhere(store, units));
}

function missesScript(result: Result): boolean {
  return result.state === 'not' && result.error.message.startsWith('NOSCRIPT');
}

/** Sends each unit to whoever has its slot now. */
async function everywhere(store: RedisStore, units: readonly Unit[]): Promise<Result[]> {
  const perNode = new Map<Joined, number[]>();
  const results: Result[] = [];
  for (const [at, { slot }] of units.entries()) {
    const node = store.at(slot);
    if (node === null) {
      const { apart } = store;
      const detail = apart === null ? `CLUSTERDOWN slot ${slot} is down` : `UNSENT ${apart}`;
      results[at] = { state: 'not', error: new Error(detail) };
      continue;
    }
    const list = perNode.get(node);
    if (list === undefined) perNode.set(node, [at]);
    else list.push(at);
  }
  await Promise.all(
    [...perNode].map(async ([node, list]) => {
      const sent = list.map((at) => units[at]).filter((unit) => unit !== undefined);
      for (const [index, result] of (await sendTo(node, sent, false)).entries()) {
        results[list[index] ?? 0] = result;
      }
    }),
  );
  return results;
}

/** Goes after those that were turned away, until none is or the rounds are over. */
async function rounds(
  store: RedisStore,
  units: readonly Unit[],
  results: Result[],
): Promise<Result[]> {
  for (let round = 1; round <= ROUNDS_MAX; round += 1) {
    const again: { at: number; ask: string | null }[] = [];
    const learnt = new Set<string>();
    let wait = false;
    for (const [at, result] of results.entries()) {
      if (result.state !== 'not') continue;
      const { slot } = units[at] ?? { slot: 0 };
      const redirect = redirectOf(result.error);
      if (redirect === null && !missesScript(result)) continue;
      again.push({ at, ask: redirect?.kind === 'ask' ? redirect.node : null });
      wait ||= redirect?.kind === 'again' || round > 1;
      const from = store.at(slot);
      if (from === null) continue;
      if (redirect === null) await loadScripts(from);
      if (redirect?.kind === 'moved' && !learnt.has(redirect.node)) {
        learnt.add(redirect.node);
        await store.learn(slot, redirect.node, from.write).catch(() => {});
      }
    }
    if (again.length === 0 || store.apart !== null) return results;
    if (wait) await pause(store, PAUSE_MS * round);
    await resend(store, units, again, results);
  }
  return results;
}

async function resend(
  store: RedisStore,
  units: readonly Unit[],
  again: readonly { at: number; ask: string | null }[],
  results: Result[],
): Promise<void> {
  const plain = again.filter(({ ask }) => ask === null);
  const moved = plain.map(({ at }) => units[at]).filter((unit) => unit !== undefined);
  for (const [index, result] of (await everywhere(store, moved)).entries()) {
    results[plain[index]?.at ?? 0] = result;
  }
  for (const { at, ask } of again) {
    const unit = units[at];
    if (ask === null || unit === undefined) continue;
    const node = await store.reach(ask).catch(() => null);
    if (node === null) continue;
    const [result] = await sendTo(node, [unit], true);
    if (result !== undefined) results[at] = result;
  }
}

async function loadScripts({ write }: Joined): Promise<void> {
  await write.call(SCRIPTS.map(({ body }) => ['SCRIPT', 'LOAD', body])).catch(() => {});
}

function pause({ setup }: RedisStore, ms: number): Promise<void> {
  return new Promise((done): Timer => setup.world.clock.after(ms, done));
}

/** One pipeline. `asking`: the slot is on its way to this node. */
async function sendTo(
  { write }: Joined,
  units: readonly Unit[],
  asking: boolean,
): Promise<Result[]> {
  const commands: Command[] = [];
  for (const unit of units) {
    if (asking) commands.push(ASKING);
    if (unit.commands.length === 1) commands.push(...unit.commands);
    else commands.push(MULTI, ...unit.commands, EXEC);
  }
  let answers: readonly Answer[];
  let why = '';
  try {
    answers = await write.call(commands);
  } catch (error) {
    why = messageOf(error);
    answers = error instanceof LinkLost ? error.answers : commands.map(() => UNANSWERED);
  }
  let at = 0;
  return units.map(({ commands: { length } }) => {
    if (asking) at += 1;
    const count = length === 1 ? 1 : length + 2;
    const own = answers.slice(at, at + count);
    at += count;
    return length === 1 ? resultOf(own[0], why) : transactionOf(own, why);
  });
}

function resultOf(answer: Answer, why: string): Result {
  if (answer === UNANSWERED) return { state: 'unknown', why };
  if (answer instanceof Error) return { state: 'not', error: answer };
  return { state: 'done', replies: [answer] };
}

/** MULTI, the commands, EXEC: what EXEC says counts. */
function transactionOf(answers: readonly Answer[], why: string): Result {
  const executed = answers.at(-1);
  if (executed === UNANSWERED) return { state: 'unknown', why };
  if (Array.isArray(executed)) return { state: 'done', replies: executed as Answer[] };
  // The first error is the reason; EXEC itself only says that there was one.
  const reason = answers.find((answer) => answer instanceof Error);
  const error = reason instanceof Error ? reason : new Error('the transaction was not executed');
  return { state: 'not', error };
}
