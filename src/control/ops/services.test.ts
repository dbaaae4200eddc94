import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  breakerState,
  instanceState as instance,
  serviceState as service,
} from '../../../test/support/service-state.ts';
import type { BreakerState, ServiceState } from '../../data/contract/service-state.ts';
import type { FeatureStatus } from '../feature-status.ts';
import type { ProbeReport } from '../health/report.ts';
import { serviceBreaker, serviceReports, serviceStatus } from './services.ts';

const breaker = (state: BreakerState['state']): BreakerState => breakerState({ state });

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
  const probe = { status: 'unhealthy', kind: 'http', lastStatus: 503 } as ProbeReport;
  const source = { source: 'dns', instances: 2, problem: null, updatedAt: null };
  const features: FeatureStatus[] = [
    { sections: { other: {} } },
    {
      probes: new Map([
        ['b', probe],
        ['z', probe],
      ]),
      sources: new Map([
        ['s', [source]],
        ['t', []],
      ]),
    },
  ];

  it('joins what any feature says of the instance with that id, and of the service with that name', () => {
    const [report] = serviceReports([service()], features);
    assert.deepEqual(
      report!.instances.map(({ healthCheck }) => healthCheck),
      [null, probe],
    );
    assert.deepEqual(report!.discovery, [source]);
  });

  it('says nothing of probes and sources where no feature does', () => {
    const [report] = serviceReports([service()], []);
    assert.deepEqual([report!.instances[0]!.healthCheck, report!.discovery], [null, []]);
  });
});
