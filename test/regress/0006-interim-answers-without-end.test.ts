/**
 * Symptom: an upstream that sends interim answers without end filled the gateway's memory until the first-byte
 * timeout, as fast as it could send, when the caller read slowly.
 * Cause: backpressure begins with the final head; before it everything was read and passed on.
 * Fix: the interim heads of one exchange may have as many bytes together as one head; more is 502.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { rawUpstream } from '../support/upstream.ts';

test('interim answers without end are a broken upstream', async (t) => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n'.repeat(500);
  const upstream = await rawUpstream(t, (socket) => {
    const more = (error?: Error | null): void => {
      if (error == null && !socket.destroyed) socket.write(hints, more);
    };
    socket.once('data', () => more());
  });
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [{ url: upstream.url }], retries: 0 } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const caller = new RawCaller(gateway.port).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  let interim = 0;
  let answer = await caller.answer();
  for (; answer.status === 103; answer = await caller.answer()) interim++;
  assert.equal(answer.status, 502);
  assert.ok(interim > 100 && interim < 2_000, `${interim} interim answers`);
  caller.close();
});
