import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { test } from 'node:test';
import { GatheredBytes } from './gathered-bytes.ts';

test('pieces of any size are one in the end, however many are expected', () => {
  for (const usual of [0, 1, 100, 5_000, 1_000_000])
    for (const most of [1, 50, 10_000]) {
      const bytes = randomBytes(20_000);
      const gathered = new GatheredBytes(usual);
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + randomInt(1, most + 1));
        gathered.add(bytes, at, end);
        at = end;
        assert.equal(gathered.length, at);
      }
      assert.ok(gathered.bytes.equals(bytes));
    }
});

test('what was read of it stays as it is while more comes', () => {
  const gathered = new GatheredBytes();
  gathered.add(Buffer.from('abc'));
  const { bytes } = gathered;
  for (let i = 0; i < 1_000; i++) gathered.add(Buffer.from('xyz'));
  assert.equal(bytes.toString(), 'abc');
  assert.equal(gathered.length, 3_003);
});

test('more than is usual, byte by byte, is copied a few times and not with each', () => {
  const gathered = new GatheredBytes(100);
  const memories = new Set<ArrayBufferLike>();
  const one = Buffer.of(7);
  for (let i = 0; i < 500_000; i++) {
    gathered.add(one);
    if (i % 1_000 === 0) memories.add(gathered.bytes.buffer);
  }
  assert.ok(memories.size < 20, `${memories.size} times`);
});
