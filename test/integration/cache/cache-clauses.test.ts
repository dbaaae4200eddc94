/**
 * Clauses of the cache that no other file here has, each through a whole gateway: where `cache` may stand, plans, what
 * is not there, `immutable`, trailers and interim responses, and what is stale in place of a service whose breaker is
 * open.
 */
import assert from 'node:assert/strict';
import { type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import { test } from 'node:test';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import type { Scope } from '../../support/scope.ts';
import { httpUpstream } from '../../support/upstream.ts';

interface Got {
  readonly status: number;
  readonly body: string;
  readonly how: string;
  readonly trailers: IncomingMessage['trailers'];
  readonly interim: readonly number[];
}

function get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const interim: number[] = [];
    const call = send(url, { headers }, (response) => {
      let body = '';
      response.setEncoding('latin1').on('data', (text: string) => {
        body += text;
      });
      response.on('error', reject).on('end', () => {
        const { statusCode = 0, trailers } = response;
        resolve({ status: statusCode, body, how: String(response.headers['cache-status'] ?? ''), trailers, interim });
      });
    });
    call.on('information', ({ statusCode }) => interim.push(statusCode));
    call.on('error', reject).end();
  });
}

interface Scene {
  readonly gateway: TestGateway;
  readonly asked: IncomingMessage[];
}

async function scene(
  scope: Scope,
  listener: (request: IncomingMessage, response: ServerResponse, nth: number) => void,
  document: (service: object) => object,
  env: Readonly<Record<string, string>> = {},
): Promise<Scene> {
  const asked: IncomingMessage[] = [];
  const upstream = await httpUpstream(scope, (request, response) => {
    asked.push(request);
    listener(request, response, asked.length);
  });
  const gateway = await startTestGateway(scope, { ...document({ instances: [{ url: upstream.url }] }) }, env);
  return { gateway, asked };
}

const route = (path: string, more: object = {}): object => ({
  match: { path },
  service: 'things',
  auth: 'public',
  ...more,
});

test('cache stands on the gateway, a service or a route; the nearest word counts, and `off` ends it', async (t) => {
  const { gateway } = await scene(
    t,
    (_request, response, nth) => response.end(`${nth}`),
    (service) => ({
      gateway: { cache: { lifetimes: { 200: '1h' } } },
      services: { things: service, silent: { ...service, cache: {} } },
      routes: [route('/off/*', { cache: 'off' }), route('/silent/*', { service: 'silent' }), route('/*')],
    }),
  );
  const isHit = async (path: string): Promise<boolean> => {
    await get(`${gateway.url}${path}`);
    return (await get(`${gateway.url}${path}`)).how.includes('; hit');
  };
  assert.equal(await isHit('/a'), true);
  assert.equal(await isHit('/off/a'), false);
  assert.match((await get(`${gateway.url}/silent/a`)).how, /detail=no_lifetime/, 'the service has no lifetimes');
});

test('by plan: callers of one plan share, those of another do not', async (t) => {
  const { gateway, asked } = await scene(
    t,
    (_request, response, nth) => response.writeHead(200, { 'Cache-Control': 'max-age=600' }).end(`${nth}`),
    (service) => ({
      services: { things: service },
      plans: { standard: { limits: ['1000/1m'] }, large: { limits: ['1000/1m'] } },
      routes: [route('/*', { auth: { apiKey: {} }, cache: { by: 'plan' } })],
    }),
    {
      API_KEY_1: 'key-of-ada-0123456789:ada:read:standard',
      API_KEY_2: 'key-of-bob-0123456789:bob:read:standard',
      API_KEY_3: 'key-of-eve-0123456789:eve:read:large',
    },
  );
  const as = async (who: string): Promise<string> =>
    (await get(`${gateway.url}/a`, { 'x-api-key': `key-of-${who}-0123456789` })).body;
  const ada = await as('ada');
  for (let round = 0; round < 4; round++) {
    assert.equal(await as('bob'), ada);
    assert.notEqual(await as('eve'), ada);
    assert.equal(await as('ada'), ada);
  }
  assert.equal(asked.length, 2);
});

