import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpanIds } from './span-ids.ts';

test('ids of 64 bits do not come twice, and each bit is as often set as not', () => {
  const ids = new SpanIds();
  const other = new SpanIds();
  const count = 100_000;
  const seen = new Set<string>();
  const set = new Array<number>(32).fill(0);
  for (let i = 0; i < count; i++) {
    const words = [ids.word(), ids.word()];
    for (let bit = 0; bit < 32; bit++) set[bit]! += (words[0]! >>> bit) & 1;
    seen.add(words.join());
    seen.add([other.word(), other.word()].join());
  }
  assert.equal(seen.size, 2 * count);
  // Six times the standard deviation of a fair coin.
  for (const [bit, times] of set.entries())
    assert.ok(Math.abs(times - count / 2) < 3 * Math.sqrt(count), `bit ${bit} was set ${times} times`);
});
