/** States that break a promise. */
import type { State, StateChange } from '../../../src/contracts/state.ts';
import { memoryStateBench } from '../benches.ts';
import type { StateBench } from '../state-rows.ts';
import type { Line, Mutant } from '../suite.ts';
import { promisesWith, spoilt } from './mutate.ts';

type Spoil = (state: State) => Partial<State>;

type Row = readonly [string, Spoil, ...string[]];

/** A mutant that changes what is committed. */
function committing(change: (changes: readonly StateChange[]) => readonly StateChange[]): Spoil {
  return (state) => ({
    commit: (journalId, appliedTo, changes) => state.commit(journalId, appliedTo, change(changes)),
  });
}

const COMMIT: readonly Row[] = [
  [
    'starts at position 1',
    (state) => ({ appliedTo: async () => Math.max(1, await state.appliedTo()) }),
    'a new State is at position 0',
  ],
  [
    'keeps 32 bits of the position',
    (state) => ({ appliedTo: async () => (await state.appliedTo()) >>> 0 }),
    'a commit moves the position',
  ],
  [
    'applies what comes before a change that fails',
    (state) => ({
      async commit(journalId, appliedTo, changes) {
        const before = await state.appliedTo();
        for (const change of changes) {
          await state.commit(journalId, change.change === 'document' ? before : appliedTo, [
            change,
          ]);
        }
        await state.commit(journalId, appliedTo, []);
      },
    }),
    'not applied at all',
  ],
  [
    'applies removals first',
    committing((changes) =>
      [...changes].sort((a, b) => {
        return Number(b.change === 'failure-gone') - Number(a.change === 'failure-gone');
      }),
    ),
    'are applied in order',
  ],
  [
    'counts a failure again when it is applied again',
    (state) => {
      let twice = 0;
      return {
        async commit(journalId, appliedTo, changes) {
          for (const { change } of changes) if (change === 'document-gone') twice += 1;
          await state.commit(journalId, appliedTo, changes);
        },
        failureCount: async () => (await state.failureCount()) + (twice > 1 ? 1 : 0),
      };
    },
    'applying changes again',
  ],
];

const FAILURES: readonly Row[] = [
  [
    'keeps plans as text',
    (state) => ({
      async failure(uow) {
        const row = await state.failure(uow);
        if (row === null || row.keys.length < 9) return row;
        return { ...row, plan: new TextEncoder().encode(new TextDecoder().decode(row.plan)) };
      },
    }),
    'its plan byte for byte',
  ],
  [
    'keeps the keys of a failure that was written again',
    (state) => ({
      async failuresOn(account, flow, keys) {
        const renamed = keys.map((key) => (key === 'a' ? 'b' : key));
        return state.failuresOn(account, flow, keys.length === 1 ? renamed : keys);
      },
    }),
    'takes the place of the old one, keys included',
  ],
  [
    'leaves a failure that is gone in its listing',
    (state) => {
      let gone = 0;
      return {
        commit(journalId, appliedTo, changes) {
          if (changes.length === 1 && changes[0]?.change === 'failure-gone') gone += 1;
          return state.commit(journalId, appliedTo, changes);
        },
        failureCount: async () => (await state.failureCount()) + gone,
      };
    },
    'gone from every view',
  ],
  [
    'finds failures of other flows on a key',
    (state) => ({
      async failuresOn(account, flow, keys) {
        const other = await state.failuresOn(account, 'other', keys);
        return [...(await state.failuresOn(account, flow, keys)), ...other];
      },
    }),
    'found by account, flow and exact key',
  ],
  [
    'lists the newest failure first',
    (state) => ({
      async failures(filter, cursor, limit) {
        const page = await state.failures(filter, cursor, limit);
        return page.items.length === 3 ? { ...page, items: [...page.items].reverse() } : page;
      },
    }),
    'listed oldest first',
  ],
  [
    'takes per cent signs and underscores for patterns',
    (state) => ({
      failures(filter, cursor, limit) {
        const { q, ...rest } = filter;
        const asked = q === undefined ? rest : { ...rest, q: q.replace('1_0', '100') };
        return state.failures(asked, cursor, limit);
      },
    }),
    'failures are filtered by',
  ],
  [
    'shows the last failure of a page again on the next',
    (state) => ({
      async failures(filter, cursor, limit) {
        const page = await state.failures(filter, cursor, limit);
        const [first] = page.items;
        return cursor !== null && first ? { ...page, items: [first, ...page.items] } : page;
      },
    }),
    'failures come page by page',
  ],
];

