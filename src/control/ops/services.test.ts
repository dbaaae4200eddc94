import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  breakerState,
  instanceState as instance,
  serviceState as service,
} from '../../../test/support/service-state.ts';
import type { BreakerState, ServiceState } from '../../data/contract/service-state.ts';
import type { SourceStatus } from '../discovery/manager.ts';
import type { InstanceHealth } from '../health/monitor.ts';
import { serviceBreaker, serviceReports, serviceStatus } from './services.ts';

const breaker = (state: BreakerState['state']): BreakerState => breakerState({ state });

const health = (id: string, more: Partial<InstanceHealth> = {}): InstanceHealth => ({
  service: 's',
  instance: id,
  url: `http://${id}`,
  healthy: false,
  status: 'unhealthy',
  kind: 'http',
  lastStatus: 503,
  lastReason: 'status 503',
  latencyMs: 1.23456,
  consecutiveSuccesses: 0,
  consecutiveFailures: 4,
  probes: 9,
  failures: 4,
  checkedAtMs: Date.parse('2026-01-02T03:04:05Z'),
  sinceMs: Date.parse('2026-01-02T03:00:00Z'),
  ...more,
});

const source = (service: string, more: Partial<SourceStatus> = {}): SourceStatus => ({
  service,
  source: 'dns',
  instances: 2,
  problem: null,
  toldAtMs: Date.parse('2026-01-02T03:04:05Z'),
  ...more,
});

describe('the status of a service', () => {
  const gone = instance('c', { usable: false });
  const rows: { name: string; state: ServiceState; want: string }[] = [
    { name: 'all instances usable', state: service(), want: 'running' },
    { name: 'one of them not', state: service({ instances: [instance('a'), gone] }), want: 'degraded' },
    { name: 'none of them', state: service({ instances: [gone] }), want: 'unavailable' },
    { name: 'no instance at all', state: service({ instances: [] }), want: 'unavailable' },
    { name: 'its breaker open', state: service({ breaker: breaker('open') }), want: 'unavailable' },
    { name: 'its breaker half-open', state: service({ breaker: breaker('half-open') }), want: 'degraded' },
    { name: 'its breaker closed', state: service({ breaker: breaker('closed') }), want: 'running' },
  ];
  for (const { name, state, want } of rows) it(`${name}: ${want}`, () => assert.equal(serviceStatus(state), want));
});

describe('the breaker of a service', () => {
  it('is its own where it has one', () => {
    assert.equal(serviceBreaker(service({ breaker: breaker('half-open') })).state, 'half-open');
  });

  it('is open where only instances have one and theirs all are', () => {
    const of = (...states: BreakerState['state'][]) =>
      serviceBreaker(service({ instances: states.map((state, i) => instance(`${i}`, { breaker: breaker(state) })) }));
    assert.deepEqual(of('open', 'closed'), { state: 'closed', configured: true });
    assert.deepEqual(of('open', 'open'), { state: 'open', configured: true });
  });

  it('is closed and not configured where there is none', () => {
    assert.deepEqual(serviceBreaker(service()), { state: 'closed', configured: false });
  });
});

describe('the report of a service', () => {
  it('joins what probes found to the instance with that id', () => {
    const [report] = serviceReports([service()], [health('b'), health('z')], []);
    assert.equal(report!.instances[0]!.healthCheck, null);
    assert.deepEqual(report!.instances[1]!.healthCheck, {
      status: 'unhealthy',
      kind: 'http',
      lastStatus: 503,
      reason: 'status 503',
      latencyMs: 1.235,
      consecutiveSuccesses: 0,
      consecutiveFailures: 4,
      since: '2026-01-02T03:00:00.000Z',
      checkedAt: '2026-01-02T03:04:05.000Z',
    });
  });

  it('says nothing of probes for an instance that is not probed', () => {
    const [report] = serviceReports([service()], [health('a', { status: 'unchecked', kind: null })], []);
    assert.equal(report!.instances[0]!.healthCheck, null);
  });

  it('has no time for what has not happened yet', () => {
    const first = health('a', { status: 'unknown', checkedAtMs: null, latencyMs: null, lastStatus: null });
    const [report] = serviceReports([service()], [first], [source('s', { toldAtMs: null })]);
    const probe = report!.instances[0]!.healthCheck!;
    assert.deepEqual([probe.checkedAt, probe.latencyMs, report!.discovery[0]!.updatedAt], [null, null, null]);
  });

  it('names the sources of this service and no other, with their problems', () => {
    const failing = source('s', { source: 'file', problem: 'not a list' });
    const [report] = serviceReports([service()], [], [source('t'), source('s'), failing]);
    assert.deepEqual(report!.discovery, [
      { source: 'dns', instances: 2, problem: null, updatedAt: '2026-01-02T03:04:05.000Z' },
      { source: 'file', instances: 2, problem: 'not a list', updatedAt: '2026-01-02T03:04:05.000Z' },
    ]);
  });
});
