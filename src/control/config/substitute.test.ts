// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the syntax under test
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { maskTokens, substitute, typedValue } from './substitute.ts';

/** Masks and puts back, as if the text were one scalar. */
function read(text: string, env: Record<string, string> = {}) {
  const masked = maskTokens(text);
  assert.ok(masked);
  const complaints: string[] = [];
  const result = substitute(masked.text, masked.tokens, env, (message) => complaints.push(message));
  return { text: result?.text ?? text, isWhole: result?.isWhole ?? false, complaints };
}

const rows = [
  { text: '${A}', env: { A: '1' }, want: '1', isWhole: true },
  { text: 'http://${A}:${B}/', env: { A: 'h', B: '2' }, want: 'http://h:2/', isWhole: false },
  { text: '${A:-x}', env: {}, want: 'x', isWhole: true },
  { text: '${A:-x}', env: { A: '' }, want: 'x', isWhole: true },
  { text: '${A:-}', env: {}, want: '', isWhole: true },
  { text: '${A}', env: { A: '' }, want: '', isWhole: true },
  { text: '${A:-a:-b}', env: {}, want: 'a:-b', isWhole: true },
  { text: '$${A}', env: { A: '1' }, want: '${A}', isWhole: false },
  { text: '$A and $', env: { A: '1' }, want: '$A and $', isWhole: false },
  { text: '${A:-${B}}', env: { B: '2' }, want: '2', isWhole: true },
  { text: '${A:-${B:-${C:-x}}}', env: {}, want: 'x', isWhole: true },
  { text: 'a${A:-b${B}c}d', env: { B: '-' }, want: 'ab-cd', isWhole: false },
  { text: '${A:-${B}}', env: { A: '1' }, want: '1', isWhole: true },
  { text: '$${A:-${B}}', env: { B: '2' }, want: '${A:-${B}}', isWhole: false },
  { text: '${A', env: { A: '1' }, want: '${A', isWhole: false },
  { text: '${A}', env: { A: '${B}', B: 'no' }, want: '${B}', isWhole: true },
];

for (const { text, env, want, isWhole } of rows) {
  test(`${text} with ${JSON.stringify(env)} is "${want}"`, () => {
    assert.deepEqual(read(text, env as Record<string, string>), { text: want, isWhole, complaints: [] });
  });
}

test('a variable that is missing, and a token that is none, are told', () => {
  assert.deepEqual(read('${A}').complaints, ['the environment variable A is not set']);
  assert.deepEqual(read('${A:-${B}}').complaints, ['the environment variable B is not set']);
  assert.deepEqual(read('${A:-${b c}}').complaints, ['"${b c}" is not a substitution']);
  assert.deepEqual(read('${a b}').complaints, ['"${a b}" is not a substitution']);
  assert.deepEqual(read('${}').complaints, ['"${}" is not a substitution']);
});

test('a text that already has the characters of a mask is not masked', () => {
  assert.equal(maskTokens('a\uE000b'), undefined);
  assert.equal(maskTokens('a\uE100b'), undefined);
});

test('masking keeps every position', () => {
  const text = 'a: ${LONG_NAME:-default}\nb: ${X} # ${}';
  const masked = maskTokens(text)?.text ?? '';
  assert.equal(masked.length, text.length);
  assert.equal(masked.indexOf('\n'), text.indexOf('\n'));
});

test('more tokens than one digit holds are told apart', () => {
  const text = Array.from({ length: 5_000 }, (_, index) => `\${V${index}}`).join(',');
  const env = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`V${index}`, String(index)]));
  assert.equal(read(text, env).text, Array.from({ length: 5_000 }, (_, index) => index).join(','));
});

test('what is not a token comes through untouched', () => {
  const plain = fc
    .string({ unit: 'grapheme' })
    .filter((text) => !text.includes('${') && maskTokens(text) !== undefined);
  fc.assert(fc.property(plain, (text) => assert.equal(read(text).text, text)));
});

test('texts that look like numbers and switches have such a value, others none', () => {
  const values = ['8000', '-1', '0.5', 'true', 'false', '', '1e3', '0x10', 'TRUE', ' 1'].map(typedValue);
  assert.deepEqual(values, [8000, -1, 0.5, true, false, undefined, undefined, undefined, undefined, undefined]);
});
