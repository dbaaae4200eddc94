import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../../../test/support/gateway.ts';
import { httpUpstream } from '../../../test/support/upstream.ts';
import { Fault } from '../../base/errors.ts';
import { type FaultInjectionSettings, faultInjection } from './fault-injection.ts';
import { createPolicy, RecordingExchange } from './testing.ts';

async function outcomes(settings: Partial<FaultInjectionSettings>, times: number, headers = {}): Promise<number> {
  const hooks = createPolicy(faultInjection, { when: null, delay: null, abort: null, ...settings });
  let failed = 0;
  for (let i = 0; i < times; i++)
    if ((await hooks.requestHead?.(new RecordingExchange({ headers }))) instanceof Fault) failed++;
  return failed;
}

test('a share of the requests fails, and of others none', async () => {
  const half = await outcomes({ abort: { status: 500, share: 0.5 } }, 2_000);
  assert.ok(half > 800 && half < 1_200, `${half} of 2000`);
  assert.equal(await outcomes({ abort: { status: 500, share: 0 } }, 1_000), 0);
  assert.equal(await outcomes({ abort: { status: 500, share: 1 } }, 1_000), 1_000);
});

test('only requests with the field, and its value, are concerned', async () => {
  const abort = { status: 500, share: 1 };
  const any = { header: 'x-fault', value: null };
  assert.equal(await outcomes({ abort, when: any }, 10), 0);
  assert.equal(await outcomes({ abort, when: any }, 10, { 'X-Fault': '' }), 10);
  assert.equal(await outcomes({ abort, when: { ...any, value: 'yes' } }, 10, { 'X-Fault': 'no' }), 0);
  assert.equal(await outcomes({ abort, when: { ...any, value: 'yes' } }, 10, { 'X-Fault': 'yes' }), 10);
});

test('a request waits and then goes on or fails, and the gateway says that this is on purpose', async (t) => {
  const arrivals: number[] = [];
  const upstream = await httpUpstream(t, (_request, response) => {
    arrivals.push(performance.now());
    response.end('here');
  });
  const route = { service: 's', auth: 'public' };
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [
      { match: { path: '/slow' }, ...route, faultInjection: { delay: { time: '100ms' } } },
      { match: { path: '/fails' }, ...route, faultInjection: { abort: { status: 429 } } },
      { match: { path: '/both' }, ...route, faultInjection: { delay: { time: '100ms' }, abort: {} } },
    ],
  });
  const beforeMs = performance.now();
  assert.equal(await (await fetch(`${gateway.url}/slow`)).text(), 'here');
  // Timers may be a little early.
  assert.ok(arrivals[0]! - beforeMs > 90, 'the service is asked after the delay');
  const failed = await fetch(`${gateway.url}/fails`);
  assert.equal(failed.status, 429);
  assert.match(await failed.text(), /"reason":"fault_injected"/);
  assert.equal((await fetch(`${gateway.url}/both`)).status, 503);
  assert.equal(arrivals.length, 1);
  const metrics = await (await fetch(`${gateway.url}/metrics/prometheus`)).text();
  assert.match(metrics, /^gatehouse_faults_injected_total 3$/m);
  assert.ok(gateway.logged.some((line) => line.includes('on purpose')));
});
