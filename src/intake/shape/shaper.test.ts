/** What a record becomes: keys, value, TTL; what each fault says; what a costly record does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { bytesOf, testShaper } from './testing.ts';
import type { TestShaper } from './testing.ts';

async function started(
  t: TestContext,
  flows: Readonly<Record<string, unknown>>,
  options: Parameters<typeof testShaper>[1] = {},
  limits: Parameters<typeof testShaper>[2] = {},
): Promise<TestShaper> {
  const shaper = await testShaper(flows, options, limits);
  t.after(() => shaper.shaper.close());
  return shaper;
}

const text = (value: Uint8Array): string => Buffer.from(value).toString('utf8');

test('a record becomes keys, a value made by the template, and its own TTL', async (t) => {
  const shaper = await started(t, {
    f: {
      map: {
        keys: '${{ record.webhooks.map(w, w.id) }}',
        value: {
          id: '${{ record.id }}',
          total: '${{ record.lines.map(l, l.price * l.qty).sum() }}',
          label: 'order ${{ record.id }} of ${{ account }}/${{ flow }}',
          open: '${{ record.lines.size() > 1 }}',
          list: [1, 'two', null, '${{ record.none }}'],
          half: '${{ record.lines[0].qty / 2 }}',
          most: '${{ 9223372036854775807 }}',
          when: "${{ timestamp('2024-01-01T00:00:00Z') }}",
        },
        ttl: '${{ record.ttl }}',
      },
    },
  });
  const record = {
    id: 7,
    none: null,
    ttl: '15m',
    webhooks: [{ id: 'a' }, { id: 'b' }, { id: 'a' }, { id: 12 }],
    lines: [
      { price: 1.5, qty: 3 },
      { price: 2, qty: 1 },
    ],
  };
  const shaped = await shaper.shape('f', record);
  assert.deepEqual(shaped.keys, ['a', 'b', '12']);
  assert.equal(shaped.ttlMs, 900_000);
  assert.equal(
    text(shaped.value),
    '{"id":7,"total":6.5,"label":"order 7 of a/f","open":true,"list":[1,"two",null,null],' +
      '"half":1.5,"most":9223372036854775807,"when":"2024-01-01T00:00:00.000Z"}',
  );
});

test('without a value, or with the record itself, the bytes stay as they were sent', async (t) => {
  const map = { keys: '${{ record.id }}' };
  const shaper = await started(t, {
    none: { map },
    same: { map: { ...map, value: '${{ record }}' } },
  });
  const body = ' {"id" : 9007199254740993,\r\n "x": 1e400, "s":"\\u0041é", "z": 1.0 } ';
  for (const flow of ['none', 'same']) {
    const shaped = await shaper.shape(flow, body);
    assert.deepEqual(shaped.value, bytesOf(body));
    assert.deepEqual(shaped.keys, ['9007199254740993'], 'a key made of a long number is exact');
    assert.equal(shaped.ttlMs, undefined);
  }
});

test('numbers that would change are refused where the mapping writes them again', async (t) => {
  const shaper = await started(t, {
    f: { map: { keys: '${{ record.id }}', value: { n: '${{ record.n }}' } } },
    raw: { map: { keys: '${{ record.n }}' } },
  });
  for (const number of ['12345678901234567890', '1e400', '0.1000000000000000055511151231257827']) {
    const fault = await shaper.fault('f', `{"id":1,"n":${number}}`);
    assert.equal(fault.code, 'shape-invalid');
    assert.equal(fault.errors?.[0]?.pointer, '/n');
  }
  const kept = await shaper.shape('f', '{"id":1,"n":9007199254740992}');
  assert.equal(text(kept.value), '{"n":9007199254740992}');
  const key = await shaper.fault('raw', '{"n":1e400}');
  assert.match(key.errors?.[0]?.detail ?? '', /cannot carry exactly/);
});

test('schema faults point into the record, all of them', async (t) => {
  const schema = {
    type: 'object',
    required: ['id', 'mail'],
    additionalProperties: false,
    properties: {
      id: { type: 'integer' },
      mail: { type: 'string', format: 'email' },
      lines: { type: 'array', items: { type: 'object', properties: { qty: { minimum: 1 } } } },
    },
  };
  const shaper = await started(t, { f: { schema, map: { keys: '${{ record.id }}' } } });
  const fault = await shaper.fault('f', { id: 'x', lines: [{}, { qty: 0 }], 'a/b': 1 });
  assert.equal(fault.code, 'shape-invalid');
  const pointers = fault.errors?.map((one) => one.pointer).sort();
  assert.deepEqual(pointers, ['', '/a~1b', '/id', '/lines/1/qty']);
});

test('mapping faults tell the line of the template, the expression and the place', async (t) => {
  const shaper = await started(t, {
    f: { map: { keys: '${{ record.order.id }}' } },
    text: { map: { keys: 'x-${{ record.id }}' } },
    list: { map: { keys: '${{ record.ids }}' } },
  });
  const missing = await shaper.fault('f', { order: {} });
  assert.equal(missing.errors?.[0]?.pointer, '/order/id');
  assert.match(
    missing.errors?.[0]?.detail ?? '',
    /^test\.yaml:1:\d+: \$\{\{ record\.order\.id \}\}: /,
  );
  const none = await shaper.fault('text', { id: null });
  assert.match(none.errors?.[0]?.detail ?? '', /null inside a text/);
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [[], /no keys/],
    [[{}], /texts or numbers/],
    [[true], /texts or numbers/],
    [[''], /empty/],
    [['..'], /cannot be a key/],
    [['a\0b'], /NUL/],
    [['é'.repeat(257)], /512 bytes/],
    [Array.from({ length: 1001 }, (_, at) => at), /at most 1000 keys/],
  ];
  for (const [ids, detail] of cases) {
    const fault = await shaper.fault('list', { ids });
    assert.equal(fault.code, 'shape-invalid');
    assert.match(fault.errors?.[0]?.detail ?? '', detail);
  }
  assert.equal((await shaper.shape('list', { ids: ['é'.repeat(256)] })).keys.length, 1);
});

test('a TTL is seconds, digits, a duration or none; anything else is a fault', async (t) => {
  const map = { keys: 'k', ttl: '${{ record.ttl }}' };
  const shaper = await started(t, {
    f: { map },
    cel: { map: { keys: 'k', ttl: "${{ duration('90s') }}" } },
  });
  const good: readonly (readonly [unknown, unknown])[] = [
    [60, 60_000],
    ['60', 60_000],
    ['24h', 86_400_000],
    ['none', null],
    [null, undefined],
  ];
  for (const [ttl, ms] of good) assert.equal((await shaper.shape('f', { ttl })).ttlMs, ms);
  assert.equal((await shaper.shape('cel', {})).ttlMs, 90_000);
  for (const ttl of [0, -1, 'soon', '', 1e300, true, [1], '99999999d']) {
    const fault = await shaper.fault('f', { ttl });
    assert.match(fault.errors?.[0]?.detail ?? '', /TTL/, String(ttl));
  }
});

test('a flow with a schema and no mapping says that it has no keys', async (t) => {
  const shaper = await started(t, { f: { schema: { type: 'object' } } });
  const fault = await shaper.fault('f', {});
  assert.match(fault.message, /has no mapping/);
});

test('values of PUT are held against valueSchema', async (t) => {
  const shaper = await started(t, { f: { valueSchema: { type: 'object', required: ['a'] } } });
  await shaper.checkValue('f', { a: 1e300 });
  await assert.rejects(shaper.checkValue('f', {}), { code: 'shape-invalid' });
  await assert.rejects(shaper.checkValue('f', '{'), { code: 'bad-json' });
});

test('mixed numbers, sum and matches do what JSON leads one to expect', async (t) => {
  const shaper = await started(t, {
    f: {
      map: {
        keys: 'k',
        value: {
          plus: '${{ record.n + 1 }}',
          times: '${{ 2 * record.n }}',
          rest: '${{ record.n % 2 }}',
          same: '${{ record.n == 3 && 3 == record.n }}',
          among: '${{ record.n in [1, 2, 3] }}',
          ints: '${{ [1, 2].sum() }}',
          none: '${{ [].sum() }}',
          all: "${{ record.l.all(x, x.matches('^[a-z]+$')) }}",
          some: "${{ record.l.exists(x, x.matches('^b') ) }}",
          called: "${{ matches(record.l[0], 'a+') }}",
          picked: "${{ record.l.filter(x, x.matches('a')).map(x, x + '!') }}",
        },
      },
    },
  });
  const shaped = await shaper.shape('f', { n: 3, l: ['aa', 'bb'] });
  assert.deepEqual(JSON.parse(text(shaped.value)), {
    plus: 4,
    times: 6,
    rest: 1,
    same: true,
    among: true,
    ints: 3,
    none: 0,
    all: true,
    some: true,
    called: true,
    picked: ['aa!'],
  });
});

test('matches is linear wherever it stands, inside macros too', async (t) => {
  const hopeless = '^(a+)+$';
  const expressions = [
    `record.l.all(x, x.matches('${hopeless}'))`,
    `record.l.map(x, [x].filter(y, y.matches('${hopeless}'))).size()`,
    `cel.bind(f, record.l[0], f.matches('${hopeless}') ? 1 : 2)`,
    `record.l.exists_one(x, true ? matches(x, '${hopeless}') : false)`,
    `{'m': [record.l[0].matches('${hopeless}')]}`,
  ];
  const map = { keys: 'k', value: expressions.map((one) => `\${{ ${one} }}`) };
  const shaper = await started(t, { f: { map } });
  const shaped = await shaper.shape('f', { l: [`${'a'.repeat(5000)}!`] });
  assert.equal(text(shaped.value), '[false,1,2,false,{"m":[false]}]');
});

const THRICE = 'record.l.filter(a, record.l.exists(b, record.l.exists(c, a + b + c == 0)))';
const SLOW = { map: { keys: `\${{ ${THRICE}.size() }}` } };
const slow = { l: Array.from({ length: 3000 }, (_, at) => at + 1) };

test('a costly record is ended; what travelled with it is shaped all the same', async (t) => {
  const options = { workers: 1, shapeMsMax: 100 };
  const shaper = await started(
    t,
    { slow: SLOW, f: { map: { keys: '${{ record.id }}' } } },
    options,
  );
  const before = Array.from({ length: 5 }, (_, id) => shaper.shape('f', { id }));
  const costly = shaper.fault('slow', slow);
  const after = Array.from({ length: 5 }, (_, id) => shaper.shape('f', { id: id + 5 }));
  assert.equal((await costly).code, 'shape-too-costly');
  const keys = (await Promise.all([...before, ...after])).map((shaped) => shaped.keys[0]);
  assert.deepEqual(keys, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
});

test('a record that eats the heap ends its worker and nothing else', async (t) => {
  const doubled = Array.from({ length: 24 }, (_, at) => `cel.bind(v${at + 1}, v${at} + v${at}, `);
  const keys = `\${{ cel.bind(v0, record.l, ${doubled.join('')}v24.size()${')'.repeat(25)} }}`;
  const options = { workers: 1, shapeMsMax: 20_000, heapMibMax: 48 };
  const shaper = await started(t, { eats: { map: { keys } }, f: { map: { keys: 'k' } } }, options);
  const fault = await shaper.fault('eats', { l: Array.from({ length: 1000 }, (_, at) => at) });
  assert.equal(fault.code, 'shape-too-costly');
  assert.match(fault.message, /memory|bound/);
  assert.deepEqual((await shaper.shape('f', {})).keys, ['k']);
});

test('closing answers what waits, and nothing is shaped afterwards', async () => {
  const shaper = await testShaper({ slow: SLOW, f: { map: { keys: 'k' } } }, { workers: 1 });
  await shaper.shape('f', {});
  const waiting = [shaper.fault('slow', slow), shaper.fault('f', {})];
  await new Promise((resolve) => setTimeout(resolve, 20));
  await shaper.shaper.close();
  for (const fault of await Promise.all(waiting)) assert.equal(fault.code, 'unavailable');
  assert.equal((await shaper.fault('f', {})).code, 'unavailable');
});

test('large values and many keys survive the way through the worker', async (t) => {
  const map = { keys: '${{ record.keys }}', value: { t: '${{ record.t }}' } };
  const shaper = await started(t, { f: { map } });
  const keys = Array.from({ length: 1000 }, (_, at) => `key-${at}-${'x'.repeat(400)}`);
  const record = { keys, t: 'é'.repeat(200_000) };
  const all = await Promise.all(Array.from({ length: 20 }, () => shaper.shape('f', record)));
  for (const shaped of all) {
    assert.deepEqual(shaped.keys, keys);
    assert.equal(text(shaped.value), JSON.stringify({ t: record.t }));
  }
});

test('a value beyond the bound of a body is a fault of the mapping', async (t) => {
  const map = { keys: 'k', value: '${{ record.s + record.s }}' };
  const shaper = await started(t, { f: { map } }, {}, { body: '2KiB' });
  const fault = await shaper.fault('f', { s: 'x'.repeat(1500) });
  assert.match(fault.errors?.[0]?.detail ?? '', /larger than a value may be/);
});
