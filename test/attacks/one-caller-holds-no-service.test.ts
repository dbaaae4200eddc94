/**
 * Rule: what one caller is slow with is not taken from others. A request body holds a connection to a service only when
 * it is whole or its first 64 KB are here.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { END_HEADERS } from '../../src/data/http2/frames.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { Http2Peer, post } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream, readAll, type Upstream } from '../support/upstream.ts';

/** A service with room for few, which says how many bytes came. */
async function service(scope: Scope): Promise<Upstream> {
  return await httpUpstream(scope, (request, response) => {
    void readAll(request).then(
      (body) => response.end(String(body.length)),
      () => response.destroy(),
    );
  });
}

async function inFront(
  scope: Scope,
  upstream: Upstream,
  options: object = {},
  route: object = {},
): Promise<TestGateway> {
  return await startTestGateway(scope, {
    services: {
      s: { instances: [upstream.url], pool: { maxConnections: 8, maxQueued: 8, queueTimeout: '2s' }, ...options },
    },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public', ...route }],
  });
}

async function statuses(gateway: TestGateway, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i++) {
    const response = await fetch(`${gateway.url}/calm`, {
      method: i % 2 === 0 ? 'GET' : 'POST',
      ...(i % 2 === 0 ? {} : { body: 'hello' }),
    });
    await response.text();
    found.push(response.status);
  }
  return found;
}

/** Clients that have sent a head and go on a byte at a time, until the test ends. */
async function crawl(
  scope: Scope,
  gateway: TestGateway,
  count: number,
  head: string,
  byte: string,
): Promise<RawCaller[]> {
  const callers = Array.from({ length: count }, () => new RawCaller(gateway.port).send(head));
  let rounds = 0;
  const timer = setInterval(() => {
    rounds++;
    for (const caller of callers) if (!caller.closed) caller.send(byte);
  }, 250);
  scope.after(() => {
    clearInterval(timer);
    for (const caller of callers) caller.close();
  });
  await until(() => rounds >= 2, 'every crawling client has sent two bytes');
  return callers;
}

const WITH_LENGTH = 'POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 8192\r\n\r\n';
const CHUNKED = 'POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';

describe('300 uploads of a byte at a time', () => {
  for (const [name, head, byte] of [
    ['with a length', WITH_LENGTH, 'x'],
    ['in chunks', CHUNKED, '1\r\nx\r\n'],
  ] as const) {
    test(`${name} hold no connection to the service, and others get 200`, async (t) => {
      const upstream = await service(t);
      const gateway = await inFront(t, upstream);
      await crawl(t, gateway, 300, head, byte);
      assert.equal(upstream.connections, 0);
      assert.deepEqual(await statuses(gateway, 40), new Array(40).fill(200));
    });
  }
});

test('300 streams over HTTP/2 that send a byte at a time hold no connection to the service either', async (t) => {
  const upstream = await service(t);
  const gateway = await inFront(t, upstream);
  const peers = await Promise.all(Array.from({ length: 4 }, () => Http2Peer.connect(t, gateway.port)));
  let rounds = 0;
  for (const peer of peers)
    for (let i = 0; i < 75; i++) peer.headers(1 + 2 * i, post('/slow', [['content-length', '8192']]), END_HEADERS);
  const timer = setInterval(() => {
    rounds++;
    for (const peer of peers) for (let i = 0; i < 75; i++) peer.data(1 + 2 * i, 'x');
  }, 250);
  t.after(() => clearInterval(timer));
  await until(() => rounds >= 2, 'two bytes on each stream');
  assert.equal(upstream.connections, 0);
  assert.deepEqual(await statuses(gateway, 20), new Array(20).fill(200));
});

describe('what a service is asked when', () => {
  /** Notes when a head reached the service, and answers when the body is whole. */
  async function noting(scope: Scope): Promise<{ upstream: Upstream; heads: () => number }> {
    let heads = 0;
    const upstream = await httpUpstream(scope, (request, response) => {
      heads++;
      void readAll(request).then(
        (body) => response.end(String(body.length)),
        () => response.destroy(),
      );
    });
    return { upstream, heads: () => heads };
  }

  test('64 KB of a longer body are enough, and all of it arrives once', async (t) => {
    const { upstream, heads } = await noting(t);
    const gateway = await inFront(t, upstream);
    const caller = new RawCaller(gateway.port).send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n');
    caller.send('y'.repeat(65_000));
    assert.deepEqual(await statuses(gateway, 2), [200, 200]);
    assert.equal(heads(), 2, 'only the others');
    caller.send('z'.repeat(1_000));
    await until(() => heads() === 3, 'the service is asked');
    caller.send('z'.repeat(34_000));
    const { status, body } = await caller.answer('POST');
    assert.deepEqual([status, body.toString()], [200, '100000']);
    caller.close();
  });

  test('bytes and trailers of a chunked body that trickled in arrive as they were sent', async (t) => {
    const upstream = await httpUpstream(t, (request, response) => {
      void readAll(request).then((body) => response.end(`${body.toString()} ${request.rawTrailers.join('=')}`));
    });
    const gateway = await inFront(t, upstream);
    const caller = new RawCaller(gateway.port);
    const text =
      'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nSum: 5\r\n\r\n';
    await caller.sendSplit(text, [80, 82, 85, 90, 93, 97]);
    assert.equal((await caller.answer('POST')).body.toString(), 'abcde Sum=5');
    caller.close();
  });

  test('with `requestBuffer: off`, of the service or of the route, the head goes at once', async (t) => {
    const { upstream, heads } = await noting(t);
    for (const [service, route] of [
      [{ requestBuffer: 'off' }, {}],
      [{}, { requestBuffer: 'off' }],
    ] as const) {
      const before = heads();
      const gateway = await inFront(t, upstream, service, route);
      const caller = new RawCaller(gateway.port).send(WITH_LENGTH);
      await until(() => heads() === before + 1, 'the head is at the service');
      caller.close();
    }
  });

  test('who waits for 100 Continue hears what the service says, and no byte before', async (t) => {
    const upstream = await httpUpstream(t, () => {});
    upstream.server.on('checkContinue', (request, response) => {
      if (request.url === '/no') response.writeHead(413, { Connection: 'close' }).end();
      else {
        response.writeContinue();
        void readAll(request).then((body) => response.end(String(body.length)));
      }
    });
    const gateway = await inFront(t, upstream);
    const head = (path: string) =>
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`;
    const refused = new RawCaller(gateway.port).send(head('/no'));
    assert.equal((await refused.answer('POST')).status, 413);
    const taken = new RawCaller(gateway.port).send(head('/yes'));
    await taken.atLeast(25);
    assert.match(taken.received.toString(), /^HTTP\/1.1 100 /);
    taken.received = Buffer.alloc(0);
    assert.equal((await taken.send('hello').answer('POST')).body.toString(), '5');
    refused.close();
    taken.close();
  });

  test('a client that leaves while its body is awaited asks nothing of the service', async (t) => {
    const { upstream, heads } = await noting(t);
    const gateway = await inFront(t, upstream);
    const caller = new RawCaller(gateway.port).send(`${WITH_LENGTH}abc`);
    assert.deepEqual(await statuses(gateway, 2), [200, 200]);
    caller.close();
    assert.deepEqual(await statuses(gateway, 2), [200, 200]);
    assert.equal(heads(), 4);
  });
});
