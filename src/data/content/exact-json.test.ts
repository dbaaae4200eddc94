import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readExactJson } from './exact-json.ts';

const again = (text: string): string => {
  const read = readExactJson(Buffer.from(text), 64);
  return read.ok ? JSON.stringify(read.value) : read.expected;
};

test('numbers that a double cannot hold are written with the digits they came with', () => {
  for (const text of [
    '{"id":12345678901234567890}',
    '[-9007199254740993,9007199254740993]',
    '[3.14159265358979323846264338327950288]',
    '[1e400,-1e400,1e-400]',
    '{"note":"12345678901234567890 and \\"1e5\\"","n":9223372036854775807}',
    '[0.1,1,-5,123456789012345]',
  ])
    assert.equal(again(text), text);
  assert.equal(again('[1.50,1E2]'), '[1.5,100]');
});

test('what is nested too deep, or is no JSON, is said and not read', () => {
  assert.equal(again('['.repeat(10_000)), 'at most 64 levels of nesting');
  assert.equal(again(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`), 'at most 64 levels of nesting');
  assert.equal(again(`"${'['.repeat(100)}\\"["`), `"${'['.repeat(100)}\\"["`);
  for (const text of ['', '{', '{"a":1}x', 'NaN']) assert.equal(again(text), 'a JSON text');
});
