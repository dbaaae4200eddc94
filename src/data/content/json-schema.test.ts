import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { JsonSchema } from '../contract/user-policy.ts';
import { compileSchema, schemaProblem } from './json-schema.ts';
import { CHECKED_KEYWORDS, FORMATS, NOTED_KEYWORDS } from './schema-keywords.ts';

/** Cases after the headings of JSON Schema 2020-12 Validation: a schema, values that fit it, values that do not. */
const CASES: readonly (readonly [
  what: string,
  schema: JsonSchema,
  good: readonly unknown[],
  bad: readonly unknown[],
])[] = [
  ['true', true, [null, 1, {}], []],
  ['false', false, [], [null, 1, {}]],
  ['type', { type: 'integer' }, [1, -0, 1.0, 1e3], [1.5, '1', null, true]],
  ['type list', { type: ['string', 'null'] }, ['', null], [0, []]],
  ['object is no list', { type: 'object' }, [{}], [[], null, 'a']],
  ['enum', { enum: [1, 'a', null, [1], { a: 1 }] }, [1, null, [1], { a: 1 }], [2, [2], { a: 2 }, {}]],
  ['const', { const: { a: [1, 2] } }, [{ a: [1, 2] }], [{ a: [2, 1] }, null]],
  ['multipleOf', { multipleOf: 0.01 }, [0.07, 19.99, 4], [0.075]],
  ['minimum, maximum', { minimum: 1, maximum: 2 }, [1, 2, 1.5, 'no number'], [0.99, 2.01]],
  ['exclusive bounds', { exclusiveMinimum: 1, exclusiveMaximum: 2 }, [1.5], [1, 2]],
  ['lengths count characters, not UTF-16 units', { minLength: 2, maxLength: 2 }, ['ab', '😀😀', 7], ['a', '😀', 'abc']],
  ['pattern', { pattern: '^[a-z]+$' }, ['abc', 5], ['ABC', '']],
  ['pattern over code points', { pattern: '^.$' }, ['😀'], ['ab']],
  [
    'prefixItems and items',
    { prefixItems: [{ type: 'string' }], items: { type: 'number' } },
    [['a', 1], [], ['a']],
    [[1], ['a', 'b']],
  ],
  ['items: false', { items: false }, [[]], [[1]]],
  ['minItems, maxItems', { minItems: 1, maxItems: 2 }, [[1], [1, 2], 'x'], [[], [1, 2, 3]]],
  [
    'a property called uniqueItems',
    { properties: { uniqueItems: true, allOf: { type: 'array', uniqueItems: true } } },
    [{ uniqueItems: 'x', allOf: [1, 2] }],
    [{ allOf: [1, 1] }],
  ],
  [
    'uniqueItems',
    { uniqueItems: true },
    [
      [1, '1', true],
      [{ a: 1 }, { a: 2 }],
    ],
    [
      [1, 1],
      [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ],
    ],
  ],
  ['maxContains', { contains: { type: 'string' }, maxContains: 1 }, [['a', 1], ['a']], [['a', 'b'], [1]]],
  ['contains', { contains: { type: 'string' }, minContains: 2 }, [['a', 1, 'b']], [['a', 1], []]],
  ['required', { required: ['a'] }, [{ a: null }, 'x'], [{}, { b: 1 }]],
  [
    'required of inherited names',
    { type: 'object', required: ['constructor', 'toString'] },
    [{ constructor: 1, toString: 2 }],
    [{}],
  ],
  [
    'properties of inherited names',
    { properties: { toString: { type: 'string' } } },
    [{}, { toString: 'a' }],
    [{ toString: 1 }],
  ],
  [
    'additionalProperties',
    { properties: { a: true }, additionalProperties: false },
    [{}, { a: 1 }],
    [{ b: 1 }, JSON.parse('{"__proto__":1}')],
  ],
  [
    'patternProperties',
    { patternProperties: { '^x-': { type: 'string' } }, additionalProperties: false },
    [{ 'x-a': 'b' }],
    [{ 'x-a': 1 }, { y: 1 }],
  ],
  ['propertyNames', { propertyNames: { maxLength: 2 } }, [{ ab: 1 }], [{ abc: 1 }]],
  ['minProperties', { minProperties: 1, maxProperties: 1 }, [{ a: 1 }], [{}, { a: 1, b: 2 }]],
  ['dependentRequired', { dependentRequired: { card: ['name'] } }, [{}, { card: 1, name: 2 }], [{ card: 1 }]],
  ['dependentSchemas', { dependentSchemas: { a: { required: ['b'] } } }, [{ a: 1, b: 1 }, {}], [{ a: 1 }]],
  ['allOf', { allOf: [{ minimum: 1 }, { maximum: 2 }] }, [1.5], [0, 3]],
  ['anyOf', { anyOf: [{ type: 'string' }, { type: 'number' }] }, ['a', 1], [null]],
  ['oneOf', { oneOf: [{ multipleOf: 2 }, { multipleOf: 3 }] }, [2, 3], [6, 5]],
  ['not', { not: { type: 'string' } }, [1], ['a']],
  [
    'if, then, else',
    // biome-ignore lint/suspicious/noThenProperty: it is a keyword
    { if: { properties: { a: { const: 1 } }, required: ['a'] }, then: { required: ['b'] }, else: { required: ['c'] } },
    [{ a: 1, b: 1 }, { c: 1 }],
    [{ a: 1 }, { a: 2 }],
  ],
  [
    '$ref to $defs, recursive',
    {
      $ref: '#/$defs/tree',
      $defs: {
        tree: {
          type: 'object',
          required: ['v'],
          properties: { v: { type: 'number' }, next: { $ref: '#/$defs/tree' } },
        },
      },
    },
    [{ v: 1, next: { v: 2 } }],
    [
      { v: 1, next: {} },
      { v: 1, next: { v: 1, next: { v: '1' } } },
    ],
  ],
  [
    '$ref beside other keywords',
    { $defs: { a: { type: 'string' } }, $ref: '#/$defs/a', maxLength: 1 },
    ['a'],
    ['ab', 1],
  ],
  ['$ref with an escaped name', { $defs: { 'a/b': { type: 'string' } }, $ref: '#/$defs/a~1b' }, ['a'], [1]],
  ['$anchor', { $defs: { a: { $anchor: 'name', type: 'string' } }, $ref: '#name' }, ['a'], [1]],
  [
    'unevaluatedProperties over allOf',
    { allOf: [{ properties: { a: true } }], properties: { b: true }, unevaluatedProperties: false },
    [{ a: 1, b: 1 }],
    [{ c: 1 }],
  ],
  ['unevaluatedItems', { prefixItems: [true], unevaluatedItems: false }, [[1]], [[1, 2]]],
  ['date', { format: 'date' }, ['2026-02-28', 5], ['2026-02-30', '2026-2-3']],
  [
    'date-time',
    { format: 'date-time' },
    ['2026-11-29T18:00:00Z', '2026-11-29T18:00:00.5+01:00'],
    ['2026-11-29 18:00', '2026-13-01T00:00:00Z'],
  ],
  ['email', { format: 'email' }, ['a@example.com'], ['a', 'a@', '@b']],
  ['uuid', { format: 'uuid' }, ['b13d507f-0fc7-4aa2-a18a-9f569d6b261d'], ['b13d507f']],
  ['ipv4', { format: 'ipv4' }, ['192.0.2.1'], ['192.0.2.256', '1.2.3']],
  ['ipv6', { format: 'ipv6' }, ['2001:db8::1'], ['2001:db8::1::2', '12345::']],
  ['uri', { format: 'uri' }, ['https://example.com/a?b#c'], ['/a', 'not a uri']],
  ['hostname', { format: 'hostname' }, ['a.example.com'], ['-a.example', 'a_b']],
];

