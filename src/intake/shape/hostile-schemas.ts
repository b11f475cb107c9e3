/** Schemas, patterns and formats that try to stop a server, and the records that set them off. */
import {
  CWE_1333,
  CWE_674,
  CWE_407,
  pattern,
  format,
  schema,
  many,
  doubling,
  nest,
} from './hostile-case.ts';
import type { HostileCase } from './hostile-case.ts';

export const HOSTILE_SCHEMAS: readonly HostileCase[] = [
  pattern(
    'nested quantifier',
    `${CWE_1333}; OWASP "Regular expression Denial of Service"`,
    '^(a+)+$',
    () => `${'a'.repeat(50_000)}!`,
  ),
  pattern(
    'alternation that overlaps',
    'OWASP ReDoS: (a|aa)+',
    '^(a|aa)+$',
    () => `${'a'.repeat(50_000)}!`,
  ),
  pattern(
    'alternation with optional',
    'OWASP ReDoS: (a|a?)+',
    '^(a|a?)+$',
    () => `${'a'.repeat(50_000)}!`,
  ),
  pattern(
    'polynomial',
    'Davis et al., "The impact of ReDoS in practice", FSE 2018',
    '.*.*.*=.*',
    () => 'x'.repeat(200_000),
  ),
  pattern(
    'Cloudflare outage',
    'Cloudflare, details of the outage on July 2, 2019',
    '(?:(?:"|\'|\\]|\\}|\\\\|\\d|(?:nan|infinity|true|false|null|undefined|symbol|mat' +
      'h)|`|\\-|\\+)+[)]*;?((?:\\s|-|~|!|\\{\\}|\\|\\||\\+)*.*(?:.*=.*)))',
    () => 'x='.repeat(10_000),
  ),
  pattern(
    'trailing blanks',
    'Stack Exchange, outage postmortem of July 20, 2016',
    '\\s+$',
    () => `${' '.repeat(200_000)}x`,
  ),
  pattern(
    'ua-parser-js',
    'CVE-2022-25927',
    'device: (.+?)[;)]',
    () => `device: ${'a '.repeat(100_000)}`,
  ),
  pattern(
    'e-mail of RegExLib',
    'OWASP "Regular expression Denial of Service": vulnerable expressions in online repositories',
    '^([a-zA-Z0-9])(([\\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}(([a-z]{2,3})|' +
      '([a-z]{2,3}[.]{1}[a-z]{2,3}))$',
    () => 'a'.repeat(100_000),
  ),
  pattern(
    'moment date',
    'CVE-2017-18214',
    "[0-9]*['a-z\\x{00A0}-\\x{05FF}]+|[\\x{0600}-\\x{06FF}/]+(\\s*?[\\x{0600}-\\x{06FF}]+){1,2}",
    () => '1'.repeat(200_000),
  ),
  pattern(
    'semver blanks',
    'CVE-2022-25883',
    '^\\s*([~^]?)\\s*v?\\s*(\\d+)\\s*$',
    () => `${' '.repeat(100_000)}x`,
  ),
  pattern(
    'ansi-regex',
    'CVE-2021-3807',
    '[\\x1b\\x9b][[\\]()#;?]*(?:(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\\x07)|(?:(?:\\' +
      'd{1,4}(?:;\\d{0,4})*)?[0-9A-PR-TZcf-ntqry=><~]))',
    () => `\u001b[${';'.repeat(100_000)}`,
  ),
  {
    ...schema(
      'schema pattern that unfolds',
      'CVE-2022-41715: memory of compiled repetitions in Go regexp',
      { properties: { s: { pattern: '((a{1000}){1000}){1000}' } } },
      () => ({ id: 1 }),
    ),
    refused: true,
  },
  {
    ...schema(
      'schema pattern with look-ahead',
      'ECMA-262 look-around is not regular (RE2, "Caveats")',
      { properties: { s: { pattern: '^(?=a).*$' } } },
      () => ({ id: 1 }),
    ),
    refused: true,
  },
  schema(
    'patternProperties on hostile names',
    `${CWE_1333}; JSON Schema 2020-12, 10.3.2.2`,
    { patternProperties: { '^(x+x+)+y$': true } },
    () => ({ id: 1, ['x'.repeat(100_000)]: 1 }),
  ),
  schema(
    'patternProperties over many names',
    CWE_407,
    { patternProperties: Object.fromEntries(many(50, (at) => [`^.*a${at}.*$`, true])) },
    () => ({ id: 1, ...Object.fromEntries(many(10_000, (at) => [`name-${at}`, 1])) }),
  ),
  format('email', 'OWASP Validation Regex Repository; CWE-1333', () => `${'a.'.repeat(100_000)}@`),
  format(
    'uri',
    'ajv-formats URI expression on long texts; CWE-1333',
    () => `http://${'%41'.repeat(100_000)}|`,
  ),
  format('uri-template', 'RFC 6570 expression on unbalanced braces; CWE-1333', () =>
    '{a,'.repeat(60_000),
  ),
  format('hostname', 'RFC 1034 labels; CWE-1333', () => 'a-'.repeat(100_000)),
  format('ipv6', 'RFC 4291 alternatives; CWE-1333', () => '1:'.repeat(100_000)),
  format(
    'date-time',
    'RFC 3339 fractions of any length',
    () => `2024-01-01T00:00:00.${'1'.repeat(200_000)}Z`,
  ),
  format('regex', 'CVE-2022-41715: a pattern as data', () => '(a{500}){500}'.repeat(100)),
  format('json-pointer', 'RFC 6901; CWE-1333', () => '/~0'.repeat(100_000)),
  schema(
    'anyOf that doubles',
    'Pezoa et al., "Foundations of JSON Schema", WWW 2016: exponential combinators',
    doubling('anyOf', 26),
    () => ({ id: 1 }),
    'shape-too-costly',
  ),
  schema(
    'oneOf that doubles',
    'JSON Schema 2020-12, section 13: security considerations',
    doubling('oneOf', 26),
    () => ({ id: 1 }),
    'shape-too-costly',
  ),
  schema(
    'allOf that doubles',
    'JSON Schema 2020-12, section 9.4.1: loops and exponential references',
    doubling('allOf', 26),
    () => ({ id: 1 }),
    'shape-too-costly',
  ),
  schema(
    'recursive reference on a deep record',
    CWE_674,
    {
      $ref: '#/$defs/n',
      $defs: {
        n: {
          anyOf: [
            { type: 'array', items: { $ref: '#/$defs/n' } },
            { type: 'object', additionalProperties: { $ref: '#/$defs/n' } },
            { type: 'number' },
          ],
        },
      },
    },
    () => ({ id: 1, x: JSON.parse(nest('[', ']', 60)) as unknown }),
  ),
  schema(
    'recursion that tries everything twice',
    'Attouche et al., "Validation of modern JSON Schema", POPL 2024',
    {
      properties: { x: { $ref: '#/$defs/n' } },
      $defs: {
        n: {
          anyOf: [
            { items: { $ref: '#/$defs/n' }, minItems: 2 },
            { items: { $ref: '#/$defs/n' }, minItems: 3 },
          ],
        },
      },
    },
    () => ({ id: 1, x: JSON.parse(nest('[', ']', 58)) as unknown }),
  ),
  {
    ...schema(
      'reference that leads into itself',
      'JSON Schema 2020-12, section 9.4.1: infinite recursion',
      { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } },
      () => ({ id: 1 }),
    ),
    refused: true,
  },
  {
    ...schema(
      'remote reference',
      'CWE-918 server-side request forgery by $ref',
      { $ref: 'http://169.254.169.254/latest/meta-data' },
      () => ({ id: 1 }),
    ),
    refused: true,
  },
  schema(
    'uniqueItems over objects',
    'ajv documentation, "Security risks of trusted schemas"',
    { properties: { x: { type: 'array', uniqueItems: true } } },
    () => ({ id: 1, x: many(40_000, (at) => ({ at })) }),
    'shape-too-costly',
  ),
  schema(
    'uniqueItems over deep objects',
    'ajv documentation, "Security risks of trusted schemas"',
    { properties: { x: { uniqueItems: true } } },
    () => ({ id: 1, x: many(3000, (at) => ({ a: { b: { c: { d: ['same', 'same', at] } } } })) }),
  ),
  schema(
    'contains over a long list',
    CWE_407,
    { properties: { x: { contains: { contains: { const: 'never' } } } } },
    () => ({ id: 1, x: many(300, () => many(300, () => 0)) }),
  ),
  schema(
    'a fault per element',
    'ajv documentation: allErrors and denial of service',
    { properties: { x: { items: { type: 'string' } } } },
    () => ({ id: 1, x: many(400_000, () => 1) }),
  ),
  schema(
    'enum of many against many',
    CWE_407,
    { properties: { x: { items: { enum: many(2000, (at) => ({ at })) } } } },
    () => ({ id: 1, x: many(5000, () => ({ at: -1 })) }),
    'shape-too-costly',
  ),
  schema(
    'unevaluatedProperties over wide records',
    'JSON Schema 2020-12, section 11: annotation collection',
    {
      anyOf: many(20, (at) => ({ properties: { [`p${at}`]: true } })),
      unevaluatedProperties: false,
    },
    () => ({ id: 1, ...Object.fromEntries(many(20_000, (at) => [`q${at}`, 1])) }),
  ),
  schema(
    'multipleOf with a huge quotient',
    'JSON Schema 2020-12 validation, 6.2.1; CWE-682 incorrect calculation',
    { properties: { x: { multipleOf: 1e-300 } } },
    () => ({ id: 1, x: 1e300 }),
  ),
  schema(
    'record with members of Object.prototype',
    'CVE-2020-15366, prototype pollution in ajv',
    { properties: { constructor: { type: 'string' } } },
    () => JSON.parse('{"id":1,"constructor":{"prototype":{"polluted":1}}}') as unknown,
  ),
];
