/** `protocol: auto`: instances that choose between HTTP/2 and HTTP/1.1 by ALPN, and that change their minds. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer as createHttp } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import { createSecureServer } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { before, describe, test } from 'node:test';
import { Authority } from '../support/certificates.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { suiteScope } from '../support/scope.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const UPGRADE = (host: string) =>
  `GET /ws HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`;

interface Instance {
  readonly port: number;
  /** Open connections. */
  readonly sockets: Set<Socket>;
  opened: number;
  /** Ends it with all of its connections. */
  stop(): Promise<void>;
}

describe('a service whose instances choose by ALPN', () => {
  const scope = suiteScope();
  let certificate: { cert: string; key: string };
  let gateway: TestGateway;
  const instances: Record<string, Instance> = {};

  async function listening(server: Server, port = 0): Promise<Instance> {
    const sockets = new Set<Socket>();
    const made: Instance = {
      port: 0,
      sockets,
      opened: 0,
      stop: async () => {
        const closed = new Promise((resolve) => server.close(resolve));
        for (const socket of sockets) socket.destroy();
        await closed;
      },
    };
    server.on('connection', (socket: Socket) => {
      made.opened++;
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    scope.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return Object.assign(made, { port: (server.address() as AddressInfo).port });
  }

  /** Says which protocol it was asked by. */
  function http2(port = 0, allowHTTP1 = false): Promise<Instance> {
    const server = createSecureServer({ ...certificate, allowHTTP1 });
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => {});
      stream.respond({ ':status': 200 });
      // Those that come together are open together.
      setImmediate(() => stream.end('h2'));
    });
    server.on('upgrade', (request: { headers: Record<string, string> }, socket: Socket) => {
      const key = request.headers['sec-websocket-key'];
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      socket.pipe(socket);
    });
    return listening(server as unknown as Server, port);
  }

  function http1(port = 0, protocols: string[] | null = ['http/1.1']): Promise<Instance> {
    const alpn = protocols === null ? {} : { ALPNProtocols: protocols };
    const server = createHttps({ ...certificate, ...alpn }, (request, response) => response.end(request.httpVersion));
    // Longer than any pause of a busy machine, since connections are counted.
    server.keepAliveTimeout = 600_000;
    return listening(server, port);
  }

  before(async () => {
    const authority = await Authority.create(scope);
    const { certPem, keyPem } = await authority.issue('localhost', ['localhost']);
    certificate = { cert: certPem, key: keyPem };
    const plain = createHttp((request, response) => response.end(request.httpVersion));
    Object.assign(instances, {
      h2: await http2(),
      h1: await http1(),
      silent: await http1(0, null),
      stranger: await http1(0, ['spdy/9']),
      both: await http2(0, true),
      changing: await http2(),
      plain: await listening(plain),
    });
    const tls = { ca: authority.ca.certPem };
    gateway = await startTestGateway(scope, {
      services: Object.fromEntries(
        Object.entries(instances).map(([name, { port }]) => [
          name,
          name === 'plain'
            ? { protocol: 'auto', instances: [`http://localhost:${port}`] }
            : { protocol: 'auto', tls, instances: [`https://localhost:${port}`], pool: { perAddress: '100%' } },
        ]),
      ),
      routes: Object.keys(instances).map((name) => ({
        match: { path: '/*', hosts: `${name}.test` },
        service: name,
        auth: 'public',
        upgrades: ['websocket'],
      })),
    });
  });

  async function ask(name: string): Promise<{ status: number; body: string }> {
    const caller = new RawCaller(gateway.port);
    const answer = await caller.send(`GET / HTTP/1.1\r\nHost: ${name}.test\r\n\r\n`).answer();
    caller.close();
    return { status: answer.status, body: answer.body.toString() };
  }
  /** An instance may be a moment away. */
  async function back(name: string): Promise<void> {
    for (const giveUpMs = Date.now() + 60_000; (await ask(name)).status !== 200; )
      assert.ok(Date.now() < giveUpMs, `${name} does not come back`);
  }
  const asks = (name: string, count: number) => Promise.all(Array.from({ length: count }, () => ask(name)));
  const bodies = async (name: string, count: number) => [
    ...new Set((await asks(name, count)).map(({ status, body }) => `${status} ${body}`)),
  ];

  test('HTTP/2 is chosen: requests that come together wait for one handshake and share its connection', async () => {
    assert.deepEqual(await bodies('h2', 40), ['200 h2']);
    assert.equal(instances['h2']!.opened, 1);
    assert.deepEqual(await bodies('h2', 40), ['200 h2']);
    assert.equal(instances['h2']!.opened, 1);
  });

  test('HTTP/1.1 is chosen: what waited for the handshake gets connections of its own, and it is remembered', async () => {
    assert.deepEqual(await bodies('h1', 20), ['200 1.1']);
    const { opened } = instances['h1']!;
    assert.ok(opened >= 1 && opened <= 20, `${opened}`);
    for (let i = 0; i < 5; i++) assert.deepEqual(await ask('h1'), { status: 200, body: '1.1' });
    assert.equal(instances['h1']!.opened, opened);
  });

  test('an instance that does not know ALPN speaks HTTP/1.1, and so do those without TLS', async () => {
    assert.deepEqual(await bodies('silent', 3), ['200 1.1']);
    assert.deepEqual(await bodies('plain', 3), ['200 1.1']);
  });

  test('an instance that takes neither is a fault of TLS, told as such', async () => {
    const { status, body } = await ask('stranger');
    assert.deepEqual([status, (JSON.parse(body) as { reason: string }).reason], [502, 'upstream_tls_failed']);
  });

  test('an instance that comes back with the other protocol is followed, both ways', async () => {
    assert.deepEqual(await bodies('changing', 5), ['200 h2']);
    const { port, stop } = instances['changing']!;
    await stop();
    const older = await http1(port);
    await back('changing');
    assert.deepEqual(await bodies('changing', 5), ['200 1.1']);
    await older.stop();
    await http2(port);
    await back('changing');
    assert.deepEqual(await bodies('changing', 5), ['200 h2']);
  });

  test('a WebSocket goes over HTTP/1.1 where the instance has not offered it over HTTP/2; requests stay there', async () => {
    assert.deepEqual(await ask('both'), { status: 200, body: 'h2' });
    const caller = new RawCaller(gateway.port).send(UPGRADE('both.test'));
    assert.equal((await caller.answer()).status, 101);
    caller.send('hello');
    assert.equal((await caller.atLeast(5)).toString(), 'hello');
    assert.deepEqual(await ask('both'), { status: 200, body: 'h2' });
    assert.equal(instances['both']!.opened, 2);
    caller.close();
  });
});
