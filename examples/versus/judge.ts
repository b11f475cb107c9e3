/** What was told, what the two stores hold, and whether the one agrees with the other. */

/** What a caller was told about a write. */
export interface Told {
  /** Of the answer; null: none came. */
  readonly status: number | null;
  readonly ms: number;
  /** How the write ended, where the answer left that open and it can be asked for later. */
  readonly outcome: string | null;
}

/** Whether a store holds a value; how it could not be asked otherwise. */
export type Holds = 'yes' | 'no' | 'down' | 'hangs';

export interface Both {
  readonly first: Holds;
  readonly second: Holds;
}

/** `right` is true only if the write is in both stores or in none, as was told. */
export interface Verdict {
  readonly right: boolean;
  readonly words: string;
}

/** Judges by what the stores hold once both of them answer again. */
export function judge(told: Told, { first, second }: Both): Verdict {
  const wrong = (words: string): Verdict => ({ right: false, words });
  if (![first, second].every((holds) => holds === 'yes' || holds === 'no')) {
    return wrong('a store does not answer');
  }
  if (first !== second) {
    const [has, lacks] = first === 'yes' ? ['first', 'second'] : ['second', 'first'];
    return wrong(`MIXED: the ${has} store keeps what the ${lacks} never got`);
  }
  const isThere = first === 'yes';
  const promise = promiseOf(told);
  if (promise === 'committed' && !isThere) return wrong('LOST: it was told as done');
  if (promise === 'failed' && isThere) return wrong('LATE: it landed after its failure was told');
  if (promise === 'open') return wrong('nobody was ever told how it ended');
  return { right: true, words: isThere ? 'in both, as told' : 'in none, as told' };
}

function promiseOf({ status, outcome }: Told): 'committed' | 'failed' | 'open' {
  if (outcome !== null) return outcome === 'committed' ? 'committed' : 'failed';
  if (status === null || status === 202) return 'open';
  return status < 300 ? 'committed' : 'failed';
}

export function toldWords({ status, ms, outcome }: Told): string {
  const answer = status === null ? 'no answer' : String(status);
  const then = outcome === null ? '' : `, then ${outcome}`;
  return `${answer} after ${(ms / 1000).toFixed(1)} s${then}`;
}

const HOLDS: Readonly<Record<Holds, string>> = {
  yes: 'has it',
  no: 'has it not',
  down: 'is down',
  hangs: 'hangs',
};

export function bothWords({ first, second }: Both): string {
  return `first ${HOLDS[first]}, second ${HOLDS[second]}`;
}
