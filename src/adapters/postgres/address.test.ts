/** URLs are taken apart whole or refused, and nothing secret is said about them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../kernel/errors.ts';
import { addressOf, tableAt } from './address.ts';

test('a URL is taken apart, with defaults that no environment changes', () => {
  const full = addressOf('postgres://me:p%40ss@db.example:5433/records?sslmode=require', 'h');
  assert.deepEqual(full, {
    label: 'db.example:5433/records',
    host: 'db.example',
    port: 5433,
    user: 'me',
    password: 'p@ss',
    database: 'records',
    ssl: { rejectUnauthorized: false },
  });
  const least = addressOf('postgresql://me@localhost', 'h');
  assert.deepEqual(
    [least.host, least.port, least.password, least.database, least.ssl],
    ['localhost', 5432, '', 'me', false],
  );
  assert.equal(addressOf('postgres://me@[::1]:1/x', 'h').host, '::1');
  assert.equal(
    addressOf('postgres://me@localhost/x?host=/run/postgresql', 'h').host,
    '/run/postgresql',
  );
  assert.deepEqual(addressOf('postgres://me@h/x?sslmode=verify-full', 'h').ssl, {});
});

test('a URL that leads nowhere is a fault with a hint, and its password is never told', () => {
  const wrong = [
    '',
    'mysql://me:hunter2@h/x',
    'postgres://:hunter2@h/x',
    'postgres://me:hunter2@h1,h2/x',
    'postgres://me:hunter2@h:99999/x',
    'postgres://me:hunter2%@h/x',
    'postgres://me:hunter2@h/x?sslmode=prefer',
    'postgres://me:hunter2@h/x?options=-c%20fsync%3Doff',
    'postgres://me:hunter2@h/x?sslmode=verify-full&sslrootcert=/not/there.pem',
  ];
  for (const url of wrong) {
    assert.throws(
      () => addressOf(url, 'history'),
      (error: unknown) =>
        error instanceof Fault &&
        error.message.includes('"history"') &&
        error.hint.includes('postgres://user:password@') &&
        !`${error.message} ${error.hint}`.includes('hunter2'),
      url,
    );
  }
});

test('two spellings of one table are the same place', () => {
  const one = tableAt('postgres://me:a@h/x', 's', 't');
  assert.equal(tableAt('postgresql://you:b@h:5432/x?sslmode=require', 's', 't'), one);
  for (const url of ['postgres://me@h/y', 'postgres://me@g/x', 'postgres://me@h:1/x']) {
    assert.notEqual(tableAt(url, 's', 't'), one, url);
  }
  assert.notEqual(tableAt('postgres://me:a@h/x', 's', 'u'), one);
  assert.equal(tableAt('nonsense', 's', 't'), null);
});
