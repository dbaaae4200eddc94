/** Redis that hangs, dies, comes back or is not there yet: decisions go on, by the stated fallback. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startRedis } from '../../../../test/support/redis.ts';
import { admittedBy, Caller, closeWorkers, HOUR, scopeOf, spec, worker } from './redis.suite.ts';

after(closeWorkers);

test('Redis that hangs: decisions come within the time allowed, by the stated fallback', async () => {
  const own = await startRedis();
  try {
    const callers = await Promise.all(
      (['local', 'open', 'closed'] as const).map((fallback) => {
        return new Caller(worker(own.url, { fallback, timeoutMs: 40 }), scopeOf('hang'), [spec(5, HOUR)]).ready();
      }),
    );
    own.pause();
    const [local, open, closed] = callers as [Caller, Caller, Caller];
    const started = performance.now();
    assert.equal(await admittedBy([local], 20), 5);
    assert.equal(await admittedBy([open], 20), 20);
    assert.equal(await admittedBy([closed], 20), 0);
    assert.ok(performance.now() - started < 1_500, `${performance.now() - started} ms for three times 40 ms`);
    // The breaker is open now: nobody waits any more.
    const again = performance.now();
    for (let i = 0; i < 20; i++) await local.decide();
    assert.ok(performance.now() - again < 100, `${performance.now() - again} ms`);
    assert.equal(local.limits.counts().redis?.state, 'open');
    own.resume();
    await local.ready();
    assert.ok((local.limits.counts().redis?.late ?? 0) > 0);
  } finally {
    own.resume();
    await own.stop();
  }
});

test('Redis that dies under load and comes back: nobody waits, nothing is lost, and it counts again', async () => {
  const own = await startRedis();
  try {
    const scope = scopeOf('death');
    const settings = { fallback: 'open', timeoutMs: 200 } as const;
    const callers = await Promise.all(
      [1, 2].map(() => new Caller(worker(own.url, settings), scope, [spec(50, HOUR)]).ready()),
    );
    const load = async (rounds: number): Promise<number> => {
      let slowest = 0;
      for (let i = 0; i < rounds; i++) {
        const started = performance.now();
        await admittedBy(callers, 5);
        slowest = Math.max(slowest, performance.now() - started);
      }
      return slowest;
    };
    await load(2);
    const loading = load(40);
    await own.kill();
    assert.ok((await loading) < 1_500);
    await own.start();
    for (const caller of callers) await caller.ready();
    // It came back empty: the limit holds anew, over both machines together.
    assert.equal(await admittedBy(callers, 60), 50);
  } finally {
    await own.stop();
  }
});

test('a worker that starts before Redis does uses the fallback until it comes', async () => {
  const own = await startRedis();
  await own.kill();
  try {
    const caller = new Caller(worker(own.url, { fallback: 'open' }), scopeOf('early'), [spec(1, HOUR)]);
    assert.equal(await admittedBy([caller], 5), 5);
    await own.start();
    await caller.ready();
    assert.equal(await admittedBy([caller], 5), 1);
  } finally {
    await own.stop();
  }
});
