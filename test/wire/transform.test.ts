/** `transform` through real sockets: what services get, what clients get, and what neither gets. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { ConfigurationError } from '../../src/main.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { echoUpstream, httpUpstream } from '../support/upstream.ts';

interface Echo {
  readonly url: string;
  readonly headers: readonly string[];
  readonly body: string;
}

const gatewayFor = (t: Scope, url: string, transform: object, more: object = {}): Promise<TestGateway> =>
  startTestGateway(t, {
    services: { s: { instances: [{ url }] } },
    routes: [{ match: { path: '/:kind/*' }, service: 's', auth: 'public', transform, ...more }],
  });

/** Answers with this, as JSON unless the fields say otherwise. */
const answering = (t: Scope, body: string | Buffer, headers: Record<string, string> = {}, status = 200) =>
  httpUpstream(t, (_incoming, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(body);
  });

const post = (
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Response> =>
  fetch(url, { method: 'POST', body, headers: { 'Content-Type': 'application/json', ...headers } });

describe('a request', () => {
  test('reaches the service with another query and another body, and its length', async (t) => {
    const gateway = await gatewayFor(t, (await echoUpstream(t)).url, {
      request: {
        query: {
          rename: { q: 'search' },
          remove: ['debug'],
          set: { kind: '{params.kind}', none: '{query.none}', n: 1 },
        },
        omit: ['/isAdmin'],
        rename: { '/user_name': 'userName' },
        set: { '/source': 'gateway', '/trace': '{request.id}', '/kind': '{params.kind}', '/missing': '{auth.sub}' },
      },
    });
    const sent = '{"user_name":"Ann","isAdmin":true,"id":12345678901234567890}';
    const answer = await post(`${gateway.url}/web/x?a=%2F1&q=w%20x&debug=1&kind=old&flag`, sent, {
      'X-Request-ID': 'request-1',
    });
    const { url, body, headers } = (await answer.json()) as Echo;
    assert.equal(url, '/web/x?a=%2F1&search=w%20x&flag&kind=web&n=1');
    assert.equal(
      body,
      '{"userName":"Ann","id":12345678901234567890,"source":"gateway","trace":"request-1","kind":"web"}',
    );
    assert.equal(
      headers[headers.findIndex((name) => name.toLowerCase() === 'content-length') + 1],
      String(body.length),
    );
    const none = (await (await fetch(`${gateway.url}/web/x?debug=1`)).json()) as Echo;
    assert.equal(none.url, '/web/x?kind=web&n=1');
  });

  test('with a body that cannot be changed is refused, so that nothing passes by', async (t) => {
    const transform = { request: { omit: ['/isAdmin'], maxSize: 100 } };
    const gateway = await gatewayFor(t, (await echoUpstream(t)).url, transform);
    const url = `${gateway.url}/a/b`;
    assert.equal((await post(url, '{"isAdmin":true}', { 'Content-Type': 'text/plain' })).status, 415);
    assert.equal((await post(url, gzipSync('{"isAdmin":true}'), { 'Content-Encoding': 'gzip' })).status, 415);
    assert.equal((await post(url, `{"a":"${'x'.repeat(100)}"}`)).status, 413);
    for (const wrong of ['{', '{"isAdmin":true,"isAdmin":true}', '['.repeat(90)]) {
      const answer = await post(url, wrong);
      assert.equal(answer.status, 400, wrong);
      assert.match(await answer.text(), /"reason":"invalid_request"/);
    }
    assert.equal((await fetch(url)).status, 200);
  });

  test('is changed when it was unpacked and found right', async (t) => {
    const gateway = await gatewayFor(
      t,
      (await echoUpstream(t)).url,
      { request: { envelope: { data: '{body}', by: '{headers.x-by}' } } },
      { decompression: {}, validate: { body: { type: 'object', required: ['item'] } } },
    );
    const right = await post(`${gateway.url}/a/b`, gzipSync('{"item":1}'), {
      'Content-Encoding': 'gzip',
      'X-By': 'me',
    });
    assert.equal(((await right.json()) as Echo).body, '{"data":{"item":1},"by":"me"}');
    assert.equal((await post(`${gateway.url}/a/b`, gzipSync('{}'), { 'Content-Encoding': 'gzip' })).status, 400);
  });

  test('of lines is changed line by line', async (t) => {
    const gateway = await gatewayFor(t, (await echoUpstream(t)).url, { request: { pick: ['/id'] } });
    const type = { 'Content-Type': 'application/x-ndjson' };
    const answer = await post(`${gateway.url}/a/b`, '{"id":1,"x":2}\n\n{"id":3}\n{"y":4}', type);
    assert.equal(((await answer.json()) as Echo).body, '{"id":1}\n\n{"id":3}\n{}');
    const wrong = await gatewayFor(t, (await answering(t, '{}')).url, { request: { pick: ['/id'] } });
    assert.equal((await post(`${wrong.url}/a/b`, '{"id":1}\nnonsense\n', type)).status, 400);
  });
});

describe('a response', () => {
  test('is selected, picked, renamed, set and enveloped, in this order, with its new length', async (t) => {
    const { url } = await answering(
      t,
      '{"items":[{"id":1,"price":5,"cost":3},{"id":2,"price":50,"cost":20}],"internal":{}}',
      {
        ETag: '"x"',
        'Content-Digest': 'sha-256=:AA==:',
      },
    );
    const gateway = await gatewayFor(t, url, {
      response: {
        select: '{ items: items[?price > `10`], all: length(items) }',
        pick: ['/items', '/all'],
        omit: ['/items/*/cost'],
        rename: { '/all': 'total' },
        set: { '/items/*/currency': 'EUR', '/more/kind': '{params.kind}' },
        envelope: { data: '{body}', count: '{body.total}', first: '{body.items.0.id}' },
      },
    });
    const answer = await fetch(`${gateway.url}/shop/1`);
    const text = await answer.text();
    assert.equal(
      text,
      '{"data":{"items":[{"id":2,"price":50,"currency":"EUR"}],"total":2,"more":{"kind":"shop"}},"count":2,"first":2}',
    );
    assert.equal(answer.headers.get('content-length'), String(text.length));
    assert.deepEqual([answer.headers.get('etag'), answer.headers.get('content-digest')], ['W/"x"', null]);
    const head = await fetch(`${gateway.url}/shop/1`, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('content-length')], [200, null]);
  });

  test('hides fields by role, whatever follows, and is for this caller alone', async (t) => {
    const { url } = await answering(t, '{"name":"Ann","salary":5,"notes":{"hr":1,"all":2}}', {
      'Cache-Control': 'public, s-maxage=60, max-age=10',
    });
    const key = (name: string, roles: string[]) => ({
      key: `${name}-key-of-some-length-0123456789`,
      subject: name,
      roles,
    });
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [{ url }] } },
      routes: [
        {
          match: { path: '/hide' },
          service: 's',
          auth: { apiKey: { keys: [key('hr', ['hr']), key('plain', ['staff'])] } },
          transform: {
            response: {
              hide: [{ fields: ['/salary', '/notes/hr'], except: ['hr'] }],
              set: { '/copy': '{body.salary}' },
            },
          },
        },
      ],
    });
    const ask = (id: string) =>
      fetch(`${gateway.url}/hide`, { headers: { 'X-API-Key': `${id}-key-of-some-length-0123456789` } });
    const plain = await ask('plain');
    assert.equal(plain.headers.get('cache-control'), 'max-age=10, private');
    assert.deepEqual(await plain.json(), { name: 'Ann', notes: { all: 2 } });
    assert.deepEqual(await (await ask('hr')).json(), { name: 'Ann', salary: 5, notes: { hr: 1, all: 2 }, copy: 5 });
  });

  test('shows nothing to whom no entry fits, and the rest to others', async (t) => {
    const { url } = await answering(t, '{"name":"Ann","salary":5}');
    const show = [{ roles: ['hr'], fields: ['/*'] }];
    const nothing = await gatewayFor(t, url, { response: { show } });
    assert.equal(await (await fetch(`${nothing.url}/a/b`)).text(), 'null');
    const some = await gatewayFor(t, url, { response: { show: [...show, { fields: ['/name'] }] } });
    assert.equal(await (await fetch(`${some.url}/a/b`)).text(), '{"name":"Ann"}');
  });

  test('that had to be changed and cannot be is 502, and nothing of it passes', async (t) => {
    const hide = { response: { hide: [{ fields: ['/secret'] }], maxSize: '1kb' } };
    const wrong: readonly (readonly [
      what: string,
      body: string | Buffer,
      headers: Record<string, string>,
      status?: number,
    ])[] = [
      ['no JSON', '{"secret":', {}],
      ['another type', 'secret=1', { 'Content-Type': 'text/csv' }],
      ['no type', 'secret', { 'Content-Type': '' }],
      ['too large', JSON.stringify({ secret: 1, x: 'x'.repeat(2_000) }), {}],
      ['too deep', `${'['.repeat(10_000)}${']'.repeat(10_000)}`, {}],
      ['a coding nobody knows', '{"secret":1}', { 'Content-Encoding': 'rot13' }],
      ['a broken coding', '{"secret":1}', { 'Content-Encoding': 'gzip' }],
      ['a bomb', gzipSync(Buffer.alloc(5_000_000, '[')), { 'Content-Encoding': 'gzip' }],
      ['a part', '{"secret":1}', { 'Content-Range': 'bytes 0-11/99' }, 206],
    ];
    const upstream = await httpUpstream(t, (incoming, response) => {
      const [, body, headers, status = 200] = wrong[Number(incoming.url?.split('/').at(-1))]!;
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
      response.end(body);
    });
    const gateway = await gatewayFor(t, upstream.url, hide);
    for (const [i, [what]] of wrong.entries()) {
      const answer = await fetch(`${gateway.url}/a/${i}`);
      const text = await answer.text();
      assert.equal(answer.status, 502, what);
      assert.match(text, /"reason":"transform_failed"/, what);
      assert.ok(!text.includes('secret'), what);
    }
  });

  test('that the service packs all the same is unpacked, changed, and packed again for the client', async (t) => {
    const { url } = await answering(
      t,
      brotliCompressSync(JSON.stringify({ internal: 1, text: 'word '.repeat(1_000) })),
      {
        'Content-Encoding': 'br',
      },
    );
    const gateway = await gatewayFor(t, url, { response: { omit: ['/internal'] } }, { compression: {} });
    const answer = await fetch(`${gateway.url}/a/b`, { headers: { 'Accept-Encoding': 'gzip' } });
    assert.equal(answer.headers.get('content-encoding'), 'gzip');
    assert.deepEqual(Object.keys((await answer.json()) as object), ['text']);
  });

  test('gets another status; errors of the service stay as they are, except for what is hidden', async (t) => {
    const { url } = await answering(t, '{"error":"no","trace":"secret"}', {}, 404);
    const gateway = await gatewayFor(t, url, {
      response: { status: { 404: 410 }, pick: ['/id'], hide: [{ fields: ['/trace'] }] },
    });
    const answer = await fetch(`${gateway.url}/a/b`);
    assert.deepEqual([answer.status, await answer.text()], [410, '{"error":"no"}']);
    const all = await gatewayFor(t, url, { response: { statuses: 'all', pick: ['/error'] } });
    assert.equal(await (await fetch(`${all.url}/a/b`)).text(), '{"error":"no"}');
  });

  test('of lines and of events is changed one by one, as they come', async (t) => {
    let send: ((text: string) => void) | null = null;
    const sender = (): typeof send => send;
    const upstream = await httpUpstream(t, (incoming, response) => {
      const isEvents = incoming.url?.includes('events');
      response.writeHead(200, { 'Content-Type': isEvents ? 'text/event-stream' : 'application/x-ndjson' });
      response.flushHeaders();
      send = (text) => response.write(text);
    });
    const gateway = await gatewayFor(t, upstream.url, { response: { omit: ['/internal'] } });
    for (const [kind, sent, expected] of [
      ['events', 'id: 1\ndata: {"a":1,"internal":2}\n\n', 'id: 1\ndata: {"a":1}\n\n'],
      ['events', 'data: [DONE]\n\n', 'data: [DONE]\n\n'],
      ['lines', '{"internal":1}\n', '{}\n'],
    ] as const) {
      send = null;
      let received = '';
      const asked = request(`${gateway.url}/${kind}/x`, { agent: false }, (response) => {
        response.on('data', (bytes: Buffer) => {
          received += bytes.toString();
        });
        response.on('error', () => {});
      });
      asked.on('error', () => {});
      asked.end();
      await until(() => sender() !== null, 'the service is asked');
      for (let i = 1; i <= 3; i++) {
        sender()?.(sent);
        await until(() => received === expected.repeat(i), `${kind}: ${i}`);
      }
      asked.destroy();
    }
  });

  test('keeps numbers that a double cannot hold, and passes what is not JSON where nothing is hidden', async (t) => {
    const { url } = await answering(t, '{"id":9223372036854775807,"x":1}');
    const gateway = await gatewayFor(t, url, { response: { omit: ['/x'] } });
    assert.equal(await (await fetch(`${gateway.url}/a/b`)).text(), '{"id":9223372036854775807}');
    const html = await answering(t, '<p>', { 'Content-Type': 'text/html' });
    const other = await gatewayFor(t, html.url, { response: { omit: ['/x'] } });
    assert.equal(await (await fetch(`${other.url}/a/b`)).text(), '<p>');
  });

  test('of the cache is changed for each caller, and what is stored is what the service said', async (t) => {
    let asked = 0;
    const upstream = await httpUpstream(t, (_incoming, response) => {
      asked++;
      response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'max-age=60' });
      response.end('{"a":1}');
    });
    const gateway = await gatewayFor(
      t,
      upstream.url,
      { response: { set: { '/by': '{headers.x-by}' } } },
      { cache: {} },
    );
    for (const by of ['one', 'two']) {
      const answer = await fetch(`${gateway.url}/a/b`, { headers: { 'X-By': by } });
      assert.deepEqual(await answer.json(), { a: 1, by });
    }
    assert.equal(asked, 1);
  });
});

test('what is wrong in the configuration is said with its place', async (t) => {
  const { url } = await echoUpstream(t);
  for (const [transform, message] of [
    [{ response: { select: 'a[' } }, /select.*is no JMESPath expression/s],
    [{ response: { omit: ['internal'] } }, /must be a JSON Pointer/],
    [{ response: { set: { '/a': '{parts.x}' } } }, /no reference; they begin with one of params, query/],
    [{ request: { query: { set: { a: '{body.x}' } } } }, /no reference/],
    [{ response: { status: { 204: 200 } } }, /has no body/],
    [{ response: { rename: { '/a': '__proto__' } } }, /name that objects do not take/],
  ] as const)
    await assert.rejects(gatewayFor(t, url, transform), (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.match(error.message, message);
      return true;
    });
});