describe('JSON Schema 2020-12', () => {
  for (const [what, schema, good, bad] of CASES) {
    test(what, async () => {
      assert.equal(schemaProblem(schema), undefined);
      const check = await compileSchema(schema);
      for (const value of good) assert.equal(check(value), null, `${JSON.stringify(value)} fits`);
      for (const value of bad) assert.ok((check(value) ?? []).length > 0, `${JSON.stringify(value)} does not fit`);
    });
  }
});

test('a violation says where, what was there and what is expected', async () => {
  const check = await compileSchema({
    type: 'object',
    required: ['item', 'a/b'],
    additionalProperties: false,
    properties: {
      item: { type: 'string', maxLength: 3 },
      count: { type: 'integer', minimum: 1 },
      password: { minLength: 8 },
      tags: { type: 'array', items: { enum: ['a', 'b'] } },
    },
  });
  const violations = check({ item: 'long name', count: 0.5, password: 'short', tags: ['a', 'c'], more: 1 });
  assert.deepEqual(violations?.map(({ field, value, expected }) => [field, value, expected]).sort(), [
    ['/a~1b', undefined, 'required'],
    ['/count', 0.5, '1 or more'],
    ['/count', 0.5, 'a whole number'],
    ['/item', 'long name', 'at most 3 characters'],
    ['/more', undefined, 'no such member'],
    ['/password', undefined, 'at least 8 characters'],
    ['/tags/1', 'c', 'one of "a", "b"'],
  ]);
});

