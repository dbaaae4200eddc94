/** Each policy of the example by itself, and the whole example through a gateway. */
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { FakeClock, runPolicy } from '../../src/testing/index.ts';
import { startTestGateway } from '../../test/support/gateway.ts';
import { placeDatabase } from '../../test/support/place-database.ts';
import { echoUpstream } from '../../test/support/upstream.ts';
import abTest from './policies/ab-test.ts';
import contentDigest from './policies/content-digest.ts';
import geoipBlock from './policies/geoip-block.ts';
import responseEnvelope from './policies/response-envelope.ts';
import tenant from './policies/tenant.ts';
import webhookSignature from './policies/webhook-signature.ts';

test('tenant: the claim becomes a header field, and nothing that the client sends does', async () => {
  const run = (claims: object) =>
    runPolicy(tenant, {
      options: { claim: 'org' },
      request: { headers: { 'X-Tenant': 'forged' }, identity: { subject: 'u1', claims: claims as never } },
    });
  const { upstreamRequest, logged } = await run({ org: 'acme' });
  assert.equal(upstreamRequest?.headers['x-tenant'], 'acme');
  assert.equal(logged['tenant'], 'acme');
  for (const claims of [{}, { org: 5 }, { org: '' }, { org: 'a\r\nX-Admin: 1' }]) {
    const refused = await run(claims);
    assert.equal(refused.response.status, 403);
    assert.equal(JSON.parse(refused.response.body).code, 'TENANT_UNKNOWN');
    assert.equal(refused.upstreamRequest, null);
  }
});

test('ab-test: a new visitor gets a cookie, a known one keeps its group, a forged group is replaced', async () => {
  const run = (cookie: string | null, share = 100) =>
    runPolicy(abTest, {
      options: { cookie: 'group', share },
      request: cookie === null ? {} : { headers: { Cookie: cookie } },
    });
  const fresh = await run(null);
  assert.match(fresh.response.headers['set-cookie'] ?? '', /^group=b; /);
  assert.equal(fresh.upstreamRequest?.headers['x-group'], 'b');
  const known = await run('group=a');
  assert.equal(known.response.headers['set-cookie'], undefined);
  assert.equal(known.upstreamRequest?.headers['x-group'], 'a');
  assert.equal((await run('group=admin', 0)).upstreamRequest?.headers['x-group'], 'a');
  await assert.rejects(runPolicy(abTest, { options: { cookie: 'group', share: 200 } }), /does not fit/);
});

test('geoip-block: by the country of the address; an unknown address passes', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-geo-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const database = join(folder, 'places.mmdb');
  await writeFile(database, placeDatabase({ '203.0.113.0/24': { country: { iso_code: 'AQ' } } }));
  const run = (address: string, countries: readonly string[]) =>
    runPolicy(geoipBlock, { options: { database, countries }, request: { address } });
  const blocked = await run('203.0.113.9', ['AQ']);
  assert.equal(blocked.response.status, 451);
  assert.equal(blocked.fault, 'policy_refused');
  assert.equal((await run('203.0.113.9', ['DE'])).response.status, 200);
  assert.equal((await run('198.51.100.1', ['AQ'])).response.status, 200);
});

test('webhook-signature: only what was signed, with this secret, and lately', async () => {
  const secret = 'a-secret-of-the-sender';
  process.env['WEBHOOK_SECRET_OF_TEST'] = secret;
  const clock = new FakeClock();
  const now = Math.floor(clock.wallMs() / 1_000);
  const sign = (time: number, body: string, by = secret): string =>
    `t=${time},v1=${createHmac('sha256', by).update(`${time}.${body}`).digest('hex')}`;
  const run = async (signature: string | null, body: string) => {
    const { response } = await runPolicy(webhookSignature, {
      clock,
      options: { secretFrom: 'WEBHOOK_SECRET_OF_TEST', maxAge: 300 },
      request: { method: 'POST', body, headers: signature === null ? {} : { 'X-Signature': signature } },
    });
    return response.status;
  };
  assert.equal(await run(sign(now, '{"a":1}'), '{"a":1}'), 200);
  assert.equal(await run(sign(now, ''), ''), 200);
  assert.equal(await run(sign(now, '{"a":1}'), '{"a":2}'), 401);
  assert.equal(await run(sign(now, '{}', 'another-secret-of-16'), '{}'), 401);
  assert.equal(await run(sign(now - 301, '{}'), '{}'), 401);
  assert.equal(await run(sign(now, '{}').replace('v1=', 'v1=0'), '{}'), 401);
  assert.equal(await run(null, '{}'), 401);
  assert.equal(await run(sign(now, 'x'.repeat(1_100_000)), 'x'.repeat(1_100_000)), 413);
  await assert.rejects(
    runPolicy(webhookSignature, { options: { secretFrom: 'NO_SUCH_VARIABLE', maxAge: 300 } }),
    /NO_SUCH_VARIABLE/,
  );
});

