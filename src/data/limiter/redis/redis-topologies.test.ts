/** Cluster and Sentinel, made of real servers. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startRedisCluster, startRedisSentinel } from '../../../../test/support/redis.ts';
import { admittedBy, Caller, closeWorkers, HOUR, scopeOf, spec, worker } from './redis.suite.ts';

after(closeWorkers);

test('Redis Cluster: exact, also when the rules of one decision lie on different nodes', async () => {
  const cluster = await startRedisCluster();
  try {
    const scope = 'two callers';
    const callers = await Promise.all(
      [1, 2].map(() => new Caller(worker(cluster.url), scope, [spec(30, HOUR)], { scope }).ready()),
    );
    for (let i = 1; i <= 6; i++) assert.equal(await admittedBy(callers, 20, `192.0.2.${i}`), 30, `address ${i}`);
    const keys = await Promise.all(cluster.servers.map((server) => server.command('DBSIZE')));
    assert.ok(keys.filter((size) => size !== ':0').length >= 2, keys.join(' '));
    // What the address refused was given back to the rule for all: 7 x 30 at most, and the probes.
    const one = await (callers[0] as Caller).decide('192.0.2.99');
    assert.equal(one.allowed, true);
  } finally {
    closeWorkers();
    await cluster.stop();
  }
});

test('Redis Sentinel: the master is found, and its successor after a failover', async () => {
  const group = await startRedisSentinel();
  const limits = worker(group.url, { fallback: 'open', timeoutMs: 200 });
  try {
    const caller = await new Caller(limits, scopeOf('sentinel'), [spec(10, HOUR)]).ready();
    assert.equal(await admittedBy([caller], 20), 10);
    await group.servers[0]?.kill();
    await caller.ready();
    assert.equal(await admittedBy([caller], 20, '192.0.2.77'), 10);
  } finally {
    limits.close();
    await group.stop();
  }
});