test('what is not there is asked for once where told, and not at all where it is not told', async (t) => {
  const { gateway, asked } = await scene(
    t,
    (_request, response) => response.writeHead(404).end('none'),
    (service) => ({
      services: { things: service },
      routes: [route('/told/*', { cache: { lifetimes: { 404: '10m' } } }), route('/*', { cache: {} })],
    }),
  );
  for (let round = 0; round < 4; round++) {
    const got = await get(`${gateway.url}/told/a`);
    assert.deepEqual([got.status, got.body], [404, 'none']);
  }
  assert.equal(asked.length, 1);
  for (let round = 0; round < 3; round++) assert.equal((await get(`${gateway.url}/a`)).status, 404);
  assert.equal(asked.length, 4);
});

test('RFC 8246: a reload of what is immutable is a hit; of other things the service is asked', async (t) => {
  const { gateway, asked } = await scene(
    t,
    (request, response, nth) => {
      const more = request.url === '/immutable' ? ', immutable' : '';
      response.writeHead(200, { 'Cache-Control': `max-age=600${more}`, ETag: '"1"' }).end(`${nth}`);
    },
    (service) => ({ services: { things: service }, routes: [route('/*', { cache: {} })] }),
  );
  const reload = { 'cache-control': 'max-age=0' };
  const first = await get(`${gateway.url}/immutable`);
  for (let round = 0; round < 4; round++) {
    const got = await get(`${gateway.url}/immutable`, reload);
    assert.equal(got.body, first.body);
    assert.match(got.how, /; hit/);
  }
  assert.equal((await get(`${gateway.url}/immutable`, { ...reload, 'if-none-match': '"1"' })).status, 304);
  assert.equal(asked.length, 1);
  assert.doesNotMatch((await get(`${gateway.url}/immutable`, { 'cache-control': 'no-cache' })).how, /; hit/);
  await get(`${gateway.url}/other`);
  assert.doesNotMatch((await get(`${gateway.url}/other`, reload)).how, /; hit/);
});

test('RFC 9110 §15.2, §6.5: interim responses and trailers pass, and are not stored', async (t) => {
  const { gateway, asked } = await scene(
    t,
    (_request, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.writeHead(200, { 'Cache-Control': 'max-age=600', Trailer: 'X-Sum' });
      response.write('in two ');
      response.addTrailers({ 'X-Sum': '42' });
      response.end('parts');
    },
    (service) => ({ services: { things: service }, routes: [route('/*', { cache: {} })] }),
  );
  const first = await get(`${gateway.url}/a`, { te: 'trailers', connection: 'te' });
  assert.deepEqual([first.interim, first.trailers], [[103], { 'x-sum': '42' }]);
  for (let round = 0; round < 4; round++) {
    const hit = await get(`${gateway.url}/a`, { te: 'trailers', connection: 'te' });
    assert.match(hit.how, /; hit/);
    assert.deepEqual([hit.status, hit.body, hit.interim, hit.trailers], [200, 'in two parts', [], {}]);
  }
  assert.equal(asked.length, 1);
});

test('RFC 5861 §4: a service whose breaker is open is not asked, and what is stale stands in for it', async (t) => {
  let fails = false;
  const { gateway, asked } = await scene(
    t,
    (_request, response) => {
      if (fails) response.writeHead(500).end('failed');
      else response.writeHead(200, { 'Cache-Control': 'max-age=0, stale-if-error=600', ETag: '"1"' }).end('good');
    },
    (service) => ({
      services: { things: { ...service, retries: 0, circuitBreaker: { volumeThreshold: 2, resetTimeout: '10m' } } },
      routes: [route('/*', { cache: {} })],
    }),
  );
  assert.equal((await get(`${gateway.url}/a`)).body, 'good');
  fails = true;
  // Nothing is stored of these.
  for (let i = 0; (await get(`${gateway.url}/none/${i}`)).status !== 503; i++) assert.ok(i < 50, 'the breaker opens');
  const before = asked.length;
  for (let round = 0; round < 3; round++) {
    const got = await get(`${gateway.url}/a`);
    assert.deepEqual([got.status, got.body], [200, 'good']);
    assert.match(got.how, /; hit; ttl=-?\d+; detail=/);
  }
  assert.equal(asked.length, before);
});
