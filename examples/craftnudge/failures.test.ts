/**
 * What callers see when services are slow, fail, or go away: timeouts, retries, breakers, leases, and a queue that
 * waits.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { commitOf, type Document, eventually, startCraftNudge } from './testing.ts';

/** Whoever looks again and again is not told to wait. */
function patient(document: Document): void {
  document.gateway.rateLimit.perMinute = 10_000;
  document.routes.find(({ name }: { name: string }) => name === 'analytics').rateLimit.limits = ['10000/1m'];
}

describe('CraftNudge: failures', () => {
  it('SERVICE_TIMEOUT is for the service that names none; a late answer is 504', async (t) => {
    const craft = await startCraftNudge(t, patient, { SERVICE_TIMEOUT: '300ms' });
    const ada = await craft.person('ada');
    await craft.drill('commit-tracker', 'slow', 2_000);
    const late = await ada.call('GET', '/api/v1/commits');
    assert.deepEqual([late.status, late.body.error.code], [504, 'GATEWAY_TIMEOUT']);
    await craft.drill('analytics', 'slow', 900);
    assert.equal(
      (await ada.call('GET', '/api/v1/analytics/metrics')).status,
      200,
      'analytics has a timeout of its own',
    );
  });

  it('a read that fails is tried at the other instance; a breaker opens when all fail, and closes again', async (t) => {
    const craft = await startCraftNudge(t, (document) => {
      document.services['commit-tracker'].healthCheck = undefined;
      document.services['commit-tracker'].circuitBreaker.resetTimeout = '1s';
      document.gateway.rateLimit.perMinute = 1_000;
    });
    const ada = await craft.person('ada');
    const operator = craft.anybody('127.0.0.1');
    const first = craft.service('commit-tracker');
    const second = await craft.startService('commit-tracker', { weight: 2 });
    const instances = /gatehouse_discovery_instances\{service="commit-tracker",source="registry"\} 2/;
    await eventually(
      async () => instances.test((await operator.call('GET', '/metrics')).text),
      'there are two instances',
    );
    // It fails all, the other one none; and it gets two of three first tries.
    await craft.drill(second, 'errors');
    const retried = /gatehouse_service_events_total\{service="commit-tracker",event="retries"\} [1-9]/;
    await eventually(async () => {
      assert.equal((await ada.call('GET', '/api/v1/commits')).status, 200);
      return retried.test((await operator.call('GET', '/metrics')).text);
    }, 'it is tried again');

    await craft.drill(first, 'errors');
    await eventually(async () => {
      const answer = await ada.call('GET', '/api/v1/commits');
      assert.ok([500, 503].includes(answer.status), answer.text);
      return answer.status === 503 && answer.body.error.details.reason === 'circuit_open';
    }, 'the breaker is open');
    await craft.drill(first, 'off');
    await craft.drill(second, 'off');
    await eventually(async () => (await ada.call('GET', '/api/v1/commits')).status === 200, 'the breaker has closed');
  });

  it('a service that leaves is gone at once, and its work goes on when it is back', async (t) => {
    const craft = await startCraftNudge(t, patient);
    const ada = await craft.person('ada');
    await craft.stopService('notifications');
    await craft.stopService('analytics');
    await eventually(
      async () => (await ada.call('GET', '/api/v1/analytics/metrics')).status === 503,
      'analytics has left',
    );
    const gone = await ada.call('GET', '/api/v1/notifications');
    assert.deepEqual([gone.status, gone.body.error.code], [503, 'SERVICE_UNAVAILABLE']);
    const { body } = await ada.call('GET', '/status');
    assert.deepEqual([body.services.commit_tracker.status, body.services.analytics.status], ['running', 'down']);
    assert.equal((await ada.call('GET', '/health')).body.status, 'degraded');

    // Meanwhile commits are tracked and notifications taken.
    assert.equal((await ada.call('POST', '/api/v1/commits/track', commitOf(1))).status, 201);
    assert.equal((await ada.call('POST', '/api/v1/notifications/send', { title: 'Later' })).status, 202);
    await craft.startService('notifications');
    await craft.startService('analytics');
    await eventually(async () => (await craft.learned(ada)) === 1, 'analytics has read what it missed');
    await eventually(
      async () => (await ada.call('GET', '/api/v1/notifications')).body.notifications?.[0]?.title === 'Later',
      'the notification is delivered',
    );
  });

  it('a notification is handed over again until the service takes it, and delivered once', async (t) => {
    const craft = await startCraftNudge(t, patient);
    const ada = await craft.person('ada');
    await craft.drill('notifications', 'errors');
    assert.equal((await ada.call('POST', '/api/v1/notifications/send', { title: 'Tea' })).status, 202);
    const operator = craft.anybody('127.0.0.1');
    const again = /gatehouse_events_redelivered_total\{[^}]*\} [1-9]/;
    await eventually(async () => again.test((await operator.call('GET', '/metrics')).text), 'it is handed over again');
    await craft.drill('notifications', 'off');
    const history = async (): Promise<unknown[]> =>
      (await ada.call('GET', '/api/v1/notifications/history')).body.history ?? [];
    await eventually(async () => (await history()).length > 0, 'it is taken');
    assert.equal((await history()).length, 1);
  });

  it('nobody registers without the token, and nobody from outside reaches what services say', async (t) => {
    const craft = await startCraftNudge(t, patient);
    const anybody = craft.anybody('198.51.100.1');
    const path = '/api/v1/registry/services/analytics/instances';
    const { status } = await anybody.call('POST', path, { url: 'http://127.0.0.1:9' });
    assert.equal(status, 401);
    anybody.headers['authorization'] = `Bearer ${craft.env['GATEHOUSE_REGISTRY_TOKEN']}`;
    const elsewhere = await anybody.call('POST', path, { url: 'http://192.0.2.1:9' });
    assert.equal(elsewhere.status, 400, elsewhere.text);
    const { body } = await anybody.call('GET', path);
    assert.deepEqual(
      body.instances.map(({ leaseMs }: { leaseMs: number }) => leaseMs),
      [10_000],
    );
  });
});
