/** Stores and flows whose keys could meet are refused; those whose keys cannot are not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sqliteAdapter } from '../adapters/sqlite/spec.ts';
import type { KeyPlace, StashSpec } from '../contracts/spec.ts';
import { Fault } from '../kernel/errors.ts';
import { ConfigError, faultText } from './faults.ts';
import type { ConfigFault } from './faults.ts';
import { checkDocument, loadConfig } from './load.ts';

/** As an overwriting store does it: around a key that no other text of the name can hold. */
function around(names: (option: string, key: string) => string, store: string): KeyPlace {
  const [before = '', after, ...more] = names('name', '\u{10fffe}').split('\u{10fffe}');
  if (after === undefined || more.length > 0) {
    throw new Fault('bad-request', 'the key must stand in name once', { hint: 'Add ${{ key }}.' });
  }
  return { store, before, after };
}

const PLAIN: StashSpec = {
  kind: 'plain',
  title: 'Plain',
  doc: 'Plain values under names of the user.',
  roles: ['stash', 'reader'],
  fields: {
    url: { type: 'string', default: 'u', doc: 'Where.' },
    name: {
      type: 'template',
      default: "${{ account }}:${{ flow }}:${{ key + '' }}",
      doc: 'Name of a key.',
    },
  },
  placeOf: (options, names) => around(names, String(options.url)),
  oneRole: true,
};

const ADAPTERS: readonly StashSpec[] = [PLAIN, sqliteAdapter.spec];

async function faultsOf(text: string): Promise<readonly ConfigFault[]> {
  const readFile = async (): Promise<string> => text;
  try {
    await loadConfig({ file: 'h.yaml', env: {}, flags: {}, adapters: ADAPTERS, readFile });
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults;
  }
  return [];
}

const stash = (id: string, name: string, url = 'u'): string =>
  `${id}: { kind: plain, url: "${url}", name: ${JSON.stringify(name)} }`;

const FLOWS = 'accounts: { x: { flows: { a: { read: [s] }, aa: { read: [s] } } } }';

/** Of two flows that are read from one stash with this template. */
const ofNames = async (name: string): Promise<readonly string[]> =>
  (await faultsOf(`stashes: { ${stash('s', name)} }\n${FLOWS}`)).map(faultText);

test('two flows whose keys could have one name in one store are refused', async () => {
  const colliding = [
    '${{ key }}',
    'all:${{ key }}',
    '${{ account }}:${{ key }}',
    '${{ flow }}${{ key }}',
    '${{ key }}${{ flow }}',
    "${{ flow.startsWith('a') ? 'f' : flow }}:${{ key }}",
  ];
  for (const name of colliding) {
    const [told = '', ...rest] = await ofNames(name);
    assert.deepEqual(rest, [], name);
    assert.match(told, /^h\.yaml:2:\d+: x\/aa \(stash "s"\) could collide with x\/a /, name);
    assert.match(told, /\n {4}Give each its own place, or let account and flow be part/, name);
  }
  const apart = [
    '${{ flow }}:${{ key }}',
    '${{ key }}/${{ flow }}',
    '${{ account }}/${{ flow }}/${{ key }}',
    "h-${{ flow + '.' + key }}",
  ];
  for (const name of apart) assert.deepEqual(await ofNames(name), [], name);
});

test('the default of a template counts as if it were written', async () => {
  const text = `stashes: { s: { kind: plain } }\n${FLOWS}`;
  assert.deepEqual(await faultsOf(text), []);
  const config = await loadConfig({
    env: {},
    flags: {},
    adapters: ADAPTERS,
    readFile: async () => text,
  });
  assert.deepEqual(
    [...(config.stashes.get('s')?.templates.keys() ?? [])].map((name) => name),
    ['name'],
  );
});

test('stashes with the same names in one store are refused', async () => {
  const two = (name: string, url: string, flows: string): Promise<readonly ConfigFault[]> =>
    faultsOf(
      `stashes: { ${stash('s', '${{ key }}')}, ${stash('t', name, url)} }\n` +
        `accounts: { x: { flows: { ${flows} } } }`,
    );
  const one = 'a: { write: [t], read: [s] }';
  const [fault, ...rest] = await two('${{ key }}', 'u', one);
  assert.deepEqual(rest, []);
  assert.match(fault?.detail ?? '', /x\/a \(stash "t"\) could collide with stash "s"/);
  assert.match(fault?.hint ?? '', /key names, of their own/);
  assert.deepEqual(await two('${{ key }}', 'elsewhere', one), []);
  assert.equal((await two('t:${{ key }}', 'u', one)).length, 1, 'a key may begin with t:');
  assert.equal((await two('${{ key }}', 'u', 'a: { read: [s] }, b: { read: [t] }')).length, 1);
});

