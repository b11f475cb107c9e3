/** Which failed writes a commit ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heldWrite } from '../../test/rules/writes.ts';
import { FailedKeys } from './failed-keys.ts';

test('a commit ends the older failed writes that share any key, whole, and once', () => {
  const failed = new FailedKeys();
  failed.add(heldWrite(1, { keys: ['a', 'b'] }));
  failed.add(heldWrite(2, { keys: ['b', 'c'], kind: 'delete', attempt: 3 }));
  failed.add(heldWrite(3, { keys: ['x'] }));
  const ended = failed.endedBy(heldWrite(9, { keys: ['c', 'a', 'b'] }));
  ended.sort((one, other) => one.u - other.u);
  assert.deepEqual(
    ended.map(({ u, a, k }) => [u, a, k]),
    [
      [1, 1, 'set'],
      [2, 3, 'delete'],
    ],
  );
  assert.deepEqual(failed.endedBy(heldWrite(10, { keys: ['a', 'b', 'c'] })), []);
  assert.equal(failed.size, 1);
  assert.ok(failed.has(3) && !failed.has(1));
});

test('a younger failed write, another flow, another key: not ended', () => {
  const failed = new FailedKeys();
  failed.add(heldWrite(5));
  failed.add(heldWrite(1, { flow: 'held' }));
  failed.add(heldWrite(2, { keys: ['other'] }));
  assert.deepEqual(failed.endedBy(heldWrite(4)), []);
  assert.deepEqual(failed.endedBy(heldWrite(5)), [], 'nor is it itself');
  assert.equal(failed.size, 3);
});

test('what is removed leaves no trace, and removing twice does nothing', () => {
  const failed = new FailedKeys();
  failed.add(heldWrite(1));
  failed.add(heldWrite(1, { attempt: 2 }));
  assert.equal(failed.size, 1);
  failed.remove(1);
  failed.remove(1);
  assert.equal(failed.size, 0);
  assert.deepEqual(failed.endedBy(heldWrite(9)), []);
});
