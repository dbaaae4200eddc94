/** What `gateway` says for every route also holds for what the gateway serves itself and for what no route took. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';

const LIMIT = 5;
const IDENTITY = { enabled: true, firstAdmin: 'off', passwords: { memory: '8mb', passes: 1 } };

interface Said {
  readonly status: number;
  readonly field: (name: string) => string | null;
}

async function ask(url: string, more: RequestInit = {}): Promise<Said> {
  const response = await fetch(url, { redirect: 'manual', ...more });
  await response.arrayBuffer();
  return { status: response.status, field: (name) => response.headers.get(name) };
}

const login = (url: string): Promise<Said> =>
  ask(`${url}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'ann@example.com', password: 'not the right one' }),
  });

async function start(t: Scope, gateway: Record<string, unknown>, more: Record<string, unknown> = {}) {
  const routes = [{ match: { path: '/a' }, respond: { status: 200 }, auth: 'public' }];
  const { url } = await startTestGateway(t, { gateway, identity: IDENTITY, plans: { gold: {} }, routes, ...more });
  return url;
}

/** A place of each kind: accounts, sign-in pages, keys, plans, probes, and nothing at all. */
const PLACES = [
  '/api/auth/me',
  '/api/auth/pages/forgot-password',
  '/.well-known/jwks.json',
  '/.well-known/gatehouse/plans',
  '/health',
  '/nothing',
];

test('gateway.headers changes responses of what the gateway serves, and takes nothing from their requests', async (t) => {
  const changes = { request: { remove: ['Authorization', 'Content-Type'] }, response: { set: { 'X-Test': 'yes' } } };
  const url = await start(t, { headers: changes });
  for (const place of PLACES) assert.equal((await ask(url + place)).field('x-test'), 'yes', place);
  const refused = await login(url);
  assert.equal(refused.field('x-test'), 'yes');
  assert.equal(refused.status, 401, 'a body without its type would be 400 or 415');
});

test('gateway.securityHeaders are on the account API, its pages and errors, and leave what these say', async (t) => {
  const contentSecurityPolicy = "default-src 'none'";
  const url = await start(t, { securityHeaders: { contentSecurityPolicy, frameOptions: 'SAMEORIGIN' } });
  for (const place of PLACES) {
    const said = await ask(url + place);
    assert.equal(said.field('x-content-type-options'), 'nosniff', place);
    assert.ok(['DENY', 'SAMEORIGIN'].includes(said.field('x-frame-options') ?? ''), place);
  }
  assert.equal((await login(url)).field('x-content-type-options'), 'nosniff');
  const page = await ask(`${url}/api/auth/pages/forgot-password`);
  assert.equal(page.status, 200);
  assert.match(page.field('content-security-policy') ?? '', /style-src/, 'a page knows its own policy better');
  assert.equal((await ask(`${url}/nothing`)).field('content-security-policy'), contentSecurityPolicy);
});

test('gateway.rateLimit counts sign-ins, pages and routes together; probes always get through', async (t) => {
  const url = await start(t, { rateLimit: { by: 'ip', limits: [`${LIMIT}/1h`] } });
  const first = await login(url);
  assert.equal(first.status, 401);
  assert.equal(first.field('x-ratelimit-limit'), String(LIMIT));
  assert.equal((await ask(`${url}/api/auth/pages/forgot-password`)).status, 200);
  assert.equal((await ask(`${url}/.well-known/jwks.json`)).status, 200);
  assert.equal((await ask(`${url}/api/auth/me`)).status, 401);
  assert.equal((await ask(`${url}/a`)).status, 200);
  for (const place of ['/a', ...PLACES.slice(0, 4)]) {
    const over = await ask(url + place);
    assert.equal(over.status, 429, place);
    assert.ok(over.field('retry-after') !== null, place);
  }
  assert.equal((await login(url)).status, 429);
  for (let i = 0; i < 2 * LIMIT; i++) assert.equal((await ask(`${url}/health`)).status, 200);
});

test('gateway.rateLimit by user counts who is not known by address, on the account API too', async (t) => {
  const url = await start(t, { rateLimit: { by: 'user', limits: ['2/1h'] } });
  for (const status of [401, 401, 429]) assert.equal((await login(url)).status, status);
});

test('gateway.ipFilter holds where no route of the document brings it', async (t) => {
  for (const routes of [[], [{ match: { path: '/a' }, respond: {}, auth: 'public', ipFilter: 'off' }]]) {
    const url = await start(t, { ipFilter: { deny: ['127.0.0.0/8'] } }, { routes });
    for (const place of PLACES) assert.equal((await ask(url + place)).status, 403, place);
  }
});
