import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../base/log.ts';
import { accessRecordsFeature } from './access-records/feature.ts';
import type { Compiled } from './config/compile.ts';
import { RecentGrowth } from './recent-growth.ts';
import { securityEventsFeature } from './security-events/feature.ts';
import { tracingFeature } from './tracing/feature.ts';

test('what a count grew by is known for five minutes', () => {
  let count = 100;
  const growth = new RecentGrowth(() => count);
  assert.equal(growth.lately, 0);
  growth.look();
  assert.equal(growth.lately, 0, 'what was before the start is not lately');
  count += 7;
  assert.equal(growth.lately, 7);
  for (let half = 0; half < 9; half++) growth.look();
  assert.equal(growth.lately, 7, 'looked at ten times');
  growth.look();
  assert.equal(growth.lately, 0);
});

test('a second start looks no more often, and a new one does not know what was before the stop', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let count = 0;
  let looks = 0;
  const growth = new RecentGrowth(() => {
    looks++;
    return count;
  });
  growth.start();
  growth.start();
  growth.keep(true);
  assert.equal(looks, 1);
  t.mock.timers.tick(30_000);
  assert.equal(looks, 2);
  count = 5;
  assert.equal(growth.lately, 5);
  growth.stop();
  looks = 0;
  t.mock.timers.tick(300_000);
  assert.equal(looks, 0);
  growth.start();
  assert.equal(growth.lately, 0);
  growth.stop();
});

test('losses are looked at only where there is something to lose', async (t) => {
  const looks = t.mock.method(RecentGrowth.prototype, 'look');
  const bus = { publish: () => {}, onAsk: () => {}, onTell: () => {} };
  const log = createLogger({ level: 'error' });
  const security = { listen: () => {}, tell: () => {} };
  const host = { bus, log, security, metrics: { number: () => 0 }, writeStdout: () => {} } as never;
  const compiled = (accessLog: string, securityEvents: object | null) =>
    ({
      plan: { gateway: { tracing: null, accessRecords: null, securityEvents } },
      snapshot: { gateway: { name: 'edge', accessLog } },
    }) as unknown as Compiled;
  const made = [tracingFeature(host), accessRecordsFeature(host), securityEventsFeature(host)];
  for (const feature of made) await feature.start?.(compiled('off', null));
  assert.equal(looks.mock.callCount(), 0);
  const events = { file: null, leftOut: [], rotation: null };
  for (const feature of made) feature.applied?.(compiled('stdout', events));
  assert.equal(looks.mock.callCount(), 2, 'the access log and security events');
  for (const feature of made) await feature.stop?.();
});
