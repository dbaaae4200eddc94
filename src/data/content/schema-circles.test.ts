import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JsonSchema } from '../contract/user-policy.ts';
import { schemaProblem } from './json-schema.ts';
import { SchemaTable } from './schema-table.ts';

async function wrong(schema: JsonSchema, value: unknown, definitions?: Record<string, JsonSchema>): Promise<string[]> {
  if (definitions === undefined) assert.equal(schemaProblem(schema), undefined);
  const check = await SchemaTable.of(definitions ?? {}).compile(schema);
  return (check(value) ?? []).map(({ field, expected }) => `${field}: ${expected}`);
}

/** A condition of conditions, as filters of search APIs have it. */
const forms = (self: string): JsonSchema[] => [
  { type: 'object', required: ['all'], properties: { all: { type: 'array', items: { $ref: self } } } },
  { type: 'object', required: ['not'], properties: { not: { $ref: self }, all: { items: { $ref: self } } } },
  { type: 'object', required: ['is'], properties: { is: { type: 'integer' }, not: { $ref: self } } },
];

function nested(levels: number, innermost: unknown): unknown {
  let value = innermost;
  for (let i = 0; i < levels; i++) value = { all: [value], not: value, is: 1 };
  return value;
}

describe('a schema of several forms that leads back to itself', () => {
  const ways: Record<string, [schema: JsonSchema, definitions?: Record<string, JsonSchema>]> = {
    'to the whole': [{ anyOf: forms('#') }],
    'to a definition': [{ $ref: '#/$defs/a', $defs: { a: { anyOf: forms('#/$defs/a') } } }],
    'by the old word': [{ $ref: '#/definitions/a', definitions: { a: { anyOf: forms('#/definitions/a') } } }],
    'to an anchor': [{ $ref: '#x', $defs: { a: { $anchor: 'x', anyOf: forms('#x') } } }],
    'to a place': [{ properties: { 'a/b c': { anyOf: forms('#/properties/a~1b%20c') } } }],
    'to a definition of a document': [{ $ref: '#/$defs/a' }, { a: { anyOf: forms('#/$defs/a') } }],
    'as exactly one': [{ oneOf: forms('#') }],
    'as all': [{ allOf: [{ properties: { not: { $ref: '#' } } }, { properties: { not: { $ref: '#' } } }] }],
  };
  for (const [name, [schema, definitions]] of Object.entries(ways)) {
    const wrap = (value: unknown): unknown => (name === 'to a place' ? { 'a/b c': value } : value);

    // Each level would double the work at least: 2^60 would never end.
    test(`${name}: is checked in a moment, however deep a body is`, { timeout: 20_000 }, async () => {
      for (const [index, innermost] of [{ is: 1 }, { is: 'no' }, 5].entries()) {
        const deep = wrap(nested(60, innermost));
        const isRight = name === 'as all' || (name !== 'as exactly one' && index === 0);
        assert.equal((await wrong(schema, deep, definitions)).length === 0, isRight, JSON.stringify(innermost));
      }
    });
  }

  test('says where something is wrong', async () => {
    const tree: JsonSchema = {
      type: 'object',
      properties: { v: { type: 'integer', 'x-expected': 'a count' }, next: { $ref: '#' } },
      additionalProperties: false,
    };
    assert.deepEqual(await wrong(tree, { v: 1, next: { next: { v: 'x' } } }), ['/next/next/v: a count']);
    assert.deepEqual(await wrong(tree, { next: { other: 1 } }), ['/next/other: no such member']);
    const check = await SchemaTable.of({}).compile(tree);
    const value = { next: { v: 1 as unknown } };
    assert.equal(check(value), null);
    value.next.v = 'x';
    assert.equal(check(value)?.length, 1, 'nothing is known of a value that has been changed since');
  });

  test('is refused beside unevaluated members, which need all of it at once', () => {
    const refused: JsonSchema = { anyOf: forms('#'), unevaluatedProperties: false };
    assert.match(schemaProblem(refused) ?? '', /unevaluatedProperties cannot stand where a reference leads back/);
    assert.equal(schemaProblem({ properties: { next: { $ref: '#' } }, unevaluatedProperties: false }), undefined);
    assert.equal(
      schemaProblem({ anyOf: [{ $ref: '#/$defs/a' }], $defs: { a: {} }, unevaluatedItems: false }),
      undefined,
    );
  });
});

test('a list of a megabyte without an item twice is checked in a moment, whatever the items are', async () => {
  const unique = { type: 'array', uniqueItems: true };
  const lists: readonly [list: unknown[], isUnique: boolean][] = [
    [Array.from({ length: 150_000 }, (_, i) => i), true],
    [[...Array.from({ length: 50_000 }, (_, i) => `text ${i}`), 'text 7'], false],
    [
      [
        { a: 1, b: [2] },
        { b: [2], a: 1 },
      ],
      false,
    ],
    [['1', 1, true, 'true', null, 'null', '{}', {}, '\n{}', [], '[]'], true],
    [[0, -0], false],
  ];
  for (const [list, isUnique] of lists) {
    const sinceMs = performance.now();
    assert.deepEqual(await wrong(unique, list), isUnique ? [] : [': no item twice'], JSON.stringify(list).slice(0, 60));
    assert.ok(performance.now() - sinceMs < 5_000);
  }
  assert.deepEqual(await wrong({ ...unique, 'x-expected': 'each tag once' }, [1, 1]), [': each tag once']);
});
