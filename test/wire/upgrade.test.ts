/** Upgrades (RFC 9110 §7.8), WebSocket (RFC 6455) as an opaque tunnel, and server-sent events. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { cannedUpstream, echoUpstream, httpUpstream } from '../support/upstream.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
const UPGRADE = `GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`;

/** Accepts every upgrade and sends all bytes back. */
async function echoTunnel(test: Scope) {
  const sockets: Socket[] = [];
  const upstream = await httpUpstream(test, (_request, response) => void response.end('plain'));
  upstream.server.on('upgrade', (request, socket: Socket, early: Buffer) => {
    sockets.push(socket);
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    socket.on('error', () => {});
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    if (early.length > 0) socket.write(early);
    socket.pipe(socket);
  });
  return { upstream, sockets };
}

async function setUp(test: Scope, route: Record<string, unknown> = {}, gateway: Record<string, unknown> = {}) {
  const { upstream, sockets } = await echoTunnel(test);
  const running = await startTestGateway(test, {
    gateway,
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/*' }, service: 's', upgrades: ['websocket'], auth: 'public', ...route }],
  });
  return { gateway: running, sockets };
}

describe('a WebSocket', () => {
  test('is opened at a URL of which a plain response is stored', async (t) => {
    const { gateway } = await setUp(t, { cache: { lifetimes: { 200: '1m' } } });
    const plain = new RawCaller(gateway.port);
    t.after(() => void plain.socket.destroy());
    for (const how of [/stored/, /hit/, /hit/, /hit/]) {
      const answer = await plain.send('GET /ws HTTP/1.1\r\nHost: a\r\n\r\n').answer();
      assert.match(answer.headers['cache-status']!, how);
    }
    for (let i = 0; i < 3; i++) {
      const caller = new RawCaller(gateway.port).send(UPGRADE);
      t.after(() => void caller.socket.destroy());
      assert.equal((await caller.answer()).status, 101);
    }
  });

  test('is opened, passes bytes both ways, and closes when either side does', async (t) => {
    const { gateway, sockets } = await setUp(t);
    const caller = new RawCaller(gateway.port).send(UPGRADE);
    const answer = await caller.answer();
    assert.equal(answer.status, 101);
    assert.equal(answer.headers['upgrade'], 'websocket');
    assert.equal(answer.headers['sec-websocket-accept'], ACCEPT);
    caller.send('hello');
    assert.equal((await caller.atLeast(5)).toString(), 'hello');
    const closed = new Promise((resolve) => sockets[0]!.once('close', resolve));
    caller.socket.end();
    await closed;
  });

  test('whose first frames come with the handshake loses none of them', async (t) => {
    const { gateway } = await setUp(t);
    const caller = new RawCaller(gateway.port).send(`${UPGRADE}early`);
    assert.equal((await caller.answer()).status, 101);
    assert.equal((await caller.atLeast(5)).toString(), 'early');
    caller.close();
  });

  test('passes no field that belongs to the connection of the service (RFC 9110 §7.6.1)', async (t) => {
    const upstream = await cannedUpstream(
      t,
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n\r\n',
    );
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const caller = new RawCaller(gateway.port).send(UPGRADE);
    const { headers } = await caller.answer();
    assert.deepEqual([headers['connection'], headers['x-hop'], headers['x-end']], ['Upgrade', undefined, '2']);
    caller.close();
  });

  test('passes a megabyte intact', async (t) => {
    const { gateway } = await setUp(t);
    const caller = new RawCaller(gateway.port).send(UPGRADE);
    await caller.answer();
    const bytes = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 31) & 255));
    caller.send(bytes);
    assert.ok((await caller.atLeast(bytes.length)).equals(bytes));
    caller.close();
  });

  test('ends for the caller when the upstream ends it', async (t) => {
    const { gateway, sockets } = await setUp(t);
    const caller = new RawCaller(gateway.port).send(UPGRADE);
    await caller.answer();
    sockets[0]!.end('bye');
    assert.equal((await caller.end()).toString(), 'bye');
  });

  test('is refused with 426 where the route does not allow it', async (t) => {
    const { gateway } = await setUp(t, { upgrades: 'tcp' });
    const answer = await new RawCaller(gateway.port).send(UPGRADE).answer();
    assert.equal(answer.status, 426);
    assert.equal(answer.headers['upgrade'], 'tcp');
    assert.match(answer.body.toString(), /upgrades: websocket/);
  });

  test('to anything else is ignored, and the service is asked in HTTP/1.1', async (t) => {
    const upstream = await echoUpstream(t);
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [{ url: upstream.url }] } },
      routes: [
        { match: { path: '/made' }, respond: { status: 200, body: 'made' }, auth: 'public' },
        { match: { path: '/*' }, service: 's', auth: 'public' },
      ],
    });
    for (const protocol of ['h2c', 'TLS/1.2', 'h2c, websocket', 'IRC/6.9']) {
      const caller = new RawCaller(gateway.port);
      for (let i = 0; i < 2; i++) {
        const answer = await caller
          .send(
            `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n`,
          )
          .answer();
        assert.equal(answer.status, 200, protocol);
        const { headers } = JSON.parse(answer.body.toString()) as { headers: string[] };
        assert.ok(!headers.some((name, at) => at % 2 === 0 && /^(upgrade|http2-settings)$/i.test(name)), protocol);
      }
      caller.close();
    }
    const caller = new RawCaller(gateway.port);
    assert.equal((await caller.send(UPGRADE.replace('GET /', 'GET /made')).answer()).status, 200);
    caller.close();
  });

  test("a service's own 426 keeps its Upgrade field", async (t) => {
    const upstream = await httpUpstream(t, (_request, response) =>
      response.writeHead(426, { Upgrade: 'TLS/1.3', Connection: 'Upgrade' }).end(),
    );
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const caller = new RawCaller(gateway.port);
    const answer = await caller.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer();
    assert.equal(answer.status, 426);
    assert.equal(answer.headers['upgrade'], 'TLS/1.3');
    caller.close();
  });

  test('beyond the number of tunnels is refused with 503', async (t) => {
    const { gateway } = await setUp(t, {}, { limits: { maxTunnels: 1 } });
    const first = new RawCaller(gateway.port).send(UPGRADE);
    assert.equal((await first.answer()).status, 101);
    assert.equal((await new RawCaller(gateway.port).send(UPGRADE).answer()).status, 503);
    first.close();
  });

  test('that is silent too long is closed', async (t) => {
    const { gateway } = await setUp(t, {}, { timeouts: { tunnelIdle: '200ms' } });
    const caller = new RawCaller(gateway.port).send(UPGRADE);
    await caller.answer();
    await caller.end();
  });
});

test('server-sent events arrive one by one, as they are sent', async (t) => {
  let send: (text: string) => void = () => {};
  const upstream = await httpUpstream(t, (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.flushHeaders();
    send = (text) => void response.write(text);
  });
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const caller = new RawCaller(gateway.port).send('GET /events HTTP/1.1\r\nHost: a\r\n\r\n');
  const has = async (text: string) => {
    while (!caller.received.includes(text)) await new Promise((resolve) => caller.socket.once('data', resolve));
  };
  await has('text/event-stream');
  for (let i = 0; i < 5; i++) {
    send(`data: ${i}\n\n`);
    await has(`data: ${i}\n\n`);
  }
  caller.close();
});
