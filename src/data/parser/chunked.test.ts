import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BAD, ChunkedDecoder, DATA, END } from './chunked.ts';

interface Decoded {
  body: string;
  ended: boolean;
  problem: string;
  rest: string;
  trailers: [string, string][];
}

/** Feeds the text in pieces that end at the given offsets. */
function decode(text: string, splits: readonly number[] = []): Decoded {
  const decoder = new ChunkedDecoder();
  const bytes = Buffer.from(text, 'latin1');
  const result: Decoded = { body: '', ended: false, problem: '', rest: '', trailers: [] };
  let start = 0;
  for (const end of [...splits, bytes.length]) {
    const piece = Buffer.from(bytes.subarray(start, end)); // memory of its own, so that nothing is read across pieces
    let at = 0;
    while (at < piece.length && !result.ended) {
      const found = decoder.step(piece, at, piece.length);
      if (found === BAD) return { ...result, problem: decoder.problem };
      at = decoder.position;
      if (found === DATA) result.body += piece.latin1Slice(decoder.dataStart, decoder.dataEnd);
      if (found === END) {
        result.ended = true;
        const { trailers } = decoder;
        if (trailers !== null)
          for (let i = 0; i < trailers.count; i++) result.trailers.push([trailers.name(i), trailers.value(i)]);
      }
    }
    result.rest += piece.latin1Slice(at, piece.length);
    start = end;
  }
  return result;
}

describe('the chunked coding', () => {
  const good: { name: string; input: string; want: Partial<Decoded> }[] = [
    { name: 'one chunk', input: '5\r\nhello\r\n0\r\n\r\n', want: { body: 'hello', rest: '' } },
    {
      name: 'several, sizes in any case',
      input: 'A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\nnext',
      want: { body: '0123456789x', rest: 'next' },
    },
    { name: 'leading zeros', input: '0005\r\nhello\r\n000\r\n\r\n', want: { body: 'hello' } },
    {
      name: 'sizes of a fixed width of sixteen digits',
      input: `${'5'.padStart(16, '0')}\r\nhello\r\n${'0'.repeat(16)}\r\n\r\n`,
      want: { body: 'hello' },
    },
    { name: 'no chunk at all', input: '0\r\n\r\n', want: { body: '' } },
    { name: 'an extension', input: '5;name\r\nhello\r\n0;a=b;c="d\\"e"\r\n\r\n', want: { body: 'hello' } },
    {
      name: 'white space around an extension',
      input: '5 ; name = value\r\nhello\r\n0\r\n\r\n',
      want: { body: 'hello' },
    },
    {
      name: 'trailers',
      input: '1\r\nx\r\n0\r\nDigest: abc\r\nB: c\r\n\r\nrest',
      want: {
        body: 'x',
        trailers: [
          ['Digest', 'abc'],
          ['B', 'c'],
        ],
        rest: 'rest',
      },
    },
  ];
  for (const { name, input, want } of good) {
    test(`decodes ${name}, whole and split at every byte`, () => {
      const whole = decode(input);
      assert.equal(whole.problem, '');
      assert.ok(whole.ended);
      for (const [key, value] of Object.entries(want)) assert.deepEqual(whole[key as keyof Decoded], value, key);
      for (let at = 1; at < input.length; at++) assert.deepEqual(decode(input, [at]), whole, `split at ${at}`);
      assert.deepEqual(
        decode(
          input,
          Array.from({ length: input.length - 1 }, (_, i) => i + 1),
        ),
        whole,
        'a byte at a time',
      );
    });
  }

  const bad: { name: string; input: string }[] = [
    { name: 'a size that is not hexadecimal', input: 'x\r\n' },
    { name: 'a size with a prefix', input: '0x5\r\nhello\r\n' },
    { name: 'a signed size', input: '+5\r\nhello\r\n' },
    { name: 'a negative size', input: '-5\r\nhello\r\n' },
    { name: 'an empty size', input: '\r\nhello\r\n' },
    { name: 'a space before the size', input: ' 5\r\nhello\r\n' },
    { name: 'a space behind the size', input: '5 \r\nhello\r\n' },
    { name: 'a size that ends with LF alone', input: '5\nhello\r\n' },
    { name: 'a size that ends with CR alone', input: '5\rxhello\r\n' },
    { name: 'a size of too many digits', input: 'FFFFFFFFFFFFFFFF\r\n' },
    { name: 'a size with an underscore', input: '1_0\r\n' },
    { name: 'a chunk longer than its size', input: '3\r\nhello\r\n' },
    { name: 'a chunk that ends with LF alone', input: '5\r\nhello\n0\r\n\r\n' },
    { name: 'an extension that ends with LF alone', input: '5;a\nhello\r\n' },
    { name: 'an extension without a name', input: '5;\r\nhello\r\n' },
    { name: 'an extension with an open string', input: '5;a="b\r\nhello\r\n' },
    { name: 'an extension with a control character', input: '5;a="\x01"\r\nhello\r\n' },
    { name: 'a folded trailer', input: '0\r\nA: b\r\n c\r\n\r\n' },
    { name: 'a trailer with a space before the colon', input: '0\r\nA : b\r\n\r\n' },
    { name: 'a trailer that ends with LF alone', input: '0\r\nA: b\n\r\n' },
    { name: 'trailers without end', input: `0\r\n${'A: b\r\n'.repeat(40)}` },
    { name: 'a trailer of endless length', input: `0\r\nA: ${'b'.repeat(9_000)}` },
    { name: 'zeros without end', input: '0'.repeat(20_000) },
    { name: 'a size of too many digits behind zeros', input: `0000${'F'.repeat(12)}\r\n` },
    { name: 'extensions without end', input: `5;${'a'.repeat(20_000)}` },
  ];
  for (const { name, input } of bad) {
    test(`refuses ${name}`, () => {
      assert.notEqual(decode(input).problem, '');
      assert.notEqual(
        decode(
          input,
          Array.from({ length: input.length - 1 }, (_, i) => i + 1),
        ).problem,
        '',
        'a byte at a time',
      );
    });
  }
});
