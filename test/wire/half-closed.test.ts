/** A client that ends its side after its request (RFC 9112 §9.6), and one that has left, which looks the same. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { httpUpstream, rawUpstream } from '../support/upstream.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

function inFront(test: Scope, url: string, gateway: Record<string, unknown> = {}): Promise<TestGateway> {
  return startTestGateway(test, {
    gateway,
    services: { s: { instances: [{ url }], requestBuffer: 'off' } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
}

function send(gateway: TestGateway, text: string): RawCaller {
  const caller = new RawCaller(gateway.port).send(text);
  caller.socket.end();
  return caller;
}

/** A service whose requests are answered by the test; `next` is the connection of the next one. */
async function silent(test: Scope): Promise<{ url: string; next(): Promise<Socket> }> {
  const waiting: ((socket: Socket) => void)[] = [];
  const come: Socket[] = [];
  const upstream = await rawUpstream(test, (socket) => {
    socket.once('data', () => {
      const taker = waiting.shift();
      if (taker === undefined) come.push(socket);
      else taker(socket);
    });
  });
  return {
    url: upstream.url,
    next: () =>
      new Promise((resolve) => {
        const socket = come.shift();
        if (socket === undefined) waiting.push(resolve);
        else resolve(socket);
      }),
  };
}

describe('a client that ends its side after its request', () => {
  test('gets its response, and the connection ends', async (t) => {
    const upstream = await httpUpstream(t, (request, response) => {
      let body = '';
      request.on('data', (bytes: Buffer) => {
        body += bytes.toString();
      });
      request.on('end', () => response.end(`${request.method} ${request.url} ${body}`));
    });
    const gateway = await inFront(t, upstream.url);
    const rows = [
      ['GET', GET, 'GET / '],
      ['HTTP/1.0', 'GET /old HTTP/1.0\r\nHost: a\r\n\r\n', 'GET /old '],
      ['a body', 'POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', 'POST /in hello'],
      ['chunks', 'PUT /in HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n', 'PUT /in hi'],
    ] as const;
    for (const [name, text, wanted] of rows) {
      const caller = send(gateway, text);
      const answer = await caller.answer();
      assert.deepEqual([name, answer.status, answer.body.toString()], [name, 200, wanted]);
      await caller.end();
    }
  });

  test('gets the responses of all that it sent ahead', async (t) => {
    const upstream = await httpUpstream(t, (request, response) => response.end(request.url));
    const gateway = await inFront(t, upstream.url);
    const caller = send(gateway, [1, 2, 3].map((i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
    for (const path of ['/1', '/2', '/3']) assert.equal((await caller.answer()).body.toString(), path);
    await caller.end();
  });

  test('gets one that is long in coming, with a 100 Continue on the way', async (t) => {
    const service = await silent(t);
    const gateway = await inFront(t, service.url);
    const caller = send(gateway, GET);
    const socket = await service.next();
    assert.equal((await caller.answer()).status, 100);
    assert.equal((await caller.answer()).status, 100);
    socket.write(OK);
    const answer = await caller.answer();
    assert.deepEqual([answer.status, answer.headers['connection'], answer.body.toString()], [200, 'close', 'ok']);
    await caller.end();
  });

  test('gets a long one whole', async (t) => {
    const upstream = await httpUpstream(t, (_request, response) => response.end(Buffer.alloc(3_000_000, 'x')));
    const gateway = await inFront(t, upstream.url);
    const caller = send(gateway, GET);
    assert.equal((await caller.answer()).body.length, 3_000_000);
    await caller.end();
  });

  test('behind a PROXY header too', async (t) => {
    const service = await silent(t);
    const gateway = await inFront(t, service.url, {
      host: undefined,
      port: undefined,
      listeners: [{ name: 'main', host: '127.0.0.1', port: 0, proxyProtocol: true }],
      trustProxy: ['127.0.0.0/8'],
    });
    const caller = send(gateway, `PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n${GET}`);
    const socket = await service.next();
    assert.equal((await caller.answer()).status, 100);
    socket.write(OK);
    assert.equal((await caller.answer()).status, 200);
    await caller.end();
  });
});

describe('a client that has left', () => {
  const rows = [
    ['while the service is silent', GET, ''],
    ['of HTTP/1.0, at the first bytes of the response', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n', 'more'],
    ['inside its body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel', ''],
  ] as const;
  for (const [name, text, more] of rows) {
    test(`${name}: the request to the service ends`, async (t) => {
      const service = await silent(t);
      const gateway = await inFront(t, service.url);
      const caller = new RawCaller(gateway.port).send(text);
      const socket = await service.next();
      const closed = once(socket, 'close');
      socket.on('error', () => {});
      caller.close();
      if (more !== '') {
        const trickle = setInterval(() => socket.write(trickled(socket)), 50);
        socket.once('close', () => clearInterval(trickle));
      }
      await closed;
    });
  }

  test('a stream of events, which is quiet: it ends at once', async (t) => {
    const service = await silent(t);
    const gateway = await inFront(t, service.url);
    const caller = new RawCaller(gateway.port).send(GET);
    const socket = await service.next();
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
    await caller.atLeast(100);
    const closed = once(socket, 'close');
    caller.socket.end();
    await closed;
    await caller.end();
  });

  test('inside a head, or with nothing asked: its connection is closed', async (t) => {
    const service = await silent(t);
    const gateway = await inFront(t, service.url);
    for (const text of ['', 'GET / HTTP/1.1\r\nHo']) {
      const caller = new RawCaller(gateway.port);
      if (text !== '') caller.send(text);
      caller.socket.end();
      assert.equal((await caller.end()).length, 0);
    }
  });
});

const begun = new WeakSet<Socket>();
function trickled(socket: Socket): string {
  if (begun.has(socket)) return '1\r\nx\r\n';
  begun.add(socket);
  return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
}
