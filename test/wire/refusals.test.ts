/**
 * Requests that must not pass: each is answered with the right status, the connection ends, and no upstream sees it.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { suiteScope } from '../support/scope.ts';
import { httpUpstream } from '../support/upstream.ts';

describe('a request that could be read in two ways', () => {
  const scope = suiteScope();
  const seen: string[] = [];
  let gateway: TestGateway;
  before(async () => {
    const upstream = await httpUpstream(scope, (request, response) => {
      seen.push(request.url ?? '');
      request.resume().on('end', () => response.end('seen'));
    });
    gateway = await startTestGateway(scope, {
      services: { s: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
  });

  const rows: { name: string; input: string; status: number }[] = [
    {
      name: 'length and coding together',
      input:
        'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
      status: 400,
    },
    {
      name: 'two lengths',
      input: 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 44\r\n\r\nabcd',
      status: 400,
    },
    {
      name: 'a coding hidden behind a tab',
      input: 'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n',
      status: 400,
    },
    {
      name: 'an unknown coding',
      input: 'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
      status: 501,
    },
    { name: 'two Host fields', input: 'GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', status: 400 },
    { name: 'a Host that is none', input: 'GET /x HTTP/1.1\r\nHost: a b\r\n\r\n', status: 400 },
    { name: 'a Host with a path', input: 'GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n', status: 400 },
    { name: 'a Host with user information', input: 'GET /x HTTP/1.1\r\nHost: u@a\r\n\r\n', status: 400 },
    { name: 'bare line feeds', input: 'GET /x HTTP/1.1\nHost: a\n\n', status: 400 },
    { name: 'HTTP/0.9', input: 'GET /x\r\n', status: 400 },
    { name: 'a version that it does not know', input: 'GET /x HTTP/3.0\r\nHost: a\r\n\r\n', status: 505 },
    { name: 'HTTP/2 by its request line', input: 'GET /x HTTP/2.0\r\nHost: a\r\n\r\n', status: 505 },
    { name: 'a target with a space', input: 'GET /x y HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    { name: 'a fragment', input: 'GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    { name: 'dot segments', input: 'GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    { name: 'encoded dot segments', input: 'GET /a/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    {
      name: 'a dot segment behind an encoded slash',
      input: 'GET /a%2f..%2fb HTTP/1.1\r\nHost: a\r\n\r\n',
      status: 400,
    },
    { name: 'a dot segment encoded twice', input: 'GET /a/%252e%252e/b HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    { name: 'a dot segment behind a backslash', input: 'GET /a\\..\\b HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    { name: 'an overlong slash', input: 'GET /a%c0%afb HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    { name: 'an encoded NUL', input: 'GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    { name: 'a target that is too long', input: `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, status: 414 },
    {
      name: 'a head that is too large',
      input: `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`,
      status: 431,
    },
    {
      name: 'an expectation it does not know',
      input: 'GET / HTTP/1.1\r\nHost: a\r\nExpect: rain\r\n\r\n',
      status: 417,
    },
  ];
  for (const { name, input, status } of rows) {
    test(`${name} is answered with ${status}`, async () => {
      const before = seen.length;
      const caller = new RawCaller(gateway.port);
      const answer = await caller.send(input).answer();
      assert.equal(answer.status, status);
      assert.equal(seen.length, before, 'the upstream saw it');
      caller.close();
    });
  }

  test('after a request that is no HTTP nothing more is read from the connection', async () => {
    const caller = new RawCaller(gateway.port);
    caller.send('GET / HTTP/1.1\r\nHost : a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n');
    const answer = await caller.answer();
    assert.equal(answer.headers['connection'], 'close');
    assert.equal((await caller.end()).length, 0);
    assert.ok(!seen.includes('/next'));
  });

  test('a chunk that lies about its size ends the exchange and the connection', async () => {
    const caller = new RawCaller(gateway.port);
    caller.send('POST /lie HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n');
    assert.equal((await caller.answer()).status, 400);
    await caller.end();
  });
});

describe('a request that is too large', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  before(async () => {
    const upstream = await httpUpstream(scope, (request, response) => {
      request
        .resume()
        .on('end', () => response.end('ok'))
        .on('error', () => {});
    });
    gateway = await startTestGateway(scope, {
      services: { s: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 's', maxRequestSize: '1kb', auth: 'public' }],
    });
  });

  test('by its length is 413 before a byte of the body', async () => {
    const caller = new RawCaller(gateway.port);
    const answer = await caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n').answer();
    assert.equal(answer.status, 413);
    assert.match(answer.body.toString(), /the limit is 1024 bytes/);
    caller.close();
  });

  test('by its length, told before 100 Continue, is 413 and not 100', async () => {
    const caller = new RawCaller(gateway.port);
    const answer = await caller
      .send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n')
      .answer();
    assert.equal(answer.status, 413);
    assert.equal(answer.headers['connection'], 'close');
    await caller.end();
  });

  test('in chunks is 413 as soon as it is', async () => {
    const caller = new RawCaller(gateway.port);
    const chunk = `100\r\n${'x'.repeat(256)}\r\n`;
    const answer = await caller
      .send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(5)}`)
      .answer();
    assert.equal(answer.status, 413);
    await caller.end();
  });

  test('a small one afterwards passes on the same connection', async () => {
    const caller = new RawCaller(gateway.port);
    caller.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n${'x'.repeat(2000)}`);
    assert.equal((await caller.answer()).status, 413);
    assert.equal((await caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok').answer()).status, 200);
    caller.close();
  });
});
