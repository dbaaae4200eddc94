import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { test } from 'node:test';
import { ByteQueue } from './byte-queue.ts';

/** All of the first block, or less. */
function take(queue: ByteQueue, most: number): Buffer {
  const { first, firstStart, firstEnd } = queue;
  const count = Math.min(most, firstEnd - firstStart);
  queue.drop(count);
  return Buffer.from(first.subarray(firstStart, firstStart + count));
}

test('bytes come out as they went in, in pieces of any size on both ends', () => {
  for (let run = 0; run < 60; run++) {
    const bytes = randomBytes(randomInt(1, 100_000));
    const queue = new ByteQueue();
    const out: Buffer[] = [];
    const most = [20, 700, 40_000][run % 3]!;
    let taken = 0;
    for (let at = 0; at < bytes.length || !queue.isEmpty; ) {
      const end = Math.min(bytes.length, at + randomInt(0, most));
      queue.add(bytes, at, end);
      at = end;
      if (!queue.isEmpty && randomInt(3) === 0) {
        out.push(take(queue, randomInt(1, most)));
        taken += out.at(-1)!.length;
      }
      assert.equal(queue.length, at - taken);
    }
    assert.ok(Buffer.concat(out).equals(bytes));
  }
});

test('what was taken stays as it is while more comes', () => {
  const queue = new ByteQueue();
  queue.add(Buffer.alloc(100, 'a'), 0, 100);
  queue.add(Buffer.from('bb'), 0, 2);
  queue.drop(100);
  const { first, firstStart, firstEnd } = queue;
  queue.drop(2);
  queue.add(Buffer.alloc(200, 'c'), 0, 200);
  assert.equal(first.toString('latin1', firstStart, firstEnd), 'bb');
});

test('a quarter of a million single bytes are a few blocks of memory', () => {
  const queue = new ByteQueue();
  const one = Buffer.of(7);
  const blocks = new Set<ArrayBufferLike>();
  for (let i = 0; i < 262_144; i++) queue.add(one, 0, 1);
  let memory = 0;
  while (!queue.isEmpty) {
    const { first, firstStart, firstEnd } = queue;
    if (!blocks.has(first.buffer)) memory += first.buffer.byteLength;
    blocks.add(first.buffer);
    queue.drop(firstEnd - firstStart);
  }
  assert.ok(memory < 400_000, `${memory} bytes for 262,144`);
});
