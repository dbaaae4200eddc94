/** WebSocket to services that speak HTTP/2 (RFC 8441), from clients of both protocols. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import * as f from '../../src/data/http2/frames.ts';
import { startTestGateway } from '../support/gateway.ts';
import { block, fieldOf, frame, get, Http2Peer } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
const UPGRADE = `GET /chat?room=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: v1\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`;
const TUNNELS = [[f.SETTING_ENABLE_CONNECT_PROTOCOL, 1]] as const;
const HEAD = f.END_HEADERS;

/**
 * An instance that agrees to every tunnel and sends back in capitals what comes; it is kept for the test to look at.
 */
async function echo(t: Scope, settings: readonly (readonly [number, number])[] = TUNNELS) {
  const peers: Http2Peer[] = [];
  const upstream = await Http2Peer.serve(
    t,
    (peer) => {
      peers.push(peer);
      void (async () => {
        for (let i = 0; ; i++) {
          const { stream } = await peer.request(i);
          const fields = [
            [':status', '200'],
            ['sec-websocket-protocol', 'v1'],
            ['content-length', '7'],
          ] as const;
          peer.send(frame(f.HEADERS, HEAD, stream, block(fields)), frame(f.DATA, 0, stream, 'hi'));
          sendBack(peer, stream).catch(() => {});
        }
      })().catch(() => {});
    },
    settings,
  );
  return { upstream, peers };
}

async function sendBack(peer: Http2Peer, id: number): Promise<void> {
  const parts = () => peer.frames.filter(({ type, stream }) => type === f.DATA && stream === id);
  for (let i = 0; ; i++) {
    await peer.frame(() => parts().length > i);
    const { payload, flags } = parts()[i]!;
    peer.send(frame(f.DATA, flags & f.END_STREAM, id, payload.toString('latin1').toUpperCase()));
    if ((flags & f.END_STREAM) !== 0) return;
  }
}

