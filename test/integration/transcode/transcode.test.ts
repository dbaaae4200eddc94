/**
 * JSON over HTTP in front of a gRPC service by grpcio: google.api.http in all its forms, errors, streams, and what is
 * refused.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as f from '../../../src/data/http2/frames.ts';
import type { TestGateway } from '../../support/gateway.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { block, frame, Http2Peer } from '../../support/http2-peer.ts';
import { descriptorSet } from '../../support/protos.ts';
import { RawCaller } from '../../support/raw.ts';
import { suiteScope } from '../../support/scope.ts';

const PROTO = fileURLToPath(new URL('./library.proto', import.meta.url));
const SERVER = fileURLToPath(new URL('../../support/grpc_library.py', import.meta.url));

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Record<string, unknown>;
}

describe('transcoding', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  let set = '';

  before(async () => {
    set = descriptorSet(scope, PROTO);
    const server = spawn('/usr/bin/python3', [SERVER, set], { stdio: ['ignore', 'pipe', 'inherit'] });
    scope.after(() => void server.kill('SIGKILL'));
    const [first] = (await once(server.stdout, 'data')) as [Buffer];
    const instances = [`http://127.0.0.1:${first.toString().trim()}`];
    gateway = await startTestGateway(scope, {
      services: {
        library: { instances, protocol: 'grpc', retries: 0, timeouts: { total: '20s' } },
      },
      routes: [
        {
          match: { path: '/v1/*' },
          service: 'library',
          auth: 'public',
          maxRequestSize: '1mb',
          transcode: { proto: PROTO, ignoreQuery: 'api_key' },
        },
        {
          match: { path: '/set/*' },
          service: 'library',
          auth: 'public',
          rewrite: { stripPrefix: '/set' },
          transcode: { descriptorSet: set, names: 'proto', defaults: false, unbound: true },
        },
        {
          match: { path: '/cached/*' },
          service: 'library',
          auth: 'public',
          rewrite: { stripPrefix: '/cached' },
          cache: { lifetimes: { 200: '1m' } },
          transcode: { proto: PROTO },
        },
        {
          match: { grpc: { service: 'test.library.v1.Library' } },
          service: 'library',
          auth: 'public',
          transcode: { proto: PROTO },
        },
      ],
    });
  });

  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(`${gateway.url}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, json: text === '' ? {} : JSON.parse(text) };
  }

  test('a GET with a name from the path; metadata and trailers of the service become fields; 64 bits stay exact', async () => {
    const { status, headers, json } = await call('GET', '/v1/shelves/7/books/a%20b');
    assert.equal(status, 200);
    assert.equal(headers.get('content-type'), 'application/json');
    assert.deepEqual([headers.get('x-shelf'), headers.get('x-cost'), headers.get('etag')], ['seven', '3', '"v1"']);
    assert.equal(headers.get('grpc-status'), null);
    assert.deepEqual(json, {
      name: 'shelves/7/books/a b',
      title: 'Title',
      pages: '9007199254740993',
      genre: 'NOVEL',
      tags: [],
    });
  });

  test('additional bindings, HEAD, and a field as the response', async () => {
    assert.equal((await call('GET', '/v1/isbn/978-3')).json['title'], 'by isbn 978-3');
    assert.deepEqual((await call('GET', '/v1/titles')).json, ['a', 'b']);
    const head = await fetch(`${gateway.url}/v1/isbn/1`, { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
    assert.ok(Number(head.headers.get('content-length')) > 10);
  });

  test('a query reaches nested and repeated fields, times and booleans, by either name', async () => {
    const query =
      'page_size=5&filter.author=A%26B+C&filter.genres=NOVEL&filter.genres=2&all=true&since=2026-01-02T03:04:05Z';
    const { json } = await call('GET', `/v1/shelves/1/books?${query}&api_key=x`);
    assert.deepEqual(JSON.parse(json['seen'] as string), {
      parent: 'shelves/1',
      pageSize: 5,
      filter: { author: 'A&B C', genres: ['NOVEL', 'POETRY'] },
      all: true,
      since: '2026-01-02T03:04:05Z',
    });
    const other = await call('GET', '/v1/shelves/1/books?pageSize=6');
    assert.deepEqual(JSON.parse(other.json['seen'] as string), { parent: 'shelves/1', pageSize: 6 });
  });

  test('bodies: a field, all, beside path and query; a variable of a nested field wins over the body', async () => {
    const book = { title: 'T', pages: '12', publishedAt: '2026-01-02T03:04:05.5Z', tags: ['x'], rating: 0 };
    const created = await call('POST', '/v1/shelves/2/books?book_id=b7', book);
    assert.deepEqual(created.json, {
      name: 'shelves/2/books/b7',
      ...book,
      publishedAt: '2026-01-02T03:04:05.500Z',
      genre: 'GENRE_UNSPECIFIED',
    });
    const updated = await call('PATCH', '/v1/shelves/2/books/b7?update_mask=title,publishedAt', {
      name: 'other',
      title: 'U',
    });
    assert.deepEqual([updated.json['name'], updated.json['tags']], ['shelves/2/books/b7', ['title,published_at']]);
    const moved = await call('POST', '/v1/shelves/2/books/b7:move', { other_shelf: 'shelves/9' });
    assert.equal(moved.json['name'], 'shelves/9/books/b7');
    assert.deepEqual((await call('DELETE', '/v1/shelves/2/books/b7')).json, {});
  });

  test('integers of 64 bits stay exact as JSON numbers too, bytes and wrappers as ProtoJSON has them', async () => {
    const body =
      '{"number":9223372036854775807,"other":"18446744073709551615","real":1e300,"data":"_-8","maybe":false,"numbers":[1,-2]}';
    const { json } = await call('POST', '/v1/see', body);
    assert.deepEqual(JSON.parse(json['request'] as string), {
      number: '9223372036854775807',
      other: '18446744073709551615',
      real: 1e300,
      data: '/+8=',
      maybe: false,
      numbers: [1, -2],
    });
    assert.deepEqual(JSON.parse((await call('GET', '/v1/see/a%2Fb?maybe=true&numbers=3')).json['request'] as string), {
      text: 'a/b',
      maybe: true,
      numbers: [3],
    });
  });

  test("the client's fields are metadata, those of HTTP are not, and the service is told how long it has", async () => {
    const { json } = await call('GET', '/v1/see/x', undefined, {
      'x-tenant': 't1',
      accept: 'application/json',
      'if-none-match': '"a"',
    });
    const metadata = json['metadata'] as Record<string, string>;
    assert.equal(metadata['x-tenant'], 't1');
    assert.ok(metadata['x-request-id'] !== undefined);
    assert.equal(metadata['if-none-match'], undefined);
    assert.equal(metadata['accept'], undefined);
    assert.ok(Number(json['leftMs']) > 5_000 && Number(json['leftMs']) <= 20_000, `${json['leftMs']}`);
    const short = await call('GET', '/v1/see/x', undefined, { 'grpc-timeout': '9S' });
    assert.ok(Number(short.json['leftMs']) <= 9_000, `${short.json['leftMs']}`);
  });

  test('what does not fit is 400 with its place: unknown fields, types, the query, a body where there is none', async () => {
    const cases: [string, string, unknown, string, RegExp][] = [
      ['POST', '/v1/shelves/1/books', { titel: 'x' }, '/titel', /no such field in test.library.v1.Book/],
      ['POST', '/v1/shelves/1/books', { tags: ['a', 5] }, '/tags/1', /a string/],
      ['POST', '/v1/see', { numbers: [1, 2 ** 40] }, '/numbers/1', /integer from/],
      ['POST', '/v1/see', '{"number":1,"number":2}', '/number', /once/],
      ['POST', '/v1/see', '{"number":', 'body', /JSON/],
      ['POST', '/v1/see', [1], 'body', /an object/],
      ['POST', '/v1/see?text=x', {}, 'query.text', /belongs to the body/],
      ['GET', '/v1/shelves/1/books?pageSize=x', undefined, 'query.pageSize', /integer from/],
      ['GET', '/v1/shelves/1/books?nope=1', undefined, 'query.nope', /no such field/],
      ['GET', '/v1/shelves/1/books?filter=1', undefined, 'query.filter', /one value/],
      ['GET', '/v1/shelves/1/books?all=true&all=false', undefined, 'query.all', /once/],
      ['GET', '/v1/shelves/1/books?parent=x', undefined, 'query.parent', /the path says it/],
      ['GET', '/v1/fail/abc', undefined, 'path.code', /integer from/],
      ['DELETE', '/v1/shelves/1/books/2', { a: 1 }, 'body', /no body/],
    ];
    for (const [method, path, body, field, expected] of cases) {
      const { status, json } = await call(method, path, body);
      assert.equal(status, 400, `${method} ${path}`);
      const [first] = json['errors'] as { field: string; expected: string }[];
      assert.equal(first!.field, field, path);
      assert.match(first!.expected, expected, path);
    }
  });

  test('a path that no method has is 404, another method of it 405 with those that there are, too large is 413', async () => {
    assert.equal((await call('GET', '/v1/nothing/here')).status, 404);
    const other = await call('PUT', '/v1/shelves/1/books/2');
    assert.deepEqual([other.status, other.headers.get('allow')], [405, 'DELETE, GET, PATCH']);
    assert.equal((await call('POST', '/v1/see', { text: 'x'.repeat(1_100_000) })).status, 413);
  });

  test('every status of google.rpc has its status of HTTP and its JSON', async () => {
    const statuses = {
      1: 499,
      2: 500,
      3: 400,
      4: 504,
      5: 404,
      6: 409,
      7: 403,
      8: 429,
      9: 400,
      10: 409,
      11: 400,
      12: 501,
      13: 500,
      14: 503,
      15: 500,
      16: 401,
    };
    for (const [code, expected] of Object.entries(statuses)) {
      const { status, json } = await call('GET', `/v1/fail/${code}`);
      assert.equal(status, expected, `code ${code}`);
      assert.deepEqual(json, { code: Number(code), message: 'failed: 100% é', details: [] });
    }
  });

  test('details of a status come as JSON, unknown ones as bytes, and RetryInfo as Retry-After', async () => {
    const { status, headers, json } = await call('GET', '/v1/fail/14?details=true');
    assert.equal(status, 503);
    assert.equal(headers.get('retry-after'), '3');
    assert.deepEqual(json, {
      code: 14,
      message: 'with details',
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.BadRequest',
          fieldViolations: [{ field: 'code', description: 'is bad' }],
        },
        { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '2.500s' },
        { '@type': 'type.googleapis.com/no.Such', value: 'YWJj' },
      ],
    });
  });

  test('a stream is lines of JSON, or events where the client asks for them', async () => {
    const lines = await fetch(`${gateway.url}/v1/books:watch?count=3`);
    assert.equal(lines.headers.get('content-type'), 'application/x-ndjson');
    const titles = (await lines.text())
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { title: string }).title);
    assert.deepEqual(titles, ['book 0', 'book 1', 'book 2']);
    const events = await fetch(`${gateway.url}/v1/books:watch?count=2`, { headers: { accept: 'text/event-stream' } });
    assert.equal(events.headers.get('content-type'), 'text/event-stream');
    const text = await events.text();
    assert.equal(text.match(/^data: \{"name":"","title":"book \d".*\}\n\n/gm)!.length, 2);
    const empty = await fetch(`${gateway.url}/v1/books:watch?count=0`);
    assert.deepEqual([empty.status, await empty.text()], [200, '']);
  });

  test('a stream that fails at once has a status of HTTP; in the middle it ends with the error and is cut off', async () => {
    assert.equal((await call('GET', '/v1/books:watch?fail_code=5')).status, 404);
    const caller = new RawCaller(gateway.port);
    caller.send('GET /v1/books:watch?count=2&fail_code=15 HTTP/1.1\r\nHost: a\r\n\r\n');
    const raw = (await caller.end()).toString('latin1');
    assert.match(raw, /"title":"book 1"/);
    assert.match(raw, /\{"error":\{"code":15,"message":"in the middle","details":\[\]\}\}/);
    assert.doesNotMatch(raw, /\r\n0\r\n\r\n/, 'no clean end');
  });

  test('HttpBody passes as it is, both ways; many lines are many messages', async () => {
    const file = await fetch(`${gateway.url}/v1/files/a/b%2Fc/d.csv`);
    assert.deepEqual([file.headers.get('content-type'), await file.text()], ['text/csv', 'path,a/b%2Fc/d.csv\n']);
    const upload = await fetch(`${gateway.url}/v1/files/x`, {
      method: 'POST',
      headers: { 'content-type': 'image/png' },
      body: 'abc',
    });
    const seen = JSON.parse(((await upload.json()) as { request: string }).request) as Record<string, unknown>;
    assert.deepEqual(seen, { path: 'x', file: { contentType: 'image/png', data: 'YWJj' } });
    const many = await call('POST', '/v1/records', '{"title":"a"}\n\n{"title":"b"}\n{"title":"c"}', {
      'content-type': 'application/x-ndjson',
    });
    assert.equal(many.json['messages'], 3);
  });

  test('from a descriptor set, with names of the file, without defaults, and unbound methods by POST', async () => {
    const { json } = await call('GET', '/set/v1/shelves/7/books/x');
    assert.deepEqual(json, { name: 'shelves/7/books/x', title: 'Title', pages: '9007199254740993', genre: 'NOVEL' });
    const unbound = await call('POST', '/set/test.library.v1.Library/Unbound', { text: 'x' });
    assert.equal(JSON.parse(unbound.json['request'] as string).text, 'x');
    assert.ok('left_ms' in unbound.json);
  });

  test('what is gRPC already passes on the same route', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port);
    const fields = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':authority', 'a.test'],
      [':path', '/test.library.v1.Library/DeleteBook'],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ] as const;
    peer.send(frame(f.HEADERS, f.END_HEADERS, 1, block(fields)));
    peer.data(1, Buffer.alloc(5), f.END_STREAM);
    const { status, trailers, body } = await peer.response(1);
    assert.deepEqual([status, body.length], ['200', 5]);
    assert.ok(trailers!.fields.some(([name, value]) => name === 'grpc-status' && value === '0'));
  });

  test('a cache stores the JSON', async () => {
    const first = await call('GET', '/cached/v1/isbn/42');
    const second = await call('GET', '/cached/v1/isbn/42');
    assert.equal(first.json['title'], 'by isbn 42');
    assert.deepEqual(second.json, first.json);
    assert.match(second.headers.get('cache-status') ?? '', /hit/);
  });

  test('a service that is no gRPC, ends early or sends too much is 502, and a stream is cut off', async (t) => {
    const head = (type: string) =>
      block([
        [':status', '200'],
        ['content-type', type],
      ]);
    const answers: ((peer: Http2Peer, stream: number) => void)[] = [
      (peer, stream) => {
        peer.send(frame(f.HEADERS, f.END_HEADERS, stream, head('text/html')));
        peer.data(stream, '<html>', f.END_STREAM);
      },
      (peer, stream) => {
        peer.send(frame(f.HEADERS, f.END_HEADERS, stream, head('application/grpc')));
        peer.data(stream, Buffer.from([0, 0xff, 0, 0, 0, 1]));
      },
      (peer, stream) => {
        peer.send(frame(f.HEADERS, f.END_HEADERS, stream, head('application/grpc')));
        peer.data(stream, Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff]));
      },
      (peer, stream) => {
        peer.send(frame(f.HEADERS, f.END_HEADERS, stream, head('application/grpc')));
        peer.data(stream, Buffer.from([0, 0, 0, 0, 0]), f.END_STREAM);
      },
    ];
    let calls = 0;
    const upstream = await Http2Peer.serve(t, (peer) => {
      void (async () => {
        for (let i = 0; ; i++) answers[calls++ % answers.length]!(peer, (await peer.request(i)).stream);
      })().catch(() => {});
    });
    const bad = await startTestGateway(t, {
      services: { s: { instances: [upstream.url], protocol: 'grpc', retries: 0, ejection: 'off' } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public', transcode: { proto: PROTO } }],
    });
    for (const status of [502, 502, 502, 500]) assert.equal((await fetch(`${bad.url}/v1/isbn/1`)).status, status);
  });

  test('a content type of HttpBody that is no field splits no response', async (t) => {
    const TYPES = [
      'text/html\r\nset-cookie: a=b',
      'text/html\n\nHTTP/1.1 200 OK',
      // Its second byte is that of CR where texts are written byte by byte.
      'text/html\u010d\u010aset-cookie: a=b',
      'text/html\0',
      ' text/html ',
      'täxt/html',
    ];
    const upstream = await Http2Peer.serve(t, (peer) => {
      void (async () => {
        for (let i = 0; ; i++) {
          const { stream, fields } = await peer.request(i);
          const nth = Number(fields.find(([name]) => name === 'x-nth')![1]);
          const text = Buffer.from(TYPES[nth] ?? 'text/csv; charset=utf-8');
          const message = Buffer.concat([Buffer.of(10, text.length), text, Buffer.of(18, 2), Buffer.from('ab')]);
          const head = block([
            [':status', '200'],
            ['content-type', 'application/grpc'],
          ]);
          peer.send(
            frame(f.HEADERS, f.END_HEADERS, stream, head),
            frame(f.DATA, 0, stream, Buffer.concat([Buffer.of(0, 0, 0, 0, message.length), message])),
            frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, block([['grpc-status', '0']])),
          );
        }
      })().catch(() => {});
    });
    const bad = await startTestGateway(t, {
      services: { s: { instances: [upstream.url], protocol: 'grpc', retries: 0, ejection: 'off' } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public', transcode: { proto: PROTO } }],
    });
    const ask = async (nth: number): Promise<{ status: number; text: string }> => {
      const caller = new RawCaller(bad.port);
      caller.send(`GET /v1/files/x HTTP/1.1\r\nHost: a\r\nX-Nth: ${nth}\r\nConnection: close\r\n\r\n`);
      const text = (await caller.end()).toString('latin1');
      return { status: Number(text.slice(9, 12)), text };
    };
    const fine = await ask(TYPES.length);
    assert.deepEqual(
      [fine.status, /\r\ncontent-type: (.*)\r\n/i.exec(fine.text)?.[1]],
      [200, 'text/csv; charset=utf-8'],
    );
    for (const [nth, type] of TYPES.entries()) {
      const { status, text } = await ask(nth);
      assert.equal(status, 502, JSON.stringify(type));
      assert.ok(!/set-cookie|200 OK/i.test(text), text);
    }
  });
});