test('response-envelope: JSON in one shape, lists with their length; other bodies as they are', async () => {
  const run = (body: string, type = 'application/json', options: object = {}) =>
    runPolicy(responseEnvelope, {
      options,
      upstream: { headers: { 'Content-Type': type, 'X-Page': '3', ETag: '"a"' }, body },
    });
  const list = await run('[{"id":1},{"id":12345678901234567890}]', undefined, { pageHeader: 'X-Page' });
  // A number that JavaScript cannot hold keeps its digits.
  assert.equal(
    list.response.body,
    '{"data":[{"id":1},{"id":12345678901234567890}],"requestId":"req-1","count":2,"page":3}',
  );
  assert.equal(list.response.headers['etag'], 'W/"a"');
  const text = await run('hello', 'text/plain');
  assert.deepEqual([text.response.body, text.response.headers['etag']], ['hello', '"a"']);
  assert.equal((await run('{')).fault, 'transform_failed');
});

test('content-digest: the body that the field is about passes, in whatever pieces; another does not', async () => {
  const digest = (text: string, algorithm = 'sha256'): string =>
    `${algorithm.replace('sha', 'sha-')}=:${createHash(algorithm).update(text).digest('base64')}:`;
  const run = (field: string | null, body: readonly string[], options: object = {}) =>
    runPolicy(contentDigest, {
      options,
      request: { method: 'POST', body, headers: field === null ? {} : { 'Content-Digest': field } },
    });
  for (const algorithm of ['sha256', 'sha512']) {
    const { response, upstreamRequest } = await run(digest('hello', algorithm), ['he', 'l', 'lo']);
    assert.deepEqual([response.status, upstreamRequest?.body], [200, 'hello']);
  }
  const wrong = await run(digest('hello'), ['hell', '0']);
  assert.deepEqual([wrong.response.status, wrong.fault, wrong.upstreamRequest], [400, 'policy_refused', null]);
  assert.equal((await run(null, ['hello'])).response.status, 200);
  assert.equal((await run(null, ['hello'], { required: true })).response.status, 400);
});

test('the example runs: the service sees the tenant of the token and the group of the visitor', async (t) => {
  const secret = 'a-secret-of-the-test-that-is-long-enough-to-be-one';
  const text = await readFile(new URL('gatehouse.yaml', import.meta.url), 'utf8');
  const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  // The same configuration, on ports of its own.
  const document = parse(text.replaceAll(/\.\/(?:policies|handlers|transforms)\/[a-z-]+\.ts/g, here)) as Record<
    string,
    unknown
  > & {
    services: { orders: { instances: unknown } };
    issuers: { example: { secret: string } };
    gateway: unknown;
  };
  document.issuers.example.secret = secret;
  document.services.orders.instances = [{ url: (await echoUpstream(t)).url }];
  const { url } = await startTestGateway(t, { ...document, gateway: {} });
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg: 'HS256' })}.${part({ sub: 'u1', org: 'acme', exp: Math.floor(Date.now() / 1000) + 60 })}`;
  const token = `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
  const seen = async (path: string, headers: Record<string, string>): Promise<string> => {
    const response = await fetch(url + path, { headers });
    assert.equal(response.status, 200);
    return JSON.stringify(((await response.json()) as { headers: string[] }).headers);
  };
  assert.match(await seen('/orders', { Authorization: `Bearer ${token}` }), /"X-Tenant","acme"/);
  assert.match(await seen('/shop/orders', { Cookie: 'group=b' }), /"X-Group","b"/);
  assert.equal((await fetch(`${url}/orders`)).status, 401);
  const dashboard = (await (await fetch(`${url}/dashboard`)).json()) as {
    orders: { url: string };
    news: { url: string };
  };
  assert.deepEqual([dashboard.orders.url, dashboard.news.url], ['/orders?limit=5', '/news']);
  const enveloped = (await (await fetch(`${url}/v2/orders`)).json()) as { version: string; data: { url: string } };
  assert.deepEqual([enveloped.version, enveloped.data.url], ['2', '/orders']);
  const shaped = (await (await fetch(`${url}/v3/orders`)).json()) as { data: { url: string }; requestId: string };
  assert.deepEqual([shaped.data.url, shaped.requestId.length > 5], ['/orders', true]);
  const upload = (digest: string) =>
    fetch(`${url}/uploads`, { method: 'POST', body: 'hello', headers: { 'Content-Digest': digest } });
  assert.equal((await upload(`sha-256=:${createHash('sha256').update('hello').digest('base64')}:`)).status, 200);
});
