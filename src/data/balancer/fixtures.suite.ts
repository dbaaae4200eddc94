/**
 * What the tests of this folder share: settings with every part spelled out, a service on a fake clock, seeded random
 * numbers, and bounds for counts that are random. Not a test itself.
 */
import assert from 'node:assert/strict';
import { FakeClock } from '../../base/clock.ts';
import type { FaultKind } from '../../base/errors.ts';
import { Fault } from '../../base/errors.ts';
import { createLogger } from '../../base/log.ts';
import type { BalancerRequest, Candidate } from '../contract/balancer.ts';
import { createInstanceTable, InstanceTable } from '../contract/instance-table.ts';
import type {
  BreakerSettings,
  ConcurrencySettings,
  EjectionSettings,
  InstanceSettings,
  ResilienceSettings,
  RetrySettings,
  ServiceSettings,
} from '../contract/snapshot.ts';
import type { ServiceEnvironment, StateChange } from '../resilience/environment.ts';
import { balancerFinder } from './algorithms/custom.ts';
import type { AttemptWaiter, Endpoint } from './service.ts';
import { Service } from './service.ts';

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Five standard deviations of a binomial count: a fair draw leaves it once in two million times. */
export function assertShare(count: number, draws: number, share: number, what: string): void {
  const expected = draws * share;
  const bound = 5 * Math.sqrt(draws * share * (1 - share)) + 1;
  assert.ok(Math.abs(count - expected) <= bound, `${what}: got ${count}, want ${expected} ± ${bound.toFixed(1)}`);
}

export interface FakeCandidate extends Candidate {
  weight: number;
  inFlight: number;
  latencyMs: number;
  recentFailures: number;
}

export function candidates(...weights: number[]): FakeCandidate[] {
  return weights.map((weight, i) => ({
    id: `svc@10.0.0.${i + 1}:80`,
    zone: null,
    metadata: {},
    weight,
    inFlight: 0,
    latencyMs: 0,
    recentFailures: 0,
  }));
}

export interface FakeRequest {
  address?: string;
  path?: string;
  query?: string;
  subject?: string | null;
  headers?: Record<string, string>;
  cookies?: Record<string, string>;
}

export function request(parts: FakeRequest = {}): BalancerRequest {
  return {
    address: parts.address ?? '192.0.2.1',
    path: parts.path ?? '/',
    query: parts.query ?? '',
    subject: parts.subject ?? null,
    header: (name) => parts.headers?.[name] ?? null,
    cookie: (name) => parts.cookies?.[name] ?? null,
  };
}

export const REQUEST = request();

export function instance(slot: number, more: Partial<InstanceSettings> = {}): InstanceSettings {
  return {
    id: `svc@10.0.0.${slot}:80`,
    slot,
    url: `http://10.0.0.${slot}:80`,
    protocol: 'http',
    host: `10.0.0.${slot}`,
    port: 80,
    socketPath: null,
    basePath: '',
    weight: 1,
    zone: null,
    healthy: true,
    metadata: {},
    ...more,
  };
}

export function instances(count: number, more: Partial<InstanceSettings> = {}): InstanceSettings[] {
  return Array.from({ length: count }, (_, i) => instance(i + 1, more));
}

export const BREAKER: BreakerSettings = {
  timeoutMs: 0,
  errorThresholdRatio: 0.5,
  resetTimeoutMs: 5_000,
  rollingWindowMs: 10_000,
  rollingBuckets: 10,
  volumeThreshold: 10,
  halfOpenProbes: 2,
  errorStatuses: [500, 502, 503, 504],
  scope: 'service',
};

export const EJECTION: EjectionSettings = {
  counts: 'failures',
  consecutiveFaults: 5,
  deviationFactor: 0,
  minimumRequests: 20,
  intervalMs: 10_000,
  baseEjectionMs: 10_000,
  maxEjectionMs: 60_000,
  maxEjectedRatio: 0.5,
};

export const CONCURRENCY: ConcurrencySettings = {
  maxPerService: 0,
  maxPerInstance: 0,
  maxQueued: 10,
  queueTimeoutMs: 1_000,
  adaptive: false,
};

export const RETRIES: RetrySettings = {
  attempts: 2,
  faults: ['connect_failed', 'connect_timeout', 'upstream_reset', 'first_byte_timeout'],
  statuses: [502, 503, 504],
  methods: ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'],
  perTryMs: 0,
  backoffBaseMs: 25,
  backoffMaxMs: 1_000,
  budgetRatio: 0.2,
  budgetMinPerSecond: 1,
  maxReplayBytes: 65_536,
};