test('names that cannot be made, or tell no keys apart, are told at the stash', async () => {
  const one = async (name: string): Promise<readonly string[]> =>
    (
      await faultsOf(
        `stashes:\n  ${stash('s', name)}\naccounts: { x: { flows: { a: { read: [s] } } } }`,
      )
    ).map(faultText);
  assert.deepEqual(await one('${{ key }}'), []);
  const [alike = ''] = await one('${{ flow }}');
  assert.match(alike, /^h\.yaml:2:\d+: "s" cannot name the keys of x\/a: the key must stand/);
  assert.match(alike, /\n {4}Add \$\{\{ key \}\}\./);
  const [wrong = ''] = await one('${{ size(key) > 0 }}');
  assert.match(wrong, /cannot name the keys of x\/a: .* gives boolean and not a text/);
  const broken = await one('${{ kye }}');
  assert.equal(broken.length, 1, 'a template that does not compile is told once');
  assert.match(broken[0] ?? '', /kye/);
});

test('two flows are refused exactly when some keys of theirs have one name', () => {
  const part = fc.string({ unit: fc.constantFrom('a', 'b', ':'), maxLength: 3 });
  let refused = 0;
  fc.assert(
    fc.property(part, part, part, part, (before1, after1, before2, after2) => {
      const name = (flow: string): readonly [string, string] =>
        flow === 'a' ? [before1, after1] : [before2, after2];
      const text = (at: 0 | 1): string =>
        `\${{ flow == 'a' ? '${name('a')[at]}' : '${name('aa')[at]}' }}`;
      const told = checkDocument(
        `stashes: { ${stash('s', `${text(0)}\${{ key }}${text(1)}`)} }\n${FLOWS}`,
        'h.yaml',
        ADAPTERS,
      );
      // A name of both: the longer beginning, anything, the longer end.
      const beginning = before1.length > before2.length ? before1 : before2;
      const end = after1.length > after2.length ? after1 : after2;
      const both = `${beginning}!${end}`;
      const holds = ([before, after]: readonly [string, string]): boolean =>
        both.startsWith(before) && both.endsWith(after);
      const meets = holds([before1, after1]) && holds([before2, after2]);
      assert.equal(told.length, meets ? 1 : 0, both);
      if (meets) refused += 1;
    }),
    { numRuns: 200 },
  );
  assert.ok(refused > 10, `only ${refused} collided`);
});

test('two entries for one physical store are refused, at the second, with both named', async () => {
  const sqlite = (one: string, other: string): Promise<readonly ConfigFault[]> =>
    faultsOf(
      `stashes:\n  a: { kind: sqlite${one} }\n  b: { kind: sqlite${other} }\n` +
        'accounts: { x: { flows: { f: { write: [b], read: [a] } } } }',
    );
  for (const [one, other] of [
    [', file: h.db', ', file: h.db'],
    [', file: h.db', ', file: ./x/../h.db'],
    ['', ', file: a.db'],
  ] as const) {
    const [fault, ...rest] = await sqlite(one, other);
    assert.deepEqual(rest, []);
    assert.deepEqual([fault?.line, fault?.col], [3, 6]);
    assert.match(fault?.detail ?? '', /"b" and "a" \(h\.yaml:2:6\) are the same store/);
    assert.notEqual(fault?.hint, '');
  }
  assert.deepEqual(await sqlite('', ''), []);
  assert.deepEqual(await sqlite(', file: h.db', ', file: i.db'), []);
});

test('a store with one role is either a reader or a stash, in all flows together', async () => {
  const flows = (a: string, b: string): Promise<readonly ConfigFault[]> =>
    faultsOf(
      `stashes:\n  ${stash('r', 'r:${{ flow }}:${{ key }}')}\n  q: { kind: sqlite }\n` +
        `accounts: { x: { flows: { a: ${a}, b: ${b} } } }`,
    );
  const [fault, ...rest] = await flows('{ read: [r] }', '{ write: [r], read: [q] }');
  assert.deepEqual(rest, []);
  assert.deepEqual([fault?.line, fault?.col], [2, 6]);
  assert.match(fault?.detail ?? '', /"r" is the reader of x\/a and a stash of x\/b/);
  assert.match(fault?.hint ?? '', /Declare it twice, each with its own key names/);
  assert.deepEqual(await flows('{ read: [r] }', '{ read: [r], write: [r] }'), []);
  assert.deepEqual(await flows('{ write: [r], read: [q] }', '{ write: [r], read: [q, r] }'), []);
  // Where a store has no such word, it may be both.
  const both = await flows('{ read: [q], write: [r] }', '{ read: [r], write: [q] }');
  assert.equal(both.length, 1);
  assert.match(both[0]?.detail ?? '', /"r"/);
});
