/**
 * Rule: a ban keeps out whoever earned it, everywhere and at once, and nobody else: connections that were open are no
 * way round it, and a page elsewhere cannot ban its visitors by what it makes their browsers ask for.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { httpUpstream } from '../support/upstream.ts';

async function sceneFor(scope: Scope, rules: readonly object[]): Promise<TestGateway> {
  const echo = await httpUpstream(scope, (asked, response) => {
    asked.resume();
    response.end('here');
  });
  return await startTestGateway(scope, {
    gateway: { trustProxy: ['127.0.0.0/8', '::1'], auth: 'public' },
    services: { echo: { instances: [{ url: echo.url }] } },
    routes: [
      { match: { path: '/echo/*' }, service: 'echo' },
      { match: { path: '/free/*' }, service: 'echo', abuse: 'off' },
    ],
    abuse: { rules, scanPaths: ['/.env'] },
    identity: { enabled: true, firstAdmin: 'off', passwords: { memory: '8mb', passes: 1 } },
  });
}

/** Requests over one connection that stays. */
function kept(scope: Scope, gateway: TestGateway, address: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  scope.after(() => agent.destroy());
  const ports = new Set<number>();
  return {
    ports,
    async get(path: string, more: Record<string, string> = {}): Promise<number> {
      const asked = request(`${gateway.url}${path}`, { agent, headers: { 'x-forwarded-for': address, ...more } });
      asked.end();
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      if (asked.socket?.localPort !== undefined) ports.add(asked.socket.localPort);
      response.resume();
      await once(response, 'end');
      return response.statusCode ?? 0;
    },
  };
}

/** Until the ban has reached the worker, with a deadline. */
async function becomes(status: number, ask: () => Promise<number>): Promise<void> {
  const until = Date.now() + 60_000;
  for (;;) {
    const got = await ask();
    if (got === status) return;
    assert.ok(Date.now() < until, `still ${got} and not ${status}`);
  }
}

describe('a ban', () => {
  test('reaches connections that are open: routes, paths without one, and built-in endpoints', async (t) => {
    const gateway = await sceneFor(t, [{ name: 'scanning', on: ['scan'], limit: '3/10m' }]);
    const scanner = kept(t, gateway, '192.0.2.66');
    const other = kept(t, gateway, '192.0.2.1');
    for (let i = 0; i < 4; i++) await scanner.get('/.env');
    await becomes(403, () => scanner.get('/echo/x'));
    for (const path of ['/nothing/here', '/api/auth/me', '/api/auth/outside', '/.well-known/jwks.json', '/health'])
      assert.equal(await scanner.get(path), 403, path);
    assert.equal(scanner.ports.size, 1, 'over one connection');
    assert.equal(await scanner.get('/free/x'), 200, 'but where the route says so');
    assert.deepEqual([await other.get('/echo/x'), await other.get('/nothing/here')], [200, 404]);
  });

  test('comes from no page elsewhere: what it makes browsers ask for is refused, and the visitor goes on', async (t) => {
    const gateway = await sceneFor(t, [
      { name: 'scanning', on: ['scan'], limit: '3/10m' },
      { name: 'probing', on: [404, 401], limit: '10/10m' },
    ]);
    const visitor = kept(t, gateway, '192.0.2.7');
    const driven = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' };
    const statuses: number[] = [];
    for (let i = 0; i < 40; i++) statuses.push(await visitor.get(i % 2 === 0 ? '/.env' : `/nothing/${i}`, driven));
    assert.ok(statuses.slice(0, 4).every((status) => status === 404));
    assert.ok(
      statuses.slice(20).every((status) => status === 403),
      'also a scanner that calls itself so',
    );
    for (const path of ['/echo/x', '/api/auth/outside']) {
      assert.equal(await visitor.get(path), 200, path);
      assert.equal(await visitor.get(path, { 'sec-fetch-site': 'same-origin' }), 200, path);
      assert.equal(await visitor.get(path, driven), 403, path);
    }
    const other = kept(t, gateway, '192.0.2.8');
    assert.equal(await other.get('/echo/x', driven), 200);
    // What the visitor does wrong still counts.
    await becomes(403, () => visitor.get('/.env'));
  });
});
