/** What each kind of error of PostgreSQL means for a write. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionLost, meaningOf, troubleOf, type Meaning } from './trouble.ts';

test('every class of errors has one meaning, and in doubt it is unknown', () => {
  const rows: readonly (readonly [code: string, meaning: Meaning, what: string])[] = [
    ['22001', 'refused', 'too long for its column'],
    ['23514', 'refused', 'a check'],
    ['23505', 'refused', 'another unique index'],
    ['54000', 'refused', 'a limit of the program'],
    ['P0001', 'refused', 'raised by a trigger'],
    ['40001', 'failed', 'serialization'],
    ['40P01', 'failed', 'deadlock'],
    ['55P03', 'failed', 'lock not available'],
    ['57014', 'failed', 'cancelled, or out of time'],
    ['25006', 'outage', 'read-only'],
    ['28P01', 'outage', 'wrong password'],
    ['42501', 'outage', 'no rights'],
    ['42703', 'outage', 'a column is missing'],
    ['53100', 'outage', 'disk full'],
    ['53200', 'outage', 'out of memory'],
    ['53300', 'outage', 'too many connections'],
    ['42P01', 'gone', 'the table is not there'],
    ['3F000', 'gone', 'the schema is not there'],
    ['08006', 'unknown', 'connection failure'],
    ['57P01', 'unknown', 'shut down by an administrator'],
    ['57P02', 'unknown', 'another backend crashed'],
    ['58030', 'unknown', 'I/O error'],
    ['XX001', 'unknown', 'damaged data'],
    ['99999', 'failed', 'said no, for a reason that is new'],
  ];
  for (const [code, meaning, what] of rows) assert.equal(meaningOf(code), meaning, what);
  assert.equal(meaningOf(undefined), 'unknown');
});

test('a lost connection is unknown only when something was sent', () => {
  const sent = troubleOf(new ConnectionLost('gone', true));
  assert.deepEqual([sent.meaning, sent.sent], ['unknown', true]);
  const unsent = troubleOf(new ConnectionLost('gone', false));
  assert.deepEqual([unsent.meaning, unsent.sent], ['outage', false]);
  assert.equal(troubleOf(new Error('anything')).meaning, 'unknown');
  assert.equal(troubleOf(sent), sent);
});