const RECEIPTS: readonly Row[] = [
  [
    'forgets whether there was something to delete',
    (state) => ({
      async receipt(uow) {
        const row = await state.receipt(uow);
        return row && { ...row, existed: null };
      },
    }),
    'a receipt comes back whole',
  ],
  [
    'keeps the first receipt of a write',
    (state) => {
      const seen = new Set<number>();
      return {
        commit(journalId, appliedTo, changes) {
          const kept = changes.filter((change) => {
            if (change.change !== 'receipt') return true;
            const isNew = !seen.has(change.row.uow);
            seen.add(change.row.uow);
            return isNew;
          });
          return state.commit(journalId, appliedTo, kept);
        },
      };
    },
    'the receipt of a later attempt',
  ],
  [
    'lists the oldest rejection first',
    (state) => ({
      async rejections(filter, cursor, limit) {
        const page = await state.rejections(filter, cursor, limit);
        const turned = limit === 10 && Object.keys(filter).length === 0;
        return turned ? { ...page, items: [...page.items].reverse() } : page;
      },
    }),
    'rejections are the refused writes',
  ],
  [
    'ignores the flow in the filter of rejections',
    (state) => ({
      rejections({ account }, cursor, limit) {
        return state.rejections(account === undefined ? {} : { account }, cursor, limit);
      },
    }),
    'rejections are filtered',
  ],
  [
    'ends rejections with the first page',
    (state) => ({
      async rejections(filter, cursor, limit) {
        const page = await state.rejections(filter, cursor, limit);
        return limit === 4 ? { ...page, cursor: null } : page;
      },
    }),
    'rejections come page by page',
  ],
];

const OTHERS: readonly Row[] = [
  [
    'finds idempotency keys in any scope',
    (state) => ({
      async idempotency(scope, key, now) {
        const found = await state.idempotency(scope, key, now);
        return found ?? state.idempotency('acme/orders', key, now - 50);
      },
      sweep: (now, before, limit) => state.sweep(now, before, limit),
    }),
    'by its scope and exact text',
    'past its time is unknown',
  ],
  [
    'knows an idempotency key for one millisecond too long',
    (state) => ({ idempotency: (scope, key, now) => state.idempotency(scope, key, now - 1) }),
    'past its time is unknown',
  ],
  [
    'knows one kind of document',
    (state) => ({
      async document(kind, id) {
        return kind === 'other' ? state.document('job', id) : state.document(kind, id);
      },
    }),
    'a document comes back whole',
  ],
  [
    'lists documents of every kind',
    (state) => ({
      async documents(kind, cursor, limit) {
        const page = await state.documents(kind, cursor, limit);
        const other = await state.documents('other', null, 1);
        if (kind === 'other' || page.cursor !== null) return page;
        return { ...page, items: [...page.items.slice(0, 3), ...other.items] };
      },
    }),
    'documents of one kind',
  ],
  [
    'starts again on a cursor it does not understand',
    (state) => ({
      async failures(filter, cursor, limit) {
        try {
          return await state.failures(filter, cursor, limit);
        } catch {
          return state.failures(filter, null, limit);
        }
      },
    }),
    'a cursor that is not ours',
  ],
  [
    'sweeps a receipt settled at the very moment given',
    (state) => ({
      sweep: (now, before, limit) =>
        state.sweep(now, before % 1000 === 20 ? before + 1 : before, limit),
    }),
    'sweep drops receipts',
  ],
  [
    'leaves what is past its time',
    (state) => ({
      sweep: (now, before, limit) => state.sweep(before === 0 ? 1 : now, before, limit),
    }),
    'sweep drops idempotency keys',
  ],
  [
    'sweeps more than it may',
    (state) => ({
      sweep: (now, before, limit) => state.sweep(now, before, limit === 10 ? 100 : limit),
    }),
    'sweep drops at most',
  ],
];

/** Each stands on a State of its own that keeps its contract otherwise. */
export function stateMutants(lines: readonly Line<StateBench>[]): Mutant<StateBench>[] {
  const table = [...COMMIT, ...FAILURES, ...RECEIPTS, ...OTHERS];
  const mutants = table.map(([bug, spoil, ...words]): Mutant<StateBench> => {
    const make = async (): Promise<StateBench> => {
      const bench = await memoryStateBench();
      return { ...bench, state: spoilt(bench.state, spoil(bench.state)) };
    };
    return { bug, make, caughtBy: promisesWith(lines, ...words) };
  });
  const forgetful: Mutant<StateBench> = {
    bug: 'forgets what was not flushed when the process dies',
    async make() {
      const bench = await memoryStateBench();
      const { state } = bench;
      return { ...bench, reopen: async () => ('crash' in state ? crashed(state) : state) };
    },
    caughtBy: promisesWith(lines, 'survives the death'),
  };
  return [...mutants, forgetful];
}

function crashed(state: State): State {
  return (state as State & { crash(keep: number): State }).crash(0);
}
