import assert from 'node:assert/strict';
import { test } from 'node:test';
import { breakerState as breaker, instanceState, serviceState } from '../../test/support/service-state.ts';
import type { Revision } from '../control/config/history.ts';
import type { ProbeReport } from '../control/health/report.ts';
import type { InstanceReport, ServiceReport } from '../control/ops/services.ts';
import type { GatewayStatus } from '../control/ops/sources.ts';
import type { BreakerState } from '../data/contract/service-state.ts';
import { statusText } from './status-text.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');

const CONFIGURATION: GatewayStatus['configuration'] = {
  version: 3,
  revision: null,
  source: 'gatehouse.yaml',
  readOnly: null,
  differsFromSource: false,
  needsRestart: [],
  lastReload: null,
};

const probe = (more: Partial<ProbeReport> = {}): ProbeReport => ({
  status: 'healthy',
  kind: 'http',
  lastStatus: 200,
  reason: null,
  latencyMs: 2.34,
  consecutiveSuccesses: 7,
  consecutiveFailures: 0,
  since: '2026-01-02T03:00:00Z',
  checkedAt: '2026-01-02T03:04:00Z',
  ...more,
});

const instance = (port: number, more: Partial<InstanceReport> = {}): InstanceReport => ({
  ...instanceState(`s@127.0.0.1:${port}`, { url: `http://127.0.0.1:${port}` }),
  healthCheck: null,
  ...more,
});

const service = (more: Partial<ServiceReport> = {}): ServiceReport => ({
  ...serviceState({ name: 'orders' }),
  status: 'running',
  instances: [instance(4001)],
  discovery: [],
  ...more,
});

function shown(services: readonly ServiceReport[], more: Partial<GatewayStatus> = {}): string {
  return statusText(
    {
      name: 'gatehouse',
      version: '1.2.3',
      status: 'healthy',
      startedAt: '2026-01-01T00:00:00Z',
      uptimeSeconds: 93_845,
      pid: 42,
      configuration: CONFIGURATION,
      dependencies: [],
      features: {},
      listeners: [
        { id: 'a', host: '127.0.0.1', port: 8000, tls: false },
        { id: 'b', host: '::', port: 8443, tls: true },
      ],
      workers: [
        { index: 0, threadId: 1, version: 3, listening: true, restarts: 0 },
        { index: 1, threadId: 2, version: 3, listening: false, restarts: 2 },
      ],
      traffic: {
        requests: 1_000,
        errors: 2,
        errorRatio: 0.002,
        averageMs: 3.14,
        activeConnections: 12,
        activeExchanges: 3,
        tunnels: 1,
      },
      services,
      ...more,
    },
    NOW,
  );
}

test('the gateway itself takes four lines', () => {
  assert.equal(
    shown([]),
    [
      'gatehouse 1.2.3: healthy, up 1d 2h, pid 42',
      'configuration: version 3',
      'listening: http://127.0.0.1:8000, https://[::]:8443; 1 of 2 workers, 2 restarts',
      'traffic: 1000 requests, 0.2 % errors, 3.1 ms on average; 12 connections, 3 requests, 1 tunnels open',
      '',
    ].join('\n'),
  );
});

test('a reload that was refused is said with its first problem', () => {
  const lastReload = { at: '2026-01-02T03:00:00Z', ok: false, problems: ['unknown key "prot"', 'another'] };
  const text = shown([], { configuration: { ...CONFIGURATION, lastReload } });
  assert.match(text, /^configuration: version 3, a reload was refused: unknown key "prot"$/m);
});

test('who made the configuration, and what of the file does not hold, is said', () => {
  const revision = { revision: 7, author: 'local:ann', reason: 'gatehouse rollback' } as Revision;
  const needsRestart = ['gateway.workers', 'identity'];
  const text = shown([], { configuration: { ...CONFIGURATION, revision, differsFromSource: true, needsRestart } });
  assert.match(text, /^configuration: version 3, revision 7 by local:ann \(gatehouse rollback\)$/m);
  assert.match(text, /^ {2}gatehouse.yaml holds another one: its next change, or a reload, replaces this one$/m);
  assert.match(text, /^ {2}takes effect at the next start only: gateway.workers, identity$/m);
});

test('a service says what it is, and each instance why it gets no traffic', () => {
  const text = shown([
    service({
      status: 'degraded',
      inFlight: 5,
      waiting: 2,
      breaker: breaker(),
      counters: { ...service().counters, retries: 4, budgetRefusals: 1 },
      instances: [
        instance(4001, { inFlight: 5, weight: 2, zone: 'a', healthCheck: probe() }),
        instance(4002, { ejected: true, ejectedForMs: 12_000, usable: false, zone: 'b' }),
        instance(4003, {
          healthy: false,
          usable: false,
          healthCheck: probe({
            status: 'unhealthy',
            reason: 'connection refused (ECONNREFUSED)',
            consecutiveFailures: 4,
          }),
        }),
        instance(4004, { breaker: breaker({ state: 'open', retryInMs: 3_100 }), usable: false }),
        instance(4005, { draining: true, usable: false }),
        instance(4006, { weight: 0, usable: false }),
        instance(4007, { healthy: false, usable: false }),
      ],
      discovery: [
        { source: 'dns', instances: 3, problem: null, updatedAt: null },
        { source: 'file', instances: 2, problem: 'orders.yaml: not a list', updatedAt: null },
      ],
    }),
  ]);
  assert.deepEqual(text.split('\n').slice(5, -1), [
    'orders: degraded, 1 of 7 instances, round-robin, 5 in flight, 2 waiting, breaker closed (3 errors of 120)',
    '  so far: 4 retries, 1 budget refusals',
    '  http://127.0.0.1:4001  up        5 in flight  weight 2  zone a  probe 200 in 2.3 ms',
    '  http://127.0.0.1:4002  ejected   0 in flight            zone b  back in 12s',
    '  http://127.0.0.1:4003  down      0 in flight                    connection refused (ECONNREFUSED), 4 failures, for 4m 5s',
    '  http://127.0.0.1:4004  held      0 in flight                    breaker open, probes in 4s',
    '  http://127.0.0.1:4005  draining  0 in flight',
    '  http://127.0.0.1:4006  standby   0 in flight  weight 0',
    '  http://127.0.0.1:4007  down      0 in flight                    by configuration',
    '  discovery dns: 3 instances',
    '  discovery file: keeps 2 instances: orders.yaml: not a list',
  ]);
});

test('a breaker of the service is shown in each of its states, and empty columns are left out', () => {
  const lines = (state: Partial<BreakerState>) => shown([service({ breaker: breaker(state) })]).split('\n');
  assert.match(lines({ state: 'open', retryInMs: 900 })[5]!, /, breaker open, probes in 1s$/);
  assert.match(lines({ state: 'open' })[5]!, /, breaker open, probes with the next request$/);
  assert.match(lines({ state: 'half-open', errors: 0, requests: 1 })[5]!, /, breaker half-open \(0 errors of 1\)$/);
  assert.equal(lines({})[6], '  http://127.0.0.1:4001  up  0 in flight');
});

test('a service without instances is one line', () => {
  assert.deepEqual(
    shown([service({ status: 'unavailable', instances: [] })])
      .split('\n')
      .slice(5),
    ['orders: unavailable, 0 of 0 instances, round-robin, 0 in flight', ''],
  );
});
