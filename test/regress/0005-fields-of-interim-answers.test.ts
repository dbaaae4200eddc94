/**
 * Symptom: a 103 of an upstream passed with its Content-Length, and with fields that its Connection field names.
 * Cause: interim heads were only freed of the fields that are always hop-by-hop.
 * Fix: no length in a 1xx (RFC 9110 §8.6), and what Connection names stays behind (RFC 9110 §7.6.1).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { cannedUpstream } from '../support/upstream.ts';

test('an interim answer has no length and nothing that belongs to one connection', async (t) => {
  const upstream = await cannedUpstream(
    t,
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\nConnection: X-Private\r\nX-Private: 1\r\n\r\n' +
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  );
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const caller = new RawCaller(gateway.port);
  const interim = await caller.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer();
  assert.equal(interim.status, 103);
  assert.deepEqual(interim.headers, { link: '</a>' });
  assert.equal((await caller.answer()).body.toString(), 'ok');
  caller.close();
});
