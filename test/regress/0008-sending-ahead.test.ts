/**
 * Symptom: a caller who sends requests without waiting for answers made the gateway hold 64 KB more with each answer,
 * without bound; and after such a burst an idle connection could be answered 408 instead of being kept.
 * Cause: reading was set going before the bytes that waited were taken up, so the stream handed over what it had
 * buffered on top of them; taking up what waited could also happen twice, the second time with nothing.
 * Fix: first the bytes that wait, and only while they are taken up is reading set going; nothing is not a head.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DrivenConnection, LIMITS, turn } from '../fuzz/support/driven-connection.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const BURST = Buffer.from(REQUEST.repeat(2_000), 'latin1');

test('what a caller sends ahead is read only as its requests are answered', async () => {
  const driven = new DrivenConnection();
  driven.answersAtOnce = false;
  let taken = 0;
  for (let answered = 0; answered < 50; answered++) {
    // As a kernel does: gives more whenever the stream's own buffer has room.
    while (driven.socket.push(BURST)) {
      taken += BURST.length;
      assert.ok(taken < 10 * BURST.length, `${taken} bytes are held after ${answered} answers`);
      await turn();
    }
    taken += BURST.length;
    driven.waiting.shift()!.answer();
    await turn();
    if (driven.socket.readableLength > 0) break;
  }
  assert.ok(taken < 10 * BURST.length, `${taken} bytes were read`);
  driven.end();
});

test('after a burst the connection is idle: no 408, and it ends after the keep-alive time', async () => {
  const driven = new DrivenConnection();
  driven.answersAtOnce = false;
  await driven.take([Buffer.from(REQUEST)]);
  const rounds = Math.ceil(LIMITS.maxHeadBytes / REQUEST.length) + 1;
  await driven.take(Array.from({ length: 3 }, () => Buffer.from(REQUEST.repeat(rounds))));
  driven.answersAtOnce = true;
  driven.waiting.shift()!.answer();
  for (let i = 0; i < 10 * rounds; i++) await turn();
  assert.equal(driven.requests.length, 1 + 3 * rounds);
  driven.clock.advance(LIMITS.headTimeoutMs + 1_000);
  driven.wheel.turn();
  assert.equal(driven.refused, 0);
  driven.clock.advance(LIMITS.keepAliveTimeoutMs);
  driven.wheel.turn();
  await turn();
  assert.equal(driven.socket.writableEnded, true);
  driven.end();
});
