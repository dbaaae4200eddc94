/**
 * What choosing an instance costs per request: `pick` and `finish` of one attempt, two readings of the clock included.
 * The row "everything on" has health, service and instance breakers, ejection by both signs, limits per service and
 * instance, the adaptive limit, zones, slow start, retry budget and hedging by percentile; its target is the project's.
 */
import { systemClock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/log.ts';
import { balancerFinder } from '../../src/data/balancer/algorithms/custom.ts';
import { BALANCERS } from '../../src/data/balancer/index.ts';
import type { AttemptWaiter, Endpoint } from '../../src/data/balancer/service.ts';
import { Service } from '../../src/data/balancer/service.ts';
import type { BalancerRequest } from '../../src/data/contract/balancer.ts';
import { createInstanceTable } from '../../src/data/contract/instance-table.ts';
import type { InstanceSettings, ResilienceSettings, ServiceSettings } from '../../src/data/contract/snapshot.ts';
import { measure } from './measure.ts';
import type { Row } from './row.ts';

const PLAIN: ResilienceSettings = {
  breaker: null,
  ejection: null,
  concurrency: null,
  hedge: null,
  slowStartMs: 0,
  whenAllDown: 'fail',
  sticky: null,
  zone: null,
  fallback: null,
};

const EVERYTHING: ResilienceSettings = {
  breaker: {
    timeoutMs: 3_000,
    errorThresholdRatio: 0.5,
    resetTimeoutMs: 30_000,
    rollingWindowMs: 10_000,
    rollingBuckets: 10,
    volumeThreshold: 10,
    halfOpenProbes: 3,
    errorStatuses: [500, 502, 503, 504],
    scope: 'both',
  },
  ejection: {
    counts: 'failures',
    consecutiveFaults: 5,
    deviationFactor: 3,
    minimumRequests: 20,
    intervalMs: 10_000,
    baseEjectionMs: 30_000,
    maxEjectionMs: 300_000,
    maxEjectedRatio: 0.5,
  },
  concurrency: { maxPerService: 10_000, maxPerInstance: 1_000, maxQueued: 100, queueTimeoutMs: 1_000, adaptive: true },
  hedge: { delayMs: null, percentile: 0.95, methods: ['GET'] },
  slowStartMs: 30_000,
  whenAllDown: 'try',
  sticky: null,
  zone: { local: 'a', minHealthyRatio: 0.5, maxInFlightPerInstance: 100 },
  fallback: null,
};

const STICKY = { cookie: 'gh', ttlSeconds: 3_600, key: 'key', path: '/', secure: true, sameSite: 'Lax' } as const;

let cookie: string | null = null;
const REQUEST: BalancerRequest = {
  address: '203.0.113.27',
  path: '/api/v1/projects/4711/tasks',
  query: 'page=2&per_page=50',
  subject: 'user-8154',
  header: () => 'tenant-42',
  cookie: () => cookie,
};
const GET = { method: 'GET', hasIdempotencyKey: false, bodyReplayable: true };
const NONE: Endpoint<null>[] = [];
const WAITER: AttemptWaiter = { onAdmitted: () => {}, onRefused: () => {} };

function instanceOf(slot: number): InstanceSettings {
  const host = `10.0.${slot >> 8}.${slot & 255}`;
  return {
    id: `svc@${host}:8080`,
    slot,
    url: `http://${host}:8080`,
    protocol: 'http',
    host,
    port: 8_080,
    socketPath: null,
    basePath: '',
    weight: 1 + (slot % 3),
    zone: slot % 2 === 0 ? 'a' : 'b',
    healthy: true,
    metadata: {},
  };
}

function serviceOf(algorithm: string, count: number, resilience: ResilienceSettings): Service<null> {
  const options = algorithm === 'consistent-hash' ? { by: 'header', name: 'x-tenant', loadFactor: 1.25 } : {};
  const settings: ServiceSettings = {
    name: 'svc',
    slot: 1,
    instances: Array.from({ length: count }, (_, i) => instanceOf(i + 1)),
    balancer: { algorithm, options },
    timeouts: { connectMs: 1_000, firstByteMs: 5_000, idleMs: 5_000, totalMs: 30_000 },
    protocol: 'h1',
    pool: {
      maxConnections: 100,
      maxQueued: 100,
      queueTimeoutMs: 1_000,
      idleTimeoutMs: 60_000,
      maxAgeMs: 0,
      pingAfterMs: 0,
      pingTimeoutMs: 0,
      addressShare: 0.75,
    },
    retries: {
      attempts: 2,
      faults: ['connect_failed'],
      statuses: [503],
      methods: ['GET'],
      perTryMs: 0,
      backoffBaseMs: 25,
      backoffMaxMs: 1_000,
      budgetRatio: 0.2,
      budgetMinPerSecond: 3,
      maxReplayBytes: 65_536,
    },
    requestBufferBytes: 65_536,
    tls: null,
    host: 'preserve',
    resilience,
  };
  return new Service<null>(settings, {
    clock: systemClock,
    random: Math.random,
    shared: { instances: createInstanceTable() },
    secrets: { key: 'a key for the benchmark' },
    log: createLogger('silent'),
    makePool: () => null,
    disposePool: () => {},
    findBalancer: balancerFinder(),
    workerIndex: 0,
  });
}

/** One attempt after the other, answered after 5 ms as far as the service is told. */
function attempts(service: Service<null>): (rounds: number) => number {
  return (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) {
      const endpoint = service.pick(REQUEST, NONE, WAITER) as Endpoint<null>;
      sum += endpoint.settings.slot;
      service.finish(endpoint, 200, null, 5, false);
    }
    return sum;
  };
}

