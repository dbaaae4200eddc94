/** HTTP/2 to instances: many requests on one connection, what an instance has not processed, and instances that lie. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { Http2Server, ServerHttp2Stream } from 'node:http2';
import { createSecureServer, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import * as f from '../../src/data/http2/frames.ts';
import { Authority } from '../support/certificates.ts';
import { startTestGateway } from '../support/gateway.ts';
import { block, fieldOf, frame, get, Http2Peer, numbered, post } from '../support/http2-peer.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';

const BIG = randomBytes(2 * 1024 * 1024);
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function listening(t: Scope, server: Http2Server): Promise<number> {
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => void sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function answer(stream: ServerHttp2Stream, path: string): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  if (path === '/trailers') {
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7' }));
    stream.end('body');
    return;
  }
  stream.respond({ ':status': 200, 'set-cookie': ['a=1', 'b=2'] });
  stream.end(path === '/big' ? BIG : `${path} ${sha(Buffer.concat(parts))}`);
}

/** An instance as Node's own HTTP/2 makes it. */
async function nodeInstance(t: Scope): Promise<{ url: string; sessions: () => number }> {
  let sessions = 0;
  const server = createServer();
  server.on('session', () => void sessions++);
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    answer(stream as ServerHttp2Stream, headers[':path']!).catch(() => {});
  });
  return { url: `http://127.0.0.1:${await listening(t, server)}`, sessions: () => sessions };
}

