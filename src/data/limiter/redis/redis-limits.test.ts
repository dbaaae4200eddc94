/** Counts through a real Redis: exact and leased, over several machines. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type RedisServer, startRedis } from '../../../../test/support/redis.ts';
import { admittedBy, Caller, closeWorkers, HOUR, scopeOf, spec, worker } from './redis.suite.ts';

let redis: RedisServer;
before(async () => {
  redis = await startRedis();
});
after(async () => {
  closeWorkers();
  await redis.stop();
});

test('exact: four machines together admit exactly the limit, whatever the algorithm', async () => {
  for (const algorithm of ['gcra', 'fixed', 'sliding'] as const) {
    const scope = scopeOf('exact');
    const rules = [spec(100, HOUR, algorithm), spec(150, 2 * HOUR)];
    const callers = await Promise.all([1, 2, 3, 4].map(() => new Caller(worker(redis.url), scope, rules).ready()));
    assert.equal(await admittedBy(callers, 60), 100, algorithm);
    const [first] = callers as [Caller, ...Caller[]];
    const refused = await first.decide();
    assert.deepEqual([refused.allowed, refused.index, refused.remaining, refused.limit], [false, 0, 0, 100]);
    const other = await first.decide('192.0.2.2');
    assert.deepEqual([other.allowed, other.index, other.remaining], [true, 0, 99]);
  }
});

test('exact: what one rule refuses is charged to none, and the wait is true', async () => {
  const scope = scopeOf('refused');
  const caller = await new Caller(worker(redis.url), scope, [spec(3, 1_500), spec(5, HOUR)]).ready();
  assert.equal(await admittedBy([caller], 10), 3);
  const refused = await caller.decide();
  assert.equal(refused.index, 0);
  assert.ok(refused.retryMs > 0 && refused.retryMs <= 500, `${refused.retryMs} ms`);
  await new Promise((resolve) => setTimeout(resolve, refused.retryMs + 5));
  const next = await caller.decide();
  assert.equal(next.allowed, true);
  assert.equal(await admittedBy([caller], 10), 0);
});

test('leased: no more than the limit is admitted at once, and most decisions need no round trip', async () => {
  const scope = scopeOf('leased');
  const rules = [spec(2_000, HOUR)];
  const workers = [1, 2, 3].map(() => worker(redis.url, { mode: 'leased', leaseShare: 0.02 }));
  const callers = await Promise.all(workers.map((limits) => new Caller(limits, scope, rules).ready()));
  let admitted = 0;
  for (let round = 0; round < 100; round++) admitted += await admittedBy(callers, 10);
  // All of a batch is charged before it is used: at one moment nothing passes above the limit, and at most a batch per
  // worker stays unused.
  const batch = 2_000 * 0.02;
  assert.ok(admitted <= 2_000 && admitted >= 2_000 - 3 * batch, `${admitted} admitted`);
  const counts = workers.map((limits) => limits.counts().redis);
  const asked = counts.reduce((sum, one) => sum + (one?.asked ?? 0), 0);
  assert.ok(asked < 400, `${asked} questions for 3000 decisions`);
});

test('leased: what was taken ahead passes above the limit of a later window, by a batch per worker at most', async () => {
  const scope = scopeOf('bound');
  const limit = 40;
  const batch = 10;
  const rules = [spec(limit, 1_000)];
  const workers = [1, 2].map(() => worker(redis.url, { mode: 'leased', leaseShare: batch / limit }));
  const callers = await Promise.all(workers.map((limits) => new Caller(limits, scope, rules).ready()));
  // Grow the batches to their full size, then let all drain in Redis while the batches are held.
  for (let round = 0; round < 6; round++) await admittedBy(callers, 4);
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  const started = performance.now();
  const admitted = await admittedBy(callers, 100);
  const drained = Math.ceil(((performance.now() - started) / 1_000) * limit);
  assert.ok(admitted <= limit + 2 * batch + drained, `${admitted} admitted, ${drained} drained meanwhile`);
  assert.ok(admitted >= limit, `${admitted} admitted`);
});

test('leased: a slow caller is counted exactly', async () => {
  const scope = scopeOf('slow');
  const callers = await Promise.all(
    [1, 2].map(() => new Caller(worker(redis.url, { mode: 'leased', leaseMs: 1 }), scope, [spec(20, HOUR)]).ready()),
  );
  let admitted = 0;
  for (let i = 0; i < 40; i++) {
    admitted += await admittedBy([callers[i % 2] as Caller], 1);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  assert.equal(admitted, 20);
});

test('a cost told afterwards is charged in Redis, above the limit too', async () => {
  const scope = scopeOf('cost');
  const [one, two] = await Promise.all(
    [1, 2].map(() => new Caller(worker(redis.url), scope, [spec(10, HOUR), spec(100, HOUR)]).ready()),
  );
  assert.ok(one !== undefined && two !== undefined);
  assert.equal((await one.decide()).allowed, true);
  one.addCosts([14, 0]);
  const deadline = performance.now() + 5_000;
  let refused = await two.decide();
  while (refused.allowed && performance.now() < deadline) refused = await two.decide();
  assert.deepEqual([refused.allowed, refused.index, refused.remaining], [false, 0, 0]);
  // Five or more above the limit, an hour for ten: at least 36 minutes until one fits again.
  assert.ok(refused.retryMs > 2_100_000, `${refused.retryMs} ms`);
});
