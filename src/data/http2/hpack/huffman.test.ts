import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeHuffman, encodeHuffman, huffmanLength, mostDecoded } from './huffman.ts';

function encode(text: string): Buffer {
  const from = Buffer.from(text, 'latin1');
  const to = Buffer.alloc(from.length * 4 + 4);
  return to.subarray(0, encodeHuffman(from, 0, from.length, to, 0));
}

function decode(bytes: Uint8Array): string | null {
  const to = Buffer.alloc(mostDecoded(bytes.length) + 1);
  const end = decodeHuffman(bytes, 0, bytes.length, to, 0);
  return end < 0 ? null : to.latin1Slice(0, end);
}

test('the strings of RFC 7541 Appendix C.4 and C.6', () => {
  const vectors: [string, string][] = [
    ['www.example.com', 'f1e3c2e5f23a6ba0ab90f4ff'],
    ['no-cache', 'a8eb10649cbf'],
    ['custom-key', '25a849e95ba97d7f'],
    ['custom-value', '25a849e95bb8e8b4bf'],
    ['302', '6402'],
    ['private', 'aec3771a4b'],
    ['Mon, 21 Oct 2013 20:13:21 GMT', 'd07abe941054d444a8200595040b8166e082a62d1bff'],
    ['https://www.example.com', '9d29ad171863c78f0b97c8e9ae82ae43d3'],
    [
      'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
      '94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
    ],
  ];
  for (const [text, hex] of vectors) {
    assert.equal(encode(text).toString('hex'), hex);
    assert.equal(decode(Buffer.from(hex, 'hex')), text);
  }
});

test('every byte and every pair comes back, in the length that was foretold', () => {
  for (let a = 0; a < 256; a++) {
    for (let b = 0; b < 256; b++) {
      const text = String.fromCharCode(a, b);
      const encoded = encode(text);
      assert.equal(huffmanLength(Buffer.from(text, 'latin1'), 0, 2), encoded.length);
      assert.equal(decode(encoded), text);
    }
  }
});

test('any string comes back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      assert.equal(decode(encode(text)), text);
    }),
    { seed: 7541 },
  );
});

test('RFC 7541 §5.2: padding longer than 7 bits, padding of other bits and the end-of-string symbol are errors', () => {
  const a = [0x1f]; // 'a' is 00011, then three ones
  assert.equal(decode(Buffer.from(a)), 'a');
  assert.equal(decode(Buffer.from([...a, 0xff])), null, 'eleven bits of padding');
  assert.equal(decode(Buffer.from([0x18])), null, 'zeros as padding');
  assert.equal(decode(Buffer.from([0x1e])), null, 'padding that is not all ones');
  assert.equal(decode(Buffer.from([0xff])), null, 'eight ones and nothing else');
  assert.equal(decode(Buffer.from([0xff, 0xff, 0xff, 0xff])), null, 'the symbol itself');
  assert.equal(decode(Buffer.from([0xff, 0xff, 0xff, 0xfc])), null, 'the symbol and two bits');
  assert.equal(decode(Buffer.from([])), '');
});
