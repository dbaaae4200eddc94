/** Hits and limits: they count, unless `countHits: false`; then they are given to who has nothing left. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { before, describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { suiteScope } from '../../support/scope.ts';
import { httpUpstream } from '../../support/upstream.ts';

const KEYS = ['ada', 'bob', 'eve', 'joe', 'zoe'].map((name) => [name, `key-of-${name}-0123456789`] as const);

describe('hits of the cache and limits', () => {
  const scope = suiteScope();
  let gateway: TestGateway;

  before(async () => {
    const upstream = await httpUpstream(scope, (request, response) => {
      // What a stored response says it cost, it cost whoever fetched it.
      const stored = { 'Cache-Control': 'max-age=600, public', 'X-Cost': '3' };
      if (request.url!.startsWith('/read'))
        response
          .writeHead(200, { ...stored, Vary: 'Accept-Encoding', 'Content-Type': 'application/json' })
          .end(JSON.stringify({ coding: request.headers['accept-encoding'] ?? '' }));
      else response.writeHead(200, stored).end(request.url);
    });
    const route = (path: string, more: Readonly<Record<string, unknown>>) => ({
      match: { path },
      service: 'things',
      auth: { apiKey: {} },
      ...more,
    });
    const limits = { by: 'user', limits: ['12/1h'], costHeader: 'X-Cost' };
    gateway = await startTestGateway(
      scope,
      {
        services: { things: { instances: [{ url: upstream.url }] } },
        quotas: { monthly: { per: 'month', limit: 4 } },
        routes: [
          route('/counted/*', { rateLimit: limits, cache: {} }),
          route('/spared/*', { rateLimit: limits, cache: { countHits: false } }),
          route('/moved/*', {
            rateLimit: limits,
            cache: { countHits: false },
            transform: { request: { query: { set: { of: '{auth.sub}' } } } },
          }),
          route('/read/changed/*', {
            rateLimit: limits,
            cache: { countHits: false },
            transform: { response: { omit: ['/secret'] } },
          }),
          route('/read/checked/*', {
            rateLimit: limits,
            cache: { countHits: false },
            validate: { response: { body: { type: 'object' } } },
          }),
          route('/quota/*', { quota: 'monthly', cache: { countHits: false } }),
          route('/mine/*', { rateLimit: limits, cache: { countHits: false, by: 'user' } }),
        ],
      },
      Object.fromEntries(KEYS.map(([name, key], i) => [`API_KEY_${i + 1}`, `${key}:${name}:read:standard`])),
    );
  });

  async function get(path: string, user: string, headers: Record<string, string> = {}): Promise<[number, string]> {
    const key = KEYS.find(([name]) => name === user)![1];
    const response = await fetch(`${gateway.url}${path}`, {
      headers: { 'X-API-Key': key, 'Cache-Control': 'nothing', ...headers },
    });
    await response.text();
    const how = response.headers.get('cache-status') ?? '';
    return [response.status, how.includes('; hit') ? 'hit' : ''];
  }

  test('a hit counts like any other request', async () => {
    await get('/counted/a', 'ada');
    const statuses = [];
    for (let i = 0; i < 12; i++) statuses.push((await get('/counted/a', 'ada'))[0]);
    assert.equal(statuses[0], 200);
    assert.equal(statuses.at(-1), 429);
  });

  test('countHits: false: it does not, and who has nothing left gets what is stored, and only that', async () => {
    assert.deepEqual(await get('/spared/a', 'bob'), [200, '']);
    for (let i = 0; i < 30; i++) assert.deepEqual(await get('/spared/a', 'bob'), [200, 'hit']);
    // 3 of 12 are gone: each miss costs what the service says.
    for (const path of ['/spared/b', '/spared/c', '/spared/d']) assert.deepEqual(await get(path, 'bob'), [200, '']);
    assert.equal((await get('/spared/e', 'bob'))[0], 429);
    assert.deepEqual(await get('/spared/a', 'bob'), [200, 'hit']);
    assert.equal(
      (await get('/spared/a', 'bob', { 'Cache-Control': 'no-cache' }))[0],
      429,
      'that would ask the service',
    );
    assert.equal((await get('/spared/a', 'bob', { 'Cache-Control': 'max-age=0' }))[0], 429);
    assert.deepEqual(await get('/spared/a', 'eve'), [200, 'hit']);
  });

  test('what a policy may still send elsewhere counts, and so does a body, which no stored response is for', async () => {
    const statuses = [];
    for (let i = 0; i < 6; i++) statuses.push((await get('/moved/a', 'joe'))[0]);
    assert.deepEqual([statuses[0], statuses.at(-1)], [200, 429]);
    assert.equal((await get('/spared/body', 'zoe'))[0], 200);
    const withBody = (): Promise<number> =>
      new Promise((resolve, reject) => {
        const asked = request(`${gateway.url}/spared/body`, {
          headers: { 'X-API-Key': KEYS[4]![1], 'Content-Length': 1 },
        });
        asked.on('error', reject).on('response', (response) => {
          response.resume().on('end', () => resolve(response.statusCode!));
        });
        asked.end('x');
      });
    const asked = [];
    for (let i = 0; i < 5; i++) asked.push(await withBody());
    assert.deepEqual([asked[0], asked.at(-1)], [200, 429]);
    assert.deepEqual(await get('/spared/body', 'zoe'), [200, 'hit']);
  });

  test('where a policy reads responses, and asks for them in one coding, hits are spared as well', async () => {
    for (const path of ['/read/changed/a', '/read/checked/a']) {
      const hits = [];
      // 12 are allowed, and the first one costs 3 of them.
      for (const coding of ['gzip', 'gzip', 'br', 'br', ...Array<string>(16).fill('gzip')])
        hits.push(await get(path, 'ada', { 'Accept-Encoding': coding }));
      assert.deepEqual(
        hits.filter(([status]) => status !== 200),
        [],
        path,
      );
      assert.equal(hits.filter(([, how]) => how === 'hit').length, 18, `${path}: one for each coding was fetched`);
    }
  });

  test('quotas too', async () => {
    for (let i = 0; i < 20; i++) assert.equal((await get('/quota/a', 'joe'))[0], 200);
    for (const path of ['/quota/b', '/quota/c', '/quota/d']) assert.equal((await get(path, 'joe'))[0], 200);
    assert.equal((await get('/quota/e', 'joe'))[0], 429);
    assert.deepEqual(await get('/quota/a', 'joe'), [200, 'hit']);
  });

  test('it is the caller whose response it is: what is stored for another user spares nobody', async () => {
    assert.deepEqual(await get('/mine/a', 'zoe'), [200, '']);
    assert.deepEqual(await get('/mine/a', 'zoe'), [200, 'hit']);
    for (const path of ['/mine/a', '/mine/b', '/mine/c', '/mine/d']) assert.equal((await get(path, 'ada'))[0], 200);
    assert.equal((await get('/mine/e', 'ada'))[0], 429);
    await get('/mine/e', 'zoe');
    assert.equal((await get('/mine/e', 'ada'))[0], 429, 'it is stored, but for Zoe');
  });

  test('nobody gets past authentication', async () => {
    const response = await fetch(`${gateway.url}/spared/a`);
    await response.text();
    assert.equal(response.status, 401);
  });
});
