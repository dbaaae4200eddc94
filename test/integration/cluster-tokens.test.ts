/**
 * Bearer tokens on the cluster API, through a real gateway: of its own accounts, of an outside issuer, and bad ones.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { commandLine } from '../../src/cli/command-line.suite.ts';
import { SigningIssuer } from '../../src/data/auth/testing.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

const PATIENCE_MS = 60_000;
const TRUSTED = 'https://trusted.example';
const STRANGE = 'https://strange.example';
const CALLS = {
  read: ['GET', '/cluster'],
  tasks: ['POST', '/cluster/tasks', { kind: 'say', payload: 'hello' }],
  // There is no such node; whoever may not operate is not told so.
  operate: ['POST', '/nodes/nobody/activate', { reason: 'a test' }],
  admin: ['POST', '/cluster/tokens', {}],
} as const;

async function may(gateway: TestGateway, token: string): Promise<string[]> {
  const allowed: string[] = [];
  for (const [right, [method, path, body]] of Object.entries(CALLS)) {
    const response = await fetch(`${gateway.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.ok || response.status === 404) allowed.push(right);
    else assert.ok([401, 403].includes(response.status), `${right}: ${response.status} ${text}`);
  }
  return allowed;
}

test('tokens of an outside issuer have the rights of their roles and scopes where the operator named it', {
  timeout: PATIENCE_MS,
}, async (t) => {
  const [trusted, strange] = [new SigningIssuer('ES256', 'trusted'), new SigningIssuer('EdDSA', 'strange')];
  const keys = createServer((_request, response) => response.end(JSON.stringify({ keys: [trusted.jwk] })));
  await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
  t.after(() => keys.close());
  const gateway = await startTestGateway(t, {
    cluster: { name: 'test', node: 'one', adminIssuers: ['trusted'] },
    issuers: {
      trusted: {
        issuer: TRUSTED,
        audience: 'cluster',
        jwks: `http://127.0.0.1:${(keys.address() as AddressInfo).port}/`,
      },
      strange: { issuer: STRANGE, audience: 'cluster', jwks: { keys: [strange.jwk] } },
    },
    routes: [{ match: { path: '/hello' }, auth: 'public', respond: { status: 200 } }],
  });
  const now = Math.floor(Date.now() / 1_000);
  const claims = { iss: TRUSTED, aud: 'cluster', sub: 'deployer', exp: now + 300 };
  const all = Object.keys(CALLS);

  assert.deepEqual(await may(gateway, trusted.token({ ...claims, scope: 'cluster:read' })), ['read']);
  assert.deepEqual(await may(gateway, trusted.token({ ...claims, scope: 'cluster:tasks' })), ['read', 'tasks']);
  const operator = trusted.token({ ...claims, roles: ['operator'] });
  assert.deepEqual(await may(gateway, operator), ['read', 'tasks', 'operate']);
  assert.deepEqual(await may(gateway, trusted.token({ ...claims, roles: ['admin'] })), all);

  const good = { ...claims, roles: ['admin'], scope: 'cluster:admin' };
  for (const [what, token] of [
    ['no right', trusted.token(claims)],
    ['an issuer that is not named', strange.token({ ...good, iss: STRANGE })],
    ['the key of another issuer', strange.token(good)],
    ['over', trusted.token({ ...good, exp: now - 600 })],
    ['for somebody else', trusted.token({ ...good, aud: 'api' })],
    ['cut off', trusted.token(good).slice(0, -8)],
  ] as const)
    assert.deepEqual(await may(gateway, token), [], what);
});

test('who may not call learns nothing of what is wrong with the body, and guesses no node token for free', {
  timeout: PATIENCE_MS,
}, async (t) => {
  const reader = 'reader-key-0123456789abcdef0123456';
  const gateway = await startTestGateway(
    t,
    {
      cluster: { name: 'test', node: 'one' },
      routes: [{ match: { path: '/hello' }, auth: 'public', respond: { status: 200 } }],
    },
    { API_KEY_1: `${reader}:reader:cluster:read:standard` },
  );
  const send = async (path: string, headers: Record<string, string>): Promise<number> => {
    const response = await fetch(`${gateway.url}/api/v1${path}`, {
      method: path.endsWith('heartbeat') ? 'PUT' : 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: '{"wrong":true}',
    });
    await response.text();
    return response.status;
  };
  for (const path of [
    '/cluster/tasks',
    '/cluster/tokens',
    '/cluster/messages',
    '/cluster/rollouts',
    '/nodes/one/drain',
  ])
    assert.equal(await send(path, { 'x-api-key': reader }), 403, path);

  const guesses: number[] = [];
  for (let i = 0; i < 30; i++)
    guesses.push(await send('/cluster/self/heartbeat', { authorization: `Bearer ghn_${'x'.repeat(30)}${i}` }));
  assert.equal(guesses[0], 401);
  assert.equal(guesses.at(-1), 429, guesses.join(' '));
});

test('who guesses keys of operators is slowed by default, and the address alone', {
  timeout: PATIENCE_MS,
}, async (t) => {
  const reader = 'reader-key-0123456789abcdef01234567';
  const document = {
    gateway: { trustProxy: ['127.0.0.0/8'] },
    // The shipped rules would ban the address long before.
    abuse: { rules: [{ name: 'scanning', on: ['scan'], limit: '3/10m' }] },
    admin: { listen: '127.0.0.1:0', path: '/admin' },
    routes: [{ match: { path: '/hello' }, auth: 'public', respond: { status: 200 } }],
  };
  const keys = { API_KEY_1: `${reader}:reader:cluster:read:standard` };
  const ask = async (gateway: TestGateway, path: string, key: string, from: string): Promise<number> => {
    const headers = { 'x-api-key': key, 'x-forwarded-for': from };
    const response = await fetch(`${gateway.url}${path}`, { headers });
    await response.text();
    return response.status;
  };
  const byDefault = await startTestGateway(t, { ...document, cluster: { name: 'test', node: 'one' } }, keys);
  for (const [at, path] of ['/api/v1/cluster', '/admin/api/status', '/api/v1/bans'].entries()) {
    const from = `192.0.2.${at}`;
    const guesses: number[] = [];
    for (let i = 0; i < 3_000 && guesses.at(-1) !== 429; i += 100)
      guesses.push(
        ...(await Promise.all(
          Array.from({ length: 100 }, (_, n) => ask(byDefault, path, `guess-${i + n}-${'x'.repeat(20)}`, from)),
        )),
      );
    assert.ok(guesses.filter((status) => status === 401 || status === 403).length >= 900, path);
    assert.equal(guesses.at(-1), 429, path);
  }

  const strict = { name: 'test', node: 'one', addressLimit: '5/1h' };
  const byChoice = await startTestGateway(t, { ...document, cluster: strict }, keys);
  const seen: number[] = [];
  for (let i = 0; i < 6; i++)
    seen.push(await ask(byChoice, i % 2 === 0 ? '/api/v1/cluster' : '/api/v1/nodes', reader, '192.0.2.1'));
  assert.deepEqual(seen, [200, 200, 200, 200, 200, 429], 'both halves count together');
  assert.equal(await ask(byChoice, '/api/v1/nodes', reader, '198.51.100.7'), 200, 'another address');
});

test('tokens of the gateway’s own accounts have the rights of their roles', { timeout: PATIENCE_MS }, async (t) => {
  const line = commandLine();
  t.after(() => line.remove());
  const operator = 'operator-token-that-is-long-enough';
  const gateway = await startTestGateway(
    t,
    {
      cluster: { name: 'test', node: 'one' },
      identity: { enabled: true, firstAdmin: 'off', passwords: { memory: '8mb', passes: 1 } },
      admin: { listen: '127.0.0.1:0', tokens: [{ name: 'test', role: 'admin', token: operator }] },
      routes: [{ match: { path: '/hello' }, auth: 'public', respond: { status: 200 } }],
    },
    { GATEHOUSE_MASTER_KEY: 'a-master-key-of-at-least-32-bytes-012345' },
  );
  const found = gateway.primary.opsSources().features.find((each) => each.sections?.['admin'] !== undefined);
  const { url } = found!.sections!['admin'] as { url: string };
  line.env = { GATEHOUSE_SERVER: url, GATEHOUSE_TOKEN: operator };
  const tokenOf = async (username: string, ...options: string[]): Promise<string> => {
    const address = `${username}@example.com`;
    const made = await line.run('user', 'create', '--email', address, '--username', username, ...options, '--json');
    assert.deepEqual([made.code, made.err], [0, '']);
    const response = await fetch(`${gateway.url}/api/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: address, password: JSON.parse(made.out).password }),
    });
    const body = (await response.json()) as { accessToken: string };
    assert.equal(response.status, 200, JSON.stringify(body));
    return body.accessToken;
  };

  assert.deepEqual(await may(gateway, await tokenOf('ann', '--admin')), Object.keys(CALLS));
  assert.deepEqual(await may(gateway, await tokenOf('bob')), []);
});
