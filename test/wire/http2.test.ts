/** HTTP/2 through a whole gateway: bodies both ways, backpressure, order, cancelling, tunnels, deadlines, the end. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { before, describe, test } from 'node:test';
import * as f from '../../src/data/http2/frames.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { block, fieldOf, frame, get, Http2Peer, numbered, post } from '../support/http2-peer.ts';
import { suiteScope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import type { Upstream } from '../support/upstream.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

const BIG = randomBytes(3 * 1024 * 1024);
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('HTTP/2 downstream', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  /** With short deadlines, for what these do. */
  let impatient: TestGateway;
  let upstream: Upstream & { server: import('node:http').Server };
  const gone: string[] = [];
  const held: { request: IncomingMessage; response: ServerResponse }[] = [];
  before(async () => {
    upstream = await httpUpstream(scope, (request, response) => {
      response.on('close', () => {
        if (!response.writableFinished) gone.push(request.url!);
      });
      const path = request.url!;
      if (path === '/big') response.end(BIG);
      else if (path === '/cut') {
        response.writeHead(200, { 'Content-Length': 100 });
        response.write('half');
        setImmediate(() => response.destroy());
      } else if (path === '/hash')
        void readAll(request).then(
          (bytes) => response.end(sha(bytes)),
          () => {},
        );
      else if (path === '/early') response.writeHead(401).end('no');
      else held.push({ request, response });
    });
    upstream.server.on('upgrade', (request, socket) => {
      socket.on('error', () => {});
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x${request.headers['sec-websocket-key']?.length}\r\n\r\nhi`,
      );
      socket.on('data', (bytes: Buffer) => socket.write(bytes.toString('latin1').toUpperCase()));
      socket.on('end', () => socket.end('bye'));
    });
    const http2 = { streamWindow: 65_535, connectionWindow: 200_000 };
    const settings = {
      services: { s: { instances: [upstream.url], retries: 0 } },
      routes: [
        { match: { path: '/*' }, service: 's', auth: 'public', upgrades: ['websocket'] },
        ...['/stuck', '/early'].map((path) => ({
          match: { path },
          service: 's',
          auth: 'public',
          requestBuffer: 'off',
        })),
      ],
    };
    [gateway, impatient] = await Promise.all([
      startTestGateway(scope, { ...settings, gateway: { http2 } }),
      startTestGateway(scope, {
        ...settings,
        gateway: { http2, timeouts: { bodyIdle: '1s', head: '2s', write: '1s' } },
      }),
    ]);
  });

  const take = async (path: string) => {
    await until(() => held.some(({ request }) => request.url === path), `the service has ${path}`);
    return held.find(({ request }) => request.url === path)!;
  };

  test('a large response arrives as it was sent, in frames that every client takes', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, get('/big'));
    await peer.response(1);
    assert.equal(sha(peer.body(1)), sha(BIG));
    assert.ok(peer.frames.every(({ payload }) => payload.length <= f.FRAME_BYTES));
  });

  test('an upload arrives as it was sent, and credit comes back for it', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, post('/hash', [['content-length', `${BIG.length}`]]), f.END_HEADERS);
    let sent = 0;
    const windows = () => {
      let [stream, connection] = [65_535, 200_000];
      for (const { type, stream: id, payload } of peer.frames) {
        if (type !== f.WINDOW_UPDATE) continue;
        if (id === 1) stream += payload.readUInt32BE(0);
        else if (payload.readUInt32BE(0) !== 200_000 - 65_535) connection += payload.readUInt32BE(0);
      }
      return Math.min(stream, connection) - sent;
    };
    while (sent < BIG.length) {
      await until(() => windows() > 0 || peer.isClosed, 'there is a window');
      const take = Math.min(windows(), f.FRAME_BYTES, BIG.length - sent);
      peer.data(1, BIG.subarray(sent, sent + take), sent + take === BIG.length ? f.END_STREAM : 0);
      sent += take;
    }
    assert.equal((await peer.response(1)).body, sha(BIG));
  });

  test('a request split at every byte is the same request', async (t) => {
    const whole = Buffer.concat([
      frame(f.HEADERS, f.END_HEADERS, 1, block(post('/hash'))),
      frame(f.DATA, f.PADDED, 1, Buffer.concat([Buffer.of(2), Buffer.from('hello '), Buffer.alloc(2)])),
      frame(f.DATA, f.END_STREAM, 1, 'world'),
    ]);
    for (let at = 1; at < whole.length; at++) {
      const peer = await Http2Peer.connect(t, gateway.port);
      await new Promise((resolve) => peer.socket.write(whole.subarray(0, at), resolve));
      peer.send(whole.subarray(at));
      assert.equal((await peer.response(1)).body, sha(Buffer.from('hello world')), `split at ${at}`);
      peer.socket.destroy();
    }
  });

  test('a stream whose service does not read holds no other one up, and no more than its window', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, post('/stuck'), f.END_HEADERS);
    const { request } = await take('/stuck');
    request.pause();
    for (let i = 0; i < 3; i++) peer.data(1, Buffer.alloc(f.FRAME_BYTES));
    peer.headers(3, post('/hash'), f.END_HEADERS);
    peer.data(3, 'other', f.END_STREAM);
    assert.equal((await peer.response(3)).body, sha(Buffer.from('other')));
    peer.send(numbered(f.RST_STREAM, 1, f.CANCEL));
    await until(() => gone.includes('/stuck'), 'the service hears of it');
  });

  test('a response that breaks off is a reset and never a clean end', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, get('/cut'));
    assert.equal(await peer.reset(1), f.INTERNAL_ERROR);
    assert.ok(
      !peer.frames.some(({ stream, flags, type }) => stream === 1 && type <= 1 && (flags & f.END_STREAM) !== 0),
    );
  });

  test('a cancelled request is cancelled at the service, and the connection goes on', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, get('/cancelled'));
    await take('/cancelled');
    peer.send(numbered(f.RST_STREAM, 1, f.CANCEL));
    await until(() => gone.includes('/cancelled'), 'the service hears of it');
    peer.headers(3, get('/early'));
    assert.equal((await peer.response(3)).status, '401');
  });

  test('RFC 9113 §8.1: an early response to an upload is whole, and the client is asked to stop without an error', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, post('/early'), f.END_HEADERS);
    peer.data(1, Buffer.alloc(1000));
    const { status, body } = await peer.response(1);
    assert.deepEqual([status, body], ['401', 'no']);
    assert.equal(await peer.reset(1), f.NO_ERROR);
  });

  test('RFC 9218: of what waits for the window of the connection, the more urgent goes first', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port, [[f.SETTING_INITIAL_WINDOW_SIZE, 1 << 24]]);
    peer.credits = false;
    peer.headers(1, get('/big', [['priority', 'u=6']]));
    await until(() => peer.body(1).length === f.INITIAL_WINDOW, 'the window is used up');
    peer.headers(3, get('/big', [['priority', 'u=1']]));
    await peer.head(3);
    await peer.settled();
    peer.send(numbered(f.WINDOW_UPDATE, 0, 10_000));
    await until(() => peer.body(3).length === 10_000, 'the urgent one goes on');
    assert.equal(peer.body(1).length, f.INITIAL_WINDOW);
    peer.send(frame(f.PRIORITY_UPDATE, 0, 0, Buffer.concat([Buffer.of(0, 0, 0, 1), Buffer.from('u=0')])));
    peer.send(numbered(f.WINDOW_UPDATE, 0, 5_000));
    await until(() => peer.body(1).length === f.INITIAL_WINDOW + 5_000, 'the other one goes on');
    assert.equal(peer.body(3).length, 10_000);
    peer.send(numbered(f.WINDOW_UPDATE, 0, 2 * BIG.length));
    await Promise.all([peer.response(1), peer.response(3)]);
    assert.equal(sha(peer.body(1)), sha(BIG));
  });

  test('RFC 8441: a WebSocket is a tunnel both ways, and ends with its stream', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(
      1,
      [[':method', 'CONNECT'], [':protocol', 'websocket'], ...get('/ws').slice(1), ['sec-websocket-version', '13']],
      f.END_HEADERS,
    );
    const head = await peer.head(1);
    assert.equal(fieldOf(head, ':status'), '200');
    assert.equal(fieldOf(head, 'sec-websocket-accept'), undefined);
    peer.data(1, 'hello');
    await until(() => peer.body(1).toString() === 'hiHELLO', 'it comes back');
    peer.data(1, '', f.END_STREAM);
    await peer.frame(({ stream, type, flags }) => stream === 1 && (type === f.RST_STREAM || (flags & 1) === 1));
  });

  test('RFC 8441 §5: a client that ends its side of a tunnel before it is there has one that ends', async (t) => {
    const tunnel = [[':method', 'CONNECT'], [':protocol', 'websocket'], ...get('/ws').slice(1)] as [string, string][];
    const peer = await Http2Peer.connect(t, gateway.port);
    // With the head; behind it; behind bytes that wait for the tunnel.
    peer.headers(1, tunnel, f.END_HEADERS | f.END_STREAM);
    peer.headers(3, tunnel, f.END_HEADERS);
    peer.data(3, '', f.END_STREAM);
    peer.headers(5, tunnel, f.END_HEADERS);
    peer.data(5, 'x', f.END_STREAM);
    for (const id of [1, 3, 5])
      await peer.frame(({ stream, type, flags }) => stream === id && (type === f.RST_STREAM || (flags & 1) === 1));
  });

  test('a body that stops is answered with 408, a client that opens no window is reset', async (t) => {
    const peer = await Http2Peer.connect(t, impatient.port, [[f.SETTING_INITIAL_WINDOW_SIZE, 100]]);
    peer.credits = false;
    peer.headers(1, post('/hash'), f.END_HEADERS);
    peer.data(1, 'some');
    peer.headers(3, get('/big'));
    assert.equal(await peer.reset(3), f.CANCEL);
    assert.equal(fieldOf(await peer.head(1), ':status'), '408');
  });

  test('a frame, a field block or a preface that does not come to its end closes the connection', async (t) => {
    const [half, open, begun] = await Promise.all([
      Http2Peer.connect(t, impatient.port),
      Http2Peer.connect(t, impatient.port),
      Http2Peer.connect(t, impatient.port, null),
    ]);
    half.send(frame(f.PING, 0, 0, '12345678').subarray(0, 12));
    open.headers(1, get('/'), f.END_STREAM);
    begun.send(f.PREFACE.subarray(0, 20));
    await Promise.all([half.goaway(), open.goaway(), begun.goaway()]);
    await Promise.all([half.closed(), open.closed(), begun.closed()]);
  });

  test('metrics know connections and requests', async () => {
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    const count = (name: string): number => Number(new RegExp(`^gatehouse_${name} (\\d+)$`, 'm').exec(text)?.[1]);
    assert.ok(count('http2_requests_total') > 10);
    assert.ok(count('http2_connections_accepted_total') > 10);
    await until(() => upstream.connections > 0, 'there was an upstream');
  });
});

describe('the end of a connection', () => {
  test('RFC 9113 §6.8: on shutdown a request in flight is answered, one that was on its way too, in two steps', async (t) => {
    const held: ServerResponse[] = [];
    const upstream = await httpUpstream(t, (request, response) => {
      if (request.url === '/held') held.push(response);
      else response.end('late');
    });
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [upstream.url] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, get('/held'));
    await until(() => held.length === 1, 'the service has it');
    const stopped = gateway.stop({ timeoutMs: 5_000 });
    const goaways = () =>
      peer.frames.filter(({ type }) => type === f.GOAWAY).map(({ payload }) => payload.readUInt32BE(0));
    await until(() => goaways().length === 1, 'the first step');
    assert.deepEqual(goaways(), [f.MOST_STREAM_ID]);
    peer.headers(3, get('/late'));
    assert.equal((await peer.response(3)).body, 'late');
    await until(() => goaways().length === 2, 'the second step');
    held[0]!.end('done');
    assert.equal((await peer.response(1)).body, 'done');
    await peer.closed();
    assert.equal(goaways()[1], 3);
    await stopped;
  });

  test('a connection without requests is closed after `keepAlive`, and after its number of requests', async (t) => {
    const gateway = await startTestGateway(t, {
      gateway: { timeouts: { keepAlive: '200ms' }, limits: { maxRequestsPerConnection: 2 } },
      routes: [{ match: { path: '/*' }, respond: { status: 200, body: 'x' }, auth: 'public' }],
    });
    const idle = await Http2Peer.connect(t, gateway.port);
    await idle.closed();
    const busy = await Http2Peer.connect(t, gateway.port);
    busy.headers(1, get('/'));
    busy.headers(3, get('/'));
    await Promise.all([busy.response(1), busy.response(3)]);
    await busy.frame(({ type }) => type === f.GOAWAY);
  });

  test('`protocols` of a listener: HTTP/1.1 alone refuses the preface, HTTP/2 alone takes nothing else', async (t) => {
    const respond = { match: { path: '/*' }, respond: { status: 200, body: 'x' }, auth: 'public' };
    const start = (protocols: string[]) =>
      startTestGateway(t, {
        gateway: { port: undefined, host: undefined, listeners: [{ host: '127.0.0.1', port: 0, protocols }] },
        routes: [respond],
      });
    const [h1, h2] = await Promise.all([start(['h1']), start(['h2'])]);
    const refused = await Http2Peer.connect(t, h1.port);
    await refused.closed();
    assert.equal(refused.frames.length === 0 || refused.frames[0]!.type !== f.SETTINGS, true);
    assert.equal((await fetch(h1.url)).status, 200);
    const taken = await Http2Peer.connect(t, h2.port);
    taken.headers(1, get('/'));
    assert.equal((await taken.response(1)).status, '200');
    await assert.rejects(fetch(h2.url));
  });
});
