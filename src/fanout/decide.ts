/**
 * The one decider (P9): what becomes of an attempt, given what its stashes have said. A table, read
 * from the top, first match wins; docs/DECISIONS.md shows the same rows and a test holds each.
 */

/** What the stashes before the reader have said, taken together. */
export interface Facts {
  /** Some of them have not answered the last sending yet. */
  readonly awaited: boolean;
  /** Some answer was lost: sent, nothing definite came back. */
  readonly unknown: boolean;
  readonly refused: boolean;
  readonly failed: boolean;
  readonly reader: 'not-sent' | 'awaited' | 'stored' | 'refused' | 'failed' | 'unknown';
  /** The reader was handed this attempt more than once, or perhaps before a crash. */
  readonly readerSentBefore: boolean;
  /** False after a crash, unless a stash proved that it never held the attempt (P14). */
  readonly mayAbort: boolean;
}

export type Decision =
  | 'wait'
  | 'commit'
  | 'apply-reader'
  | 'apply-again'
  | 'reader-again'
  | 'abort-refused'
  | 'abort-failed';

type Pattern = { readonly [K in keyof Facts]?: Facts[K] | readonly Facts[K][] };

export interface DecisionRow {
  readonly when: Pattern;
  readonly decision: Decision;
  readonly situation: string;
}

export const DECISIONS: readonly DecisionRow[] = [
  {
    situation: 'the reader stored it',
    when: { reader: 'stored' },
    decision: 'commit',
  },
  {
    situation: 'the reader has not answered',
    when: { reader: 'awaited' },
    decision: 'wait',
  },
  {
    situation: 'the reader: sent, no reply',
    when: { reader: 'unknown' },
    decision: 'reader-again',
  },
  {
    situation: 'the reader refused its first sending, on every key',
    when: { reader: 'refused', readerSentBefore: false, mayAbort: true },
    decision: 'abort-refused',
  },
  {
    situation: 'the reader failed its first sending, on every key',
    when: { reader: 'failed', readerSentBefore: false, mayAbort: true },
    decision: 'abort-failed',
  },
  {
    situation: 'the reader answered an error, but an earlier sending may have taken effect',
    when: { reader: ['refused', 'failed'] },
    decision: 'reader-again',
  },
  {
    situation: 'a stash before the reader has not answered',
    when: { awaited: true },
    decision: 'wait',
  },
  {
    situation: 'a refusal among definite replies, with or without failures',
    when: { refused: true, mayAbort: true },
    decision: 'abort-refused',
  },
  {
    situation: 'a failure, no refusal',
    when: { failed: true, mayAbort: true },
    decision: 'abort-failed',
  },
  {
    situation: 'a refusal or failure, but the reader may have shown it before the crash',
    when: { refused: true },
    decision: 'apply-again',
  },
  {
    situation: 'a failure, but the reader may have shown it before the crash',
    when: { failed: true },
    decision: 'apply-again',
  },
  {
    situation: 'sent, no reply, not the reader',
    when: { unknown: true },
    decision: 'apply-again',
  },
  {
    situation: 'every stash before the reader declined or stored',
    when: {},
    decision: 'apply-reader',
  },
];

function matches(pattern: Pattern, facts: Facts): boolean {
  for (const [name, wanted] of Object.entries(pattern)) {
    const fact = facts[name as keyof Facts];
    if (Array.isArray(wanted) ? !wanted.includes(fact) : wanted !== fact) return false;
  }
  return true;
}

/** The row that applies. The last row matches everything, so there always is one. */
export function rowFor(facts: Facts): DecisionRow {
  const row = DECISIONS.find((each) => matches(each.when, facts));
  if (row === undefined) throw new RangeError('the decision table has no last row');
  return row;
}

const READER = ['not-sent', 'awaited', 'stored', 'refused', 'failed', 'unknown'] as const;
const memo = new Map<number, Decision>();

/** The decision for these facts; looked up in the table once for each combination. */
export function decide(facts: Facts): Decision {
  const bits =
    (facts.awaited ? 1 : 0) |
    (facts.unknown ? 2 : 0) |
    (facts.refused ? 4 : 0) |
    (facts.failed ? 8 : 0) |
    (facts.readerSentBefore ? 16 : 0) |
    (facts.mayAbort ? 32 : 0) |
    (READER.indexOf(facts.reader) << 6);
  let decision = memo.get(bits);
  if (decision === undefined) {
    decision = rowFor(facts).decision;
    memo.set(bits, decision);
  }
  return decision;
}

const FACT_WORDS: Readonly<Record<keyof Facts, string>> = {
  awaited: 'awaited',
  unknown: 'unknown',
  refused: 'refused',
  failed: 'failed',
  reader: 'reader',
  readerSentBefore: 'sent before',
  mayAbort: 'may abort',
};

/** The table as docs/DECISIONS.md shows it. */
export function decisionTable(): string {
  const rows = DECISIONS.map(({ situation, when, decision }) => {
    const facts = Object.entries(when).map(([name, wanted]) => {
      const words = FACT_WORDS[name as keyof Facts];
      if (typeof wanted === 'boolean') return wanted ? words : `not ${words}`;
      return `${words}: ${Array.isArray(wanted) ? wanted.join(' or ') : String(wanted)}`;
    });
    const shown = facts.length === 0 ? 'anything else' : facts.join(', ');
    return `| ${situation} | ${shown} | ${decision} |\n`;
  });
  return `| Situation | Facts | Decision |\n|---|---|---|\n${rows.join('')}`;
}
