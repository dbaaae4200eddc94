/** Redis Streams, by a real server that writes to its disk and is killed in the middle of it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { olderCopy } from '../../../../test/support/older-copy.ts';
import { type RedisServer, startDurableRedis } from '../../../../test/support/redis.ts';
import { connectRedis, parseRedisUrl } from '../../../base/redis.ts';
import { engineSuite, event, readAll, streamSettings } from './engine.suite.ts';
import { RedisEngine } from './redis.ts';

let server: RedisServer;
before(async () => {
  server = await startDurableRedis();
});
after(() => server.stop());

engineSuite({
  name: 'Redis Streams',
  async open(streams) {
    const engine = new RedisEngine(server.url);
    await engine.start(streams);
    return engine;
  },
  outage: { kill: () => server.kill(), back: () => server.start() },
  copy: olderCopy(
    () => server,
    async () => (await server.command('CONFIG', 'GET', 'dir')).split('\r\n').at(-1)!,
  ),
  async foreign(stream) {
    const redis = await connectRedis(parseRedisUrl(server.url), 'gatehouse-test', false);
    if (redis.status !== 'ready') await once(redis, 'ready');
    await redis.xadd(`gatehouse:{events-${stream}}:log`, '*', 'greeting', 'hello');
    redis.disconnect();
  },
  async lose(stream) {
    for (const key of (await server.command('KEYS', `gatehouse:{events-${stream}}:*`)).match(/^gatehouse.*$/gm) ?? [])
      await server.command('DEL', key.trim());
  },
  knowsKeys: true,
  givesPositions: true,
  trimsByCount: true,
});

const NEVER = 600_000;

test('Redis Streams: events that are too old, or too large together, are removed, and the gap is told', async (t) => {
  let nowMs = Date.now();
  const engine = new RedisEngine(server.url, () => nowMs);
  t.after(() => engine.stop());
  await engine.start([streamSettings({ name: 'aged', maxAgeMs: 60_000, maxBytes: 50_000 })]);
  const { position } = await engine.publish('aged', event('old'), NEVER);
  await engine.publish('aged', event('older'), NEVER);
  nowMs += 120_000;
  await engine.clean();
  assert.deepEqual(await engine.read('aged', position, 10), { events: [], hasGap: true });
  const data = new Uint8Array(10_000);
  for (let i = 0; i < 12; i++) await engine.publish('aged', event(`e${i}`, { data }), NEVER);
  const left = await readAll(engine, 'aged');
  assert.equal(left.length, 4);
  assert.equal(left.at(-1)!.id, 'e11');
});
