import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyHash } from './key-hash.ts';

/** `halfsiphash.c` of the SipHash authors: key 00..07, input 00, 01, 02 ..., rounds 2 and 4, 64 bits out. */
const VECTORS: Readonly<Record<number, string>> = {
  0: '218d1f59b9b83cc8',
  2: '064f39ef7c50eb57',
  4: 'd5e78a175be52ea1',
  6: 'ce3e91358aa2bc25',
  30: '291aaf864898179d',
  62: 'f90b3ab572d46693',
};

const littleEndian = (a: number, b: number): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeInt32LE(a | 0, 0);
  bytes.writeInt32LE(b | 0, 4);
  return bytes.toString('hex');
};

test('text gives the published HalfSipHash-2-4 values for its UTF-16 bytes', () => {
  const hash = new KeyHash(0x03020100, 0x07060504, 2, 4);
  for (const [length, expected] of Object.entries(VECTORS)) {
    const bytes = Buffer.from(Array.from({ length: Number(length) }, (_, i) => i));
    hash.text(bytes.toString('utf16le'));
    assert.equal(littleEndian(hash.a, hash.b), expected, `${length} bytes`);
  }
});

test('words gives the same as text for the same bytes', () => {
  const hash = new KeyHash(1, 2);
  for (let count = 0; count < 8; count++) {
    const bytes = Buffer.from(Array.from({ length: 4 * count }, (_, i) => (i * 37) & 0xff));
    hash.text(bytes.toString('utf16le'));
    const { a, b } = hash;
    const words = new Int32Array(count);
    for (let i = 0; i < count; i++) words[i] = bytes.readInt32LE(4 * i);
    hash.words(words, count);
    assert.deepEqual([hash.a | 0, hash.b | 0], [a | 0, b | 0]);
  }
});

test('another key gives another hash, and 200,000 near texts do not collide', () => {
  const one = new KeyHash(1, 2);
  const two = new KeyHash(1, 3);
  const seen = new Set<string>();
  for (let i = 0; i < 200_000; i++) {
    one.text(`user-${i}`);
    seen.add(`${one.a}:${one.b}`);
  }
  assert.equal(seen.size, 200_000);
  one.text('user-1');
  two.text('user-1');
  assert.notDeepEqual([one.a, one.b], [two.a, two.b]);
});
