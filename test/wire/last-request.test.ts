/**
 * The end of a connection whose client said `Connection: close`: the whole response and then a FIN, never a reset, when
 * the response is small and gone at once, when the client is slow, and when it sends more than it said.
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { httpUpstream } from '../support/upstream.ts';

interface Ended {
  readonly bytes: number;
  readonly isReset: boolean;
}

/** What comes back of these bytes, read after so long, until the end. */
function answerOf(port: number, bytes: string, readAfterMs = 0, then?: (socket: Socket) => void): Promise<Ended> {
  return new Promise((resolve) => {
    let length = 0;
    let isReset = false;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => {
      socket.write(bytes);
      then?.(socket);
      setTimeout(() => socket.on('data', (chunk: Buffer) => (length += chunk.length)), readAfterMs);
    });
    socket.on('error', () => (isReset = true));
    socket.on('end', () => socket.end());
    socket.on('close', () => resolve({ bytes: length, isReset }));
  });
}

test('the response to the last request is whole, and a FIN follows it', { timeout: 60_000 }, async (t) => {
  const large = Buffer.alloc(8 * 1024 * 1024, 'x');
  const upstream = await httpUpstream(t, (request, response) => {
    request.resume().on('end', () => response.end(request.url === '/large' ? large : 'small'));
  });
  const gateway = await startTestGateway(t, {
    services: { one: { instances: [upstream.url] } },
    routes: [{ match: { path: '/*' }, service: 'one', auth: 'public' }],
  });
  const { port } = gateway;
  const head = (path: string, more = ''): string =>
    `GET ${path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n${more}\r\n`;

  for (let i = 0; i < 50; i++) {
    const { bytes, isReset } = await answerOf(port, head('/small'));
    assert.deepEqual([bytes > 100, isReset], [true, false], `call ${i}`);
  }
  const old = await answerOf(port, 'GET /small HTTP/1.0\r\nHost: a.example\r\n\r\n');
  assert.deepEqual([old.bytes > 100, old.isReset], [true, false], 'HTTP/1.0');

  const slow = await answerOf(port, head('/large'), 500);
  assert.deepEqual([slow.bytes > large.length, slow.isReset], [true, false], 'a slow reader');

  const upload = `POST /small HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc`;
  // Browsers of old sent two bytes more behind a body (RFC 9112 §2.2).
  const browser = await answerOf(port, upload, 200, (socket) => setTimeout(() => socket.write('\r\n'), 100));
  assert.deepEqual([browser.bytes > 100, browser.isReset], [true, false], 'CRLF behind a body');
  const early = await answerOf(port, `${head('/small')}GET /small HTTP/1.1\r\n\r\n`, 200);
  assert.deepEqual([early.bytes > 100, early.isReset], [true, false], 'more than it said, at once');

  const { text, active } = await scrape(gateway.url);
  assert.equal(active, 1, text);
});

/** Connections that are open, the one of the scrape among them. */
async function scrape(url: string): Promise<{ readonly text: string; readonly active: number }> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const text = await (await fetch(`${url}/metrics`)).text();
    const active = Number(/^gatehouse_connections_active(?:\{[^}]*\})? (\d+)/m.exec(text)?.[1]);
    if (active === 1 || performance.now() > deadline) return { text, active };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
