/** Streams and paths of the admin API, without a gateway. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AdminError, eventStream, type SendEvent, unescaped } from './kit.ts';

test('a reader that is a megabyte behind loses events, large and small', async () => {
  let send: SendEvent = () => assert.fail('it has not started');
  const response = eventStream((sender) => {
    send = sender;
    return () => {};
  });
  const large = 'x'.repeat(600_000);
  assert.deepEqual(
    [send('read', large), send('read', large), send('read', large), send('point', 1)],
    [true, true, false, false],
  );
  const reader = response.body!.getReader();
  for (let i = 0; i < 3; i++) assert.equal((await reader.read()).done, false);
  assert.equal(send('point', 1), true, 'what it has read makes room');
  await reader.cancel();
});

test('a path is judged as the router reads it, or not at all', () => {
  assert.equal(unescaped('/traffic/stre%61m'), '/traffic/stream');
  assert.throws(() => unescaped('/cluster/%76ersions/1%ff'), AdminError);
});
