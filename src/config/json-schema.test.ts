/** Schemas: the keywords and formats of 2020-12 as ajv has them, patterns in linear time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileSchema } from './json-schema.ts';

const fits = (schema: unknown, value: unknown): boolean =>
  compileSchema(schema)(value).length === 0;

test('each pattern is its own, however many a schema has', () => {
  const schema = {
    properties: { a: { pattern: '^a+$' }, b: { pattern: '^b+$' } },
    patternProperties: { '^x-': { type: 'number' }, '^y-': { type: 'string' } },
  };
  assert.ok(fits(schema, { a: 'aa', b: 'bb', 'x-1': 1, 'y-1': '' }));
  for (const wrong of [{ a: 'b' }, { b: 'a' }, { 'x-1': '' }, { 'y-1': 1 }]) {
    assert.ok(!fits(schema, wrong), JSON.stringify(wrong));
  }
});

test('formats take what they should and refuse what they should', () => {
  const cases: Readonly<
    Record<string, readonly [good: readonly string[], bad: readonly string[]]>
  > = {
    date: [['2024-02-29'], ['2023-02-29', '2024-1-1', 'x']],
    time: [
      ['10:00:00Z', '23:59:60Z'],
      ['10:00:00', '25:00:00Z'],
    ],
    'date-time': [
      ['2024-01-01T00:00:00Z', '2024-01-01T00:00:00.5+02:00'],
      ['2024-01-01', ''],
    ],
    duration: [
      ['P1D', 'PT5M', 'P1Y2M3DT4H', 'P3W'],
      ['P', 'PT', 'P1', '1D', 'P1DT'],
    ],
    email: [['a.b@example.org'], ['a', 'a@', '@b.c', 'a b@c.de']],
    hostname: [
      ['example.org', 'a', 'xn--bcher-kva.example'],
      ['-a', 'a..b', 'a_b', `${'a'.repeat(64)}.b`],
    ],
    ipv4: [['127.0.0.1'], ['256.0.0.1', '1.2.3', '01.2.3.4']],
    ipv6: [
      ['::1', 'fe80::1', '1:2:3:4:5:6:7:8'],
      ['1::2::3', ':::', '12345::'],
    ],
    uri: [
      ['https://a.b/c?d=e#f', 'urn:x:y', 'mailto:a@b.c'],
      ['/a/b', 'a b', 'http://a b'],
    ],
    'uri-reference': [
      ['/a/b', '#x', 'https://a.b'],
      ['\\\\a', 'a b'],
    ],
    'uri-template': [['http://a/{b}{?c,d}'], ['{', 'a{b']],
    uuid: [['123e4567-e89b-12d3-a456-426614174000'], ['123e4567', '']],
    regex: [['^a+$'], ['(', '(?=a)']],
    'json-pointer': [
      ['', '/a/~0b'],
      ['a', '/~2'],
    ],
    'relative-json-pointer': [
      ['0', '1/a', '2#'],
      ['-1', '/a'],
    ],
  };
  for (const [format, [good, bad]] of Object.entries(cases)) {
    for (const text of good) assert.ok(fits({ format }, text), `${format} ${text}`);
    for (const text of bad) assert.ok(!fits({ format }, text), `${format} ${text}`);
  }
});

test('what cannot be used is refused when it is compiled', () => {
  const cases: readonly unknown[] = [
    { $ref: 'https://example.org/schema.json' },
    { $ref: '#/$defs/none' },
    { pattern: '(?<=a)b' },
    { pattern: '(a)\\1' },
    { pattern: 'x'.repeat(5000) },
    { format: 'unheard-of' },
    { typ: 'object' },
    { type: 'objekt' },
    null,
    'text',
  ];
  for (const schema of cases) assert.throws(() => compileSchema(schema), JSON.stringify(schema));
});

test('faults are bounded in number and point to the value', () => {
  const check = compileSchema({ items: { type: 'string' } });
  assert.equal(check(Array.from({ length: 1000 }, () => 1)).length, 50);
  assert.deepEqual(check(['a', 1]), [{ pointer: '/1', detail: 'must be string' }]);
  const words = compileSchema({ properties: { a: { enum: ['x', 'y'] } } });
  assert.match(words({ a: 'z' })[0]?.detail ?? '', /\["x","y"\]/);
});