/** The same with sixteen in flight, and the question whether to hedge. */
function overlapping(service: Service<null>): (rounds: number) => number {
  const held: Endpoint<null>[] = [];
  for (let i = 0; i < 16; i++) held.push(service.pick(REQUEST, NONE, WAITER) as Endpoint<null>);
  return (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) {
      sum += service.hedgeDelayMs(GET);
      const at = i & 15;
      service.finish(held[at]!, 200, null, 5 + (i & 3), false);
      held[at] = service.pick(REQUEST, NONE, WAITER) as Endpoint<null>;
    }
    return sum;
  };
}

export function run(): Row[] {
  const rows: Row[] = [];
  for (const { name } of BALANCERS) rows.push(measure(`${name}, 10 instances`, attempts(serviceOf(name, 10, PLAIN))));
  const target = { atMost: 2_000 };
  for (const name of ['weighted-round-robin', 'least-connections', 'peak-ewma', 'consistent-hash']) {
    const service = serviceOf(name, 10, EVERYTHING);
    rows.push(measure(`${name}, 10 instances, everything on`, overlapping(service), target));
  }
  const many = serviceOf('peak-ewma', 100, EVERYTHING);
  rows.push(measure('peak-ewma, 100 instances, everything on', overlapping(many), target));
  rows.push(withStickyCookie(target));
  rows.push(withOpenBreaker());
  return rows;
}

function withStickyCookie(target: { atMost: number }): Row {
  const service = serviceOf('peak-ewma', 10, { ...EVERYTHING, sticky: STICKY });
  const endpoint = service.pick(REQUEST, NONE, WAITER) as Endpoint<null>;
  cookie = /^gh=([^;]+)/.exec(service.stickyCookieFor(endpoint, REQUEST) ?? '')?.[1] ?? null;
  service.finish(endpoint, 200, null, 5, false);
  const row = measure('peak-ewma, 10 instances, everything on, sticky cookie checked', overlapping(service), target);
  cookie = null;
  return row;
}

function withOpenBreaker(): Row {
  const service = serviceOf('peak-ewma', 10, { ...EVERYTHING, ejection: null, concurrency: null });
  for (let i = 0; i < 100; i++) {
    const endpoint = service.pick(REQUEST, NONE, WAITER);
    if (endpoint !== 'wait' && 'pool' in endpoint) service.finish(endpoint, 500, null, 5, false);
  }
  return measure('refused by an open breaker', (rounds) => {
    let sum = 0;
    for (let i = 0; i < rounds; i++) {
      const fault = service.pick(REQUEST, NONE, WAITER);
      if (fault !== 'wait' && 'kind' in fault) sum += fault.kind.status;
    }
    return sum;
  });
}
