import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { largeDocument } from '../../../bench/lib/openapi-document.ts';
import type { JsonSchema } from '../contract/user-policy.ts';
import { compileDocument, openapiOptions } from '../policies/openapi.options.ts';
import { RequestCheck } from './request-check.ts';
import { schemaProblem } from './schema-keywords.ts';
import { SchemaTable } from './schema-table.ts';

const DEFINITIONS: Readonly<Record<string, JsonSchema>> = {
  Tree: {
    type: 'object',
    required: ['v'],
    properties: { v: { $ref: '#/$defs/Value' }, left: { $ref: '#/$defs/Tree' }, default: { $ref: '#/$defs/Value' } },
  },
  Value: { type: 'integer', maximum: 9, 'x-expected': 'a digit' },
  Both: { allOf: [{ $ref: '#/$defs/Tree' }], properties: { more: true }, unevaluatedProperties: false },
  Either: { oneOf: [{ $ref: '#/$defs/Value' }, { $ref: '#/$defs/Tree' }] },
};

async function wrong(schema: JsonSchema, value: unknown): Promise<string[]> {
  const check = await SchemaTable.of(DEFINITIONS).compile(schema);
  return (check(value) ?? []).map(({ field, expected }) => `${field}: ${expected}`);
}

describe('definitions that are compiled once', () => {
  test('say where in the value something is wrong, however deep and through however many of them', async () => {
    const tree = { $ref: '#/$defs/Tree' };
    assert.deepEqual(await wrong(tree, { v: 1, left: { v: 2, left: { v: 3 } } }), []);
    assert.deepEqual(await wrong(tree, { v: 1, left: { v: 20, left: {} } }), [
      '/left/v: a digit',
      '/left/left/v: required',
    ]);
    assert.deepEqual(await wrong({ type: 'array', items: tree }, [{ v: 1 }, { v: 1, left: 5 }]), [
      '/1/left: an object',
    ]);
    assert.deepEqual(await wrong({ ...tree, minProperties: 2 }, { v: 10 }), [': at least 2 members', '/v: a digit']);
  });

  test('hold under members whose names are keywords', async () => {
    assert.deepEqual(await wrong({ $ref: '#/$defs/Tree' }, { v: 1, default: 'x' }), ['/default: a digit']);
    assert.deepEqual(await wrong({ properties: { const: { $ref: '#/$defs/Value' } } }, { const: 10 }), [
      '/const: a digit',
    ]);
    assert.deepEqual(await wrong({ const: { $ref: '#/$defs/Value' } }, { $ref: '#/$defs/Value' }), []);
  });

  test('count as one of several', async () => {
    const either = { $ref: '#/$defs/Either' };
    assert.deepEqual(await wrong(either, 5), []);
    assert.deepEqual(await wrong(either, { v: 1 }), []);
    assert.equal((await wrong(either, 'x')).length > 0, true);
    assert.equal((await wrong({ not: either }, 5)).length, 1);
  });

  test('know what was evaluated in what they refer to', async () => {
    assert.deepEqual(await wrong({ $ref: '#/$defs/Both' }, { v: 1, more: 2 }), []);
    assert.deepEqual(await wrong({ $ref: '#/$defs/Both' }, { v: 1, other: 2 }), ['/other: no such member']);
    const inPlace = { $ref: '#/$defs/Tree', unevaluatedProperties: false };
    assert.deepEqual(await wrong(inPlace, { v: 1, other: 2 }), ['/other: no such member']);
  });

  test('are the same as long as the document says the same', () => {
    assert.equal(SchemaTable.of(DEFINITIONS), SchemaTable.of(structuredClone(DEFINITIONS)));
    assert.notEqual(SchemaTable.of(DEFINITIONS), SchemaTable.of({ ...DEFINITIONS, More: true }));
  });
});

test('a reference that leads back to itself without going into the value is refused', () => {
  const ENDLESS: readonly JsonSchema[] = [
    { $ref: '#' },
    { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } },
    { $defs: { a: { allOf: [{ $ref: '#/$defs/b' }] }, b: { anyOf: [true, { not: { $ref: '#/$defs/a' } }] } } },
    { $defs: { a: { $anchor: 'x', dependentSchemas: { m: { $ref: '#x' } } } } },
  ];
  for (const schema of ENDLESS)
    assert.match(schemaProblem(schema) ?? '', /leads back to itself/, JSON.stringify(schema));
  const list = {
    $defs: { a: { properties: { next: { $ref: '#/$defs/a' } }, items: { $ref: '#' } } },
    $ref: '#/$defs/a',
  };
  assert.equal(schemaProblem(list), undefined);
});

test('an OpenAPI document of a megabyte whose schemas all refer to each other in circles loads and checks', async () => {
  const options = openapiOptions.schema.parse({ file: './a.json', response: 'refuse' });
  assert.ok(typeof options === 'object');
  const problems: string[] = [];
  const text = largeDocument(1024 ** 2);
  assert.ok(text.length > 1_000_000);
  const settings = compileDocument(
    text,
    options,
    (message) => void problems.push(message),
    () => {},
  );
  assert.deepEqual(problems, []);
  const check = await RequestCheck.prepare(settings!);
  const found = check.find('PUT', '/things7/0b3f7e0a-58a5-4f0b-8c9e-1f2d3c4b5a69');
  assert.ok('operation' in found);
  const type = check.bodyType(found.operation, 'application/json')!;
  const thing = (more: object): Buffer => Buffer.from(JSON.stringify({ field0: 'a', field1: 1, ...more }));
  assert.deepEqual(check.checkBody(type, thing({ next: { field0: null, field1: 1 } })), []);
  assert.deepEqual(check.checkBody(type, thing({ children: [{ field0: 'b', field1: 1, far: { field1: -1 } }] })), [
    { field: '/children/0/far/field0', expected: 'required' },
    { field: '/children/0/far/field1', value: -1, expected: '0 or more' },
  ]);
});
