/**
 * Responses that handlers and compositions make are stored, shared, validated and forgotten by the rules of all others.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigurationError } from '../../../src/main.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import type { Scope } from '../../support/scope.ts';
import { assertSeries } from '../../support/series.ts';
import { httpUpstream } from '../../support/upstream.ts';

const HANDLER = `import { defineHandler } from 'gatehouse/policy';
let calls = 0;
export default defineHandler(async (request, context) => {
  const { pathname, searchParams } = new URL(request.url);
  calls++;
  const headers = new Headers(searchParams);
  if (pathname === '/h/etag' && request.headers.get('if-none-match') === '"v1"')
    return new Response(null, { status: 304, headers: { ETag: '"v1"', 'Cache-Control': 'no-cache' } });
  if (pathname === '/h/fails' && calls > 1) return new Response('broken', { status: 503 });
  if (pathname !== '/h/stream') return new Response(request.method + ' ' + calls, { headers });
  const parts = ['a', 'b', 'c'];
  const body = new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setImmediate(resolve));
      const next = parts.shift();
      if (next === undefined) controller.close();
      else controller.enqueue(new TextEncoder().encode(next + calls));
    },
  });
  return new Response(body, { headers });
});`;

interface Got {
  readonly status: number;
  readonly body: string;
  readonly how: string;
  readonly headers: Headers;
}

async function get(gateway: TestGateway, path: string, init: RequestInit = {}): Promise<Got> {
  const headers = { 'Cache-Control': 'nothing', ...(init.headers as Record<string, string>) };
  const response = await fetch(gateway.url + path, { ...init, headers });
  const body = await response.text();
  return { status: response.status, body, how: response.headers.get('cache-status') ?? '', headers: response.headers };
}

async function handled(t: Scope, cache: unknown = {}): Promise<TestGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-made-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'mine.ts');
  await writeFile(file, HANDLER);
  return startTestGateway(t, {
    routes: [
      { match: { path: '/h/*', methods: ['POST'] }, name: 'writes', handler: file, auth: 'public' },
      { match: { path: '/h/*' }, name: 'reads', handler: file, auth: 'public', cache },
    ],
  });
}

const FRESH = 'cache-control=public,max-age%3D60';

test('what a handler says may be stored is, for as long as it says; metrics, HEAD and ranges with it', async (t) => {
  const gateway = await handled(t);
  const first = await get(gateway, `/h/a?${FRESH}`);
  assert.deepEqual([first.body, first.how], ['GET 1', 'gatehouse; fwd=uri-miss; fwd-status=200; stored']);
  const second = await get(gateway, `/h/a?${FRESH}`);
  assert.equal(second.body, 'GET 1');
  assert.match(second.how, /^gatehouse; hit; ttl=\d+$/);
  assert.equal(second.headers.get('content-type'), first.headers.get('content-type'));
  assert.match((await get(gateway, `/h/a?${FRESH}`, { method: 'HEAD' })).how, /hit/);
  const range = await get(gateway, `/h/a?${FRESH}`, { headers: { Range: 'bytes=0-2' } });
  assert.deepEqual([range.status, range.body], [206, 'GET']);
  await assertSeries(gateway.url, [
    ['gatehouse_cache_requests_total{route="reads",result="miss"}', 1],
    ['gatehouse_cache_requests_total{route="reads",result="hit"}', 3],
    ['gatehouse_cache_stored_total{route="reads"}', 1],
  ]);
});

test('what a handler does not allow is not stored, and the reason is counted', async (t) => {
  const gateway = await handled(t);
  for (const [query, reason] of [
    ['x-a=b', 'no_lifetime'],
    ['cache-control=no-store', 'no_store'],
    ['cache-control=private,max-age%3D60', 'private'],
    [`${FRESH}&set-cookie=a%3Db`, 'set_cookie'],
  ] as const) {
    const got = await get(gateway, `/h/${reason}?${query}`);
    assert.equal(got.how, `gatehouse; fwd=uri-miss; fwd-status=200; detail=${reason}`);
    assert.notEqual((await get(gateway, `/h/${reason}?${query}`)).body, got.body, reason);
    if (reason === 'set_cookie') assert.deepEqual(got.headers.getSetCookie(), ['a=b']);
  }
  await assertSeries(gateway.url, [['gatehouse_cache_refusals_total{route="reads",reason="set_cookie"}', 2]]);
});

test('cookies of a handler go to everyone where that is configured', async (t) => {
  const gateway = await handled(t, { setCookie: 'store' });
  await get(gateway, `/h/a?${FRESH}&set-cookie=a%3Db`);
  const second = await get(gateway, `/h/a?${FRESH}&set-cookie=a%3Db`);
  assert.deepEqual([second.body, second.headers.getSetCookie()], ['GET 1', ['a=b']]);
});

test('a body that a handler streams is stored as it passes', async (t) => {
  const gateway = await handled(t);
  assert.equal((await get(gateway, `/h/stream?${FRESH}`)).body, 'a1b1c1');
  const second = await get(gateway, `/h/stream?${FRESH}`);
  assert.equal(second.body, 'a1b1c1');
  assert.match(second.how, /hit/);
});

test('a handler may answer 304 for what is stored, and what is stale serves when it fails', async (t) => {
  const gateway = await handled(t, { staleIfError: '1m' });
  const etag = '/h/etag?etag=%22v1%22&cache-control=no-cache';
  assert.equal((await get(gateway, etag)).body, 'GET 1');
  const second = await get(gateway, etag);
  assert.deepEqual([second.status, second.body], [200, 'GET 1']);
  assert.match(second.how, /fwd=stale; fwd-status=304/);
  const other = await handled(t, { staleIfError: '1m' });
  const fails = '/h/fails?cache-control=max-age%3D0';
  assert.equal((await get(other, fails)).body, 'GET 1');
  const stale = await get(other, fails);
  assert.deepEqual([stale.status, stale.body], [200, 'GET 1']);
  assert.match(stale.how, /detail=status_503/);
});

test('purges and unsafe requests that handlers respond to make it forget', async (t) => {
  const gateway = await handled(t);
  const path = `/h/a?${FRESH}&cache-tag=one,two`;
  const body = async (): Promise<string> => (await get(gateway, path)).body;
  assert.deepEqual([await body(), await body()], ['GET 1', 'GET 1']);
  assert.equal(gateway.primary.cache.purgeTag('two'), true);
  assert.deepEqual([await body(), await body()], ['GET 2', 'GET 2']);
  assert.equal((await get(gateway, path, { method: 'POST' })).body, 'POST 3');
  assert.equal(await body(), 'GET 4');
});

test('an unsafe request whose response is a stream of events makes it forget, on routes with a cache and without', async (t) => {
  const gateway = await handled(t);
  const path = `/h/a?${FRESH}`;
  const body = async (): Promise<string> => (await get(gateway, path)).body;
  const events = (location: string): string => `/h/stream?content-type=text/event-stream&${location}`;
  assert.deepEqual([await body(), await body()], ['GET 1', 'GET 1']);
  const located = `Content-Location=${encodeURIComponent(path)}`;
  assert.equal((await get(gateway, events(located), { method: 'POST' })).body, 'a2b2c2');
  assert.equal(await body(), 'GET 3');
  // This method is the cached route's own.
  assert.equal((await get(gateway, events(located), { method: 'DELETE' })).body, 'a4b4c4');
  assert.equal(await body(), 'GET 5');
  assert.equal((await get(gateway, events('x-a=b'), { method: 'DELETE' })).body, 'a6b6c6');
  assert.equal(await body(), 'GET 5');
});

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function composed(t: Scope, answers: Readonly<Record<'a' | 'b', Answer>>, more: object = {}, part: object = {}) {
  let asked = 0;
  const services: Record<string, unknown> = {};
  for (const [name, answer] of Object.entries(answers)) {
    const { url } = await httpUpstream(t, (request, response) => {
      asked++;
      answer(request, response);
    });
    services[name] = { instances: [{ url }], retries: 0 };
  }
  const parts = { a: { service: 'a', path: '/a', ...part }, b: { service: 'b', path: '/b' } };
  const gateway = await startTestGateway(t, {
    services,
    routes: [{ match: { path: '/both' }, name: 'both', aggregate: { parts }, auth: 'public', cache: {}, ...more }],
  });
  return { gateway, asked: () => asked };
}

const says =
  (value: unknown, headers: Record<string, string>): Answer =>
  (_request, response) =>
    void response.writeHead(200, headers).end(JSON.stringify(value));

test('a composition is stored for as long as its most careful part allows', async (t) => {
  const { gateway, asked } = await composed(t, {
    a: says(1, { 'Cache-Control': 'public, max-age=60' }),
    b: says(2, { 'Cache-Control': 'public, max-age=30', 'Cache-Tag': 'unused' }),
  });
  assert.deepEqual(
    [(await get(gateway, '/both')).body, (await get(gateway, '/both')).body],
    ['{"a":1,"b":2}', '{"a":1,"b":2}'],
  );
  assert.match((await get(gateway, '/both')).how, /^gatehouse; hit; ttl=(?:[12]?\d|30)$/);
  assert.equal(asked(), 2);
});

test('a composition varies by what its parts vary by, and by the fields that its templates name', async (t) => {
  const language: Answer = (request, response) =>
    says(request.headers['accept-language'], {
      'Cache-Control': 'public, max-age=60',
      Vary: 'Accept-Language, Accept-Encoding',
    })(request, response);
  const { gateway } = await composed(
    t,
    { a: language, b: says(2, { 'Cache-Control': 'public, max-age=60' }) },
    {},
    { query: { region: '{headers.x-region ?? "none"}' } },
  );
  const german = await get(gateway, '/both', { headers: { 'Accept-Language': 'de' } });
  assert.equal(german.headers.get('vary'), 'accept-language, x-region');
  const french = await get(gateway, '/both', { headers: { 'Accept-Language': 'fr' } });
  assert.deepEqual([german.body, french.body], ['{"a":"de","b":2}', '{"a":"fr","b":2}']);
  assert.match((await get(gateway, '/both', { headers: { 'Accept-Language': 'de' } })).how, /hit/);
  const region = { 'Accept-Language': 'de', 'X-Region': 'eu' };
  assert.match((await get(gateway, '/both', { headers: region })).how, /fwd=vary-miss/);
});

test('what depends on the caller, or was asked for with credentials that no part opens, is not shared', async (t) => {
  const open = says(1, { 'Cache-Control': 'public, max-age=60' });
  const plain = says(2, { 'Cache-Control': 'max-age=60' });
  const credentials = { Authorization: 'Basic YTpi' };
  const mixed = await composed(t, { a: open, b: plain });
  const got = await get(mixed.gateway, '/both', { headers: credentials });
  assert.equal(got.headers.get('cache-control'), 'max-age=60');
  assert.match(got.how, /detail=authorization/);
  const opened = await composed(t, { a: open, b: open });
  assert.match((await get(opened.gateway, '/both', { headers: credentials })).how, /stored/);

  for (const part of [{ when: 'request.method == "GET"' }, { query: { who: '{auth.sub ?? "none"}' } }]) {
    const personal = await composed(t, { a: open, b: open }, {}, part);
    const own = await get(personal.gateway, '/both');
    assert.equal(own.headers.get('cache-control'), 'private, max-age=60', JSON.stringify(part));
    assert.match(own.how, /detail=private/);
  }
});

test('a cache where nothing is asked stops the start with its place; of the gateway it is for the other routes', async (t) => {
  const start = (route: object, more: object = {}): Promise<unknown> =>
    startTestGateway(t, {
      ...more,
      services: { a: { instances: [{ url: 'http://127.0.0.1:9' }] } },
      routes: [{ match: { path: '/x' }, auth: 'public', ...route }],
    }).catch((error: unknown) => error);
  const aggregate = { parts: { a: { service: 'a', path: '/' } } };
  for (const [route, wanted] of [
    [{ respond: { body: 'x' }, cache: {} }, /routes\[0\]\.cache: a route with respond has nothing to store/],
    [{ redirect: '/y', cache: {} }, /routes\[0\]\.cache: a route with redirect has nothing to store/],
    [{ aggregate, cache: { staleWhileRevalidate: '5s' } }, /routes\[0\]\.cache\.staleWhileRevalidate: .*aggregate/],
  ] as const) {
    const error = await start(route);
    assert.ok(error instanceof ConfigurationError, String(error));
    assert.match(error.message, wanted);
  }
  const running = (await start({ respond: { body: 'x' } }, { gateway: { cache: {} } })) as TestGateway;
  assert.equal((await get(running, '/x')).body, 'x');
});
