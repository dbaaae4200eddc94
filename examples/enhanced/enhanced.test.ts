/** Every call of the document, with its headers and bodies as printed, and the unhappy ones around each. */
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { suiteScope } from '../../test/support/scope.ts';
import { setUp } from './set-up.ts';
import { type Answer, type CallOptions, type System, startSystem } from './testing.ts';

const SECRET = 'a secret of the tests, long enough for HS256';
const REFRESH_SECRET = 'another secret of the tests, long enough too';
const COMMAND_LINE = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));

/** The document's bodies, letter for letter. */
const LOGIN = `{
  "username": "admin",
  "password": "admin123"
}`;
const REFRESH = (token: string): string => `{
  "refreshToken": "${token}"
}`;
const JSON_TYPE = { 'Content-Type': 'application/json' };

interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly tokenType: string;
  readonly expiresIn: number;
}

interface Problem {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly timestamp: string;
  readonly request_id: string;
}

/** The shape of every refusal of the gateway (requirements: code, message, timestamp, request id). */
function assertProblem(answer: Answer, status: number, code: string): void {
  assert.equal(answer.status, status, answer.text);
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
  const problem = answer.json<Problem>();
  assert.deepEqual([problem.status, problem.code], [status, code]);
  assert.ok(problem.message.length > 0 && !Number.isNaN(Date.parse(problem.timestamp)));
  assert.equal(problem.request_id, answer.headers['x-request-id']);
}

