/** What passes through the gateway, seen as bytes from both sides. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { suiteScope } from '../support/scope.ts';
import type { Upstream } from '../support/upstream.ts';
import { cannedUpstream, echoUpstream } from '../support/upstream.ts';

interface Echo {
  method: string;
  url: string;
  headers: string[];
  body: string;
  trailers: string[];
}

function fields(echo: Echo, name: string): string[] {
  return echo.headers.filter((_, i) => i % 2 === 1 && echo.headers[i - 1]!.toLowerCase() === name);
}

describe('a request through the gateway', () => {
  let gateway: TestGateway;
  let upstream: Upstream;
  const scope = suiteScope();
  before(async () => {
    upstream = await echoUpstream(scope);
    gateway = await startTestGateway(scope, {
      services: { echo: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 'echo', auth: 'public' }],
    });
  });

  const ask = async (text: string, method = 'GET') => {
    const caller = new RawCaller(gateway.port);
    const answer = await caller.send(text).answer(method);
    caller.close();
    return {
      answer,
      echo: method === 'HEAD' || answer.status !== 200 ? null : (JSON.parse(answer.body.toString()) as Echo),
    };
  };

  test('arrives with method, target and fields, and is answered on the same connection', async () => {
    const { answer, echo } = await ask(
      'PUT /a/b?c=d&e HTTP/1.1\r\nHost: example.com\r\nAccept: x/y\r\nContent-Length: 5\r\n\r\nhello',
    );
    assert.equal(answer.status, 200);
    assert.equal(echo?.method, 'PUT');
    assert.equal(echo?.url, '/a/b?c=d&e');
    assert.equal(echo?.body, 'hello');
    assert.deepEqual(fields(echo!, 'accept'), ['x/y']);
  });

  test('an empty query stays an empty query', async () => {
    assert.equal((await ask('GET /a? HTTP/1.1\r\nHost: a\r\n\r\n')).echo?.url, '/a?');
  });

  test('hop-by-hop fields and those that Connection names do not pass (RFC 9110 §7.6.1)', async () => {
    const { echo } = await ask(
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nProxy-Authorization: b\r\nX-Kept: yes\r\n\r\n',
    );
    for (const name of ['x-secret', 'keep-alive', 'proxy-connection', 'te', 'proxy-authorization'])
      assert.deepEqual(fields(echo!, name), [], name);
    assert.deepEqual(fields(echo!, 'x-kept'), ['yes']);
  });

  test('Connection cannot take off Host or the length', async () => {
    const { echo } = await ask(
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length\r\nContent-Length: 2\r\n\r\nhi',
    );
    assert.equal(echo?.body, 'hi');
    assert.equal(fields(echo!, 'host').length, 1);
  });

  test('what a stranger says about forwarding is replaced by what is so', async () => {
    const { echo } = await ask(
      'GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX_Forwarded_For: 7.7.7.7\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\r\n',
    );
    assert.deepEqual(fields(echo!, 'x-forwarded-for'), ['127.0.0.1']);
    assert.deepEqual(fields(echo!, 'x-forwarded-proto'), ['http']);
    assert.deepEqual(fields(echo!, 'x-forwarded-host'), ['shop.example']);
    assert.deepEqual(fields(echo!, 'forwarded'), ['for=127.0.0.1;host="shop.example";proto=http']);
    assert.deepEqual(fields(echo!, 'x_forwarded_for'), []);
    assert.deepEqual(fields(echo!, 'x-real-ip'), []);
    assert.deepEqual(fields(echo!, 'via'), ['1.1 gatehouse']);
  });

  test('a sane request id is kept, passed on and returned; any other is replaced', async () => {
    const kept = await ask('GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: order-12345\r\n\r\n');
    assert.deepEqual(fields(kept.echo!, 'x-request-id'), ['order-12345']);
    assert.equal(kept.answer.headers['x-request-id'], 'order-12345');
    const replaced = await ask('GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: <script>alert(1)</script>\r\n\r\n');
    assert.match(replaced.answer.headers['x-request-id']!, /^[0-9a-f-]{36}$/);
    assert.deepEqual(fields(replaced.echo!, 'x-request-id'), [replaced.answer.headers['x-request-id']]);
  });

  test('a chunked body arrives whole, with its trailers and without its extensions', async () => {
    const { echo } = await ask(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Digest\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nDigest: 1\r\nContent-Length: 9\r\n\r\n',
    );
    assert.equal(echo?.body, 'abcde');
    assert.deepEqual(echo?.trailers, ['Digest', '1']);
  });

  test('the absolute form counts, and its authority replaces Host (RFC 9112 §3.2.2)', async () => {
    const { echo } = await ask('GET http://real.example/x?y HTTP/1.1\r\nHost: other.example\r\n\r\n');
    assert.equal(echo?.url, '/x?y');
    assert.deepEqual(fields(echo!, 'x-forwarded-host'), ['real.example']);
  });

  test('OPTIONS * is answered by the gateway itself', async () => {
    const { answer } = await ask('OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(answer.status, 204);
    assert.match(answer.headers['allow']!, /GET/);
  });

  test('CONNECT and TRACE are refused', async () => {
    assert.equal((await ask('CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n')).answer.status, 501);
    assert.equal((await ask('TRACE / HTTP/1.1\r\nHost: a\r\n\r\n')).answer.status, 501);
  });

  test('HEAD brings the fields and no body', async () => {
    const { answer } = await ask('HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n', 'HEAD');
    assert.equal(answer.status, 200);
    assert.equal(answer.body.length, 0);
  });

  test('HTTP/1.0 is answered, the connection closes unless it asked to stay', async () => {
    const closing = new RawCaller(gateway.port);
    closing.send('GET / HTTP/1.0\r\n\r\n');
    assert.equal((await closing.answer()).status, 200);
    await closing.end();
    const staying = new RawCaller(gateway.port);
    for (let i = 0; i < 2; i++) {
      const answer = await staying.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n').answer();
      assert.equal(answer.headers['connection'], 'keep-alive');
    }
    staying.close();
  });

  test('two pipelined requests, split at every offset, are answered in order', async () => {
    const pair =
      'POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPOST /second HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n';
    const caller = new RawCaller(gateway.port);
    for (let at = 1; at < pair.length; at++) {
      await caller.sendSplit(pair, [at]);
      const first = JSON.parse((await caller.answer()).body.toString()) as Echo;
      const second = JSON.parse((await caller.answer()).body.toString()) as Echo;
      assert.deepEqual(
        [first.url, first.body, second.url, second.body],
        ['/first', 'abc', '/second', 'de'],
        `split at ${at}`,
      );
    }
    caller.close();
  });

  test('a request a byte at a time is a request', async () => {
    const text = 'POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok';
    const caller = new RawCaller(gateway.port);
    await caller.sendSplit(
      text,
      Array.from({ length: text.length - 1 }, (_, i) => i + 1),
    );
    assert.equal((JSON.parse((await caller.answer()).body.toString()) as Echo).body, 'ok');
    caller.close();
  });

  test('fifty pipelined requests are answered in order over few upstream connections', async () => {
    const caller = new RawCaller(gateway.port);
    caller.send(Array.from({ length: 50 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
    for (let i = 0; i < 50; i++)
      assert.equal((JSON.parse((await caller.answer()).body.toString()) as Echo).url, `/${i}`);
    caller.close();
  });

  test('Expect: 100-continue is asked of the upstream and its word is passed on', async () => {
    const caller = new RawCaller(gateway.port);
    caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n');
    assert.equal((await caller.answer()).status, 100);
    caller.send('ok');
    assert.equal((JSON.parse((await caller.answer()).body.toString()) as Echo).body, 'ok');
    caller.close();
  });

  test('an unknown path is 404 with code, message, time and request id (RFC 9457)', async (t) => {
    const lone = await startTestGateway(t, {
      routes: [{ match: { path: '/only', methods: ['GET'] }, respond: { status: 200, body: 'x' }, auth: 'public' }],
    });
    const caller = new RawCaller(lone.port);
    const answer = await caller.send('GET /other HTTP/1.1\r\nHost: a\r\n\r\n').answer();
    assert.equal(answer.status, 404);
    assert.equal(answer.headers['content-type'], 'application/problem+json');
    const problem = JSON.parse(answer.body.toString()) as Record<string, unknown>;
    assert.equal(problem['code'], 'RESOURCE_NOT_FOUND');
    assert.equal(problem['request_id'], answer.headers['x-request-id']);
    assert.ok(problem['timestamp']);
    const refused = await caller.send('POST /only HTTP/1.1\r\nHost: a\r\n\r\n').answer();
    assert.equal(refused.status, 405);
    assert.equal(refused.headers['allow'], 'GET, HEAD');
    caller.close();
  });
});

describe('an answer through the gateway', () => {
  const rows: {
    name: string;
    answer: string;
    ending?: 'keep' | 'end';
    want: { status: number; body?: string; trailers?: Record<string, string> };
  }[] = [
    {
      name: 'with a length',
      answer: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
      want: { status: 200, body: 'hello' },
    },
    {
      name: 'with chunks and extensions',
      answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n',
      want: { status: 200, body: 'hello' },
    },
    {
      name: 'with trailers',
      answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nDigest: 7\r\n\r\n',
      want: { status: 200, body: 'x', trailers: { digest: '7' } },
    },
    {
      name: 'that ends with the connection',
      answer: 'HTTP/1.1 200 OK\r\n\r\nhello',
      ending: 'end',
      want: { status: 200, body: 'hello' },
    },
    {
      name: 'of HTTP/1.0',
      answer: 'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello',
      ending: 'end',
      want: { status: 200, body: 'hello' },
    },
    { name: '204', answer: 'HTTP/1.1 204 No Content\r\n\r\n', want: { status: 204, body: '' } },
    {
      name: '304 with a length',
      answer: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n',
      want: { status: 304, body: '' },
    },
    {
      name: 'behind an early hint',
      answer: 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
      want: { status: 103 },
    },
    {
      name: 'with an odd status',
      answer: 'HTTP/1.1 299 Whatever It Is\r\nContent-Length: 0\r\n\r\n',
      want: { status: 299, body: '' },
    },
  ];
  for (const { name, answer, ending, want } of rows) {
    test(`passes one ${name}`, async (t) => {
      const upstream = await cannedUpstream(t, answer, ending);
      const gateway = await startTestGateway(t, {
        services: { s: { instances: [{ url: upstream.url }] } },
        routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
      });
      const caller = new RawCaller(gateway.port);
      const got = await caller.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer();
      assert.equal(got.status, want.status);
      if (want.body !== undefined) assert.equal(got.body.toString(), want.body);
      if (want.trailers !== undefined) assert.deepEqual(got.trailers, want.trailers);
      if (want.status === 103) assert.equal((await caller.answer()).body.toString(), 'ok');
      caller.close();
    });
  }
});
