/** HTTP/2 on both sides: messages that end, shrink or go back at moments that are rare. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as f from '../../src/data/http2/frames.ts';
import { startTestGateway } from '../support/gateway.ts';
import { block, fieldOf, frame, get, Http2Peer, numbered, post } from '../support/http2-peer.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { echoUpstream } from '../support/upstream.ts';

const HEAD = f.END_HEADERS;
const OK = block([[':status', '200']]);
const gatewayFor = (t: Scope, url: string, more: Record<string, unknown> = {}) =>
  startTestGateway(t, {
    services: { s: { instances: [url], protocol: 'h2', retries: 2, ...more } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
const goaway = (last: number, code = 0) => frame(f.GOAWAY, 0, 0, Buffer.from([0, 0, 0, last, 0, 0, 0, code]));

test('RFC 9113 §6.8: a GOAWAY that gives back a stream whose head has come breaks that response off, and nothing is sent again', async (t) => {
  let n = 0;
  const up = await Http2Peer.serve(
    t,
    (peer) =>
      void peer.request(0).then(
        ({ stream }) => {
          n++;
          peer.send(frame(f.HEADERS, HEAD, stream, OK), frame(f.DATA, 0, stream, 'half'), goaway(0));
        },
        () => {},
      ),
  );
  const gw = await gatewayFor(t, up.url);
  const peer = await Http2Peer.connect(t, gw.port);
  peer.headers(1, get('/a'));
  assert.equal(await peer.reset(1), f.INTERNAL_ERROR);
  assert.equal(n, 1);
});

test('`Content-Length: 0` whose stream ends later, on a connection that there is already, waits for nothing', async (t) => {
  const up = await echoUpstream(t);
  const gw = await gatewayFor(t, up.url, { protocol: 'h1' });
  const peer = await Http2Peer.connect(t, gw.port);
  peer.headers(
    1,
    post('/a', [
      ['content-length', '0'],
      ['trailer', 'x-a'],
    ]),
    HEAD,
  );
  peer.headers(1, [['x-a', '1']]);
  assert.equal((await peer.response(1)).status, '200');
  peer.headers(3, post('/a', [['content-length', '0']]), HEAD);
  peer.data(3, '', 1);
  assert.equal((await peer.response(3)).status, '200');
  peer.headers(5, get('/b'));
  assert.equal((await peer.response(5)).status, '200');
});

test('RFC 9113 §6.9.2, RFC 7541 §4.2: an instance that makes windows and tables smaller in the middle of an upload gets it whole', async (t) => {
  const body = randomBytes(300_000);
  let got: Buffer | null = null;
  const up = await Http2Peer.serve(t, (peer) => {
    peer.credits = false;
    void (async () => {
      const { stream } = await peer.request(0);
      await until(() => peer.body(stream).length >= 60_000, 'some');
      peer.send(
        f.settingsFrame([
          [f.SETTING_INITIAL_WINDOW_SIZE, 100],
          [f.SETTING_HEADER_TABLE_SIZE, 0],
        ]),
      );
      peer.send(numbered(f.WINDOW_UPDATE, 0, 1 << 24));
      peer.send(f.settingsFrame([[f.SETTING_HEADER_TABLE_SIZE, 8192]]));
      peer.send(numbered(f.WINDOW_UPDATE, stream, 1 << 24));
      await peer.frame((x) => x.stream === stream && x.type === f.DATA && (x.flags & 1) === 1);
      got = peer.body(stream);
      peer.send(frame(f.HEADERS, HEAD | 1, stream, OK));
      for (let i = 1; ; i++) {
        const r = await peer.request(i);
        peer.send(
          frame(f.HEADERS, HEAD, r.stream, OK),
          frame(f.DATA, 1, r.stream, fieldOf(r, ':path')! + fieldOf(r, 'x-y')),
        );
      }
    })().catch(() => {});
  });
  const gw = await gatewayFor(t, up.url);
  assert.equal((await fetch(`${gw.url}/up`, { method: 'PUT', body })).status, 200);
  assert.ok(got!.equals(body));
  for (let i = 0; i < 5; i++)
    assert.equal(await (await fetch(`${gw.url}/p${i}`, { headers: { 'x-y': `v${i}` } })).text(), `/p${i}v${i}`);
});

test('RFC 9113 §8.1: 103, a whole response to half an upload, and a reset without an error behind it', async (t) => {
  const up = await Http2Peer.serve(
    t,
    (peer) =>
      void (async () => {
        for (let i = 0; ; i++) {
          const { stream } = await peer.request(i);
          peer.send(
            frame(
              f.HEADERS,
              HEAD,
              stream,
              block([
                [':status', '103'],
                ['link', '<a>'],
              ]),
            ),
            frame(f.HEADERS, HEAD, stream, OK),
            frame(f.DATA, 1, stream, 'done'),
            numbered(f.RST_STREAM, stream, 0),
          );
        }
      })().catch(() => {}),
  );
  const gw = await gatewayFor(t, up.url, { requestBuffer: 'off' });
  const peer = await Http2Peer.connect(t, gw.port);
  peer.headers(1, post('/a'), HEAD);
  peer.data(1, 'part');
  const r = await peer.response(1);
  assert.deepEqual([r.status, r.body], ['200', 'done']);
  assert.ok(peer.frames.some((x) => fieldOf(x, ':status') === '103'));
  assert.equal(await peer.reset(1), f.NO_ERROR);
  peer.headers(3, get('/b'));
  assert.equal((await peer.response(3)).body, 'done');
});

test('grpc-timeout: long ones go on in eight digits, one of nothing as a moment, what is none as it is', async (t) => {
  const seen: (string | undefined)[] = [];
  const up = await Http2Peer.serve(
    t,
    (peer) =>
      void (async () => {
        for (let i = 0; ; i++) {
          const r = await peer.request(i);
          seen.push(fieldOf(r, 'grpc-timeout'));
          peer.send(
            frame(
              f.HEADERS,
              HEAD | 1,
              r.stream,
              block([
                [':status', '200'],
                ['content-type', 'application/grpc'],
                ['grpc-status', '0'],
              ]),
            ),
          );
        }
      })().catch(() => {}),
  );
  const gw = await gatewayFor(t, up.url, { protocol: 'grpc' });
  const peer = await Http2Peer.connect(t, gw.port);
  const values = ['99999999H', '99999999S', 'abc', '123456789S', '0S'];
  for (const [i, value] of values.entries()) {
    const fields = [
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
      ['grpc-timeout', value],
    ] as const;
    peer.headers(2 * i + 1, post('/a.B/C', fields), HEAD | f.END_STREAM);
    await peer.response(2 * i + 1);
  }
  const [hours, seconds, ...rest] = seen;
  assert.match(hours!, /^9999999\dH$/);
  assert.match(seconds!, /^999999\d\dS$/);
  assert.deepEqual(rest, ['abc', '123456789S', '1m']);
});
