/** examples/multi-destination judges stores and counts outcomes; its run is in test/real. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { expectedOf, isClean, judge } from '../../examples/multi-destination/compare.ts';
import type { Expected, Holding } from '../../examples/multi-destination/compare.ts';
import { allItems } from '../../examples/multi-destination/relay.ts';
import type { Item, Line, Receipt } from '../../examples/multi-destination/relay.ts';
import { findingTable, outcomeTable, tally } from '../../examples/multi-destination/show.ts';

const receipt = (
  uow: number,
  outcome: Receipt['outcome'],
  report: readonly Line[] = [],
): Receipt => {
  const state = outcome === null ? 'parked' : 'settled';
  return { uow, flow: 'deliveries', keys: [], state, outcome, report };
};

describe('the comparison of examples/multi-destination', () => {
  const values = new Map([
    ['deliveries:a', Buffer.from('1')],
    ['latest:b', Buffer.from('2')],
  ]);
  const expected: Expected = { values, uows: new Set([1, 2]) };
  const holding = (more: Partial<Holding>): Holding => {
    return { store: 's', values, uows: null, ...more };
  };
  const other = (name: string, value: string | null): Holding => {
    const changed = new Map(values);
    if (value === null) changed.delete(name);
    else changed.set(name, Buffer.from(value));
    return holding({ values: changed });
  };

  it('is clean where all is there and nothing else', () => {
    const finding = judge(expected, holding({ uows: new Set([1, 2]) }));
    assert.ok(isClean(finding));
    assert.equal(finding.same, 2);
  });

  it('finds what is missing, what differs, and what should not be there', () => {
    assert.deepEqual(judge(expected, other('latest:b', null)).missing, ['latest:b']);
    assert.deepEqual(judge(expected, other('latest:b', '1')).different, ['latest:b']);
    assert.deepEqual(judge(expected, other('latest:b', '2 ')).different, ['latest:b']);
    assert.deepEqual(judge(expected, other('latest:c', '2')).extra, ['latest:c']);
    const stray = judge(expected, holding({ uows: new Set([1, 2, 3]) }));
    assert.deepEqual(stray.extra, ['uow 3']);
    for (const each of [other('latest:b', null), other('latest:b', '1'), other('c', '2')]) {
      assert.equal(isClean(judge(expected, each)), false);
    }
  });

  it('expects the newest of what was committed, by number, and nothing of the rest', () => {
    const item = (body: string): Item => {
      return { flow: 'latest', keys: ['k'], body: Buffer.from(body) };
    };
    const held = new Map([1, 2, 3, 4].map((uow) => [uow, item(String(uow))]));
    const found = expectedOf(held, [
      receipt(3, 'committed'),
      receipt(1, 'committed'),
      receipt(4, 'refused'),
      receipt(2, 'superseded'),
    ]);
    assert.deepEqual([...found.values], [['latest:k', Buffer.from('3')]]);
    assert.deepEqual([...found.uows], [1, 3]);
  });

  it('is shown as one line for each store', () => {
    const lines = findingTable([judge(expected, other('latest:b', '1'))]).split('\n');
    assert.equal(lines.length, 3);
    assert.match(lines[2] ?? '', /^ {2}s +\| +1 \| +0 \| +1 \| +0$/);
  });
});

describe('the table of examples/multi-destination', () => {
  const refused: Line[] = [
    { stash: 'history', reply: 'undone' },
    { stash: 'partner', reply: 'refused', status: 422, detail: 'no' },
  ];
  const failed: Line[] = [{ stash: 'history', reply: 'failed', detail: 'gone' }];

  it('counts outcomes, what was undone, and reasons', () => {
    const rows = tally([
      receipt(1, 'committed'),
      receipt(2, 'refused', refused),
      receipt(3, 'refused', refused.slice(1)),
      receipt(4, 'failed', failed),
      receipt(5, null, failed),
    ]);
    const counts = rows.map(({ outcome, writes, undone }) => `${outcome} ${writes} ${undone}`);
    assert.deepEqual(counts, [
      'committed 1 0',
      'refused 2 1',
      'failed 1 0',
      'superseded 0 0',
      'parked 1 0',
      'held 0 0',
    ]);
    assert.deepEqual([...(rows[1]?.why ?? [])], [['partner refused (422): no', 2]]);
    const text = outcomeTable(rows);
    assert.match(text, /refused +\| +2 \| +1 \| partner refused \(422\): no \(2\)/);
    assert.ok(text.includes('parked') && !text.includes('held'));
  });
});

describe('the writes of examples/multi-destination', () => {
  it('are deliveries under keys of their own, and again as the latest of a repository', () => {
    const items = allItems();
    const own = items.filter(({ flow }) => flow === 'deliveries').flatMap(({ keys }) => keys);
    assert.equal(new Set(own).size, own.length);
    const shared = items.filter(({ flow }) => flow === 'latest').flatMap(({ keys }) => keys);
    assert.ok(new Set(shared).size < shared.length / 2, 'hardly any key is shared');
  });
});
