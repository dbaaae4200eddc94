/**
 * Rule: no caller reaches into what another one has. Idempotency keys of strangers belong to their address, and keys of
 * limits that callers invent take no room from others.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../../src/base/clock.ts';
import type { LimitBlock } from '../../src/data/contract/limits.ts';
import { allocateLimits } from '../../src/data/limiter/table.ts';
import { WorkerLimits } from '../../src/data/limiter/worker-limits.ts';
import { rateLimit } from '../../src/data/policies/rate-limit.ts';
import { HandheldControl, RecordingExchange, testEnvironment } from '../../src/data/policies/testing.ts';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { echoUpstream, httpUpstream, readAll } from '../support/upstream.ts';

describe('idempotency keys', () => {
  test('of strangers belong to their address and their route: nobody gets or spoils another one’s', async (t) => {
    let orders = 0;
    const shop = await httpUpstream(t, (request, response) => {
      void readAll(request).then(() =>
        response.end(`order ${++orders} of ${String(request.headers['x-forwarded-for']).split(',')[0]}`),
      );
    });
    const gateway = await startTestGateway(t, {
      gateway: { trustProxy: ['127.0.0.0/8', '::1'], auth: 'public' },
      services: { shop: { instances: [{ url: shop.url }] } },
      routes: [
        { match: { path: '/orders' }, service: 'shop', idempotency: {} },
        { match: { path: '/returns' }, service: 'shop', idempotency: {} },
        { match: { path: '/anywhere' }, service: 'shop', idempotency: { strangers: 'byKey' } },
      ],
    });
    const post = async (address: string, path = '/orders', body = 'one book') => {
      const response = await fetch(`${gateway.url}${path}`, {
        method: 'POST',
        headers: { 'idempotency-key': '1', 'x-forwarded-for': address },
        body,
      });
      return [response.status, await response.text()];
    };
    const first = await post('192.0.2.1');
    assert.deepEqual(await post('192.0.2.1'), first, 'the same caller gets the same response');
    assert.deepEqual(await post('192.0.2.2'), [200, 'order 2 of 192.0.2.2'], 'another one is carried out');
    assert.deepEqual(await post('192.0.2.3', '/orders', 'another book'), [200, 'order 3 of 192.0.2.3'], 'no 422');
    assert.deepEqual(await post('192.0.2.1', '/returns'), [200, 'order 4 of 192.0.2.1'], 'a route has keys of its own');
    const v6 = await post('2001:db8:1:2::1');
    assert.deepEqual(await post('2001:db8:1:2:ffff::9'), v6, 'one /64 is one caller');
    assert.equal((await post('2001:db8:1:3::1'))[1], 'order 6 of 2001:db8:1:3::1');
    const shared = await post('192.0.2.1', '/anywhere');
    assert.deepEqual(await post('192.0.2.9', '/anywhere'), shared, 'where it is configured so');
  });
});

describe('keys of limits that callers write', () => {
  const block = (by: LimitBlock['by'], scope: string): LimitBlock => ({
    by,
    rules: [{ limit: 50, windowMs: 3_600_000, algorithm: 'fixed', burst: 50 }],
    plan: false,
    methods: [],
    cost: 1,
    costHeader: null,
    scope,
  });

  function scene() {
    const clock = new FakeClock();
    const fake = testEnvironment({ clock });
    const limits = allocateLimits(256 * 1024, clock);
    const environment = { ...fake, control: new HandheldControl(), shared: { ...fake.shared, limits } };
    const make = (by: LimitBlock['by'], scope: string) => {
      const blocks = [{ ...block(by, scope), phase: 'limit' as const }];
      const hooks = rateLimit.create({ blocks, legacyHeaders: false, standardHeaders: false }, environment, undefined);
      return (address: string, tenant?: string): boolean => {
        const headers = tenant === undefined ? {} : { 'x-tenant': tenant };
        return hooks.limit?.(new RecordingExchange({ address, headers })) === undefined;
      };
    };
    return {
      byTenant: make([{ kind: 'header', name: 'x-tenant' }], 'route:tenants'),
      byAddress: make([{ kind: 'ip' }], 'route:addresses'),
      table: WorkerLimits.of(environment).table,
    };
  }

  test('invented by one address take a share, then count as the address: no one else is refused', () => {
    const { byTenant, byAddress, table } = scene();
    assert.ok(byTenant('192.0.2.50', 'honest'));
    for (let i = 0; i < 40_000; i++) byTenant('192.0.2.66', `invented ${i}`);
    assert.ok(table.occupancy().ratio < 0.5, `${table.occupancy().ratio} of the table`);
    assert.equal(byTenant('192.0.2.66', 'one more'), false, 'the address has used up its own limit');
    for (let i = 0; i < 1_000; i++)
      assert.ok(byAddress(`198.51.${i >> 8}.${i & 255}`), `newcomer ${i} of another route`);
    for (let i = 0; i < 100; i++) assert.ok(byTenant(`203.0.113.${i}`, `real ${i}`), `newcomer ${i} of the same route`);
    assert.ok(byTenant('192.0.2.66', 'honest'), 'a key that is there goes on');
  });

  test('invented by many addresses leave room for what counts by address', () => {
    const { byTenant, byAddress, table } = scene();
    for (let address = 0; address < 250; address++)
      for (let i = 0; i < 400; i++) byTenant(`192.0.2.${address}`, `invented ${address} ${i}`);
    assert.ok(table.occupancy().ratio < 0.75, `${table.occupancy().ratio} of the table`);
    for (let i = 0; i < 1_000; i++) assert.ok(byAddress(`198.51.${i >> 8}.${i & 255}`), `newcomer ${i}`);
  });
});

describe('an outside authorizer', () => {
  /** Who asks waits until so many have asked. */
  const authorizer = (t: Scope, subject: boolean, atOnce: number) => {
    const held: (() => void)[] = [];
    return httpUpstream(t, (request, response) => {
      const who = String(request.headers.authorization);
      held.push(() => void response.writeHead(200, subject ? { 'Remote-User': who } : {}).end());
      if (held.length === atOnce) for (const answer of held.splice(0)) answer();
    });
  };

  test('speaks of the request that it was asked about, whatever id clients give their requests', async (t) => {
    const [outside, service] = [await authorizer(t, true, 3), await echoUpstream(t)];
    const gateway = await startTestGateway(t, {
      services: { echo: { instances: [{ url: service.url }] } },
      routes: ['off', '10s'].map((cacheTtl, i) => ({
        match: { path: `/${i}/*` },
        service: 'echo',
        auth: { external: { url: outside.url, subject: 'Remote-User', cacheTtl, timeout: '30s' } },
      })),
    });
    for (const route of [0, 1]) {
      const seen = await Promise.all(
        ['ada', 'bob', 'eve'].map(async (who) => {
          const headers = { Authorization: who, 'X-Request-ID': 'one-id-for-all-requests' };
          return (await fetch(`${gateway.url}/${route}/x`, { headers })).text();
        }),
      );
      for (const [i, who] of ['ada', 'bob', 'eve'].entries())
        assert.match(seen[i]!, new RegExp(`"x-auth-subject","${who}"`), seen[i]!);
    }
  });

  test('that names nobody makes nobody’s responses those of a user', async (t) => {
    const outside = await authorizer(t, false, 1);
    let asked = 0;
    const service = await httpUpstream(t, (_request, response) => {
      response.setHeader('Cache-Control', 'private, max-age=60');
      response.setHeader('Set-Cookie', `session=${++asked}`);
      response.end(`${asked}`);
    });
    const gateway = await startTestGateway(t, {
      services: { s: { instances: [{ url: service.url }] } },
      routes: [
        {
          match: { path: '/*' },
          service: 's',
          cache: { by: 'user' },
          auth: { external: { url: outside.url } },
        },
      ],
    });
    for (const [i, who] of ['ada', 'bob'].entries()) {
      const response = await fetch(`${gateway.url}/mine`, { headers: { Authorization: who } });
      assert.deepEqual([await response.text(), response.headers.get('set-cookie')], [`${i + 1}`, `session=${i + 1}`]);
    }
  });
});
