/** From the first moment in which a port takes connections there is a worker that serves them. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { deadPort } from '../support/upstream.ts';

/** How one attempt ended: refused, a status, or what else became of a connection that was there. */
async function attempt(port: number): Promise<string> {
  // From another address: from the same one it could meet itself, when the system gives it this very port.
  const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2', noDelay: true });
  let text = '';
  let failed: string | undefined;
  socket.on('connect', () => socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'));
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    failed = error.code;
  });
  await new Promise((resolve) => socket.on('close', resolve));
  return failed ?? (text === '' ? 'closed without a word' : text.slice(9, 12));
}

const skip = process.platform !== 'linux' && 'elsewhere 127.0.0.2 is no address of the machine';
test('while a gateway starts, connections to its port are refused, or answered', { skip }, async (t) => {
  const port = await deadPort();
  const ends = new Map<string, number>();
  let isOver = false;
  const asking = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const end = await attempt(port);
      ends.set(end, (ends.get(end) ?? 0) + 1);
    }
  });
  await until(() => (ends.get('ECONNREFUSED') ?? 0) > 8, 'all of them are refused');
  await startTestGateway(t, {
    gateway: { port },
    routes: [{ match: { path: '/*' }, respond: { body: 'hello' }, auth: 'public' }],
  });
  await until(() => (ends.get('200') ?? 0) > 8, 'all of them are answered');
  isOver = true;
  await Promise.all(asking);
  assert.deepEqual([...ends.keys()].sort(), ['200', 'ECONNREFUSED']);
});
