/**
 * Symptom: when the upstream broke off in the middle of an answer, an HTTP/1.0 caller saw a whole, shorter one.
 * Cause: such an answer ends with the connection, and the connection was closed in the ordinary way.
 * Fix: an answer that only the end of the connection delimits is cut off by a reset (RFC 9112 §8).
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { cannedUpstream } from '../support/upstream.ts';

test('an HTTP/1.0 caller sees that an answer was cut short', async (t) => {
  const upstream = await cannedUpstream(
    t,
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    'end',
  );
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [{ url: upstream.url }], retries: 0 } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const socket = connect(gateway.port, '127.0.0.1');
  const seen: string[] = [];
  socket.on('end', () => seen.push('end'));
  socket.on('error', (error: NodeJS.ErrnoException) => seen.push(error.code ?? error.message));
  socket.resume();
  socket.write('GET / HTTP/1.0\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  assert.deepEqual(seen, ['ECONNRESET']);
});
