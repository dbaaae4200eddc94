/** The document's limit, 1,000 requests in 15 minutes for each address, its variables, and Redis, which is optional. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startRedis } from '../../test/support/redis.ts';
import { type Scope, suiteScope } from '../../test/support/scope.ts';
import { eventually, type System, startSystem } from './testing.ts';

/** Statuses and how often each came. */
async function spend(system: System, times: number, from = '127.0.0.1'): Promise<Record<number, number>> {
  const counts: Record<number, number> = {};
  for (let i = 0; i < times; i++) {
    const { status } = await system.call('/api/v1/projects', { from });
    counts[status] = (counts[status] ?? 0) + 1;
  }
  return counts;
}

const start = (scope: Scope, env: Record<string, string>): Promise<System> =>
  startSystem(scope, { services: ['project-manager'], env });

describe('rate limits', () => {
  const scope = suiteScope();

  test('RATE_LIMIT_MAX and RATE_LIMIT_WINDOW: so many pass in the window, over all workers, for each address', async () => {
    const system = await start(scope, { CLUSTER_MODE: 'true', RATE_LIMIT_MAX: '20', RATE_LIMIT_WINDOW: '900000' });
    const first = await system.call('/api/v1/projects');
    assert.equal(first.status, 200);
    assert.deepEqual([first.headers['x-ratelimit-limit'], first.headers['x-ratelimit-remaining']], ['20', '19']);
    const reset = Number(first.headers['x-ratelimit-reset']);
    assert.ok(reset > Date.now() / 1000 - 1 && reset < Date.now() / 1000 + 901, String(reset));
    assert.equal(first.headers['access-control-expose-headers'], undefined, 'only pages of other sites ask for it');

    assert.deepEqual(await spend(system, 30), { 200: 19, 429: 11 });
    const refused = await system.call('/api/v1/projects');
    assert.equal(refused.json()['code'], 'RATE_LIMIT_EXCEEDED');
    assert.equal(refused.headers['x-ratelimit-remaining'], '0');
    assert.ok(Number(refused.headers['retry-after']) >= 1);
    assert.equal(refused.json()['request_id'], refused.headers['x-request-id']);
    // Another address has a counter of its own, and what operators look at is not limited.
    assert.deepEqual(await spend(system, 20, '127.0.0.2'), { 200: 20 });
    assert.equal((await system.call('/health')).status, 200);
    // Exactly so many also when all workers are asked at once.
    const together = await Promise.all(
      Array.from({ length: 60 }, () => system.call('/api/v1/projects', { from: '127.0.0.3', alone: true })),
    );
    assert.equal(together.filter(({ status }) => status === 200).length, 20);
    // One counter for all services.
    assert.equal((await system.call('/api/v1/ai')).status, 429);
  });

  test('as the document has it: 1,000, then 429', async () => {
    const system = await start(scope, { CLUSTER_MODE: 'false' });
    const startedAt = performance.now();
    const { 200: passed = 0, 429: refused = 0 } = await spend(system, 1_010);
    // One more is granted each 0.9 s that this takes.
    const granted = Math.ceil((performance.now() - startedAt) / 900);
    assert.ok(passed >= 1_000 && passed <= 1_000 + granted, `${passed} passed, ${refused} were refused`);
    assert.equal(passed + refused, 1_010);
  });
});

describe('Redis', () => {
  const scope = suiteScope();

  test('REDIS_URL: two gateways count together; without Redis each goes on alone', { timeout: 30_000 }, async () => {
    const redis = await startRedis();
    scope.after(() => redis.stop());
    const env = { CLUSTER_MODE: 'false', REDIS_URL: redis.url, RATE_LIMIT_MAX: '10', RATE_LIMIT_WINDOW: '900000' };
    const one = await start(scope, env);
    const two = await start(scope, env);
    const status = async (system: System): Promise<unknown> =>
      (await system.call('/health/detailed')).json<{ redis: { status: string } }>().redis.status;
    await eventually(async () => (await status(one)) === 'connected', 'the first gateway is connected');
    await eventually(async () => (await status(two)) === 'connected', 'the second gateway is connected');
    assert.deepEqual(await spend(one, 6), { 200: 6 });
    assert.deepEqual(await spend(two, 6), { 200: 4, 429: 2 });

    await redis.kill();
    await eventually(async () => (await status(one)) === 'disconnected', 'the loss is seen');
    const answer = await one.call('/api/v1/projects', { from: '127.0.0.9' });
    assert.equal(answer.status, 200, 'requests are answered without Redis');
  });
});
