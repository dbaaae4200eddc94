/** Responses that are packed on their way and requests that are unpacked, through real sockets. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:http';
import { connect } from 'node:http2';
import { describe, test } from 'node:test';
import * as zlib from 'node:zlib';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { echoUpstream, httpUpstream, rawUpstream, readAll } from '../support/upstream.ts';

interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Without the unpacking that `fetch` does by itself. */
function get(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  more: { readonly method?: string; readonly body?: Uint8Array } = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: more.method ?? 'GET', headers, agent: false }, (response) => {
      readAll(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        reject,
      );
    });
    sent.on('error', reject);
    sent.end(more.body);
  });
}

function unpacked({ headers, body }: Got): Buffer {
  switch (headers['content-encoding']) {
    case 'gzip':
      return zlib.gunzipSync(body);
    case 'br':
      return zlib.brotliDecompressSync(body);
    case 'zstd':
      return zlib.zstdDecompressSync(body);
    default:
      return body;
  }
}

const gatewayFor = (t: Scope, url: string, more: object): Promise<TestGateway> =>
  startTestGateway(t, {
    services: { s: { instances: [{ url }] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public', ...more }],
  });

/** Text that packs well but not to nothing. */
const text = (length: number): string =>
  Array.from({ length: Math.ceil(length / 12) }, (_, i) => `line ${String(i).padStart(6, '0')} `)
    .join('')
    .slice(0, length);

/** What the path asks for: `/LENGTH`, and in the query fields of the response, `chunked` and a status. */
const textUpstream = (t: Scope) =>
  httpUpstream(t, (incoming, response) => {
    const url = new URL(incoming.url ?? '/', 'http://s');
    response.setHeader('Content-Type', 'text/plain');
    for (const [name, value] of url.searchParams)
      if (name !== 'status' && name !== 'chunked') response.setHeader(name, value);
    response.statusCode = Number(url.searchParams.get('status') ?? 200);
    const body = text(Number(url.pathname.slice(1)));
    if (!url.searchParams.has('chunked')) response.setHeader('Content-Length', Buffer.byteLength(body));
    if (incoming.method !== 'HEAD') response.write(body);
    response.end();
  });

describe('a response', () => {
  for (const coding of ['gzip', 'br', 'zstd']) {
    test(`is packed with ${coding}, short or long, with its length or without, and is what it was`, async (t) => {
      const gateway = await gatewayFor(t, (await textUpstream(t)).url, { compression: {} });
      for (const size of [1_024, 8_192, 8_193, 100_000, 3_000_000]) {
        for (const query of ['', '?chunked=1']) {
          const got = await get(`${gateway.url}/${size}${query}`, { 'Accept-Encoding': coding });
          assert.equal(got.headers['content-encoding'], coding, `${size}${query}`);
          assert.ok(unpacked(got).toString() === text(size), `${size}${query} comes whole`);
          assert.ok(got.body.length < size / 2, `${got.body.length} of ${size}`);
          assert.match(got.headers.vary ?? '', /Accept-Encoding/);
          const isInOnePiece = size <= 8_192 && query === '';
          assert.equal(got.headers['content-length'], isInOnePiece ? String(got.body.length) : undefined);
        }
      }
      const metrics = await (await fetch(`${gateway.url}/metrics/prometheus`)).text();
      assert.match(metrics, /^gatehouse_compressed_responses_total 10$/m);
      assert.match(metrics, /^gatehouse_compression_bytes_in_total 6234818$/m);
    });
  }

  test('stays as it is where packing is not wanted or would be wrong', async (t) => {
    const gateway = await gatewayFor(t, (await textUpstream(t)).url, { compression: {} });
    const reasons: readonly (readonly [path: string, accept: string, varies: boolean])[] = [
      ['/5000', '', true],
      ['/5000', 'gzip;q=0', true],
      ['/5000', 'deflate', true],
      ['/1023', 'gzip', false],
      ['/5000?content-type=image/png', 'gzip', false],
      ['/5000?content-type=font/woff2', 'gzip', false],
      ['/5000?content-encoding=br', 'gzip', false],
      ['/5000?cache-control=public,%20no-transform', 'gzip', false],
      // RFC 9110 §15.3.7: a 206 has the Vary of the 200.
      ['/5000?status=206&content-range=bytes%200-4999/9999', 'gzip', true],
    ];
    for (const [path, accept, varies] of reasons) {
      const got = await get(`${gateway.url}${path}`, accept === '' ? {} : { 'Accept-Encoding': accept });
      assert.equal(got.body.toString(), text(Number(/\d+/.exec(path)![0])), path);
      assert.notEqual(got.headers['content-encoding'], 'gzip', path);
      assert.equal(got.headers.vary !== undefined, varies, `${path}, accepting ${accept}`);
      assert.ok(got.headers['content-length'], path);
    }
    const asked = await get(`${gateway.url}/5000`, { 'Accept-Encoding': 'gzip', 'Cache-Control': 'no-transform' });
    assert.equal(asked.headers['content-encoding'], undefined, 'the client wants no transform');
  });

  test('has a weak tag, one Vary and no digest of other bytes, for HEAD as for GET', async (t) => {
    const gateway = await gatewayFor(t, (await textUpstream(t)).url, { compression: {} });
    const path = '/5000?etag=%22x%22&vary=Cookie&content-digest=sha-256&accept-ranges=bytes';
    for (const method of ['GET', 'HEAD']) {
      const got = await get(`${gateway.url}${path}`, { 'Accept-Encoding': 'gzip' }, { method });
      assert.equal(got.headers.etag, 'W/"x"', method);
      assert.equal(got.headers.vary, 'Cookie, Accept-Encoding', method);
      assert.equal(got.headers['content-encoding'], 'gzip', method);
      assert.deepEqual([got.headers['content-digest'], got.headers['accept-ranges']], [undefined, undefined], method);
    }
    const head = await get(`${gateway.url}/5000`, { 'Accept-Encoding': 'gzip' }, { method: 'HEAD' });
    assert.deepEqual([head.headers['content-length'], head.body.length], [undefined, 0]);
    const weak = await get(`${gateway.url}/5000?etag=W/%22y%22&vary=accept-encoding`, { 'Accept-Encoding': 'gzip' });
    assert.deepEqual([weak.headers.etag, weak.headers.vary], ['W/"y"', 'accept-encoding']);
  });

  test('that is 304 has the tag that the client has', async (t) => {
    const upstream = await httpUpstream(t, (incoming, response) => {
      response.setHeader('ETag', '"x"');
      response.writeHead(/"x"/.test(incoming.headers['if-none-match'] ?? '') ? 304 : 200, {
        'Content-Type': 'text/css',
      });
      response.end(response.statusCode === 304 ? undefined : text(5_000));
    });
    const gateway = await gatewayFor(t, upstream.url, { compression: {} });
    const first = await get(gateway.url, { 'Accept-Encoding': 'gzip' });
    const tag = first.headers.etag ?? '';
    const again = await get(gateway.url, { 'Accept-Encoding': 'gzip', 'If-None-Match': tag });
    assert.deepEqual([again.status, again.headers.etag, again.headers.vary], [304, 'W/"x"', 'Accept-Encoding']);
    assert.equal(again.headers['content-encoding'], undefined);
    const plain = await get(gateway.url, { 'If-None-Match': '"x"' });
    assert.deepEqual([plain.status, plain.headers.etag], [304, '"x"']);
  });

  test('that comes event by event arrives event by event', async (t) => {
    let send: ((event: string) => void) | null = null;
    const sender = (): typeof send => send;
    const upstream = await httpUpstream(t, (_incoming, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.flushHeaders();
      send = (event) => response.write(`data: ${event}\n\n`);
    });
    const gateway = await gatewayFor(t, upstream.url, { compression: {} });
    for (const [coding, stream] of [
      ['gzip', zlib.createGunzip()],
      ['br', zlib.createBrotliDecompress()],
      ['zstd', zlib.createZstdDecompress()],
    ] as const) {
      send = null;
      let received = '';
      stream.on('data', (bytes: Buffer) => {
        received += bytes.toString();
      });
      stream.on('error', () => {});
      const sent = request(gateway.url, { headers: { 'Accept-Encoding': coding }, agent: false }, (response) => {
        assert.equal(response.headers['content-encoding'], coding);
        response.pipe(stream);
      });
      sent.on('error', () => {});
      sent.end();
      await until(() => sender() !== null, 'the service is asked');
      for (const event of ['one', 'two', 'three']) {
        sender()?.(event);
        await until(() => received.endsWith(`data: ${event}\n\n`), `${event} arrives by ${coding}`);
      }
      sent.destroy();
    }
  });

  test('that nobody reads holds the service back, and a client that leaves ends all of it', async (t) => {
    let written = 0;
    let ended = false;
    const upstream = await rawUpstream(t, (socket) => {
      socket.on('close', () => {
        ended = true;
      });
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2000000000\r\n\r\n');
        // Nothing gets smaller by packing this: it comes again when the window of zstd has long forgotten it.
        const noise = randomBytes(8 * 1024 * 1024);
        const pump = (): void => {
          while (!socket.destroyed) {
            const at = written % noise.length;
            written += 65_536;
            if (!socket.write(noise.subarray(at, at + 65_536))) break;
          }
        };
        socket.on('drain', pump);
        pump();
      });
    });
    const gateway = await gatewayFor(t, upstream.url, { compression: {} });
    const caller = new RawCaller(gateway.port);
    caller.socket.pause();
    caller.send('GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: zstd\r\n\r\n');
    let before = -1;
    let still = 0;
    await until(
      () => {
        still = before === written ? still + 1 : 0;
        before = written;
        return still > 200 && written > 1_000_000;
      },
      'the service is held back',
      30_000,
    );
    assert.ok(written < 100_000_000, `${written} bytes`);
    caller.socket.destroy();
    await until(() => ended, 'the connection to the service is closed');
  });

  test('that breaks off breaks off for the client, too', async (t) => {
    const upstream = await rawUpstream(t, (socket) => {
      socket.on('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 500000\r\n\r\n${text(100_000)}`);
        setTimeout(() => socket.destroy(), 50);
      });
    });
    const gateway = await gatewayFor(t, upstream.url, { compression: {} });
    await assert.rejects(get(gateway.url, { 'Accept-Encoding': 'gzip' }), /aborted|hang up|ECONNRESET/);
    assert.equal((await get(`${gateway.url}/health`)).status < 600, true);
  });

  test('made by the gateway is packed as well, and an error is not', async (t) => {
    const gateway = await startTestGateway(t, {
      gateway: { compression: {} },
      routes: [
        {
          match: { path: '/fixed' },
          auth: 'public',
          respond: { body: text(3_000), headers: { 'Content-Type': 'text/plain' } },
        },
      ],
    });
    const got = await get(`${gateway.url}/fixed`, { 'Accept-Encoding': 'gzip' });
    assert.equal(got.headers['content-encoding'], 'gzip');
    assert.equal(unpacked(got).toString(), text(3_000));
    const error = await get(`${gateway.url}/nowhere`, { 'Accept-Encoding': 'gzip' });
    assert.deepEqual([error.status, error.headers['content-encoding']], [404, undefined]);
    assert.equal((JSON.parse(error.body.toString()) as { status: number }).status, 404);
  });

  test('from the cache is packed for whoever wants that', async (t) => {
    let asked = 0;
    const upstream = await httpUpstream(t, (_incoming, response) => {
      asked++;
      response.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'max-age=60', ETag: '"x"' });
      response.end(text(5_000));
    });
    const gateway = await gatewayFor(t, upstream.url, { compression: {}, cache: {} });
    for (const coding of ['gzip', 'br', '', 'zstd', 'gzip']) {
      const got = await get(gateway.url, coding === '' ? {} : { 'Accept-Encoding': coding });
      assert.equal(got.headers['content-encoding'] ?? '', coding);
      assert.equal(unpacked(got).toString(), text(5_000));
    }
    assert.equal(asked, 1);
    const again = await get(gateway.url, { 'Accept-Encoding': 'gzip', 'If-None-Match': 'W/"x"' });
    assert.deepEqual([again.status, again.headers.etag, again.body.length], [304, 'W/"x"', 0]);
  });

  test('goes over HTTP/2 packed', async (t) => {
    const gateway = await gatewayFor(t, (await textUpstream(t)).url, { compression: {} });
    const session = connect(gateway.url);
    t.after(() => session.destroy());
    const stream = session.request({ ':path': '/300000', 'accept-encoding': 'br' });
    let coding: unknown;
    stream.on('response', (fields) => {
      coding = fields['content-encoding'];
    });
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    assert.equal(coding, 'br');
    assert.equal(zlib.brotliDecompressSync(Buffer.concat(parts)).toString(), text(300_000));
  });
});

