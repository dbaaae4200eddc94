/**
 * RFC 9113 §5.2, §6.9: what a stream leaves of the connection's window when it ends early, and what crumbs of a body
 * cost. A window that is lost for each of them would stop all streams of a connection in the end.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import * as f from '../../src/data/http2/frames.ts';
import { startTestGateway } from '../support/gateway.ts';
import { block, frame, get, Http2Peer, numbered, post } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { echoUpstream, httpUpstream } from '../support/upstream.ts';

const FRAME = Buffer.alloc(f.FRAME_BYTES);
const HEAD = f.END_HEADERS;
const OK = block([[':status', '200']]);

const gatewayFor = (t: Scope, url: string, more: Record<string, unknown> = {}) =>
  startTestGateway(t, {
    services: { s: { instances: [url], protocol: 'h2', retries: 0, ...more } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });

/** Faults of the only instance keep no request from it. */
const QUIET = { circuitBreaker: { errorThresholdPercentage: 100, volumeThreshold: 100_000 } };

/** What a peer has been given of the connection's window. */
const given = (peer: Http2Peer): number =>
  peer.frames
    .filter(({ type, stream }) => type === f.WINDOW_UPDATE && stream === 0)
    .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 65_535);

describe('the window of a connection', () => {
  test('downstream: uploads that end in the middle of a frame leave nothing of it behind', async (t) => {
    const hasty = await httpUpstream(t, (_request, response) => void response.end('early'));
    const gateway = await gatewayFor(t, hasty.url, { protocol: 'h1', requestBuffer: 'off' });
    const peer = await Http2Peer.connect(t, gateway.port);
    // Nothing of the peer's own may stand inside of the frames that are sent in two parts.
    peer.credits = false;
    await peer.settled();
    const whole = frame(f.DATA, 0, 0, FRAME);
    for (let i = 0; i < 150; i++) {
      const stream = 2 * i + 1;
      whole.writeUInt32BE(stream, 5);
      peer.headers(stream, post('/'), HEAD);
      peer.send(whole.subarray(0, 1000));
      assert.equal((await peer.response(stream)).body, 'early');
      // The rest of the frame is on its way when the gateway says that it does not want it.
      peer.send(whole.subarray(1000));
    }
    await peer.settled();
    const open = given(peer) - 150 * f.FRAME_BYTES;
    assert.ok(open >= 512 * 1024, `${open} bytes are left of 1 MB`);
  });

  test('downstream: nor do bodies that are longer than declared', async (t) => {
    const gateway = await gatewayFor(t, (await echoUpstream(t)).url);
    const peers = await Promise.all([0, 1].map(() => Http2Peer.connect(t, gateway.port)));
    for (const peer of peers) {
      for (let i = 0; i < 100; i++) {
        peer.headers(2 * i + 1, post('/x', [['content-length', '1']]), HEAD);
        peer.data(2 * i + 1, FRAME);
        await peer.reset(2 * i + 1);
      }
      await peer.settled();
      const open = given(peer) - 100 * f.FRAME_BYTES;
      assert.ok(open >= 512 * 1024, `${open} bytes are left of 1 MB`);
    }
  });

  test('upstream: responses that break off in the middle of a frame stop no other one', async (t) => {
    let serving: Http2Peer | null = null;
    let sent = 0;
    const upstream = await Http2Peer.serve(t, (peer) => {
      serving = peer;
      void (async () => {
        for (let i = 0; ; i++) {
          const { stream, fields } = await peer.request(i);
          if (fields.some(([, value]) => value === '/good')) {
            peer.send(frame(f.HEADERS, HEAD, stream, OK), frame(f.DATA, f.END_STREAM, stream, 'good'));
            continue;
          }
          const lie = block([
            [':status', '200'],
            ['content-length', '1'],
          ]);
          peer.send(frame(f.HEADERS, HEAD, stream, lie), frame(f.DATA, 0, stream, FRAME));
          sent += f.FRAME_BYTES;
        }
      })().catch(() => {});
    });
    const gateway = await gatewayFor(t, upstream.url, QUIET);
    // More than the whole window of the connection, 12.8 MB.
    for (let batch = 0; batch < 18; batch++)
      await Promise.all(
        Array.from({ length: 50 }, () =>
          fetch(`${gateway.url}/bad`)
            .then((it) => it.text())
            .catch(() => {}),
        ),
      );
    assert.equal(sent, 900 * f.FRAME_BYTES);
    assert.equal(await (await fetch(`${gateway.url}/good`)).text(), 'good');
    assert.equal(upstream.connections, 1);
    const open = given(serving!) - sent;
    assert.ok(open >= 6_000_000, `${open} bytes are left of 12.8 MB`);
  });
});

