/** Arrays in the binary form that PostgreSQL's `array_recv` reads; test/real shows that it does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bigintArray, byteaArray, integerArray, textArray } from './binary.ts';

const hex = (buffer: Buffer): string => buffer.toString('hex');

/** Dimensions 1, nulls possible, the type, the length, from 1. */
const head = (type: number, count: number): string => {
  const words = [1, 1, type, count, 1];
  return words.map((word) => word.toString(16).padStart(8, '0')).join('');
};

test('an array without elements has no dimension', () => {
  assert.equal(hex(bigintArray([])), '000000000000000000000014');
  assert.equal(hex(integerArray([])), '000000000000000000000017');
  assert.equal(hex(textArray([])), '000000000000000000000019');
  assert.equal(hex(byteaArray([])), '000000000000000000000011');
});

test('integers keep every bit up to the largest exact one, below zero too', () => {
  assert.equal(
    hex(bigintArray([1, 2 ** 32, Number.MAX_SAFE_INTEGER, -1, null, 0])),
    head(20, 6) +
      '000000080000000000000001' +
      '000000080000000100000000' +
      '00000008001fffffffffffff' +
      '00000008ffffffffffffffff' +
      'ffffffff' +
      '000000080000000000000000',
  );
  assert.equal(
    hex(integerArray([7, 2 ** 31 - 1])),
    `${head(23, 2)}00000004000000070000000` + '47fffffff',
  );
});

test('texts are UTF-8 with their length in bytes', () => {
  const bytes = textArray(['a', '', '\u00e9', '\u{1f600}']);
  const rest = '0000000161' + '00000000' + '00000002c3a9' + '00000004f09f9880';
  assert.equal(hex(bytes), head(25, 4) + rest);
});

test('bytes are copied as they are', () => {
  const value = new Uint8Array([0, 255, 92, 39]);
  const bytes = byteaArray([value, new Uint8Array(0), value.subarray(1, 3)]);
  value.fill(1);
  const rest = '0000000400ff5c27' + '00000000' + '00000002ff5c';
  assert.equal(hex(bytes), head(17, 3) + rest);
});
