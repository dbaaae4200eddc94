/**
 * The cache through whole gateways: hits, misses, validation, variants, ranges, invalidation, failures of the service.
 */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import type { Scope } from '../../support/scope.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';

type Listener = (request: IncomingMessage, response: ServerResponse, nth: number) => void;

interface Scene {
  readonly gateway: TestGateway;
  /** Requests that the service has seen. */
  readonly seen: IncomingMessage[];
  get(path: string, init?: RequestInit): Promise<Got>;
}

interface Got {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
  /** The `Cache-Status` of this gateway. */
  readonly how: string;
}

async function scene(scope: Scope, cache: unknown, listener: Listener, gatewayOptions = {}): Promise<Scene> {
  const seen: IncomingMessage[] = [];
  const upstream = await httpUpstream(scope, (request, response) => {
    seen.push(request);
    listener(request, response, seen.length);
  });
  const gateway = await startTestGateway(scope, {
    gateway: gatewayOptions,
    services: { things: { instances: [{ url: upstream.url }] } },
    routes: [
      { match: { path: '/written/*', methods: ['POST', 'PUT', 'DELETE'] }, service: 'things', auth: 'public' },
      { match: { path: '/*' }, service: 'things', auth: 'public', cache },
    ],
  });
  return {
    gateway,
    seen,
    async get(path, init) {
      // `fetch` adds `Cache-Control: no-cache` to requests with conditions that have none of their own.
      const headers = { 'Cache-Control': 'nothing', ...(init?.headers as Record<string, string>) };
      const response = await fetch(`${gateway.url}${path}`, { ...init, headers });
      const body = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body,
        how: response.headers.get('cache-status') ?? '',
      };
    },
  };
}

const fresh: Listener = (_request, response, nth) => {
  response.writeHead(200, { 'Cache-Control': 'max-age=60', 'Content-Type': 'text/plain' }).end(`body ${nth}`);
};

test('a second request is a hit: same fields and body, with Age and Cache-Status, and the service is not asked', async (t) => {
  const { get, seen, gateway } = await scene(t, {}, fresh);
  const first = await get('/a');
  assert.equal(first.body, 'body 1');
  assert.match(first.how, /; fwd=uri-miss; fwd-status=200; stored$/);
  assert.equal(first.headers.get('age'), null);
  const second = await get('/a');
  assert.equal(second.body, 'body 1');
  assert.match(second.how, /; hit; ttl=\d+$/);
  assert.match(second.headers.get('age') ?? '', /^\d+$/);
  assert.equal(second.headers.get('content-type'), 'text/plain');
  assert.equal(seen.length, 1);
  assert.equal((await get('/a?x')).body, 'body 2');
  const head = await fetch(`${gateway.url}/a`, { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), '6');
  assert.equal(seen.length, 2);
});

test('without a word about freshness nothing is stored', async (t) => {
  const { get, seen } = await scene(t, {}, (_request, response, nth) => response.end(`${nth}`));
  assert.equal((await get('/a')).body, '1');
  const second = await get('/a');
  assert.equal(second.body, '2');
  assert.match(second.how, /detail=no_lifetime$/);
  assert.equal(seen.length, 2);
});

test('large bodies, chunked ones and empty ones come out of the store as they went in', async (t) => {
  const large = Buffer.alloc(300_000, 'large body ');
  const { gateway, seen } = await scene(t, {}, (request, response) => {
    response.setHeader('Cache-Control', 'max-age=60');
    if (request.url === '/large') response.setHeader('Content-Length', large.length).end(large);
    else if (request.url === '/empty') response.writeHead(204).end();
    else {
      response.write(large.subarray(0, 100_000));
      setImmediate(() => response.end(large.subarray(100_000)));
    }
  });
  for (let round = 0; round < 3; round++) {
    for (const path of ['/large', '/chunked']) {
      const response = await fetch(`${gateway.url}${path}`);
      const body = Buffer.from(await response.arrayBuffer());
      assert.ok(body.equals(large), `${path} in round ${round}`);
    }
    assert.equal((await fetch(`${gateway.url}/empty`)).status, 204);
  }
  assert.equal(seen.length, 3);
});

