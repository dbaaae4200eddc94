/**
 * Symptom: after a POST whose body came before the upstream connection was made, the next request on the same
 * connection was never read. Cause: the body had paused the socket, and with the body complete nobody resumed it.
 * Fix: a connection that goes on with the next request reads again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { echoUpstream } from '../support/upstream.ts';

test('a request after a POST on a fresh upstream connection is answered', async (t) => {
  const upstream = await echoUpstream(t);
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const caller = new RawCaller(gateway.port);
  assert.equal((await caller.send('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi').answer()).status, 200);
  assert.equal((await caller.send('GET /b HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status, 200);
  caller.close();
});
