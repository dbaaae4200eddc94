/**
 * Field blocks that come again in the same bytes are not decoded again (known-block.ts): they mean what they meant, as
 * long as the HPACK table is what it was, and another thing once it is not.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as f from '../../src/data/http2/frames.ts';
import { startTestGateway } from '../support/gateway.ts';
import { block, fieldOf, frame, get, Http2Peer, numbered, post } from '../support/http2-peer.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

/** RFC 7541 §6.2.1: a literal with a new name that goes into the table. */
function inserted(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0x40, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]);
}

/** §6.1: the entries of the static table for GET or POST, http and `/`. */
const GET_ROOT = Buffer.of(0x82, 0x86, 0x84);
const POST_ROOT = Buffer.of(0x83, 0x86, 0x84);
const authority = inserted(':authority', 'a.test');
/** The newest entry of the dynamic table, and the one before it. */
const NEWEST = Buffer.of(0x80 | 62);
const BEFORE = Buffer.of(0x80 | 63);
const WHOLE = f.END_HEADERS | f.END_STREAM;

describe('field blocks in the same bytes', () => {
  test('RFC 7541 §2.3.3: of a client: the same request each time, and another one after the table has changed', async (t) => {
    const upstream = await httpUpstream(t, (request, response) => {
      void readAll(request).then((body) => {
        response.end(`${request.method} ${request.headers.host} ${request.headers['x-a']} ${body.length}`);
      });
    });
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [upstream.url] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const peer = await Http2Peer.connect(t, gateway.port);
    let stream = -1;
    const ask = async (parts: readonly Buffer[], body: Buffer | null = null): Promise<string> => {
      stream += 2;
      peer.send(frame(f.HEADERS, body === null ? WHOLE : f.END_HEADERS, stream, Buffer.concat(parts)));
      if (body !== null) peer.send(frame(f.DATA, f.END_STREAM, stream, body));
      const response = await peer.response(stream);
      return `${response.status} ${response.body}`;
    };
    assert.equal(await ask([GET_ROOT, authority, inserted('x-a', 'one')]), '200 GET a.test one 0');
    for (let i = 0; i < 4; i++) assert.equal(await ask([GET_ROOT, BEFORE, NEWEST]), '200 GET a.test one 0');
    // The same bytes, and a body behind them.
    for (let i = 0; i < 4; i++)
      assert.equal(await ask([POST_ROOT, BEFORE, NEWEST], Buffer.alloc(i)), `200 POST a.test one ${i}`);
    for (let i = 0; i < 3; i++) assert.equal(await ask([POST_ROOT, BEFORE, NEWEST]), '200 POST a.test one 0');
    // Two more entries: what the bytes point at is another host and another value.
    const other = [inserted(':authority', 'b.test'), inserted('x-a', 'two')];
    assert.equal(await ask([GET_ROOT, ...other]), '200 GET b.test two 0');
    for (let i = 0; i < 4; i++) assert.equal(await ask([GET_ROOT, BEFORE, NEWEST]), '200 GET b.test two 0');
    // §4.2: an empty table has nothing that they could point at.
    for (let i = 0; i < 2; i++)
      assert.equal(
        await ask([Buffer.of(0x20), GET_ROOT, block([[':authority', 'c.test']])]),
        '200 GET c.test undefined 0',
      );
    peer.send(frame(f.HEADERS, WHOLE, stream + 2, Buffer.concat([GET_ROOT, BEFORE, NEWEST])));
    assert.equal((await peer.goaway()).code, f.COMPRESSION_ERROR);
  });

  test('what makes a request malformed does so each time', async (t) => {
    const upstream = await httpUpstream(t, (_, response) => response.end('fine'));
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [upstream.url] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const peer = await Http2Peer.connect(t, gateway.port);
    for (const stream of [1, 3, 5, 7]) {
      peer.send(frame(f.HEADERS, WHOLE, stream, Buffer.concat([GET_ROOT, block([['connection', 'close']])])));
      assert.equal((await peer.response(stream)).status, '400');
    }
  });

  test('of an instance: the same response each time, by the method, and another one after the table has changed', async (t) => {
    const blocks = {
      first: Buffer.concat([Buffer.of(0x88), inserted('content-length', '3'), inserted('x-b', 'one')]),
      same: Buffer.concat([Buffer.of(0x88), BEFORE, NEWEST]),
      other: Buffer.concat([Buffer.of(0x88), inserted('content-length', '4'), inserted('x-b', 'two')]),
    };
    const said: (keyof typeof blocks)[] = ['first', 'same', 'same', 'same', 'same', 'other', 'same', 'same', 'same'];
    let at = 0;
    const { url } = await Http2Peer.serve(t, (peer) => {
      void (async () => {
        for (let nth = 0; nth < said.length; nth++) {
          const request = await peer.request(nth);
          const head = fieldOf(request, ':method') === 'HEAD';
          peer.send(frame(f.HEADERS, f.END_HEADERS | (head ? f.END_STREAM : 0), request.stream, blocks[said[at]!]));
          if (!head) peer.send(frame(f.DATA, f.END_STREAM, request.stream, at < 5 ? 'abc' : 'abcd'));
          at++;
        }
      })();
    });
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [url], protocol: 'h2c' } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const got: string[] = [];
    for (const method of ['GET', 'GET', 'GET', 'HEAD', 'GET', 'GET', 'GET', 'HEAD', 'GET']) {
      const response = await fetch(gateway.url, { method });
      got.push(`${response.headers.get('x-b')} ${response.headers.get('content-length')} ${await response.text()}`);
    }
    assert.deepEqual(got, [
      ...['one 3 abc', 'one 3 abc', 'one 3 abc', 'one 3 ', 'one 3 abc'],
      ...['two 4 abcd', 'two 4 abcd', 'two 4 ', 'two 4 abcd'],
    ]);
  });

  test('a head that requests share is not touched by those of other callers, however requests end', async (t) => {
    const upstream = await httpUpstream(t, (request, response) => {
      const { host, 'x-a': own, 'x-b': other, 'user-agent': agent, cookie } = request.headers;
      void readAll(request).then(
        (body) => response.end([request.method, request.url, host, own, other, agent, cookie, body.length].join(' ')),
        () => {},
      );
    });
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [upstream.url] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const [peer, other] = [await Http2Peer.connect(t, gateway.port), await Http2Peer.connect(t, gateway.port)];
    let stream = -1;
    const shared = Buffer.concat([POST_ROOT, BEFORE, NEWEST]);
    const whole = async (): Promise<string> => {
      stream += 2;
      peer.send(frame(f.HEADERS, f.END_HEADERS, stream, shared), frame(f.DATA, f.END_STREAM, stream, 'abc'));
      return (await peer.response(stream)).body;
    };
    stream += 2;
    peer.send(frame(f.HEADERS, WHOLE, stream, Buffer.concat([GET_ROOT, authority, inserted('x-a', 'one')])));
    await peer.response(stream);
    const mine = 'POST / a.test one    3';
    for (let i = 0; i < 3; i++) assert.equal(await whole(), mine);
    const leaves: (() => void)[] = [
      // With the head, in the middle of the body, and while the response is on its way.
      () => peer.send(frame(f.HEADERS, f.END_HEADERS, stream, shared)),
      () => peer.send(frame(f.HEADERS, f.END_HEADERS, stream, shared), frame(f.DATA, 0, stream, 'ab')),
      () => peer.send(frame(f.HEADERS, f.END_HEADERS, stream, shared), frame(f.DATA, f.END_STREAM, stream, 'ab')),
    ];
    let theirs = -1;
    for (const leave of leaves) {
      for (let i = 0; i < 3; i++) {
        stream += 2;
        leave();
        if (i > 0) await peer.settled();
        peer.send(numbered(f.RST_STREAM, stream, f.CANCEL));
        await peer.settled();
        // The memory of the request that ended is theirs.
        theirs += 2;
        const fields = [
          ['x-b', `b${theirs}`],
          ['user-agent', 'theirs'],
          ['cookie', `c=${theirs}`],
        ] as const;
        other.headers(theirs, get(`/their/${theirs}`, fields));
        assert.equal(
          (await other.response(theirs)).body,
          `GET /their/${theirs} a.test  b${theirs} theirs c=${theirs} 0`,
        );
        const plain = await fetch(`${gateway.url}/plain`, { headers: { 'x-b': 'plain', 'user-agent': 'p' } });
        assert.equal(await plain.text(), `GET /plain 127.0.0.1:${gateway.port}  plain p  0`);
        assert.equal(await whole(), mine);
      }
    }
  });

  test('trailers of an instance: the same each time, others after the table has changed, malformed without an end', async (t) => {
    const blocks = [
      ...[Buffer.concat([inserted('grpc-status', '0'), inserted('x-t', 'one')]), ...same(4)],
      ...[Buffer.concat([inserted('grpc-status', '5'), inserted('x-t', 'two')]), ...same(4)],
    ];
    const { url } = await Http2Peer.serve(t, (peer) => {
      void (async () => {
        for (let nth = 0; ; nth++) {
          const { stream } = await peer.request(nth);
          peer.send(frame(f.HEADERS, f.END_HEADERS, stream, Buffer.of(0x88)), frame(f.DATA, 0, stream, 'abc'));
          // The last one comes without END_STREAM, as no trailers may (RFC 9113 §8.1).
          const flags = nth < blocks.length ? WHOLE : f.END_HEADERS;
          peer.send(frame(f.HEADERS, flags, stream, blocks[nth] ?? blocks[1]!));
        }
      })().catch(() => {});
    });
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [url], protocol: 'grpc' } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const peer = await Http2Peer.connect(t, gateway.port);
    const got: string[] = [];
    let stream = -1;
    for (const _ of blocks) {
      stream += 2;
      peer.headers(
        stream,
        post('/', [
          ['content-type', 'application/grpc'],
          ['te', 'trailers'],
        ]),
      );
      const { status, body, trailers } = await peer.response(stream);
      got.push([status, body, fieldOf(trailers!, 'grpc-status'), fieldOf(trailers!, 'x-t')].join(' '));
    }
    assert.deepEqual(got, [...Array(5).fill('200 abc 0 one'), ...Array(5).fill('200 abc 5 two')]);
    stream += 2;
    peer.headers(
      stream,
      post('/', [
        ['content-type', 'application/grpc'],
        ['te', 'trailers'],
      ]),
    );
    const { trailers } = await peer.response(stream);
    assert.notEqual(fieldOf(trailers!, 'grpc-status'), '5');
  });
});

function same(count: number): Buffer[] {
  return Array(count).fill(Buffer.concat([BEFORE, NEWEST]));
}