const gatewayFor = (t: Scope, url: string) =>
  startTestGateway(t, {
    services: { s: { instances: [url], protocol: 'h2', retries: 0 } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public', upgrades: ['websocket'] }],
  });

const CONNECT = (path: string) =>
  [[':method', 'CONNECT'], [':protocol', 'websocket'], ...get(path).slice(1), ['sec-websocket-version', '13']] as const;

describe('a WebSocket to a service that speaks HTTP/2', () => {
  test('of a client that speaks HTTP/1.1: extended CONNECT there, the whole handshake here, bytes both ways', async (t) => {
    const { upstream, peers } = await echo(t);
    const gateway = await gatewayFor(t, upstream.url);
    const caller = new RawCaller(gateway.port).send(UPGRADE);
    const answer = await caller.answer();
    assert.deepEqual(
      ['upgrade', 'connection', 'sec-websocket-accept', 'sec-websocket-protocol', 'content-length'].map(
        (name) => answer.headers[name],
      ),
      ['websocket', 'Upgrade', ACCEPT, 'v1', undefined],
    );
    assert.equal(answer.status, 101);
    caller.send('hello');
    assert.equal((await caller.atLeast(7)).toString(), 'hiHELLO');
    const request = await peers[0]!.request();
    assert.deepEqual(request.fields.slice(0, 5), [
      [':method', 'CONNECT'],
      [':protocol', 'websocket'],
      [':scheme', 'http'],
      [':authority', 'a'],
      [':path', '/chat?room=1'],
    ]);
    const names = request.fields.map(([name]) => name);
    for (const absent of ['upgrade', 'connection', 'sec-websocket-key', 'content-length'])
      assert.ok(!names.includes(absent), absent);
    assert.equal(fieldOf(request, 'sec-websocket-version'), '13');
    caller.close();
    const last = await peers[0]!.frame(({ type, flags }) => type === f.DATA && (flags & f.END_STREAM) !== 0);
    assert.equal(last.stream, request.stream);
  });

  test('of a client that speaks HTTP/2: a tunnel from end to end', async (t) => {
    const { upstream } = await echo(t);
    const gateway = await gatewayFor(t, upstream.url);
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, CONNECT('/chat'), HEAD);
    const head = await peer.head(1);
    assert.deepEqual([fieldOf(head, ':status'), fieldOf(head, 'sec-websocket-accept')], ['200', undefined]);
    peer.data(1, 'hello');
    await until(() => peer.body(1).toString() === 'hiHELLO', 'it comes back', 60_000);
    peer.data(1, '', f.END_STREAM);
    await peer.frame(({ stream, type, flags }) => stream === 1 && (type === f.RST_STREAM || (flags & 1) === 1));
  });

  test('a megabyte passes intact, and stands beside requests on the same connection', async (t) => {
    const { upstream, peers } = await echo(t);
    const gateway = await gatewayFor(t, upstream.url);
    const [one, two] = [0, 1].map(() => new RawCaller(gateway.port).send(UPGRADE));
    await Promise.all([one!.answer(), two!.answer()]);
    const text = 'abcdefgh'.repeat(1 << 16);
    one!.send(text);
    two!.send('x');
    assert.equal((await one!.atLeast(text.length + 2)).toString(), `hi${text.toUpperCase()}`);
    assert.equal((await two!.atLeast(3)).toString(), 'hiX');
    assert.equal(peers.length, 1);
    one!.close();
    two!.close();
  });

  test('ends for the client when the instance ends its stream, and breaks off when that is reset', async (t) => {
    const upstream = await Http2Peer.serve(
      t,
      (peer) => {
        void (async () => {
          for (const last of [
            frame(f.DATA, f.END_STREAM, 1, 'bye'),
            frame(f.RST_STREAM, 0, 3, Buffer.of(0, 0, 0, f.INTERNAL_ERROR)),
          ]) {
            const { stream } = await peer.request(last.readUInt32BE(5) === 1 ? 0 : 1);
            peer.send(frame(f.HEADERS, HEAD, stream, block([[':status', '200']])), last);
          }
        })().catch(() => {});
      },
      TUNNELS,
    );
    const gateway = await gatewayFor(t, upstream.url);
    const first = new RawCaller(gateway.port).send(UPGRADE);
    assert.equal((await first.answer()).status, 101);
    assert.equal((await first.end()).toString(), 'bye');
    const second = new RawCaller(gateway.port).send(UPGRADE);
    assert.equal((await second.answer()).status, 101);
    assert.equal((await second.end()).toString(), '');
  });

  test('a refusal of the instance is its response, with its body', async (t) => {
    const upstream = await Http2Peer.serve(
      t,
      (peer) => {
        void peer.request().then(({ stream }) => {
          peer.send(frame(f.HEADERS, HEAD, stream, block([[':status', '403']])));
          peer.send(frame(f.DATA, f.END_STREAM, stream, 'not you'));
        });
      },
      TUNNELS,
    );
    const gateway = await gatewayFor(t, upstream.url);
    const caller = new RawCaller(gateway.port).send(UPGRADE);
    const answer = await caller.answer();
    assert.deepEqual([answer.status, answer.body.toString()], [403, 'not you']);
    caller.close();
  });

  test('RFC 8441 §3: an instance that has not offered it is not asked, and the client is told', async (t) => {
    const { upstream, peers } = await echo(t, []);
    const gateway = await gatewayFor(t, upstream.url);
    for (let i = 0; i < 2; i++) {
      const answer = await new RawCaller(gateway.port).send(UPGRADE).answer();
      assert.equal(answer.status, 502);
      assert.equal((JSON.parse(answer.body.toString()) as { reason: string }).reason, 'tunnel_not_offered');
    }
    assert.equal(peers[0]!.frames.filter(({ type }) => type === f.HEADERS).length, 0);
    // It says nothing about the instance, which goes on serving.
    const peer = await Http2Peer.connect(t, gateway.port);
    peer.headers(1, get('/'));
    assert.equal(fieldOf(await peer.head(1), ':status'), '200');
  });

  test('a client that left is heard by the instance, which is given a moment to end', async (t) => {
    const upstream = await Http2Peer.serve(
      t,
      (peer) => {
        void peer
          .request()
          .then(({ stream }) => peer.send(frame(f.HEADERS, HEAD, stream, block([[':status', '200']]))));
        peers.push(peer);
      },
      TUNNELS,
    );
    const peers: Http2Peer[] = [];
    const gateway = await gatewayFor(t, upstream.url);
    const caller = new RawCaller(gateway.port).send(UPGRADE);
    await caller.answer();
    caller.close();
    await peers[0]!.frame(({ type, flags }) => type === f.DATA && (flags & f.END_STREAM) !== 0, 'END_STREAM');
    assert.equal(await peers[0]!.reset(1), f.CANCEL);
  });
});
