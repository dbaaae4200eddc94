import assert from 'node:assert/strict';
import { argon2Sync, createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { type HashOrder, hashInThread } from './hash-threads.ts';

const order: HashOrder = {
  message: Buffer.from('a password'),
  nonce: createHash('md5').update('salt').digest(),
  memory: 64,
  passes: 1,
  parallelism: 1,
  tagLength: 32,
};
/** No order is overtaken: behind one that was, the next ones go to usual threads. */
const LONG_MS = 60_000;

describe('the threads that hash', () => {
  test('compute what argon2id of node:crypto computes, several at once', async () => {
    const expected = argon2Sync('argon2id', order);
    const found = await Promise.all([1, 2, 3].map(() => hashInThread(order, LONG_MS)));
    for (const { hash } of found) assert.deepEqual(hash, expected);
  });

  test('step back behind everything else', { skip: process.platform !== 'linux' && 'Linux only' }, async () => {
    assert.notEqual((await hashInThread(order, LONG_MS)).priority, 'usual');
  });

  test('an order that waits too long is computed by a usual thread, and the next ones find their way', async () => {
    const slow = { ...order, memory: 64 * 1024, passes: 4 };
    const expected = argon2Sync('argon2id', slow);
    const hashes = await Promise.all([1, 2, 3].map(() => hashInThread(slow, 1)));
    for (const { hash } of hashes) assert.deepEqual(hash, expected);
    assert.ok(hashes.some(({ priority }) => priority === 'usual'));
    assert.equal((await hashInThread(order)).hash.length, 32);
  });

  test('an order that cannot be computed fails alone, and the thread goes on', async () => {
    await assert.rejects(hashInThread({ ...order, memory: 1 }), /a password hash failed/);
    assert.equal((await hashInThread(order)).hash.length, 32);
  });
});
