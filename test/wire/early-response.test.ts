/**
 * A service that refuses an upload responds at once and closes without reading the rest, as servers do with 401 and
 * 413. The client gets that response every time, and the service's breaker has nothing against it.
 */
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { Authority } from '../support/certificates.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../support/test-certificate.ts';
import { httpUpstream } from '../support/upstream.ts';

/** `respond`: what is written when the head is there; then the connection is closed with the body unread. */
async function refusingService(scope: Scope, respond: string, secure = false): Promise<string> {
  const take = (socket: Socket): void => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.pause();
      socket.end(respond, () => socket.destroy());
    });
  };
  const server = secure ? createTlsServer({ cert: TEST_CERTIFICATE, key: TEST_KEY }, take) : createServer(take);
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  scope.after(() => void server.close());
  return `http${secure ? 's' : ''}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const REFUSAL = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!';
const BYTES = 4 * 1024 * 1024;

async function upload(port: number, chunked: boolean, secure = false): Promise<number> {
  const caller = new RawCaller(port, secure);
  const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${BYTES}`;
  caller.send(`POST /up HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`);
  const part = 'x'.repeat(64 * 1024);
  for (let sent = 0; sent < BYTES; sent += part.length) {
    caller.send(chunked ? `${part.length.toString(16)}\r\n${part}\r\n` : part);
  }
  if (chunked) caller.send('0\r\n\r\n');
  const { status } = await caller.answer();
  caller.close();
  return status;
}

describe('an upload that the service refuses early', () => {
  for (const chunked of [false, true]) {
    test(`gets its response 20 times of 20 (${chunked ? 'chunked' : 'with a length'})`, async (t) => {
      const url = await refusingService(t, REFUSAL);
      const gateway = await startTestGateway(t, {
        services: { s: { instances: [url], circuitBreaker: { volumeThreshold: 2 }, retries: 0 } },
        routes: [{ match: { path: '/*' }, service: 's', maxRequestSize: 'unlimited', auth: 'public' }],
      });
      const statuses: number[] = [];
      for (let i = 0; i < 20; i++) statuses.push(await upload(gateway.port, chunked));
      assert.deepEqual(
        statuses,
        Array.from({ length: 20 }, () => 413),
      );
    });
  }

  for (const [client, service] of [
    [false, true],
    [true, false],
    [true, true],
  ] as const)
    test(`gets its response 20 times of 20 (TLS ${client ? 'from the client' : ''}${client && service ? ' and ' : ''}${service ? 'to the service' : ''})`, async (t) => {
      const { cert, key } = await (await Authority.create(t)).issue('gateway', ['127.0.0.1']);
      const url = await refusingService(t, REFUSAL, service);
      const tls = { certificates: [{ cert, key }] };
      const gateway = await startTestGateway(t, {
        gateway: client ? { host: undefined, port: undefined, listeners: [{ host: '127.0.0.1', port: 0, tls }] } : {},
        services: {
          s: {
            instances: [url],
            ...(service ? { tls: { verify: false } } : {}),
            circuitBreaker: { volumeThreshold: 2 },
            retries: 0,
          },
        },
        routes: [{ match: { path: '/*' }, service: 's', maxRequestSize: 'unlimited', auth: 'public' }],
      });
      const statuses: number[] = [];
      for (let i = 0; i < 20; i++) statuses.push(await upload(gateway.port, i % 2 === 1, client));
      assert.deepEqual(
        statuses,
        Array.from({ length: 20 }, () => 413),
      );
    });

  test('without a response is 502, and no caller opens the breaker or ejects the instance by it', async (t) => {
    const url = await refusingService(t, '');
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [url], circuitBreaker: { volumeThreshold: 2 }, retries: 0 } },
      routes: [{ match: { path: '/*' }, service: 's', maxRequestSize: 'unlimited', auth: 'public' }],
    });
    const statuses: number[] = [];
    for (let i = 0; i < 6; i++) statuses.push(await upload(gateway.port, false));
    assert.deepEqual(statuses, [502, 502, 502, 502, 502, 502]);
  });
});

test('the same Content-Length twice from a service is one, and goes on once', async (t) => {
  const url = await refusingService(t, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello');
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [url] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const caller = new RawCaller(gateway.port);
  const answer = await caller.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer();
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-length'], '5');
  assert.equal(answer.body.toString(), 'hello');
  caller.close();
});

test('a quiet event stream is not cut by `idle`; another body is, and the breaker does not count it', async (t) => {
  const event = 'data: later\n\n';
  const upstream = await httpUpstream(t, (request, response) => {
    response.writeHead(200, { 'Content-Type': request.url === '/sse' ? 'text/event-stream' : 'text/plain' });
    response.write('data: first\n\n');
    if (request.url === '/sse') setTimeout(() => response.end(event), 900);
  });
  const gateway = await startTestGateway(t, {
    services: {
      s: { instances: [upstream.url], timeouts: { idle: '250ms' }, circuitBreaker: { volumeThreshold: 1 } },
    },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  for (let i = 0; i < 3; i++) {
    const cut = new RawCaller(gateway.port).send('GET /text HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.doesNotMatch((await cut.end()).toString(), /\r\n0\r\n\r\n$/, 'cut off, not ended');
  }
  const caller = new RawCaller(gateway.port);
  const answer = await caller.send('GET /sse HTTP/1.1\r\nHost: a\r\n\r\n').answer();
  assert.equal(answer.status, 200);
  assert.match(answer.body.toString(), /first.*later/s);
  caller.close();
});
