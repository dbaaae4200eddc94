/** Complaints of schemas in plain words, whatever the kind of the complaint; no word of Zod gets out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { fieldProblems } from './field-problems.ts';

function problems(schema: z.ZodType, input: unknown) {
  const { error } = schema.safeParse(input);
  assert.ok(error !== undefined, JSON.stringify(input));
  return fieldProblems(error, input);
}

for (const { schema, input, expected } of [
  { schema: z.string(), input: 5, expected: 'a text' },
  { schema: z.number(), input: 'x', expected: 'a number' },
  { schema: z.int(), input: 1.5, expected: 'a whole number' },
  { schema: z.boolean(), input: 1, expected: 'true or false' },
  { schema: z.array(z.string()), input: 'x', expected: 'a list' },
  { schema: z.record(z.string(), z.string()), input: [], expected: 'an object' },
  { schema: z.enum(['a', 'b']), input: 'c', expected: 'one of a, b' },
  { schema: z.literal('a'), input: 'c', expected: 'a' },
  { schema: z.string().min(1), input: '', expected: 'at least 1 character' },
  { schema: z.string().max(3), input: 'abcd', expected: 'at most 3 characters' },
  { schema: z.array(z.int()).max(1), input: [1, 2], expected: 'at most 1 entry' },
  { schema: z.number().min(2), input: 1, expected: 'at least 2' },
  { schema: z.number().gt(2), input: 2, expected: 'more than 2' },
  { schema: z.number().multipleOf(5), input: 7, expected: 'a multiple of 5' },
  { schema: z.iso.datetime(), input: 'today', expected: 'a time such as 2026-01-31T12:00:00Z' },
  { schema: z.email(), input: 'ada', expected: 'an email address' },
  { schema: z.string().regex(/^a+$/), input: 'b', expected: 'to match /^a+$/' },
  { schema: z.string().regex(/^a+$/, 'letters a'), input: 'b', expected: 'letters a' },
  { schema: z.union([z.string(), z.number()]), input: true, expected: 'a text, or a number' },
] as const) {
  const value = JSON.stringify(input);
  test(`${value} where ${expected} belongs`, () => {
    assert.deepEqual(problems(z.object({ field: schema }), { field: input }), [{ field: 'field', value, expected }]);
    const [missing] = problems(z.object({ field: schema }), {});
    assert.deepEqual([missing?.field, missing?.value], ['field', undefined]);
    assert.match(missing?.expected ?? '', / \(it is missing\)$/);
    assert.doesNotMatch(missing?.expected ?? '', /nvalid|received|undefined/);
  });
}

test('secrets are not shown, long values are cut, unknown fields are named one by one', () => {
  const schema = z.strictObject({
    password: z.string().min(12),
    a: z.object({ apiKey: z.int() }),
    b: z.string().max(9),
  });
  const input = { password: 'hunter2', a: { apiKey: 'hunter2' }, b: 'x'.repeat(500), c: 1, d: 2 };
  const found = problems(schema, input);
  const [url] = problems(z.object({ url: z.url() }), { url: 'x//ada:hunter2@host' });
  assert.equal(url?.value, '"x//***@host"');
  assert.doesNotMatch(JSON.stringify(found), /hunter2/);
  assert.ok(JSON.stringify(found).length < 600);
  assert.deepEqual(
    found.map(({ field }) => field),
    ['password', 'a.apiKey', 'b', 'c', 'd'],
  );
});

test('a body that is no object at all', () => {
  assert.deepEqual(problems(z.object({}), 'x'), [{ field: '(body)', expected: 'an object' }]);
  assert.deepEqual(problems(z.object({}), undefined), [{ field: '(body)', expected: 'an object' }]);
});
