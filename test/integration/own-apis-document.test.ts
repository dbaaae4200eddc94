/**
 * What the published OpenAPI document says of health, status, metrics, registration, usage, bans, plans and the cache is
 * what a real gateway responds with: every operation is called, every response held against the document. Accounts and
 * OAuth are in identity/document.test.ts and document-oauth.test.ts, the admin API in admin/generated-client.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DescribedCalls, type Document } from '../support/described-calls.ts';
import { startTestGateway } from '../support/gateway.ts';
import { startRedis } from '../support/redis.ts';
import { httpUpstream } from '../support/upstream.ts';

const ROOT = 'the-key-of-an-administrator-of-the-gateway';
const REGISTRATION = 'a-registration-token-of-length';
const TAGS = ['operations', 'registry', 'limits', 'cache'];

/** Successes in JSON whose schema, or a part of it, says only that it is an object. */
function bareOf({ paths, components }: Document): string[] {
  const found: string[] = [];
  const look = (schema: unknown, at: string): void => {
    if (typeof schema !== 'object' || schema === null) return;
    const members = Object.entries(schema as Record<string, unknown>);
    const { type, ...rest } = schema as Record<string, unknown>;
    const says = ['properties', 'additionalProperties', 'anyOf', 'oneOf', 'allOf', '$ref'];
    if (type === 'object' && !says.some((key) => rest[key] !== undefined)) found.push(at);
    for (const [key, each] of members) look(each, `${at}.${key}`);
  };
  for (const [path, item] of Object.entries(paths))
    for (const [method, { responses }] of Object.entries(item))
      for (const [status, { content }] of Object.entries(responses))
        if (status.startsWith('2')) {
          const schema = content?.['application/json']?.schema;
          look(schema, `${method} ${path} ${status}`);
          // As a whole it must say more than that anything may be in it.
          const { $ref, anyOf, allOf, properties = {} } = schema ?? { $ref: '' };
          const isNamed = [$ref, anyOf, allOf].some((each) => each !== undefined);
          if (!isNamed && Object.keys(properties as object).length === 0) found.push(`${method} ${path} ${status}`);
        }
  for (const [name, schema] of Object.entries(components['schemas'] ?? {})) look(schema, name);
  return found;
}

test('the OpenAPI document says what each of the other APIs responds with', { timeout: 60_000 }, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const upstream = await httpUpstream(t, (_, response) => {
    response.setHeader('cache-control', 'max-age=60');
    response.end('ok');
  });
  const gateway = await startTestGateway(t, {
    gateway: {
      auth: { apiKey: { keys: [{ key: ROOT, subject: 'root', roles: ['admin'], scopes: ['limits:admin'] }] } },
    },
    stores: { redis: redis.url },
    abuse: {},
    plans: { standard: { limits: ['60/1m'], quotas: { stories: 3 } } },
    quotas: { stories: { per: 'day' } },
    registry: { token: REGISTRATION },
    openapi: {},
    identity: { enabled: true, firstAdmin: 'off', cookies: {}, oauth: { enabled: true } },
    admin: { path: '/gatehouse', listen: 'off' },
    cluster: { name: 'one' },
    events: { streams: { notes: {} } },
    services: {
      web: { instances: [upstream.url], circuitBreaker: {}, healthCheck: { path: '/', interval: '1s' } },
      late: { discovery: { registry: { allow: ['127.0.0.0/8'] } } },
    },
    routes: [
      { match: { path: '/web' }, service: 'web', auth: 'public', cache: {} },
      { match: { path: '/late' }, service: 'late', auth: 'public' },
      { match: { path: '/api/v1/cache/*' }, builtin: 'cache' },
    ],
  });
  const asRoot = { 'x-api-key': ROOT };
  const document = await fetch(`${gateway.url}/openapi/admin.json`, { headers: asRoot });
  const calls = new DescribedCalls((await document.json()) as Document, gateway.url);
  assert.deepEqual(bareOf(calls.document), [], 'responses that are described as an object and nothing else');
  await (await fetch(`${gateway.url}/web`)).text();
  await (await fetch(`${gateway.url}/web`)).text();
  calls.watch(t, /^\/(openapi|web|late)/);
  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, checked by the document
  const call = async (status: number, method: string, path: string, body?: unknown, more = {}): Promise<any> => {
    const response = await fetch(gateway.url + path, {
      method,
      headers: { ...asRoot, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...more },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    assert.equal(response.status, status, `${method} ${path}: ${text}`);
    return response.headers.get('content-type')?.includes('json') === true ? JSON.parse(text) : text;
  };
  for (const path of ['/health', '/health/live', '/health/ready', '/health/detailed', '/status', '/metrics'])
    await call(200, 'GET', path);
  await call(200, 'GET', '/metrics', undefined, { accept: 'application/json' });
  await call(200, 'GET', '/metrics', undefined, { accept: 'application/openmetrics-text' });
  await call(200, 'GET', '/metrics/prometheus');

  const plans = await call(200, 'GET', '/.well-known/gatehouse/plans');
  assert.ok(plans.plans.length > 0);
  await call(200, 'GET', '/api/v1/usage?account=ada&plan=standard');
  await call(200, 'GET', '/api/v1/usage/history?account=ada&quota=stories');
  const today = new Date().toISOString().slice(0, 10);
  await call(200, 'GET', `/api/v1/usage/export?quota=stories&period=${today}&partial=true`);
  await call(200, 'GET', `/api/v1/usage/export?quota=stories&period=${today}&partial=true&format=csv`);
  await call(409, 'GET', `/api/v1/usage/export?quota=stories&period=${today}`);
  const ban = await call(201, 'POST', '/api/v1/bans', { kind: 'user', subject: 'mallory', for: '1h' });
  await call(200, 'GET', '/api/v1/bans');
  await call(204, 'DELETE', `/api/v1/bans/${ban.id}`);
  await call(200, 'GET', '/api/v1/bans?all=true');

  await call(200, 'GET', '/api/v1/cache');
  await call(200, 'POST', '/api/v1/cache/purge', { all: true });

  const token = { authorization: `Bearer ${REGISTRATION}` };
  const base = Object.keys(calls.document.paths).find((path) => path.endsWith('/services'))!;
  const instances = `${base}/late/instances`;
  await call(201, 'POST', instances, { url: upstream.url, lease: '30s' }, token);
  const { id } = await call(200, 'POST', instances, { url: upstream.url, lease: '30s' }, token);
  await call(200, 'GET', instances, undefined, token);
  await call(200, 'GET', base, undefined, token);
  await call(200, 'PUT', `${instances}/${id}/heartbeat`, {}, token);
  await call(204, 'DELETE', `${instances}/${id}`, undefined, token);
  await call(404, 'GET', `${base}/web/instances`, undefined, token);
  await call(401, 'GET', base, undefined, { authorization: 'Bearer another-token-of-some-length' });
  assert.deepEqual(calls.untried(...TAGS), []);
});
