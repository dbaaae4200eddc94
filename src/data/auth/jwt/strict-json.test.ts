import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasRepeatedMember, parseStrictObject } from './strict-json.ts';

const parse = (text: string) => parseStrictObject(Buffer.from(text));

test('reads an ordinary object', () => {
  assert.deepEqual(parse('{"a":1,"b":[{"a":2},{"a":3}],"c":{"a":{"a":"a, \\"b\\": {"}}}'), {
    a: 1,
    b: [{ a: 2 }, { a: 3 }],
    c: { a: { a: 'a, "b": {' } },
  });
});

for (const { name, text } of [
  { name: 'a member twice', text: '{"sub":"a","sub":"b"}' },
  { name: 'a member twice, once with an escape', text: '{"sub":"a","\\u0073ub":"b"}' },
  { name: 'a member twice in a nested object', text: '{"a":{"b":1,"b":1}}' },
  { name: 'a member twice in an object in an array', text: '{"a":[1,{"b":1,"c":[],"b":1}]}' },
  { name: 'a member twice around a nested object', text: '{"a":{"x":1},"a":2}' },
  { name: 'a lone surrogate in a name', text: '{"\\ud800":1}' },
  { name: 'an array at the top', text: '[{"a":1}]' },
  { name: 'null', text: 'null' },
  { name: 'a string', text: '"{}"' },
  { name: 'text after the object', text: '{} {}' },
  { name: 'a byte order mark', text: '\ufeff{}' },
  { name: 'a trailing comma', text: '{"a":1,}' },
  { name: 'nothing', text: '' },
]) {
  test(`refuses ${name}`, () => assert.equal(parse(text), null));
}

test('refuses bytes that are not UTF-8, also overlong ones', () => {
  assert.equal(parseStrictObject(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), null);
  assert.equal(parseStrictObject(Buffer.from([0x7b, 0x22, 0xc0, 0xa2, 0x22, 0x3a, 0x31, 0x7d])), null);
});

test('agrees with a reviver-free reading of random objects', () => {
  // Members are built as text, so the expected answer is known without the scanner.
  let seed = 7;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 16) % below;
  };
  const build = (depth: number): { text: string; repeats: boolean } => {
    const names: string[] = [];
    let repeats = false;
    const parts: string[] = [];
    for (let index = random(4); index >= 0; index--) {
      const name = ['a', 'b', 'c', 'a"', '\\', ',', '{'][random(7)]!;
      repeats ||= names.includes(name);
      names.push(name);
      const inner = depth === 0 ? { text: '"x,{"', repeats: false } : build(depth - 1);
      repeats ||= inner.repeats;
      parts.push(`${JSON.stringify(name)} : ${random(2) === 0 ? inner.text : `[ ${inner.text}, 1 ]`}`);
    }
    return { text: `{ ${parts.join(' , ')} }`, repeats };
  };
  let repeating = 0;
  for (let round = 0; round < 2_000; round++) {
    const { text, repeats } = build(2);
    assert.equal(hasRepeatedMember(text), repeats, text);
    if (repeats) repeating++;
  }
  assert.ok(repeating > 200 && repeating < 1_990, `both kinds occurred: ${repeating}`);
});