describe('the calls of the document', () => {
  const scope = suiteScope();
  let system: System;
  const anonymous = (path: string, options: CallOptions = {}): Promise<Answer> =>
    system.call(path, { ...options, anonymous: true });
  const login = async (): Promise<Tokens> => {
    const answer = await anonymous('/api/v1/auth/login', { headers: JSON_TYPE, body: LOGIN });
    assert.equal(answer.status, 200, answer.text);
    return answer.json<Tokens>();
  };
  const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });

  before(async () => {
    system = await startSystem(scope, {
      env: { JWT_SECRET: SECRET, JWT_REFRESH_SECRET: REFRESH_SECRET },
      before: (env) => setUp(COMMAND_LINE, { ...process.env, ...env }),
    });
  });

  test('POST /api/v1/auth/login answers tokens to the demonstration account', async () => {
    const tokens = await login();
    assert.equal(tokens.tokenType, 'Bearer');
    assert.ok(tokens.expiresIn > 0 && tokens.refreshToken.length > 20);
    assert.equal(tokens.accessToken.split('.').length, 3);
  });

  test('the set-up can run again and changes nothing', () => {
    setUp(COMMAND_LINE, { ...process.env, ...system.env });
  });

  const refusedLogins: { name: string; body: string; headers?: Record<string, string>; status: number }[] = [
    { name: 'a wrong password', body: '{"username":"admin","password":"admin124"}', status: 401 },
    { name: 'an unknown name', body: '{"username":"nobody","password":"admin123"}', status: 401 },
    { name: 'no password', body: '{"username":"admin"}', status: 400 },
    { name: 'no name', body: '{"password":"admin123"}', status: 400 },
    { name: 'a name that is a list', body: '{"username":["admin"],"password":"admin123"}', status: 400 },
    { name: 'a further field', body: '{"username":"admin","password":"admin123","role":"admin"}', status: 400 },
    { name: 'half of a body', body: '{"username":"admin"', status: 400 },
  ];
  for (const { name, body, status } of refusedLogins) {
    test(`login with ${name} is ${status}`, async () => {
      const answer = await anonymous('/api/v1/auth/login', { headers: JSON_TYPE, body });
      assertProblem(answer, status, status === 401 ? 'AUTHENTICATION_REQUIRED' : 'VALIDATION_ERROR');
      assert.ok(!answer.text.includes('admin124'), 'a password is repeated');
    });
  }

  for (const [path, list] of [
    ['/api/v1/projects', 'projects'],
    ['/api/v1/ai', 'plans'],
    ['/api/v1/workflows', 'workflows'],
    ['/api/v1/notifications', 'notifications'],
    ['/api/v1/analytics', 'metrics'],
  ] as const) {
    test(`GET ${path} goes to its service with a token and nowhere without`, async () => {
      const { accessToken } = await login();
      const good = await anonymous(path, bearer(accessToken));
      assert.equal(good.status, 200, good.text);
      assert.ok(Array.isArray(good.json()[list]));
      assert.match(String(good.headers['served-by']), /-\d$/);
      assert.match(String(good.headers['x-request-id']), /^[0-9a-f-]{36}$/);

      assertProblem(await anonymous(path), 401, 'AUTHENTICATION_REQUIRED');
      // The document's placeholder is no token.
      assertProblem(await anonymous(path, bearer('your-jwt-token')), 401, 'AUTHENTICATION_REQUIRED');
      const [head = '', , signature = ''] = accessToken.split('.');
      const claims = Buffer.from(JSON.stringify({ sub: 'somebody', exp: 9_999_999_999 })).toString('base64url');
      assertProblem(await anonymous(path, bearer(`${head}.${claims}.${signature}`)), 401, 'AUTHENTICATION_REQUIRED');
    });
  }

  test('POST /api/v1/auth/refresh answers new tokens once for each refresh token', async () => {
    const first = await login();
    const refresh = (token: string) => anonymous('/api/v1/auth/refresh', { headers: JSON_TYPE, body: REFRESH(token) });
    const second = await refresh(first.refreshToken);
    assert.equal(second.status, 200, second.text);
    assert.notEqual(second.json<Tokens>().refreshToken, first.refreshToken);
    assert.equal((await anonymous('/api/v1/projects', bearer(second.json<Tokens>().accessToken))).status, 200);

    // Within ten seconds the same client gets the same one again; later it ends the session (`sessions.reuseGrace`).
    const again = await refresh(first.refreshToken);
    assert.equal(again.json<Tokens>().refreshToken, second.json<Tokens>().refreshToken);
    assertProblem(await refresh('your-refresh-token'), 401, 'AUTHENTICATION_REQUIRED');
    // A refresh token opens nothing by itself.
    assertProblem(await anonymous('/api/v1/projects', bearer(first.refreshToken)), 401, 'AUTHENTICATION_REQUIRED');
    for (const body of ['{}', '{"refreshToken":5}', 'not json']) {
      const answer = await anonymous('/api/v1/auth/refresh', { headers: JSON_TYPE, body });
      assertProblem(answer, 400, 'VALIDATION_ERROR');
    }
  });

  test('POST /api/v1/auth/logout ends the session: neither of its tokens works any more', async () => {
    const tokens = await login();
    assert.equal((await anonymous('/api/v1/projects', bearer(tokens.accessToken))).status, 200);
    const out = await anonymous('/api/v1/auth/logout', { method: 'POST', ...bearer(tokens.accessToken) });
    assert.deepEqual([out.status, out.json()], [200, { success: true }]);

    assertProblem(await anonymous('/api/v1/projects', bearer(tokens.accessToken)), 401, 'AUTHENTICATION_REQUIRED');
    const body = REFRESH(tokens.refreshToken);
    assertProblem(
      await anonymous('/api/v1/auth/refresh', { headers: JSON_TYPE, body }),
      401,
      'AUTHENTICATION_REQUIRED',
    );
    assertProblem(await anonymous('/api/v1/auth/logout', { method: 'POST' }), 401, 'AUTHENTICATION_REQUIRED');
    const placeholder = { method: 'POST', ...bearer('your-jwt-token') };
    assertProblem(await anonymous('/api/v1/auth/logout', placeholder), 401, 'AUTHENTICATION_REQUIRED');
  });

  test('tokens are signed with JWT_SECRET', async () => {
    const { accessToken } = await login();
    const [head = '', claims = '', signature = ''] = accessToken.split('.');
    const { createHmac } = await import('node:crypto');
    assert.equal(JSON.parse(Buffer.from(head, 'base64url').toString()).alg, 'HS256');
    assert.equal(createHmac('sha256', SECRET).update(`${head}.${claims}`).digest('base64url'), signature);
  });

  test('an API key is another way in, and a wrong one is not', async () => {
    const good = await system.call('/api/v1/projects');
    assert.equal(good.status, 200);
    const bad = await anonymous('/api/v1/projects', { headers: { 'X-API-Key': 'not-a-key' } });
    assertProblem(bad, 401, 'AUTHENTICATION_REQUIRED');
  });

  test('what a caller says of itself does not reach a service', async () => {
    const headers = { 'X-Auth-Subject': 'somebody-else', 'X-Forwarded-For': '203.0.113.9' };
    const made = await system.call('/api/v1/projects', { body: { name: 'Whose is it' }, headers });
    assert.deepEqual([made.status, made.json()['owner']], [201, 'tester']);
  });

  test('GET /health answers the health of the gateway and of every service', async () => {
    const answer = await anonymous('/health');
    const body = answer.json<{ status: string; timestamp: string; version: string; services: object }>();
    assert.equal(answer.status, 200);
    // One instance of the notifications is down, and the service works.
    assert.deepEqual([body.status, body.version], ['degraded', '2.9.0']);
    for (const name of ['project-manager', 'ai-planner', 'workflow-orchestrator', 'analytics-dashboard'])
      assert.deepEqual((body.services as Record<string, unknown>)[name], { status: 'running', available: true });
    assert.deepEqual((body.services as Record<string, unknown>)['smart-notifications'], {
      status: 'degraded',
      available: true,
    });
  });

  test('GET /health/detailed adds Redis, load balancers and circuit breakers', async () => {
    const body = (await anonymous('/health/detailed')).json<{
      redis: { status: string };
      loadBalancers: Record<string, { algorithm: string; totalInstances: number; healthyInstances: number }>;
      circuitBreakers: Record<string, { state: string }>;
    }>();
    assert.deepEqual(body.redis, { status: 'not configured' });
    assert.deepEqual(
      Object.entries(body.loadBalancers).map(([name, { algorithm, totalInstances, healthyInstances }]) => [
        name,
        algorithm,
        totalInstances,
        healthyInstances,
      ]),
      [
        ['project-manager', 'weighted-round-robin', 2, 2],
        ['ai-planner', 'least-connections', 2, 2],
        ['workflow-orchestrator', 'round-robin', 3, 3],
        ['smart-notifications', 'ip-hash', 3, 2],
        ['analytics-dashboard', 'custom', 2, 2],
      ],
    );
    for (const { state } of Object.values(body.circuitBreakers)) assert.equal(state, 'closed');
  });

  test('in cluster mode a worker for each processor listens', async () => {
    const { workers } = (await anonymous('/status')).json<{ workers: { listening: boolean }[] }>();
    assert.equal(workers.length, process.platform === 'linux' ? availableParallelism() : 1);
    assert.ok(workers.every(({ listening }) => listening));
  });

  test('GET /metrics answers JSON with every number of the document', async () => {
    await system.call('/api/v1/projects');
    const answer = await anonymous('/metrics');
    assert.match(String(answer.headers['content-type']), /^application\/json/);
    const body = answer.json<Record<string, unknown>>();
    for (const name of ['requests', 'errors', 'activeConnections', 'responseTime', 'errorRate'])
      assert.equal(typeof body[name], 'number', name);
    assert.ok((body['requests'] as number) > 0 && (body['responseTime'] as number) > 0);
    assert.ok((body['activeConnections'] as number) >= 1);
    const health = body['serviceHealth'] as Record<string, { instances: { healthy: boolean }[] }>;
    assert.deepEqual(
      health['smart-notifications']?.instances.map(({ healthy }) => healthy),
      [true, true, false],
    );
  });

  test('GET /metrics/prometheus answers the same in the format of Prometheus', async () => {
    const count = async (): Promise<number> => {
      const { text } = await anonymous('/metrics/prometheus');
      return Number(/^api_gateway_requests_total (\d+)$/m.exec(text)?.[1]);
    };
    const before = await count();
    for (let i = 0; i < 5; i++) await system.call('/api/v1/projects');
    // Its own calls count as well.
    assert.equal((await count()) - before, 6);
    const answer = await anonymous('/metrics/prometheus');
    assert.match(String(answer.headers['content-type']), /^text\/plain; version=0\.0\.4/);
    for (const name of [
      'requests_total',
      'errors_total',
      'active_connections',
      'response_time_ms',
      'error_rate',
      'service_health',
    ]) {
      assert.match(answer.text, new RegExp(`^# HELP api_gateway_${name} `, 'm'));
      assert.match(answer.text, new RegExp(`^api_gateway_${name}(\\{.*\\})? \\d`, 'm'));
    }
  });

  test('a page of an allowed site may read answers, of another site may not', async () => {
    const preflight = (site: string) =>
      anonymous('/api/v1/projects', {
        method: 'OPTIONS',
        headers: {
          Origin: site,
          'Access-Control-Request-Method': 'GET',
          'Access-Control-Request-Headers': 'authorization',
        },
      });
    const good = await preflight('http://localhost:8080');
    assert.equal(good.status, 204);
    assert.equal(good.headers['access-control-allow-origin'], 'http://localhost:8080');
    assert.match(String(good.headers['access-control-allow-headers']), /authorization/i);
    const other = await preflight('https://elsewhere.example');
    assert.equal(other.headers['access-control-allow-origin'], undefined);
  });

  test('answers carry the security headers', async () => {
    const { headers } = await system.call('/api/v1/projects');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'");
    assert.equal(headers['x-powered-by'], undefined);
  });

  test('a body of 10 MB arrives, one byte more is 413', async () => {
    const body = (bytes: number): string => `{"name":"large","description":"${'x'.repeat(bytes - 33)}"}`;
    const full = 10 * 1024 * 1024;
    assert.equal(Buffer.byteLength(body(full)), full);
    const arrived = await system.call('/api/v1/projects', { body: body(full) });
    // The service has read it all and finds the description too long.
    assert.deepEqual([arrived.status, arrived.json()['error']], [400, 'VALIDATION_ERROR']);
    // `Expect`: the answer comes before the body is sent, and the body is not sent.
    const headers = { 'Content-Length': String(full + 1), Expect: '100-continue' };
    const refused = await system.call('/api/v1/projects', { method: 'POST', headers });
    assertProblem(refused, 413, 'PAYLOAD_TOO_LARGE');
  });

  test('what no route takes is 404, and the drill of an instance is not reachable', async () => {
    for (const path of ['/api/v1/nothing', '/api/v2/projects', '/drill', '/api/v1/../drill'])
      assert.ok([400, 404].includes((await system.call(path)).status), path);
    assertProblem(await system.call('/api/v1/nothing'), 404, 'RESOURCE_NOT_FOUND');
    assert.equal((await system.call('/api/v1/projects/999999')).status, 404);
  });

  test('every request has an id of its own', async () => {
    const ids = new Set<string>();
    for (let i = 0; i < 20; i++) ids.add(String((await system.call('/api/v1/projects')).headers['x-request-id']));
    assert.equal(ids.size, 20);
  });
});
