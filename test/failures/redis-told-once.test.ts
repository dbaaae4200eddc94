/**
 * Limits shared through a Redis that takes no writes, hangs, or is away: each time one warning when this machine begins
 * to count alone and one line when Redis decides again, over all workers, and `/health/detailed` says so meanwhile.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startTestGateway } from '../support/gateway.ts';
import { startRedis } from '../support/redis.ts';

const DEADLINE_MS = 60_000;

test('one warning and one line of relief for each outage, whatever its kind', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const gateway = await startTestGateway(t, {
    gateway: { auth: 'public', workers: 2 },
    stores: { redis: redis.url },
    limits: { redis: { timeout: '2s' } },
    routes: [{ match: { path: '/a' }, respond: { body: '' }, rateLimit: { by: 'ip', limits: ['1000000/1h'] } }],
  });
  const count = (words: string): number => gateway.logged.filter((line) => line.includes(words)).length;
  /** Traffic over both workers until it is so. */
  const until = async (what: string, isSo: () => Promise<boolean> | boolean): Promise<void> => {
    const deadline = Date.now() + DEADLINE_MS;
    while (!(await isSo())) {
      assert.ok(Date.now() < deadline, `${what}; ${gateway.logged.slice(-5).join('\n')}`);
      await Promise.all(
        Array.from({ length: 4 }, async () => {
          const response = await fetch(`${gateway.url}/a`, { headers: { connection: 'close' } });
          assert.equal(response.status, 200);
          await response.arrayBuffer();
        }),
      );
      await delay(20);
    }
  };
  const health = async (): Promise<{ available: boolean; limits: string }> => {
    const response = await fetch(`${gateway.url}/health/detailed`);
    const { dependencies } = (await response.json()) as { dependencies: Record<string, unknown>[] };
    const found = dependencies.find(({ name }) => name === 'redis') as unknown as {
      available: boolean;
      detail: { limits: string };
    };
    return { available: found.available, limits: found.detail.limits };
  };
  const outages: readonly [kind: string, begin: () => unknown, end: () => unknown][] = [
    [
      'takes no writes',
      () => redis.command('REPLICAOF', '127.0.0.1', '1'),
      () => redis.command('REPLICAOF', 'NO', 'ONE'),
    ],
    ['hangs', () => redis.pause(), () => redis.resume()],
  ];
  await until('shared at first', async () => (await health()).available);
  for (const [index, [kind, begin, end]] of outages.entries()) {
    await begin();
    await until(`${kind}: counts alone`, () => count('limits cannot be shared through Redis') > index);
    assert.deepEqual(await health(), { available: false, limits: 'counted by this machine alone' }, kind);
    await until(`${kind}: both workers`, async () => {
      for (let i = 0; i < 50; i++) await (await fetch(`${gateway.url}/a`)).arrayBuffer();
      return true;
    });
    await end();
    await until(`${kind}: shared again`, () => count('limits are shared through Redis again') > index);
    await until(`${kind}: healthy again`, async () => (await health()).available);
    assert.equal(count('limits cannot be shared through Redis'), index + 1, `${kind}: one warning`);
    assert.equal(count('limits are shared through Redis again'), index + 1, `${kind}: one line of relief`);
  }
});