test('RFC 9111 §4.3: what is stale is validated; a 304 updates it, a 200 replaces it', async (t) => {
  let etag = '"1"';
  const { get, seen } = await scene(t, {}, (request, response, nth) => {
    response.setHeader('ETag', etag).setHeader('Cache-Control', 'no-cache').setHeader('X-Nth', nth);
    if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else response.end(`body of ${etag}`);
  });
  assert.equal((await get('/a')).body, 'body of "1"');
  const validated = await get('/a');
  assert.equal(validated.status, 200);
  assert.equal(validated.body, 'body of "1"');
  assert.equal(validated.headers.get('x-nth'), '2');
  assert.match(validated.how, /; fwd=stale; fwd-status=304; stored$/);
  etag = '"2"';
  assert.equal((await get('/a')).body, 'body of "2"');
  assert.equal((await get('/a')).body, 'body of "2"');
  assert.deepEqual(
    seen.map(({ headers }) => headers['if-none-match']),
    [undefined, '"1"', '"1"', '"2"'],
  );
});

test('RFC 9111 §4.3.2: conditions of the client are answered from the store, ranges are cut out of it', async (t) => {
  const { get, seen } = await scene(t, {}, (_request, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=60', ETag: '"x"' }).end('0123456789A');
  });
  await get('/a');
  const unchanged = await get('/a', { headers: { 'If-None-Match': '"x"' } });
  assert.equal(unchanged.status, 304);
  assert.equal(unchanged.headers.get('etag'), '"x"');
  const part = await get('/a', { headers: { Range: 'bytes=2-4' } });
  assert.equal(part.status, 206);
  assert.equal(part.body, '234');
  assert.equal(part.headers.get('content-range'), 'bytes 2-4/11');
  assert.equal((await get('/a', { headers: { Range: 'bytes=20-' } })).status, 416);
  assert.equal((await get('/a', { headers: { Range: 'bytes=2-4', 'If-Range': '"y"' } })).body, '0123456789A');
  assert.equal(seen.length, 1);
});

test('RFC 9111 §4.1: Vary: each variant has its own response, spelled any way', async (t) => {
  const { get, seen } = await scene(t, {}, (request, response) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=60', Vary: 'Accept-Language' });
    response.end(`in ${request.headers['accept-language']}`);
  });
  const inLanguage = (language: string): Promise<Got> => get('/a', { headers: { 'Accept-Language': language } });
  assert.equal((await inLanguage('en, de')).body, 'in en, de');
  assert.equal((await inLanguage('fr')).body, 'in fr');
  assert.equal((await inLanguage('DE,en')).body, 'in en, de');
  assert.equal((await inLanguage('fr')).body, 'in fr');
  assert.equal(seen.length, 2);
});

test('by user: nobody gets what another got, private responses are kept for their own user', async (t) => {
  const { seen, gateway } = await (async () => {
    const requests: IncomingMessage[] = [];
    const upstream = await httpUpstream(t, (request, response) => {
      requests.push(request);
      response.writeHead(200, { 'Cache-Control': 'private, max-age=60' });
      response.end(`for ${request.headers['x-auth-subject']}`);
    });
    return {
      seen: requests,
      gateway: await startTestGateway(
        t,
        {
          services: { things: { instances: [{ url: upstream.url }] } },
          routes: [{ match: { path: '/*' }, service: 'things', auth: { apiKey: {} }, cache: { by: 'user' } }],
        },
        { API_KEY_1: 'key-of-ada-0123456789:ada:read:standard', API_KEY_2: 'key-of-bob-0123456789:bob:read:standard' },
      ),
    };
  })();
  const as = async (key: string): Promise<string> =>
    await (await fetch(`${gateway.url}/me`, { headers: { 'X-API-Key': key } })).text();
  for (let round = 0; round < 3; round++) {
    assert.match(await as('key-of-ada-0123456789'), /ada/);
    assert.match(await as('key-of-bob-0123456789'), /bob/);
  }
  assert.equal(seen.length, 2);
});