const gatewayFor = (t: Scope, url: string, more: Record<string, unknown> = {}) =>
  startTestGateway(t, {
    services: { s: { instances: [url], protocol: 'h2', ...more } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });

const HEAD = f.END_HEADERS;
const status = (code: string, more: readonly (readonly [string, string])[] = []) => block([[':status', code], ...more]);

describe('HTTP/2 to instances', () => {
  test('a hundred requests at once share one connection, whatever the client speaks', async (t) => {
    const instance = await nodeInstance(t);
    const gateway = await gatewayFor(t, instance.url);
    const body = randomBytes(30_000);
    const texts = await Promise.all(
      Array.from({ length: 100 }, async (_, i) =>
        (await fetch(`${gateway.url}/n${i}`, { method: 'POST', body })).text(),
      ),
    );
    assert.deepEqual(
      texts,
      texts.map((_, i) => `/n${i} ${sha(body)}`),
    );
    assert.equal(instance.sessions(), 1);
    const big = Buffer.from(await (await fetch(`${gateway.url}/big`)).arrayBuffer());
    assert.equal(sha(big), sha(BIG));
    const upload = await fetch(`${gateway.url}/up`, { method: 'PUT', body: BIG });
    assert.equal(await upload.text(), `/up ${sha(BIG)}`);
    assert.deepEqual(upload.headers.getSetCookie(), ['a=1', 'b=2']);
    assert.match(upload.headers.get('via')!, /^2\.0 /);
  });

  test('HTTP/2 on both sides: bodies and trailers', async (t) => {
    const gateway = await gatewayFor(t, (await nodeInstance(t)).url);
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, get('/trailers', [['te', 'trailers']]));
    peer.headers(3, get('/big'));
    const [first] = await Promise.all([peer.response(1), peer.response(3)]);
    assert.deepEqual([first.body, first.trailers?.fields], ['body', [['x-sum', '7']]]);
    assert.equal(sha(peer.body(3)), sha(BIG));
  });

  test('over TLS the instance chooses HTTP/2 by ALPN; one that does not is no instance', async (t) => {
    const authority = await Authority.create(t);
    const { certPem, keyPem } = await authority.issue('localhost', ['localhost']);
    const fine = createSecureServer({ cert: certPem, key: keyPem });
    fine.on('stream', (stream, headers) => void answer(stream as ServerHttp2Stream, headers[':path']!));
    const { createServer: createHttps } = await import('node:https');
    const old = createHttps({ cert: certPem, key: keyPem, ALPNProtocols: ['http/1.1'] }, (_request, response) =>
      response.end('1.1'),
    );
    const ports = await Promise.all([
      listening(t, fine as unknown as Http2Server),
      listening(t, old as unknown as Http2Server),
    ]);
    const tls = { ca: authority.ca.cert };
    const [good, bad] = await Promise.all(
      ports.map((port) => gatewayFor(t, `https://localhost:${port}`, { tls, retries: 0 })),
    );
    assert.equal(await (await fetch(`${good!.url}/a`)).text(), `/a ${sha(Buffer.alloc(0))}`);
    const refused = await fetch(`${bad!.url}/a`);
    assert.deepEqual(
      [refused.status, ((await refused.json()) as { reason: string }).reason],
      [502, 'upstream_tls_failed'],
    );
  });

  test('RFC 9113 §8.7: a request that was refused, or stands above the last of a GOAWAY, is sent again, a POST too', async (t) => {
    let seen = 0;
    const upstream = await Http2Peer.serve(t, (peer, nth) => {
      void (async () => {
        for (let i = 0; ; i++) {
          const { stream } = await peer.request(i);
          seen++;
          if (seen === 1) peer.send(numbered(f.RST_STREAM, stream, f.REFUSED_STREAM));
          else if (nth === 0) peer.send(frame(f.GOAWAY, 0, 0, Buffer.concat([Buffer.alloc(4), Buffer.alloc(4)])));
          else peer.send(frame(f.HEADERS, HEAD | f.END_STREAM, stream, status('201')));
        }
      })().catch(() => {});
    });
    const gateway = await gatewayFor(t, upstream.url, { retries: { attempts: 3, budget: '100%' } });
    const response = await fetch(`${gateway.url}/a`, { method: 'POST', body: 'x' });
    assert.deepEqual([response.status, seen, upstream.connections], [201, 3, 2]);
  });

  test('a stream that is reset is the fault of its own request alone, and never a clean end', async (t) => {
    const upstream = await Http2Peer.serve(t, (peer) => {
      void (async () => {
        const [a, b] = [await peer.request(0), await peer.request(1)];
        for (const { stream } of [a, b])
          peer.send(frame(f.HEADERS, HEAD, stream, status('200')), frame(f.DATA, 0, stream, 'half '));
        // As servers do that have no length to tell (nodejs/node#56627).
        peer.send(numbered(f.RST_STREAM, a.stream, f.NO_ERROR));
        peer.send(frame(f.DATA, f.END_STREAM, b.stream, 'whole'));
      })().catch(() => {});
    });
    const gateway = await gatewayFor(t, upstream.url, { retries: 0 });
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, get('/a'));
    await until(() => upstream.connections === 1, 'the first request is there');
    peer.headers(3, get('/b'));
    assert.equal((await peer.response(3)).body, 'half whole');
    assert.equal(await peer.reset(1), f.INTERNAL_ERROR);
    assert.ok(
      !peer.frames.some(({ stream, flags, type }) => stream === 1 && type <= 1 && (flags & f.END_STREAM) !== 0),
    );
  });

  test('a GOAWAY lets what is open finish; what comes next goes to a new connection', async (t) => {
    const upstream = await Http2Peer.serve(t, (peer, nth) => {
      void (async () => {
        const { stream } = await peer.request(0);
        if (nth === 0) peer.send(frame(f.GOAWAY, 0, 0, Buffer.concat([Buffer.of(0, 0, 0, stream), Buffer.alloc(4)])));
        peer.send(frame(f.HEADERS, HEAD, stream, status('200')), frame(f.DATA, f.END_STREAM, stream, `${nth}`));
      })().catch(() => {});
    });
    const gateway = await gatewayFor(t, upstream.url);
    assert.equal(await (await fetch(gateway.url)).text(), '0');
    assert.equal(await (await fetch(gateway.url)).text(), '1');
  });

  test('an instance that takes two requests at a time gets more connections, up to the limit', async (t) => {
    const held: { peer: Http2Peer; stream: number }[] = [];
    const upstream = await Http2Peer.serve(
      t,
      (peer) => {
        void (async () => {
          for (let i = 0; ; i++) held.push({ peer, stream: (await peer.request(i)).stream });
        })().catch(() => {});
      },
      [[f.SETTING_MAX_CONCURRENT_STREAMS, 2]],
    );
    const gateway = await gatewayFor(t, upstream.url, { pool: { maxConnections: 2 } });
    const first = fetch(`${gateway.url}/first`);
    await until(() => held.length === 1, 'the settings are known');
    const rest = Array.from({ length: 4 }, (_, i) => fetch(`${gateway.url}/${i}`));
    // More, when they come before the settings of the second connection.
    await until(() => held.length >= 4, 'four are on their way');
    assert.equal(upstream.connections, 2);
    for (let i = 0; i < 5; i++) {
      await until(() => held.length > i, 'one more comes');
      held[i]!.peer.send(frame(f.HEADERS, HEAD | f.END_STREAM, held[i]!.stream, status('204')));
    }
    for (const response of await Promise.all([first, ...rest])) assert.equal(response.status, 204);
  });

  test('a client that reads slowly stops its own stream and no other one on the same connection', async (t) => {
    const gateway = await gatewayFor(t, (await nodeInstance(t)).url);
    const slow = await Http2Peer.connect(t, gateway.port, [[f.SETTING_INITIAL_WINDOW_SIZE, 1000]]);
    slow.credits = false;
    slow.headers(1, get('/big'));
    await slow.head(1);
    const other = Buffer.from(await (await fetch(`${gateway.url}/big`)).arrayBuffer());
    assert.equal(sha(other), sha(BIG));
    slow.credits = true;
    slow.send(numbered(f.WINDOW_UPDATE, 1, 1 << 24), numbered(f.WINDOW_UPDATE, 0, 1 << 24));
    await slow.response(1);
    assert.equal(sha(slow.body(1)), sha(BIG));
  });
});