describe('a packed request', () => {
  const PACKERS = {
    gzip: zlib.gzipSync,
    deflate: zlib.deflateSync,
    br: (bytes: zlib.InputType) =>
      zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 2 } }),
    zstd: zlib.zstdCompressSync,
  };
  const post = (gateway: TestGateway, coding: string, body: Uint8Array, more: Readonly<Record<string, string>> = {}) =>
    get(
      gateway.url,
      { 'Content-Encoding': coding, 'Content-Type': 'application/json', ...more },
      { method: 'POST', body },
    );
  const expected = (got: Got): string => JSON.parse(got.body.toString()).errors?.[0]?.expected ?? '';

  test('reaches the service unpacked, without the fields that were about its packed form', async (t) => {
    const gateway = await gatewayFor(t, (await echoUpstream(t)).url, { decompression: {} });
    for (const [coding, pack] of Object.entries(PACKERS)) {
      for (const length of [2, 200_000]) {
        const body = JSON.stringify(text(length));
        const got = await post(gateway, coding, pack(body), { 'Content-Digest': 'sha-256=:AA==:' });
        const echo = JSON.parse(got.body.toString()) as { headers: string[]; body: string };
        assert.equal(echo.body, body, coding);
        const names = echo.headers.map((each) => each.toLowerCase());
        assert.ok(!names.includes('content-encoding') && !names.includes('content-digest'), coding);
      }
    }
    const plain = await post(gateway, 'identity', Buffer.from('{}'));
    assert.equal((JSON.parse(plain.body.toString()) as { body: string }).body, '{}');
  });

  test('is checked by what it says unpacked', async (t) => {
    const gateway = await gatewayFor(t, (await echoUpstream(t)).url, {
      decompression: {},
      validate: { body: { type: 'object', required: ['item'] } },
    });
    assert.equal((await post(gateway, 'gzip', zlib.gzipSync('{"item":1}'))).status, 200);
    const wrong = await post(gateway, 'gzip', zlib.gzipSync('{}'));
    assert.deepEqual([wrong.status, expected(wrong)], [400, 'required']);
  });

  test('that would become too large is 413: a bomb by its ratio, before it is large', async (t) => {
    const received = new Map<string, number>();
    const upstream = await httpUpstream(t, (incoming, response) => {
      const from = String(incoming.headers['x-packed']);
      incoming.on('data', (bytes: Buffer) => {
        received.set(from, (received.get(from) ?? 0) + bytes.length);
      });
      incoming.on('end', () => response.end());
      incoming.on('error', () => {});
    });
    const gateway = await gatewayFor(t, upstream.url, { decompression: { maxSize: '1mb' } });
    for (const [coding, pack] of Object.entries(PACKERS)) {
      const bomb = pack(Buffer.alloc(20_000_000));
      const got = await post(gateway, coding, bomb, { 'X-Packed': coding });
      assert.equal(got.status, 413, coding);
      assert.match(got.body.toString(), /unpacked/);
    }
    const large = await post(gateway, 'gzip', zlib.gzipSync(text(1_200_000)));
    assert.equal(large.status, 413, 'larger than maxSize');
    assert.equal((await post(gateway, 'gzip', zlib.gzipSync(text(900_000)))).status, 200);
    for (const coding of Object.keys(PACKERS)) {
      const bytes = received.get(coding) ?? 0;
      assert.ok(bytes < 1_100_000, `${coding}: the service got ${bytes} bytes`);
    }
  });

  test('that is cut short, broken or followed by more is 400; a coding that is not taken is 415', async (t) => {
    const gateway = await gatewayFor(t, (await echoUpstream(t)).url, {
      decompression: { codings: ['gzip', 'br', 'zstd'] },
      validate: { body: {} },
    });
    for (const [coding, pack] of Object.entries(PACKERS)) {
      if (coding === 'deflate') continue;
      const whole = pack('{"some":"thing"}');
      const wrong = {
        'cut short': whole.subarray(0, whole.length - 3),
        broken: Buffer.from('{"some":"thing"}'),
        'followed by more': Buffer.concat([whole, Buffer.from('more')]),
      };
      for (const [how, body] of Object.entries(wrong)) {
        const got = await post(gateway, coding, body);
        assert.equal(got.status, 400, `${coding}, ${how}: ${got.body}`);
      }
    }
    for (const coding of ['deflate', 'compress', 'gzip, gzip', 'aws-chunked']) {
      const got = await post(gateway, coding, Buffer.from('x'));
      assert.deepEqual([got.status, got.headers['accept-encoding']], [415, 'gzip, br, zstd'], coding);
    }
  });
});
