import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readJson } from './read-json.ts';

const read = (text: string, more: { maxDepth?: number; safeIntegers?: boolean } = {}) =>
  readJson(Buffer.from(text, 'utf8'), { maxDepth: 64, safeIntegers: false, ...more });

function refusal(text: string, more: { maxDepth?: number; safeIntegers?: boolean } = {}): [string, string] {
  const reading = read(text, more);
  assert.ok(!reading.ok, `${text} is read`);
  return [reading.violation.field, reading.violation.expected];
}

test('any JSON value is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), fc.boolean(), (value, spaced) => {
      const reading = read(JSON.stringify(value, null, spaced ? 2 : 0));
      assert.ok(reading.ok);
      assert.deepEqual(reading.value, JSON.parse(JSON.stringify(value)));
    }),
  );
});

describe('what two readers could read differently is refused (RFC 8259 §4, §6, §8)', () => {
  test('a name that stands twice, wherever and however it is written', () => {
    assert.deepEqual(refusal('{"a":1,"a":2}'), ['/a', 'each name once in an object']);
    assert.deepEqual(refusal('{"a":1,"\\u0061":2}'), ['/a', 'each name once in an object']);
    assert.deepEqual(refusal('{"x":[0,{"b":{"c/d":1,"e":":","c/d":1}}]}')[0], '/x/1/b/c~1d');
    assert.deepEqual(refusal('{"__proto__":1,"__proto__":2}')[0], '/__proto__');
  });

  test('but names and colons inside strings count for nothing', () => {
    assert.ok(read('{"a":":::","b":"\\":\\"","a\\"":{"a":[]}}').ok);
    assert.ok(read('{"__proto__":{"a":1},"constructor":2}').ok);
  });

  test('half of a surrogate pair, in a value or a name', () => {
    assert.deepEqual(refusal('{"a":["\\ud800"]}'), ['/a', 'no half of a surrogate pair']);
    assert.match(refusal('{"\\udc00":1}')[1], /surrogate/);
    assert.ok(read('["\\ud83d\\ude00"]').ok);
  });

  test('bytes that are not UTF-8, and a byte order mark', () => {
    assert.equal(readJson(Buffer.from([0x22, 0xff, 0x22])).ok, false);
    assert.equal(readJson(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])).ok, false);
    assert.equal(readJson(Buffer.from('\ufeff{}')).ok, false);
  });

  test('numbers that a double cannot hold; integers beyond 2^53 where asked', () => {
    assert.equal(refusal('{"a":{"b":1e400}}')[0], '/a/b');
    assert.ok(read('9007199254740993').ok);
    assert.equal(refusal('{"id":9007199254740993}', { safeIntegers: true })[0], '/id');
    assert.ok(read('9007199254740991', { safeIntegers: true }).ok);
    assert.ok(read('0.1', { safeIntegers: true }).ok);
  });
});

test('10,000 levels are refused before they are parsed, 64 are read', () => {
  assert.match(refusal('['.repeat(10_000))[1], /64 levels/);
  assert.match(refusal(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`)[1], /64 levels/);
  assert.ok(read('['.repeat(64) + ']'.repeat(64)).ok);
  assert.ok(read(`"${'['.repeat(1_000)}"`).ok);
});

test('what is no JSON is refused', () => {
  for (const text of ['', ' ', '{', '{"a"}', '[1,]', 'NaN', "{'a':1}", '{"a":1}}', '"', '"\\', '01', 'truefalse'])
    assert.equal(read(text).ok, false, text);
});

test('a number of 16 digits and more is seen, and none in a string', () => {
  const rows = [
    { text: '9007199254740993', want: true },
    { text: '{"a":[-1234567890123456]}', want: true },
    { text: '123456789012345', want: false },
    { text: '[12345678,12345678]', want: false },
    { text: '{"a":"9007199254740993","1234567890123456":1}', want: false },
    { text: '["\\"",1234567890123456]', want: true },
  ];
  for (const { text, want } of rows) {
    const reading = read(text);
    assert.ok(reading.ok, text);
    assert.equal(reading.hasLongNumber, want, text);
    assert.equal(reading.text, text);
  }
});
