/** Mappings that try to stop a server, and the records that set them off. */
import {
  KEYS,
  CWE_1333,
  CWE_674,
  CWE_770,
  CWE_407,
  matching,
  mapping,
  many,
  binds,
  nest,
} from './hostile-case.ts';
import type { HostileCase } from './hostile-case.ts';

const INNERMOST = "record.l.exists(c, a + b + c == 'x')";

/** A list that holds a list twice, that holds a list twice, and so on. */
function sharing(depth: number): string {
  let text = '[record.s, record.s]';
  for (let at = 1; at < depth; at += 1) text = `cel.bind(w, ${text}, [w, w])`;
  return text;
}

export const HOSTILE_MAPPINGS: readonly HostileCase[] = [
  matching('nested quantifier', CWE_1333, '^(a+)+$', () => `${'a'.repeat(100_000)}!`),
  matching('star of stars', 'CVE-2020-28500', '^(.*)*x$', () => 'a'.repeat(50_000)),
  mapping(
    'matches() with a pattern of the sender',
    'CWE-1333 and CWE-400: a pattern from outside',
    { keys: "${{ record.s.matches(record.p) ? 'y' : 'n' }}" },
    () => ({ s: 'a'.repeat(100_000), p: '(a*)*(a*)*(a*)*$b' }),
  ),
  mapping(
    'matches() with a pattern that unfolds',
    'CVE-2022-41715: memory of compiled repetitions in Go regexp',
    { keys: "${{ record.s.matches(record.p) ? 'y' : 'n' }}" },
    () => ({ s: 'a', p: '((((a{30}){30}){30}){30}){30}' }),
  ),
  mapping(
    'matches() with a deep pattern',
    'CVE-2022-24921: stack exhaustion in regexp.Compile',
    { keys: "${{ record.s.matches(record.p) ? 'y' : 'n' }}" },
    () => ({ s: 'a', p: nest('(', ')', 2000) }),
  ),
  mapping(
    'matches() with a thousand different patterns',
    CWE_407,
    { keys: "${{ record.p.filter(p, 'aaaaaaaaaaaaaaaaaaaaaaaa'.matches(p)).size() }}" },
    () => ({ p: many(5000, (at) => `(a|b|c){0,${at % 900}}x${at}`) }),
  ),
  mapping(
    'nested comprehensions',
    'CEL specification, "Time complexity": nested macros multiply',
    {
      keys: `\${{ record.l.filter(a, record.l.exists(b, ${INNERMOST})).size() }}`,
    },
    () => ({ l: many(1000, (at) => `n${at}`) }),
    'shape-too-costly',
  ),
  mapping(
    'comprehension over comprehension',
    'Kubernetes, "Validation cost budget" for CEL',
    { keys: '${{ record.l.map(a, record.l.map(b, record.l.map(c, c))).size() }}' },
    () => ({ l: many(400, (at) => at) }),
    'shape-too-costly',
  ),
  mapping(
    'text that doubles',
    'CEL specification, "Memory": string concatenation',
    { keys: `\${{ ${binds(27, 'record.s', (name) => `string(size(${name}))`)} }}` },
    () => ({ s: 'xxxxxxxx' }),
  ),
  mapping(
    'text that doubles beyond a text',
    'V8 String::kMaxLength; CWE-770',
    { keys: `\${{ ${binds(28, 'record.s', (name) => `size(${name})`)} }}` },
    () => ({ s: 'x'.repeat(1000) }),
    'shape-invalid',
  ),
  mapping(
    'text that doubles as a key',
    CWE_770,
    { keys: `\${{ ${binds(24, 'record.s', (name) => name)} }}` },
    () => ({ s: 'xxxxxxxx' }),
    'shape-invalid',
  ),
  mapping(
    'text that doubles as a value',
    CWE_770,
    { keys: 'k', value: `\${{ ${binds(24, 'record.s', (name) => name)} }}` },
    () => ({ s: 'xxxxxxxx' }),
    'shape-invalid',
  ),
  mapping(
    'list that doubles',
    CWE_770,
    { keys: `\${{ ${binds(26, 'record.l', (name) => `${name}.size()`)} }}` },
    () => ({ l: many(100, (at) => at) }),
  ),
  mapping(
    'lists that hold one another',
    '"Billion laughs", CVE-2003-1564, as JSON',
    {
      keys: 'k',
      value: `\${{ ${sharing(28)} }}`,
    },
    () => ({ s: 'ha' }),
    'shape-invalid',
  ),
  mapping(
    'more keys than a record may have',
    CWE_770,
    { keys: '${{ record.l }}' },
    () => ({ l: many(100_000, (at) => at) }),
    'shape-invalid',
  ),
  mapping(
    'split and join',
    CWE_770,
    { keys: "${{ record.s.split('').join(',').split(',').size() }}" },
    () => ({ s: 'x'.repeat(500_000) }),
  ),
  mapping(
    'repeated scans of one text',
    'CWE-407: quadratic substring search',
    { keys: '${{ record.l.filter(x, record.s.contains(x)).size() }}' },
    () => ({ s: 'a'.repeat(400_000), l: many(2000, (at) => `${'a'.repeat(200)}b${at}`) }),
  ),
  mapping(
    'list membership',
    CWE_407,
    { keys: '${{ record.l.filter(x, x in record.m).size() }}' },
    () => ({ l: many(20_000, (at) => at), m: many(20_000, (at) => -at - 1) }),
    'shape-too-costly',
  ),
  mapping(
    'comparison of deep values',
    CWE_407,
    { keys: '${{ record.l.filter(x, record.l.exists(y, x == y && false)).size() }}' },
    () => ({ l: many(1500, () => ({ a: { b: { c: [1, 2, 3] } } })) }),
  ),
  mapping(
    'arithmetic out of range',
    'CEL specification, "Numeric values": overflow',
    { keys: '${{ int(record.n) * 9223372036854775807 }}' },
    () => ({ n: 3 }),
    'shape-invalid',
  ),
  mapping(
    'division by zero',
    'CWE-369',
    { keys: 'k', value: '${{ record.a / record.b }}' },
    () => ({ a: 1, b: 0 }),
    'shape-invalid',
  ),
  mapping(
    'huge exponent',
    'nst, "Parsing JSON is a minefield": 1e400',
    { keys: '${{ record.id }}', value: '${{ record.n }}' },
    () => '{"id":1,"n":1e400}',
    'shape-invalid',
  ),
  mapping(
    'number of a million digits',
    'CVE-2020-10735: quadratic conversion of digits',
    { keys: '${{ record.n }}' },
    () => `{"n":${'9'.repeat(900_000)}}`,
    'shape-invalid',
  ),
  mapping(
    'many long numbers',
    'CVE-2020-10735',
    { keys: '${{ record.l.size() }}' },
    () => `{"l":[${many(1000, () => '9'.repeat(900)).join()}]}`,
  ),
  mapping(
    'brackets to the end of the body',
    `${CWE_674}; nst/JSONTestSuite n_structure_100000_opening_arrays`,
    KEYS,
    () => '['.repeat(1_000_000),
    'too-deep',
  ),
  mapping(
    'objects to the end of the body',
    `${CWE_674}; CVE-2020-36518`,
    KEYS,
    () => '{"a":'.repeat(200_000),
    'too-deep',
  ),
  mapping(
    'duplicate names',
    'RFC 8259, section 4; Bishop Fox, "JSON interoperability vulnerabilities"',
    KEYS,
    () => '{"id":1,"id":2}',
    'bad-json',
  ),
  mapping(
    '__proto__',
    'CWE-1321 prototype pollution; CVE-2019-10744',
    KEYS,
    () => '{"id":1,"__proto__":{"polluted":true}}',
    'bad-json',
  ),
  mapping(
    'forty thousand names in one object',
    'Klink and Wälde, "Efficient denial of service attacks on web platforms", 28C3',
    KEYS,
    () => `{"id":1,${many(40_000, (at) => `"${at.toString(16).padStart(16, '0')}":1`).join()}}`,
  ),
  mapping(
    'names that look like indexes',
    'Klink and Wälde, 28C3; V8 integer-indexed elements',
    KEYS,
    () => `{"id":1,${many(50_000, (at) => `"${at * 65536}":1`).join()}}`,
  ),
  mapping(
    'names with escapes',
    'Crosby and Wallach, "Denial of service via algorithmic complexity attacks", 2003',
    KEYS,
    () => `{"id":1,${many(30_000, (at) => `"\\u0061${at}":1`).join()}}`,
  ),
  mapping(
    'lone surrogates',
    'RFC 7493 (I-JSON), section 2.1',
    KEYS,
    () => '{"id":"\\ud800"}',
    'bad-json',
  ),
  mapping(
    'surrogate cut in two',
    'RFC 7493, section 2.1; CWE-176',
    { keys: 'k', value: '${{ record.s.substring(0, 1) }}' },
    () => ({ s: '😀' }),
    'shape-invalid',
  ),
  mapping(
    'time zone of the sender',
    'CWE-20; ICU lookups by name',
    { keys: "${{ timestamp('2024-01-01T00:00:00Z').getHours(record.z) }}" },
    () => ({ z: '../../etc/passwd' }),
  ),
  mapping(
    'duration of a megabyte',
    'CWE-407: repeated slicing of a text',
    { keys: '${{ string(duration(record.d).getSeconds()) }}' },
    () => ({ d: '1ns'.repeat(300_000) }),
  ),
  {
    ...mapping(
      'expression nested too deeply',
      `${CWE_674}; cel-go parser recursion limit`,
      { keys: `\${{ ${nest('(', ')', 5000)} }}` },
      () => ({}),
    ),
    refused: true,
  },
  {
    ...mapping(
      'bytes that double outside the heap',
      'CWE-770: array buffers are not in the heap',
      { keys: '${{ size(bytes(record.s) + bytes(record.s)) }}' },
      () => ({ s: 'x' }),
    ),
    refused: true,
  },
];
