/** docs/PERFORMANCE.md is what the kept figures say, the bad ones included. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import performanceDocs, { performancePage } from './performance.ts';

test('docs/PERFORMANCE.md is up to date and tells both benches', async () => {
  for (const [path, content] of Object.entries(performanceDocs())) {
    const committed = await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
    assert.equal(committed, content, `${path} is out of date: npm run docs`);
    for (const name of ['journal', 'embedded']) {
      assert.ok(content.includes(`npm run bench -- ${name}`), name);
    }
  }
});

test('a floor that was not met is said', () => {
  const machine = { cpu: 'x', cores: 2, memoryGiB: 1, system: 'y', node: 'v26' };
  const comparison = (ratio: number) => ({
    name: 'PUT',
    unit: 'requests/s',
    rounds: [[ratio * 100, 100]],
    medians: [ratio * 100, 100],
    ratio,
    against: 'plain',
    floor: 0.25,
  });
  const page = (ratio: number): string =>
    performancePage(new Map([['embedded', { machine, comparisons: [comparison(ratio)] }]]));
  assert.match(page(0.2), /\| 0\.20 \(0\.20 to 0\.20\) \| plain \| 0\.25, \*\*not met\*\* \|/);
  assert.match(page(0.3), /\| 0\.25, met \|/);
  assert.doesNotMatch(page(0.3), /not met/);
});

test('an aim and what a side cost are told where a bench keeps them', () => {
  const machine = { cpu: 'x', cores: 2, memoryGiB: 1, system: 'y', node: 'v26', stores: 'Redis 7' };
  const cost = { cpuSecondsPer1000: 0.05, p50Ms: 1.5, p99Ms: 4, peakMiB: 120 };
  const comparison = {
    name: 'two Redis, 64 connections',
    unit: 'writes/s',
    rounds: [[90, 100]],
    medians: [90, 100],
    ratio: 0.9,
    against: 'handler',
    floor: 0.87,
    aim: 1.3,
    costs: [cost, { ...cost, cpuSecondsPer1000: null, peakMiB: null }],
  };
  const page = performancePage(new Map([['write', { machine, comparisons: [comparison] }]]));
  assert.match(page, /\| handler \| 0\.87, met \| 1\.3, not met \|/);
  assert.match(page, /\| 50\.0 \| not known \| 1\.50 \| 1\.50 \| 4\.00 \| 4\.00 \| 120 \| not/);
  assert.match(page, /; Redis 7\./);
});
