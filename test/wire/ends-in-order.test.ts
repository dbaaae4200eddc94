/**
 * What still runs when the gateway ends: it hears of it and has its line; and connections that an instance closes soon.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as f from '../../src/data/http2/frames.ts';
import { startTestGateway } from '../support/gateway.ts';
import { get, Http2Peer } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { cannedUpstream, rawUpstream } from '../support/upstream.ts';

test('a WebSocket that the end cuts off gets a close frame 1001, and each stream its line in the access log', async (t) => {
  const message = Buffer.from([0x82, 0x03, 1, 2, 3]);
  const upstream = await rawUpstream(t, (socket) => {
    socket.on('data', (bytes: Buffer) => {
      if (bytes.includes('/stream')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart');
      else if (bytes.includes('GET /'))
        socket.write(
          Buffer.concat([
            Buffer.from('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
            bytes.includes('/cut') ? message.subarray(0, 3) : message,
          ]),
        );
    });
  });
  const gateway = await startTestGateway(t, {
    gateway: { accessLog: { file: 'access.log' } },
    services: { s: { instances: [upstream.url] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const log = join(gateway.folder, 'access.log');
  const upgrade = (path: string) =>
    new RawCaller(gateway.port).send(
      `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
  const whole = upgrade('/whole');
  const cut = upgrade('/cut');
  const stream = new RawCaller(gateway.port).send('GET /stream HTTP/1.1\r\nHost: a\r\n\r\n');
  const has = async (caller: RawCaller, bytes: Buffer | string): Promise<void> => {
    while (!caller.received.includes(bytes)) await caller.atLeast(caller.received.length + 1);
  };
  await has(whole, message);
  await has(cut, message.subarray(0, 3));
  await has(stream, 'part');
  await gateway.stop({ timeoutMs: 200 });
  const rest = await whole.end();
  assert.deepEqual([...rest.subarray(-4)], [0x88, 0x02, 0x03, 0xe9]);
  const inside = await cut.end();
  assert.deepEqual([...inside.subarray(-3)], [...message.subarray(0, 3)], 'nothing stands inside another frame');
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  for (const [path, status] of [
    ['/whole', 101],
    ['/cut', 101],
    ['/stream', 200],
  ] as const) {
    const line = lines.find((each) => each.includes(`"path":"${path}"`));
    assert.ok(line !== undefined, `${path} is in the log`);
    const { fault, cause, ...record } = JSON.parse(line);
    assert.deepEqual(
      [record.status, fault, cause],
      [status, 'shutting_down', 'cut off: the gateway or its listener ends'],
    );
  }
});

test('over HTTP/2 as well: the close frame, the end of the stream, and a line in the access log', async (t) => {
  const message = Buffer.from([0x82, 0x03, 1, 2, 3]);
  const upstream = await rawUpstream(t, (socket) => {
    socket.on('data', (bytes: Buffer) => {
      if (bytes.includes('/stream')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart');
      else if (bytes.includes('GET /'))
        socket.write(
          Buffer.concat([
            Buffer.from('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
            bytes.includes('/cut') ? message.subarray(0, 3) : message,
          ]),
        );
    });
  });
  const gateway = await startTestGateway(t, {
    gateway: { accessLog: { file: 'access.log' } },
    services: { s: { instances: [upstream.url] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const log = join(gateway.folder, 'access.log');
  const peer = await Http2Peer.connect(t, gateway.port);
  const connect = (path: string) =>
    [
      [':method', 'CONNECT'],
      [':protocol', 'websocket'],
      ...get(path).slice(1),
      ['sec-websocket-version', '13'],
    ] as const;
  peer.headers(1, connect('/whole'), f.END_HEADERS);
  peer.headers(3, connect('/cut'), f.END_HEADERS);
  peer.headers(5, get('/stream'), f.END_HEADERS | f.END_STREAM);
  await until(
    () => peer.body(1).length === 5 && peer.body(3).length === 3 && peer.body(5).length === 4,
    'all of them run',
    60_000,
  );
  await gateway.stop({ timeoutMs: 200 });
  await until(() => peer.isClosed, 'the connection ends', 60_000);
  assert.deepEqual([...peer.body(1)], [...message, 0x88, 0x02, 0x03, 0xe9]);
  assert.deepEqual([...peer.body(3)], [...message.subarray(0, 3)], 'nothing stands inside another frame');
  const lastOf = (id: number) =>
    peer.frames.filter(({ stream, type }) => stream === id && type !== f.WINDOW_UPDATE).at(-1);
  const ending = peer.frames.filter(({ stream, flags, type }) => stream === 1 && type === f.DATA && (flags & 1) === 1);
  assert.equal(ending.length, 1, 'the tunnel ends as a connection does (RFC 8441 §5)');
  assert.equal(lastOf(5)?.type, f.RST_STREAM, 'half a response does not look whole');
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  for (const [path, status] of [
    ['/whole', 101],
    ['/cut', 101],
    ['/stream', 200],
  ] as const) {
    const line = lines.find((each) => each.includes(`"path":"${path}"`));
    assert.ok(line !== undefined, `${path} is in the log`);
    const { fault, cause, ...record } = JSON.parse(line);
    assert.deepEqual(
      [record.status, fault, cause],
      [status, 'shutting_down', 'cut off: the gateway or its listener ends'],
    );
  }
});

test('`Keep-Alive: timeout` of a service is obeyed: an older connection is not used again', async (t) => {
  const upstream = await cannedUpstream(t, 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok');
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [upstream.url], pool: { idleTimeout: '60s' } } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  assert.equal((await fetch(`${gateway.url}/x`)).status, 200);
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.equal((await fetch(`${gateway.url}/x`)).status, 200);
  assert.equal(upstream.connections, 2);
});

test('`shutdownDelay`: readiness fails at once, and new connections are served until the delay is over', async (t) => {
  const gateway = await startTestGateway(t, {
    gateway: { shutdownDelay: '8s' },
    routes: [{ match: { path: '/x' }, respond: { body: 'ok' }, auth: 'public' }],
  });
  const status = async (path: string): Promise<number> => {
    const caller = new RawCaller(gateway.port).send(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    return (await caller.answer()).status;
  };
  assert.equal(await status('/health/ready'), 200);
  const kept = new RawCaller(gateway.port);
  const ask = () => kept.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n').answer();
  assert.equal((await ask()).headers['connection'], undefined);
  const stopped = gateway.stop({ timeoutMs: 500 });
  assert.equal(await status('/health/ready'), 503);
  assert.equal(await status('/x'), 200);
  // Who has a connection already is told that this is its last response, and loses none of them.
  const last = await ask();
  assert.deepEqual([last.status, last.headers['connection']], [200, 'close']);
  await kept.end();
  await stopped;
  await assert.rejects(status('/x'));
});