test('a body in crumbs of a byte, for a service that does not read, arrives whole and stops no other request', async (t) => {
  let service: Http2Peer | null = null;
  const upstream = await Http2Peer.serve(t, (peer) => {
    service = peer;
    peer.credits = false;
    void (async () => {
      for (let i = 0; ; i++) {
        const { stream, fields } = await peer.request(i);
        if (fields.some(([, value]) => value === 'GET')) peer.send(frame(f.HEADERS, HEAD | f.END_STREAM, stream, OK));
      }
    })().catch(() => {});
  });
  const gateway = await gatewayFor(t, upstream.url);
  const peer = await Http2Peer.connect(t, gateway.port);
  const body = randomBytes(240_000);
  const crumbs = Buffer.concat(Array.from(body, (byte) => frame(f.DATA, 0, 1, Buffer.of(byte))));
  peer.headers(1, post('/up'), HEAD);
  peer.send(crumbs);
  await peer.settled();
  await until(() => service !== null && service.body(1).length > 0, 'the service has some of it');
  const held = body.length - service!.body(1).length;
  assert.ok(held > 100_000, `${held} bytes wait in the gateway`);
  service!.send(numbered(f.WINDOW_UPDATE, 1, 1 << 24), numbered(f.WINDOW_UPDATE, 0, 1 << 24));
  peer.data(1, '', f.END_STREAM);
  const beganMs = performance.now();
  await service!.frame(({ type, flags, stream }) => type === f.DATA && stream === 1 && (flags & 1) !== 0, 'its end');
  // It was 3 s of the worker's time while each crumb was a buffer in one array.
  const tookMs = performance.now() - beganMs;
  assert.ok(tookMs < 1_500, `the rest took ${tookMs} ms`);
  assert.ok(service!.body(1).equals(body));
});

test('an instance that takes no more requests at first, and says later that it does, gets those that wait', async (t) => {
  let service: Http2Peer | null = null;
  const upstream = await Http2Peer.serve(
    t,
    (peer) => {
      service = peer;
      void (async () => {
        for (let i = 0; ; i++) {
          const { stream } = await peer.request(i);
          if (i === 0) continue;
          peer.send(frame(f.HEADERS, HEAD | f.END_STREAM, stream, OK));
        }
      })().catch(() => {});
    },
    [[f.SETTING_MAX_CONCURRENT_STREAMS, 1]],
  );
  const gateway = await gatewayFor(t, upstream.url, { pool: { maxConnections: 1 } });
  const peer = await Http2Peer.connect(t, gateway.port);
  // One is under way for as long as it likes; two wait for the room that it takes.
  peer.headers(1, get('/long'));
  await until(() => service !== null && service.frames.some(({ type }) => type === f.HEADERS), 'the first is there');
  peer.headers(3, get('/a'));
  peer.headers(5, get('/b'));
  await peer.settled();
  service!.send(f.settingsFrame([[f.SETTING_MAX_CONCURRENT_STREAMS, 10]]));
  assert.deepEqual([(await peer.response(3)).status, (await peer.response(5)).status], ['200', '200']);
});

describe('RFC 9113 §8.1.1: content where none may be', () => {
  const CASES: readonly { name: string; method: string; head: [string, string][] }[] = [
    { name: 'to HEAD', method: 'HEAD', head: [[':status', '200']] },
    { name: 'with 204', method: 'GET', head: [[':status', '204']] },
    { name: 'with 304', method: 'GET', head: [[':status', '304']] },
    {
      name: 'behind Content-Length: 0',
      method: 'GET',
      head: [
        [':status', '200'],
        ['content-length', '0'],
      ],
    },
  ];
  for (const { name, method, head } of CASES)
    test(`${name} is a malformed response, of which nothing passes; an empty frame there is none`, async (t) => {
      const asked: { peer: Http2Peer; stream: number }[] = [];
      const upstream = await Http2Peer.serve(t, (peer) => {
        void (async () => {
          for (let i = 0; ; i++) {
            const { stream, fields } = await peer.request(i);
            const isBad = fields.some(([, value]) => value === '/bad');
            asked.push({ peer, stream });
            peer.send(
              frame(f.HEADERS, HEAD, stream, block(head)),
              frame(f.DATA, f.END_STREAM, stream, isBad ? 'HTTP/1.1 200 OK\r\n\r\n' : ''),
            );
          }
        })().catch(() => {});
      });
      const gateway = await gatewayFor(t, upstream.url);
      const fine = await fetch(`${gateway.url}/fine`, { method });
      assert.deepEqual([`${fine.status}`, await fine.text()], [head[0]![1], '']);
      const caller = new RawCaller(gateway.port);
      caller.send(`${method} /bad HTTP/1.1\r\nHost: a.test\r\n\r\n`);
      await until(() => asked.length === 2, 'the bad one is asked for');
      const { peer, stream } = asked[1]!;
      assert.equal(await peer.reset(stream), f.PROTOCOL_ERROR);
      assert.ok(!(await caller.end()).toString('latin1').includes('200 OK\r\n\r\n'));
    });
});
