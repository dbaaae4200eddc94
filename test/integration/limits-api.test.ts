/** The routes of usage and bans that are there without being written: who may use them, and when they are not there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const ADA = 'sesame-0123456789abcdef0123456789';
const ROOT = 'master-0123456789abcdef0123456789';
const KEYS = { API_KEY_1: `${ADA}:ada:stories:basic`, API_KEY_2: `${ROOT}:root:limits:admin:standard` };
const QUOTAS = { quotas: { stories: { per: 'day', limit: 5 } } };
const respond = [{ match: { path: '/hello' }, respond: { status: 200 }, auth: 'public' }];

async function ask(url: string, headers: Record<string, string> = {}, init: RequestInit = {}) {
  const answer = await fetch(url, { ...init, headers });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? null : (JSON.parse(text) as Record<string, unknown>) };
}

test('with quotas a caller sees its usage, and nobody sees another’s', { timeout: 20_000 }, async (t) => {
  const gateway = await startTestGateway(t, { ...QUOTAS, routes: respond }, KEYS);
  const url = `${gateway.url}/api/v1/usage`;
  const { status, body } = await ask(url, { 'x-api-key': ADA });
  assert.deepEqual([status, body?.['account']], [200, 'ada']);
  assert.equal((await ask(url)).status, 401);
  assert.equal((await ask(url, { 'x-auth-subject': 'ada', 'x-auth-roles': 'admin' })).status, 401);
  assert.equal((await ask(`${url}?account=root`, { 'x-api-key': ADA })).status, 403);
  assert.equal((await ask(`${url}?account=root`, { 'x-api-key': ADA, 'x-auth-roles': 'admin' })).status, 403);
  assert.equal((await ask(`${gateway.url}/api/v1/bans`, { 'x-api-key': ADA })).status, 404, 'no abuse, no bans');
});

test('what the gateway says for every route goes for it too, but it is never public', {
  timeout: 20_000,
}, async (t) => {
  const gateway = await startTestGateway(
    t,
    { ...QUOTAS, gateway: { auth: 'public', rateLimit: { by: 'ip', limits: ['3/1h'] } }, routes: respond },
    KEYS,
  );
  const url = `${gateway.url}/api/v1/usage`;
  assert.equal((await ask(url)).status, 401);
  assert.equal((await ask(`${gateway.url}/hello`)).status, 200);
  assert.equal((await ask(url, { 'x-api-key': ADA })).status, 200);
  assert.equal((await ask(url, { 'x-api-key': ADA })).status, 429);
});

test('it is told who calls even where services are not', { timeout: 20_000 }, async (t) => {
  const gateway = await startTestGateway(
    t,
    { ...QUOTAS, gateway: { auth: { identity: 'none' } }, routes: respond },
    KEYS,
  );
  assert.equal((await ask(`${gateway.url}/api/v1/usage`, { 'x-api-key': ADA })).status, 200);
});

test('with abuse administrators list, add and lift bans', { timeout: 20_000 }, async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end('{}'));
  const gateway = await startTestGateway(
    t,
    {
      abuse: {},
      services: { one: { instances: [upstream.url] } },
      routes: [{ match: { path: '/a' }, service: 'one' }],
    },
    KEYS,
  );
  const url = `${gateway.url}/api/v1/bans`;
  assert.equal((await ask(url)).status, 401);
  assert.equal((await ask(url, { 'x-api-key': ADA })).status, 403);
  const root = { 'x-api-key': ROOT, 'content-type': 'application/json' };
  assert.equal((await ask(`${gateway.url}/a`, { 'x-api-key': ADA })).status, 200);
  const body = JSON.stringify({ kind: 'user', subject: 'ada', for: '1h' });
  const made = await ask(url, root, { method: 'POST', body });
  assert.equal(made.status, 201);
  const asAda = async (): Promise<number> => (await ask(`${gateway.url}/a`, { 'x-api-key': ADA })).status;
  await until(async () => (await asAda()) === 403, 'she is banned');
  const listed = (await ask(url, root)).body?.['bans'] as { subject: string }[];
  assert.deepEqual(
    listed.map(({ subject }) => subject),
    ['ada'],
  );
  assert.equal((await ask(`${url}/${String(made.body?.['id'])}`, root, { method: 'DELETE' })).status, 204);
  await until(async () => (await asAda()) === 200, 'she is not banned any more');
  assert.equal((await ask(`${gateway.url}/api/v1/usage`, root)).status, 404, 'no quotas, no usage');
});

const absent: { name: string; document: Record<string, unknown>; env: Record<string, string> }[] = [
  { name: 'when it is switched off', document: { ...QUOTAS, limits: { usageApi: false } }, env: KEYS },
  { name: 'when it is off', document: { ...QUOTAS, limits: { usageApi: 'off' } }, env: KEYS },
  {
    name: 'when both are off',
    document: { ...QUOTAS, abuse: {}, limits: { usageApi: 'off', bansApi: 'off', publishPlans: 'off' } },
    env: KEYS,
  },
  { name: 'when nothing could authenticate anybody', document: { ...QUOTAS, abuse: {} }, env: {} },
];
for (const { name, document, env } of absent) {
  test(`usage is not there ${name}`, { timeout: 20_000 }, async (t) => {
    const gateway = await startTestGateway(t, { ...document, routes: respond }, env);
    assert.equal((await ask(`${gateway.url}/api/v1/usage`, { 'x-api-key': ADA })).status, 404);
    assert.equal((await ask(`${gateway.url}/api/v1/bans`, { 'x-api-key': ADA })).status, 404);
  });
}

test('a route of the document may place both, also with abuse alone', { timeout: 20_000 }, async (t) => {
  const gateway = await startTestGateway(
    t,
    { abuse: {}, routes: [{ match: { path: '/api/v1/bans/*' }, builtin: 'limits', auth: { scopes: 'limits:admin' } }] },
    KEYS,
  );
  assert.equal((await ask(`${gateway.url}/api/v1/bans`, { 'x-api-key': ROOT })).status, 200);
  assert.equal((await ask(`${gateway.url}/api/v1/bans`, { 'x-api-key': ADA })).status, 403);
});
