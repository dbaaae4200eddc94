import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBase64url } from './base64url.ts';

test('every byte string has exactly one spelling', () => {
  for (let length = 0; length <= 6; length++) {
    const bytes = Buffer.alloc(length, 0xa7);
    assert.deepEqual(decodeBase64url(bytes.toString('base64url')), bytes);
  }
  // "Zg" is one byte; the other 15 last characters spell the same byte in a decoder that forgives.
  const spellings = [...'ghijklmnopqrstuv'].filter((last) => decodeBase64url(`Z${last}`) !== null);
  assert.deepEqual(spellings, ['g']);
  assert.equal(decodeBase64url('Zm9'), null, 'two spare bits are set');
  assert.equal(decodeBase64url('Zm8')?.toString(), 'fo');
});

for (const [name, text] of [
  ['padding', 'Zg=='],
  ['plus', 'a+bc'],
  ['slash', 'a/bc'],
  ['white space', 'ab c'],
  ['line feed', 'abc\n'],
  ['one character over', 'abcde'],
  ['a character beyond ASCII', 'abcé'],
  ['a character that only folds to ASCII', 'abc\u0141'],
] as const) {
  test(`refuses ${name}`, () => assert.equal(decodeBase64url(text), null));
}