describe('a schema that cannot be kept to is refused', () => {
  const REFUSED: readonly (readonly [JsonSchema, RegExp])[] = [
    [{ typo: 1 }, /#\/typo: the keyword is not supported/],
    [{ properties: { a: { requried: ['b'] } } }, /#\/properties\/a\/requried/],
    [{ type: 'text' }, /no type "text"/],
    [{ $ref: 'https://example.com/schema' }, /only references inside/],
    [{ $ref: '#/$defs/missing' }, /nothing at/],
    [{ $dynamicRef: '#a' }, /not supported/],
    [{ format: 'postcode' }, /format "postcode" is not known/],
    [{ pattern: '^(a+)+$' }, /exponential/],
    [{ pattern: 'a+b' }, /begin the pattern with \^/],
    [{ patternProperties: { '(x|x)*y': true } }, /exponential|begin/],
    [{ minLength: -1 }, /whole number/],
    [{ maximum: '5' }, /a number is expected/],
    [{ multipleOf: 0 }, /above 0/],
    [{ required: 'a' }, /list of names/],
    [{ allOf: [] }, /list of schemas/],
    [{ enum: ['a'.repeat(300_000)] }, /longer than 256 KB/],
  ];
  for (const [schema, expected] of REFUSED)
    test(JSON.stringify(schema).slice(0, 60), () => assert.match(schemaProblem(schema) ?? '', expected));

  test('deeper than 100 levels', () => {
    let schema: JsonSchema = {};
    for (let i = 0; i < 200; i++) schema = { items: schema };
    assert.match(schemaProblem(schema) ?? '', /deeper/);
  });
});

test('a text that a pattern must search is read once', async () => {
  const check = await compileSchema({ pattern: '^[a-z]+(-[a-z]+)*$' });
  const startMs = performance.now();
  assert.ok(check(`${'a'.repeat(1_000_000)}!`));
  assert.ok(performance.now() - startMs < 5_000);
});

/** Of draft 2020-12: core, applicators, unevaluated, validation, meta-data, format, content. */
const DRAFT = `$anchor $comment $defs $dynamicAnchor $dynamicRef $id $ref $schema $vocabulary additionalProperties allOf
  anyOf const contains contentEncoding contentMediaType contentSchema default dependentRequired dependentSchemas
  deprecated description else enum examples exclusiveMaximum exclusiveMinimum format if items maxContains maxItems
  maxLength maxProperties maximum minContains minItems minLength minProperties minimum multipleOf not oneOf pattern
  patternProperties prefixItems properties propertyNames readOnly required then title type unevaluatedItems
  unevaluatedProperties uniqueItems writeOnly`.split(/\s+/);

describe('the table of keywords in the guide', () => {
  const guide = readFileSync(new URL('../../../docs/guide/validation.md', import.meta.url), 'utf8');
  const wordsOf = (row: string): string[] => {
    const line = guide.split('\n').find((each) => each.startsWith(`| ${row}`));
    assert.ok(line !== undefined, row);
    return [...line.matchAll(/`([^`]+)`/g)].map((match) => match[1]!).filter((each) => each !== 'x-');
  };
  const checked = wordsOf('checked');
  const noted = wordsOf('notes');
  const refused = wordsOf('refused');

  test('is what the code does, and leaves out no keyword of the draft', () => {
    assert.deepEqual(checked, CHECKED_KEYWORDS.toSorted());
    assert.deepEqual(noted, NOTED_KEYWORDS.toSorted());
    assert.deepEqual(
      DRAFT.filter((each) => ![...checked, ...noted, ...refused].includes(each)),
      [],
    );
    for (const keyword of [...refused, 'anything'])
      assert.match(schemaProblem({ [keyword]: '#a' }) ?? '', /the keyword is not supported/, keyword);
    for (const format of FORMATS) assert.ok(guide.includes(`\`${format}\``), format);
  });

  test('has a case above for each keyword that is checked', () => {
    const text = JSON.stringify(CASES.map(([, schema]) => schema));
    // They say what a schema is called, and nothing of a value.
    const names = ['$schema', '$id', 'definitions'];
    assert.deepEqual(
      checked.filter((each) => !names.includes(each) && !text.includes(`${JSON.stringify(each)}:`)),
      [],
    );
  });
});
