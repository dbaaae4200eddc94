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

describe('the threads that hash', () => {
  test('compute what argon2id of node:crypto computes, several at once', async () => {
    const expected = argon2Sync('argon2id', order);
    const found = await Promise.all([1, 2, 3].map(() => hashInThread(order)));
    for (const { hash } of found) assert.deepEqual(hash, expected);
  });

  test('have the lowest priority of the system', { skip: process.platform !== 'linux' && 'Linux only' }, async () => {
    assert.equal((await hashInThread(order)).lowered, true);
  });

  test('an order that cannot be computed fails alone, and the thread goes on', async () => {
    await assert.rejects(hashInThread({ ...order, memory: 1 }), /a password hash failed/);
    assert.equal((await hashInThread(order)).hash.length, 32);
  });
});
