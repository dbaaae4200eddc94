/** RFC 9113 §3 to §6: what ends a connection, what ends a stream, and what has to be borne, clause by clause. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import * as f from '../../../src/data/http2/frames.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { block, frame, GET, get, Http2Peer, number, numbered, post } from '../../support/http2-peer.ts';
import { suiteScope } from '../../support/scope.ts';
import { echoUpstream } from '../../support/upstream.ts';

interface Case {
  readonly name: string;
  send(peer: Http2Peer): void;
  readonly code: number;
  readonly text?: RegExp;
}

const HEAD = f.END_STREAM | f.END_HEADERS;

/** Each is a connection error (§5.4.1): GOAWAY with this code, then the end. */
const CONNECTION_ERRORS: readonly Case[] = [
  {
    name: '§3.4: a frame other than SETTINGS comes first',
    send: (peer) => peer.send(f.PREFACE, frame(f.PING, 0, 0, '12345678')),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§4.2: a frame longer than SETTINGS_MAX_FRAME_SIZE',
    send: (peer) => peer.send(frame(f.DATA, 0, 1, Buffer.alloc(f.FRAME_BYTES + 1))),
    code: f.FRAME_SIZE_ERROR,
  },
  {
    name: '§4.3: a field block that cannot be decoded',
    send: (peer) => peer.send(frame(f.HEADERS, HEAD, 1, Buffer.of(0xff))),
    code: f.COMPRESSION_ERROR,
  },
  {
    name: '§5.1: DATA on a stream that is idle',
    send: (peer) => peer.data(1, 'x'),
    code: f.PROTOCOL_ERROR,
    text: /idle/,
  },
  {
    name: '§5.1: RST_STREAM on a stream that is idle',
    send: (peer) => peer.send(numbered(f.RST_STREAM, 1, 8)),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§5.1: WINDOW_UPDATE on a stream that is idle',
    send: (peer) => peer.send(numbered(f.WINDOW_UPDATE, 1, 800)),
    code: f.PROTOCOL_ERROR,
  },
  { name: '§5.1.1: a stream of an even number', send: (peer) => peer.headers(2, GET), code: f.PROTOCOL_ERROR },
  { name: '§6.1: DATA on stream 0', send: (peer) => peer.data(0, 'x'), code: f.PROTOCOL_ERROR },
  {
    name: '§6.1: padding longer than DATA',
    send: (peer) => {
      peer.headers(1, post('/'), f.END_HEADERS);
      peer.send(frame(f.DATA, f.PADDED, 1, Buffer.of(5, 0, 0)));
    },
    code: f.PROTOCOL_ERROR,
  },
  { name: '§6.2: HEADERS on stream 0', send: (peer) => peer.headers(0, GET), code: f.PROTOCOL_ERROR },
  {
    name: '§6.2: padding longer than HEADERS',
    send: (peer) => peer.send(frame(f.HEADERS, HEAD | f.PADDED, 1, Buffer.of(9, 0x82))),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.3: PRIORITY on stream 0',
    send: (peer) => peer.send(frame(f.PRIORITY, 0, 0, '12345')),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.3: PRIORITY that is not 5 bytes',
    send: (peer) => peer.send(frame(f.PRIORITY, 0, 1, '1234')),
    code: f.FRAME_SIZE_ERROR,
  },
  {
    name: 'RFC 9218 §7.1: PRIORITY_UPDATE on a stream',
    send: (peer) => peer.send(frame(f.PRIORITY_UPDATE, 0, 1, Buffer.of(0, 0, 0, 1, 0x75, 0x3d, 0x31))),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: 'RFC 9218 §7.1: PRIORITY_UPDATE for stream 0',
    send: (peer) => peer.send(frame(f.PRIORITY_UPDATE, 0, 0, Buffer.of(0, 0, 0, 0, 0x75, 0x3d, 0x31))),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: 'RFC 9218 §7.1: PRIORITY_UPDATE that is cut off',
    send: (peer) => peer.send(frame(f.PRIORITY_UPDATE, 0, 0, Buffer.of(0, 0, 1))),
    code: f.FRAME_SIZE_ERROR,
  },
  {
    name: '§6.4: RST_STREAM on stream 0',
    send: (peer) => peer.send(numbered(f.RST_STREAM, 0, 8)),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.4: RST_STREAM that is not 4 bytes',
    send: (peer) => peer.send(frame(f.RST_STREAM, 0, 1, '123')),
    code: f.FRAME_SIZE_ERROR,
  },
  { name: '§6.5: SETTINGS on a stream', send: (peer) => peer.send(frame(f.SETTINGS, 0, 1)), code: f.PROTOCOL_ERROR },
  {
    name: '§6.5: SETTINGS that are cut off',
    send: (peer) => peer.send(frame(f.SETTINGS, 0, 0, '12345')),
    code: f.FRAME_SIZE_ERROR,
  },
  {
    name: '§6.5: an acknowledgement with content',
    send: (peer) => peer.send(frame(f.SETTINGS, f.ACK, 0, '123456')),
    code: f.FRAME_SIZE_ERROR,
  },
  { name: '§6.5.2: ENABLE_PUSH of 2', send: (peer) => peer.send(f.settingsFrame([[2, 2]])), code: f.PROTOCOL_ERROR },
  {
    name: '§6.5.2: an initial window above 2^31-1',
    send: (peer) => peer.send(f.settingsFrame([[4, 0x80000000]])),
    code: f.FLOW_CONTROL_ERROR,
  },
  {
    name: '§6.5.2: a frame size below 2^14',
    send: (peer) => peer.send(f.settingsFrame([[5, 16_383]])),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.5.2: a frame size above 2^24-1',
    send: (peer) => peer.send(f.settingsFrame([[5, 1 << 24]])),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.6: PUSH_PROMISE of a client',
    send: (peer) => peer.send(frame(f.PUSH_PROMISE, f.END_HEADERS, 1, number(2))),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.7: PING on a stream',
    send: (peer) => peer.send(frame(f.PING, 0, 1, '12345678')),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.7: PING that is not 8 bytes',
    send: (peer) => peer.send(frame(f.PING, 0, 0, '123456')),
    code: f.FRAME_SIZE_ERROR,
  },
  {
    name: '§6.8: GOAWAY on a stream',
    send: (peer) => peer.send(frame(f.GOAWAY, 0, 1, '12345678')),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.9: WINDOW_UPDATE that is not 4 bytes',
    send: (peer) => peer.send(frame(f.WINDOW_UPDATE, 0, 0, '123')),
    code: f.FRAME_SIZE_ERROR,
  },
  {
    name: '§6.9: WINDOW_UPDATE of the connection by 0',
    send: (peer) => peer.send(numbered(f.WINDOW_UPDATE, 0, 0)),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.9.1: a window of the connection above 2^31-1',
    send: (peer) => peer.send(numbered(f.WINDOW_UPDATE, 0, f.MOST_WINDOW)),
    code: f.FLOW_CONTROL_ERROR,
  },
  {
    name: '§6.10: CONTINUATION without HEADERS',
    send: (peer) => peer.send(frame(f.CONTINUATION, f.END_HEADERS, 1)),
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.10: another frame inside a field block',
    send: (peer) => {
      peer.headers(1, GET, f.END_STREAM);
      peer.send(frame(f.PING, 0, 0, '12345678'));
    },
    code: f.PROTOCOL_ERROR,
  },
  {
    name: '§6.10: CONTINUATION of another stream',
    send: (peer) => {
      peer.headers(1, GET, f.END_STREAM);
      peer.send(frame(f.CONTINUATION, f.END_HEADERS, 3));
    },
    code: f.PROTOCOL_ERROR,
  },
];