export const PLAIN: ResilienceSettings = {
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

export type SettingsParts = Partial<Omit<ServiceSettings, 'resilience'>> & { resilience?: Partial<ResilienceSettings> };

export function settings(parts: SettingsParts = {}): ServiceSettings {
  return {
    name: 'svc',
    slot: 1,
    instances: instances(3),
    balancer: { algorithm: 'round-robin', options: {} },
    timeouts: { connectMs: 1_000, firstByteMs: 5_000, idleMs: 5_000, totalMs: 30_000 },
    protocol: 'h1',
    requestBufferBytes: 65_536,
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
    retries: RETRIES,
    tls: null,
    host: 'preserve',
    ...parts,
    resilience: { ...PLAIN, ...parts.resilience },
  };
}

export interface Pool {
  readonly id: string;
  disposed: boolean;
}

/** Waits without asking for more; remembers what it heard. */
export class SilentWaiter implements AttemptWaiter {
  admitted = 0;
  refused: Fault | null = null;
  onAdmitted(): void {
    this.admitted++;
  }
  onRefused(fault: Fault): void {
    this.refused = fault;
  }
}

export const NO_WAITER: AttemptWaiter = {
  onAdmitted: () => assert.fail('nobody waits here'),
  onRefused: () => assert.fail('nobody waits here'),
};

/** A service of one worker on a fake clock, with everything that it reported. */
export class Bench {
  readonly clock: FakeClock;
  readonly buffer: SharedArrayBuffer;
  readonly table: InstanceTable;
  readonly changes: StateChange[] = [];
  readonly logged: string[] = [];
  readonly pools: Pool[] = [];
  readonly service: Service<Pool>;
  #tasks: { at: number; task: () => void }[] = [];

  constructor(parts: SettingsParts = {}, more: Partial<ServiceEnvironment<Pool>> = {}, shares?: Bench) {
    this.clock = shares?.clock ?? new FakeClock();
    this.buffer = shares?.buffer ?? createInstanceTable();
    this.table = new InstanceTable(this.buffer, this.clock);
    this.service = new Service<Pool>(settings(parts), {
      clock: this.clock,
      random: seeded(7),
      shared: { instances: this.buffer },
      secrets: { sticky: 'a key for tests' },
      log: createLogger('info', (line) => this.logged.push(line)),
      makePool: (made) => {
        const pool = { id: made.id, disposed: false };
        this.pools.push(pool);
        return pool;
      },
      disposePool: (pool) => {
        assert.equal(pool.disposed, false, 'a pool is disposed once');
        pool.disposed = true;
      },
      findBalancer: balancerFinder(),
      onStateChange: (change) => this.changes.push(change),
      workerIndex: shares === undefined ? 0 : 1,
      schedule: (task, ms) => {
        const entry = { at: this.clock.monotonicMs() + ms, task };
        this.#tasks.push(entry);
        return () => {
          this.#tasks = this.#tasks.filter((other) => other !== entry);
        };
      },
      ...more,
    });
  }

  /** Time goes on, and what was scheduled runs when it is due. */
  advance(ms: number): void {
    const end = this.clock.monotonicMs() + ms;
    for (;;) {
      const due = this.#tasks.filter((entry) => entry.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#tasks = this.#tasks.filter((other) => other !== due);
      this.clock.advance(Math.max(0, due.at - this.clock.monotonicMs()));
      due.task();
    }
    this.clock.advance(end - this.clock.monotonicMs());
  }

  get hasTimer(): boolean {
    return this.#tasks.length > 0;
  }

  /** Picks, and insists on an endpoint. */
  pick(tried: readonly Endpoint<Pool>[] = [], by: BalancerRequest = REQUEST): Endpoint<Pool> {
    const picked = this.service.pick(by, tried, NO_WAITER);
    if (picked === 'wait') assert.fail('had to wait');
    if (picked instanceof Fault) assert.fail(`refused: ${picked.kind.reason}`);
    return picked;
  }

  /** Picks, and insists on a refusal. */
  refused(by: BalancerRequest = REQUEST): Fault {
    const picked = this.service.pick(by, [], NO_WAITER);
    if (picked === 'wait') assert.fail('had to wait');
    if (!(picked instanceof Fault)) assert.fail(`got ${picked.id}`);
    return picked;
  }

  answer(endpoint: Endpoint<Pool>, status = 200, ms = 5): void {
    this.service.finish(endpoint, status, null, ms, false);
  }

  fail(endpoint: Endpoint<Pool>, fault: FaultKind, ms = 1): void {
    this.service.finish(endpoint, 0, fault, ms, false);
  }

  /** Whole requests, one after the other; how many each instance got. */
  spread(count: number, by: (i: number) => BalancerRequest = () => REQUEST): Map<string, number> {
    const counts = new Map<string, number>();
    for (let i = 0; i < count; i++) {
      const endpoint = this.pick([], by(i));
      counts.set(endpoint.id, (counts.get(endpoint.id) ?? 0) + 1);
      this.answer(endpoint);
    }
    return counts;
  }
}
