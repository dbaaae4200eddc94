import assert from 'node:assert/strict';
import { test } from 'node:test';
import { giveBuffer, LARGE_BUFFER, SMALL_BUFFER, takeBuffer } from './buffer-pool.ts';

test('a buffer that is given back is used again, each for its size', () => {
  const [small, large] = [takeBuffer(false), takeBuffer(true)];
  assert.deepEqual([small.length, large.length], [SMALL_BUFFER, LARGE_BUFFER]);
  giveBuffer(small, null);
  giveBuffer(large, null);
  assert.equal(takeBuffer(true), large);
  assert.equal(takeBuffer(false), small);
});

test('a buffer that somebody still refers to is not handed out before he lets go', () => {
  const holder = { holdsBytes: true };
  const held = takeBuffer(true);
  giveBuffer(held, holder);
  const taken = Array.from({ length: 40 }, () => takeBuffer(true));
  assert.ok(!taken.includes(held));
  holder.holdsBytes = false;
  assert.equal(takeBuffer(true), held);
});

test('what is kept is bounded, and no buffer is ever two at once', () => {
  const holders = Array.from({ length: 100 }, () => ({ holdsBytes: true }));
  for (const holder of holders) giveBuffer(takeBuffer(false), holder);
  for (let i = 0; i < 100; i++) giveBuffer(Buffer.allocUnsafeSlow(SMALL_BUFFER), null);
  for (const holder of holders) holder.holdsBytes = false;
  const taken = Array.from({ length: 200 }, () => takeBuffer(false));
  assert.equal(new Set(taken).size, 200);
});