describe('RFC 9113', () => {
  const scope = suiteScope();
  let port = 0;
  before(async () => {
    const upstream = await echoUpstream(scope);
    const gateway = await startTestGateway(scope, {
      gateway: { http2: { streamWindow: 65_535, connectionWindow: 131_070 }, limits: { maxHeadSize: 8192 } },
      services: { s: { instances: [upstream.url] } },
      routes: [
        { match: { path: '/fixed' }, respond: { status: 200, body: 'hello' }, auth: 'public' },
        { match: { path: '/*' }, service: 's', auth: 'public' },
      ],
    });
    port = gateway.port;
  });

  for (const { name, send, code, text } of CONNECTION_ERRORS) {
    test(`${name} is a connection error`, async (t) => {
      const peer = await Http2Peer.connect(t, port, name.startsWith('§3.4') ? null : []);
      send(peer);
      const found = await peer.goaway();
      assert.equal(f.errorName(found.code), f.errorName(code), found.text);
      if (text !== undefined) assert.match(found.text, text);
      await peer.closed();
    });
  }

  test('§3.4: the preface may come a byte at a time', async (t) => {
    const peer = await Http2Peer.connect(t, port, null);
    for (const byte of Buffer.concat([
      f.PREFACE,
      f.settingsFrame([]),
      frame(f.HEADERS, HEAD, 1, block(get('/fixed'))),
    ])) {
      await new Promise((resolve) => peer.socket.write(Buffer.of(byte), resolve));
    }
    assert.equal((await peer.response(1)).body, 'hello');
  });

  test('§3.4: what only begins like the preface is refused', async (t) => {
    const peer = await Http2Peer.connect(t, port, null);
    peer.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'));
    assert.equal((await peer.goaway()).code, f.PROTOCOL_ERROR);
  });

  test('§4.1, §5.5: unknown frames, flags and settings are ignored, the reserved bit too', async (t) => {
    const peer = await Http2Peer.connect(t, port, [[0x99, 1]]);
    peer.send(frame(0x77, 0xff, 0, 'whatever'), frame(0x78, 0, 5));
    const head = frame(f.HEADERS, HEAD | 0x40, 1, block(get('/fixed')));
    head[5] = 0x80;
    peer.send(head);
    assert.equal((await peer.response(1)).status, '200');
  });

  test('§4.3: a block in many frames is one head, and priority and padding are none of it', async (t) => {
    const peer = await Http2Peer.connect(t, port);
    const bytes = block(get('/fixed'));
    peer.send(
      frame(
        f.HEADERS,
        f.END_STREAM | f.PADDED | f.HAS_PRIORITY,
        1,
        Buffer.concat([Buffer.of(3, 0, 0, 0, 0, 9), bytes.subarray(0, 3), Buffer.alloc(3)]),
      ),
      ...Array.from(bytes.subarray(3), (byte, i) =>
        frame(f.CONTINUATION, i === bytes.length - 4 ? f.END_HEADERS : 0, 1, Buffer.of(byte)),
      ).filter((_, i, all) => all.length < 200 && i >= 0),
    );
    assert.equal((await peer.response(1)).status, '200');
  });

  test('§5.1: a stream that is half-closed by the client takes no more of it', async (t) => {
    const peer = await Http2Peer.connect(t, port, [[4, 0]]);
    peer.headers(1, get('/fixed'));
    await peer.head(1);
    peer.data(1, 'x');
    assert.equal(await peer.reset(1), f.STREAM_CLOSED);
    peer.headers(3, get('/fixed'));
    await peer.head(3);
    peer.headers(3, GET);
    assert.equal(await peer.reset(3), f.STREAM_CLOSED);
  });

  test('§5.1.1: numbers may be left out; a lower one than before opens nothing', async (t) => {
    const peer = await Http2Peer.connect(t, port);
    peer.headers(7, get('/fixed'));
    assert.equal((await peer.response(7)).status, '200');
    peer.headers(5, get('/fixed'));
    peer.headers(9, get('/fixed'));
    assert.equal((await peer.response(9)).status, '200');
    assert.ok(!peer.frames.some(({ stream }) => stream === 5));
  });

  test('§5.1.2, §8.7: a stream above the announced number is refused and not processed', async (t) => {
    const peer = await Http2Peer.connect(t, port, [[4, 0]]);
    for (let id = 1; id <= 201; id += 2) peer.headers(id, get('/fixed'));
    assert.equal(await peer.reset(201), f.REFUSED_STREAM);
    await peer.head(199);
    const settings = await peer.frame(({ type, flags }) => type === f.SETTINGS && flags === 0);
    const pairs = Array.from({ length: settings.payload.length / 6 }, (_, i) => [
      settings.payload.readUInt16BE(i * 6),
      settings.payload.readUInt32BE(i * 6 + 2),
    ]);
    assert.equal(new Map(pairs as [number, number][]).get(f.SETTING_MAX_CONCURRENT_STREAMS), 100);
  });

  test('§6.5.3: settings are acknowledged', async (t) => {
    const peer = await Http2Peer.connect(t, port);
    await peer.frame(({ type, flags }) => type === f.SETTINGS && flags === f.ACK);
  });

  test('§6.7: a PING comes back with what it carried', async (t) => {
    const peer = await Http2Peer.connect(t, port);
    peer.send(frame(f.PING, 0, 0, 'abcdefgh'));
    const pong = await peer.frame(({ type }) => type === f.PING);
    assert.deepEqual([pong.flags, pong.payload.toString()], [f.ACK, 'abcdefgh']);
  });

  test('§6.9: WINDOW_UPDATE of a stream by 0, or above 2^31-1, ends that stream alone', async (t) => {
    const peer = await Http2Peer.connect(t, port, [[4, 0]]);
    peer.headers(1, get('/fixed'));
    peer.headers(3, get('/fixed'));
    peer.headers(5, get('/fixed'));
    await peer.head(5);
    peer.send(numbered(f.WINDOW_UPDATE, 1, 0));
    assert.equal(await peer.reset(1), f.PROTOCOL_ERROR);
    peer.send(numbered(f.WINDOW_UPDATE, 3, f.MOST_WINDOW), numbered(f.WINDOW_UPDATE, 3, f.MOST_WINDOW));
    await peer.response(3);
    peer.send(numbered(f.WINDOW_UPDATE, 5, 100));
    assert.equal((await peer.response(5)).body, 'hello');
  });

  test('§6.9.1: nothing is sent beyond the window of the stream, which settings move, below zero as well (§6.9.2)', async (t) => {
    const peer = await Http2Peer.connect(t, port, [[4, 2]]);
    peer.credits = false;
    peer.headers(1, get('/fixed'));
    await peer.frame(({ type }) => type === f.DATA);
    await peer.settled();
    assert.equal(peer.body(1).toString(), 'he');
    peer.send(f.settingsFrame([[4, 0]]));
    peer.send(numbered(f.WINDOW_UPDATE, 1, 2));
    await peer.settled();
    assert.equal(peer.body(1).toString(), 'he');
    peer.send(f.settingsFrame([[4, 100]]));
    assert.equal((await peer.response(1)).body, 'hello');
  });

  test('§8.1: a connection without requests takes an unknown protocol of DATA frames to a stream that is over', async (t) => {
    const peer = await Http2Peer.connect(t, port);
    peer.headers(1, get('/fixed'));
    await peer.response(1);
    peer.data(1, 'late');
    peer.headers(3, get('/fixed'));
    assert.equal((await peer.response(3)).status, '200');
  });
});
