/**
 * Symptom: a caller who said `Connection: close` and had sent more behind it could lose the answer to a reset.
 * Cause: reading had been stopped because of the bytes that waited, and it was not set going again for the lingering
 * close, so the connection was destroyed with bytes unread.
 * Fix: whenever our side has ended, what still comes is read and dropped (RFC 9112 §9.6).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DrivenConnection, LIMITS } from '../fuzz/support/driven-connection.ts';

test('what comes behind the last request of a connection is read while it lingers', async () => {
  const driven = new DrivenConnection();
  driven.answersAtOnce = false;
  const more = Buffer.alloc(LIMITS.maxHeadBytes * 2, 'x');
  await driven.take([Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), more]);
  assert.equal(driven.socket.isPaused(), true);
  driven.waiting.shift()!.answer();
  assert.equal(driven.socket.isPaused(), false);
  await driven.take([more]);
  assert.equal(driven.socket.readableLength, 0);
  assert.equal(driven.requests.length, 1);
  driven.end();
});
