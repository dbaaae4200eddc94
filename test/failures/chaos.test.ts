/**
 * Everything at once: instances are killed, stopped, restarted and change their moods at random, the configuration is
 * published anew meanwhile, callers leave, and the service has everything on that there is against it. Much may be
 * refused then. What may not happen: an answer to another request, a POST that runs twice, a count that stays, an error
 * inside.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded } from '../../src/data/balancer/fixtures.suite.ts';
import { assertQuiet, startScene } from '../support/fault-scene.ts';
import type { Instance, Mood } from '../support/fleet.ts';
import { assertOnce } from '../support/measured-load.ts';
import { RawCaller } from '../support/raw.ts';

/** Longer, and otherwise, when asked. */
const FOR_MS = Number(process.env['CHAOS_MS'] ?? 3_500);
const SEED = Number(process.env['CHAOS_SEED'] ?? 7);

const MOODS: readonly Mood[] = [
  { kind: 'well' },
  { kind: 'well' },
  { kind: 'errors' },
  { kind: 'resets' },
  { kind: 'garbage' },
  { kind: 'slow', ms: 120 },
  { kind: 'busy', ms: 10, places: 2 },
];

test('whatever fails, an answer belongs to its request, and no POST runs twice', async (t) => {
  const random = seeded(SEED);
  const scene = await startScene(t, {
    names: ['a', 'b', 'c', 'd'],
    service: {
      timeouts: { connect: '300ms', firstByte: '250ms', total: '2s' },
      retries: { attempts: 3, statuses: [500], backoff: { base: '1ms', max: '20ms' }, budget: '50%' },
      hedge: { delay: '40ms' },
      ejection: { consecutiveFaults: 3, baseEjection: '200ms', maxEjection: '500ms' },
      circuitBreaker: { volumeThreshold: 10, resetTimeout: '200ms', rollingCountTimeout: '1s', halfOpenProbes: 2 },
      concurrency: { maxPerService: 24, maxPerInstance: 10, maxQueued: 4, queueTimeout: '100ms' },
      healthCheck: { interval: '150ms', unhealthyThreshold: 2 },
      pool: { maxConnections: 6, maxQueued: 2, queueTimeout: '100ms' },
    },
    load: { callers: { GET: 12, PUT: 4, POST: 8 }, everyMs: 10 },
  });
  const { fleet, gateway, load } = scene;
  const stopped = new Set<Instance>();
  const dead = new Set<Instance>();
  const untilMs = performance.now() + FOR_MS;
  let deeds = 0;
  while (performance.now() < untilMs) {
    deeds++;
    const instance = fleet.instances[Math.floor(random() * fleet.instances.length)]!;
    const dice = random();
    if (dead.has(instance)) {
      await instance.start();
      dead.delete(instance);
    } else if (stopped.has(instance)) {
      instance.resume();
      stopped.delete(instance);
    } else if (dice < 0.15) {
      await instance.kill();
      dead.add(instance);
    } else if (dice < 0.3) {
      instance.stop();
      stopped.add(instance);
    } else if (dice < 0.35) {
      await gateway.reload();
    } else {
      await instance.become(MOODS[Math.floor(random() * MOODS.length)]!);
    }
    // Some callers do not wait for their answers.
    const leavers = Array.from({ length: 4 }, (_, i) =>
      new RawCaller(gateway.port).send(`GET /w/leaver-${deeds}-${i} HTTP/1.1\r\nHost: a\r\n\r\n`),
    );
    await load.more(5);
    for (const leaver of leavers) leaver.close();
  }
  for (const instance of stopped) instance.resume();
  for (const instance of dead) await instance.start();
  await load.stop();
  t.diagnostic(`${deeds} deeds; ${load.describe()}`);
  const dishonest = [load.GET, load.PUT, load.POST]
    .flatMap(({ others }) => [...others.keys()])
    .filter((what) => !/^50[234] [a-z_]+$/.test(what) && what !== '500 of the instance');
  assert.deepEqual(dishonest, []);
  assertOnce(await fleet.journal());
  await assertQuiet(gateway);
});