test('RFC 9111 §3.5: with Authorization nothing is shared unless the response allows it; cookies are not shared', async (t) => {
  const { get, seen } = await scene(t, {}, (request, response, nth) => {
    if (request.url === '/public') response.setHeader('Cache-Control', 'public, max-age=60');
    else response.setHeader('Cache-Control', 'max-age=60');
    if (request.url === '/cookie') response.setHeader('Set-Cookie', `sid=${nth}`);
    response.end(`${nth}`);
  });
  const asked = { headers: { Authorization: 'Bearer a' } };
  assert.notEqual((await get('/own', asked)).body, (await get('/own', asked)).body);
  assert.notEqual((await get('/cookie')).body, (await get('/cookie')).body);
  assert.equal(
    (await get('/public', asked)).body,
    (await get('/public', { headers: { Authorization: 'Bearer b' } })).body,
  );
  assert.equal(seen.length, 5);
});

test('RFC 9111 §4.4: a successful unsafe request makes what is stored invalid, on another route and with Location too', async (t) => {
  const { get, seen } = await scene(t, {}, (request, response, nth) => {
    if (request.method === 'GET') return fresh(request, response, nth);
    response.writeHead(request.url === '/written/fails' ? 500 : 201, { Location: '/elsewhere' }).end();
  });
  await get('/written/x');
  await get('/elsewhere');
  await get('/written/fails');
  assert.equal(seen.length, 3);
  await get('/written/fails', { method: 'POST' });
  assert.match((await get('/written/fails')).how, /hit/);
  await get('/written/x', { method: 'PUT' });
  assert.match((await get('/written/x')).how, /fwd=uri-miss/);
  assert.match((await get('/elsewhere')).how, /fwd=uri-miss/);
});

test('RFC 5861: stale-if-error when the service fails or is gone; not when it forbids it', async (t) => {
  let fails = false;
  const { get } = await scene(t, {}, (request, response, nth) => {
    if (fails && request.url === '/gone') request.socket.destroy();
    else if (fails) response.writeHead(503).end('failed');
    else {
      const strict = request.url === '/strict' ? ', must-revalidate' : '';
      response
        .writeHead(200, { 'Cache-Control': `max-age=0, stale-if-error=60${strict}`, ETag: `"${nth}"` })
        .end('good');
    }
  });
  for (const path of ['/a', '/gone', '/strict']) await get(path);
  fails = true;
  const stale = await get('/a');
  assert.equal(stale.status, 200);
  assert.equal(stale.body, 'good');
  assert.match(stale.how, /; hit; ttl=-?\d+; detail=status_503$/);
  assert.equal((await get('/gone')).body, 'good');
  assert.equal((await get('/strict')).status, 503);
});

test('RFC 5861: stale-while-revalidate sends what is stale and refreshes it beside, once', async (t) => {
  const { get, seen } = await scene(t, {}, (_request, response, nth) => {
    response.writeHead(200, { 'Cache-Control': 'max-age=0, stale-while-revalidate=60' }).end(`${nth}`);
  });
  assert.equal((await get('/a')).body, '1');
  assert.equal((await get('/a')).body, '1');
  await until(() => seen.length === 2, 'the refresh');
  for (let got = await get('/a'); got.body === '1'; got = await get('/a')) await new Promise(setImmediate);
});

test('only-if-cached: 504 when nothing is stored, the response when it is', async (t) => {
  const { get } = await scene(t, {}, fresh);
  const only = { headers: { 'Cache-Control': 'only-if-cached' } };
  const none = await get('/a', only);
  assert.equal(none.status, 504);
  assert.match(none.body, /"reason":"not_cached"/);
  await get('/a');
  assert.equal((await get('/a', only)).body, 'body 1');
});

test('RFC 9213: the targeted field of this cache outweighs Cache-Control', async (t) => {
  const { get, seen } = await scene(t, {}, (_request, response, nth) => {
    response.writeHead(200, { 'Cache-Control': 'no-store', 'CDN-Cache-Control': 'max-age=60' }).end(`${nth}`);
  });
  await get('/a');
  assert.equal((await get('/a')).body, '1');
  assert.equal(seen.length, 1);
});
