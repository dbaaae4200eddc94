import assert from 'node:assert/strict';
import { test } from 'node:test';
import { once } from './once.ts';

test('what is made is made once, for all who wait for it', async () => {
  let made = 0;
  const get = once(async () => ++made);
  assert.deepEqual(await Promise.all([get(), get()]), [1, 1]);
  assert.equal(await get(), 1);
});

test('where it could not be made, those who waited hear why, and the next one tries again', async () => {
  let tries = 0;
  const get = once(async () => {
    if (++tries === 1) throw new Error('not yet');
    return tries;
  });
  const heard = await Promise.allSettled([get(), get()]);
  assert.deepEqual(
    heard.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(await get(), 2);
});