const LIES: readonly { name: string; send: (stream: number) => Uint8Array[] }[] = [
  { name: '§8.3.2: no status', send: (id) => [frame(f.HEADERS, HEAD | 1, id, block([['a', 'b']]))] },
  { name: '§8.3.2: a status that is none', send: (id) => [frame(f.HEADERS, HEAD | 1, id, status('2xx'))] },
  {
    name: '§8.3.2: two statuses',
    send: (id) => [
      frame(
        f.HEADERS,
        HEAD | 1,
        id,
        block([
          [':status', '200'],
          [':status', '200'],
        ]),
      ),
    ],
  },
  {
    name: '§8.3: a pseudo-field of requests',
    send: (id) => [frame(f.HEADERS, HEAD | 1, id, status('200', [[':path', '/']]))],
  },
  {
    name: '§8.2.1: CRLF in a value',
    send: (id) => [frame(f.HEADERS, HEAD | 1, id, status('200', [['a', 'b\r\nset-cookie: c=d']]))],
  },
  { name: '§8.2.1: a capital in a name', send: (id) => [frame(f.HEADERS, HEAD | 1, id, status('200', [['A', 'b']]))] },
  {
    name: '§8.2.2: Transfer-Encoding',
    send: (id) => [frame(f.HEADERS, HEAD | 1, id, status('200', [['transfer-encoding', 'chunked']]))],
  },
  { name: '§8.6: a 101', send: (id) => [frame(f.HEADERS, HEAD, id, status('101'))] },
  { name: '§8.1: an interim response that ends', send: (id) => [frame(f.HEADERS, HEAD | 1, id, status('103'))] },
  { name: '§8.1: a body without a head', send: (id) => [frame(f.DATA, 1, id, 'x')] },
  {
    name: '§8.1.1: Content-Length without a body',
    send: (id) => [frame(f.HEADERS, HEAD | 1, id, status('200', [['content-length', '5']]))],
  },
  {
    name: 'interim responses without end',
    send: (id) =>
      Array.from({ length: 40 }, () => frame(f.HEADERS, HEAD, id, status('103', [['a', 'b'.repeat(4000)]]))),
  },
  { name: '§4.3: a block that cannot be decoded', send: (id) => [frame(f.HEADERS, HEAD | 1, id, Buffer.of(0xff))] },
  { name: '§6.6: a push', send: (id) => [frame(f.PUSH_PROMISE, HEAD, id, Buffer.of(0, 0, 0, 2))] },
  {
    name: 'RFC 9218 §7.1: PRIORITY_UPDATE, which is for clients',
    send: (id) => [
      frame(f.PRIORITY_UPDATE, 0, 0, Buffer.of(0, 0, 0, id, 0x75, 0x3d, 0x31)),
      frame(f.HEADERS, HEAD | 1, id, status('204')),
    ],
  },
  { name: '§4.2: a frame that is too long', send: (id) => [frame(f.HEADERS, HEAD, id, Buffer.alloc(20_000))] },
];

describe('an instance that lies', () => {
  for (const { name, send } of LIES) {
    test(`${name} is 502 and nothing of it passes`, async (t) => {
      const upstream = await Http2Peer.serve(t, (peer) => {
        void peer.request(0).then(
          ({ stream }) => peer.send(...send(stream)),
          () => {},
        );
      });
      const gateway = await gatewayFor(t, upstream.url, { retries: 0 });
      const response = await fetch(gateway.url);
      assert.equal(response.status, 502);
      assert.deepEqual(response.headers.getSetCookie(), []);
    });
  }

  test('§8.1.1: a body that is longer or shorter than declared breaks off', async (t) => {
    const upstream = await Http2Peer.serve(t, (peer) => {
      void (async () => {
        for (let i = 0; ; i++) {
          const request = await peer.request(i);
          const text = fieldOf(request, ':path') === '/long' ? '123456' : '1234';
          peer.send(
            frame(f.HEADERS, HEAD, request.stream, status('200', [['content-length', '5']])),
            frame(f.DATA, 1, request.stream, text),
          );
        }
      })().catch(() => {});
    });
    const gateway = await gatewayFor(t, upstream.url, { retries: 0 });
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, get('/long'));
    peer.headers(3, post('/short'));
    assert.deepEqual([await peer.reset(1), await peer.reset(3)], [f.INTERNAL_ERROR, f.INTERNAL_ERROR]);
  });
});
