/**
 * What status pages, metrics and the console show of a service: breaker, instances, queue, counters. Read from shared
 * memory, so the main thread makes the same report as any worker and asks none. Not for the hot path: it allocates.
 */
import {
  BUCKET_WORDS,
  BUDGET_BUCKETS,
  DOWN,
  DRAINING,
  EJECTED,
  INSTANCE,
  instanceAt,
  MAX_BREAKER_BUCKETS,
  SERVICE,
  serviceAt,
} from './instance-layout.ts';
import type { InstanceTable } from './instance-table.ts';
import { TICK_MS } from './instance-table.ts';
import type { BreakerSettings, InstanceSettings, ServiceSettings } from './snapshot.ts';

export type BreakerPhase = 'closed' | 'open' | 'half-open';
const PHASES: readonly BreakerPhase[] = ['closed', 'open', 'half-open'];

export interface BreakerState {
  readonly state: BreakerPhase;
  /** Responses and errors inside the rolling window. */
  readonly requests: number;
  readonly errors: number;
  /** While open: time until it lets probes through; 0 otherwise. */
  readonly retryInMs: number;
  readonly openings: number;
}

export interface InstanceState {
  readonly id: string;
  readonly url: string;
  readonly zone: string | null;
  readonly weight: number;
  /** By probe or configuration. */
  readonly healthy: boolean;
  readonly draining: boolean;
  readonly ejected: boolean;
  readonly ejectedForMs: number;
  readonly ejections: number;
  readonly inFlight: number;
  readonly breaker: BreakerState | null;
  /** Healthy, of some weight, and neither draining, ejected nor behind an open breaker. */
  readonly usable: boolean;
}

/** Events since the start of the process, over all workers, in the order of their words in shared memory. */
export const SERVICE_COUNTERS = [
  'retries',
  'hedges',
  'budgetRefusals',
  'overloaded',
  'queued',
  'queueTimeouts',
  'circuitRefusals',
  'noInstance',
  'breakerOpenings',
  'failovers',
  'lenientResponses',
] as const;
export type ServiceCounter = (typeof SERVICE_COUNTERS)[number];

/** Why a connection to an instance has ended. */
export const CONNECTION_ENDS = ['age', 'idle', 'ping', 'goaway', 'instance', 'other'] as const;
export type ConnectionEnd = (typeof CONNECTION_ENDS)[number];
/** Of the connections to the instances, likewise. */
export const CONNECTION_COUNTERS = ['pingsSent', 'pingsUnanswered', ...CONNECTION_ENDS] as const;
export type ConnectionCounter = (typeof CONNECTION_COUNTERS)[number];

export interface ServiceState {
  readonly name: string;
  readonly algorithm: string;
  readonly inFlight: number;
  readonly waiting: number;
  readonly breaker: BreakerState | null;
  /** Requests, and retries and hedges, of the last ten seconds. */
  readonly budget: { readonly requests: number; readonly retries: number };
  readonly counters: Readonly<Record<ServiceCounter, number>>;
  readonly connections: Readonly<Record<ConnectionCounter, number>>;
  readonly instances: readonly InstanceState[];
}

export function readServiceState(table: InstanceTable, service: ServiceSettings): ServiceState {
  const at = serviceAt(service.slot);
  const nowTick = table.nowTick();
  const budgetTicks = 1_000 / TICK_MS;
  const { breaker } = service.resilience;
  const budget = windowTotals(table.words, at + SERVICE.budgetWindow, BUDGET_BUCKETS, budgetTicks, nowTick);
  return {
    name: service.name,
    algorithm: service.balancer.algorithm,
    inFlight: table.serviceInFlight(service.slot),
    waiting: table.serviceWaiting(service.slot),
    breaker:
      breaker === null || breaker.scope === 'instance'
        ? null
        : readBreaker(
            table,
            at + SERVICE.breakerWord,
            at + SERVICE.breakerWindow,
            breaker,
            nowTick,
            counterOf(table, service.slot, 'breakerOpenings'),
          ),
    budget: { requests: budget.total, retries: budget.marked },
    counters: readCounters(table, at + SERVICE.counters, SERVICE_COUNTERS),
    connections: readCounters(table, at + SERVICE.connections, CONNECTION_COUNTERS),
    instances: service.instances.map((instance) => readInstance(table, instance, breaker, nowTick)),
  };
}

function readCounters<N extends string>(table: InstanceTable, at: number, names: readonly N[]): Record<N, number> {
  return Object.fromEntries(names.map((name, i) => [name, Atomics.load(table.words, at + i)])) as Record<N, number>;
}

function readInstance(
  table: InstanceTable,
  instance: InstanceSettings,
  breaker: BreakerSettings | null,
  nowTick: number,
): InstanceState {
  const at = instanceAt(instance.slot);
  const { words } = table;
  const health = Atomics.load(words, at + INSTANCE.health);
  const ejected = (health & EJECTED) !== 0;
  const ejectedForMs = ejected
    ? Math.max(0, ((Atomics.load(words, at + INSTANCE.ejectedUntil) - nowTick) | 0) * TICK_MS)
    : 0;
  const openings = Atomics.load(words, at + INSTANCE.breakerOpenings);
  const own =
    breaker === null || breaker.scope === 'service'
      ? null
      : readBreaker(table, at + INSTANCE.breakerWord, at + INSTANCE.breakerWindow, breaker, nowTick, openings);
  return {
    id: instance.id,
    url: instance.url,
    zone: instance.zone,
    weight: instance.weight,
    healthy: (health & DOWN) === 0,
    draining: (health & DRAINING) !== 0,
    ejected,
    ejectedForMs,
    ejections: Atomics.load(words, at + INSTANCE.ejections),
    inFlight: table.instanceInFlight(instance.slot),
    breaker: own,
    usable: health === 0 && instance.weight > 0 && own?.state !== 'open',
  };
}

function counterOf(table: InstanceTable, serviceSlot: number, name: ServiceCounter): number {
  return Atomics.load(table.words, serviceAt(serviceSlot) + SERVICE.counters + SERVICE_COUNTERS.indexOf(name));
}

function readBreaker(
  table: InstanceTable,
  wordAt: number,
  windowAt: number,
  settings: BreakerSettings,
  nowTick: number,
  openings: number,
): BreakerState {
  const state = PHASES[Atomics.load(table.words, wordAt) & 3] ?? 'closed';
  const { buckets, bucketTicks } = breakerWindow(settings);
  const seen = windowTotals(table.words, windowAt, buckets, bucketTicks, nowTick);
  const openTicks = (nowTick - Atomics.load(table.words, wordAt + 1)) | 0;
  return {
    state,
    requests: seen.total,
    errors: seen.marked,
    retryInMs: state === 'open' ? Math.max(0, settings.resetTimeoutMs - openTicks * TICK_MS) : 0,
    openings,
  };
}

/**
 * A breaker's window in ticks. A bucket is one tick at least, so a very short window has fewer buckets than asked for.
 */
export function breakerWindow(settings: BreakerSettings): { buckets: number; bucketTicks: number } {
  const ticks = Math.max(1, Math.round(settings.rollingWindowMs / TICK_MS));
  const buckets = Math.min(settings.rollingBuckets, MAX_BREAKER_BUCKETS, ticks);
  return { buckets, bucketTicks: Math.round(ticks / buckets) };
}

/** Sums a rolling window as data/resilience/rolling-window.ts writes it: buckets of epoch, total and marked. */
export function windowTotals(
  words: Int32Array,
  at: number,
  buckets: number,
  bucketTicks: number,
  nowTick: number,
): { total: number; marked: number } {
  const epoch = Math.floor((nowTick >>> 0) / bucketTicks);
  let total = 0;
  let marked = 0;
  for (let i = 0; i < buckets; i++) {
    const bucket = at + i * BUCKET_WORDS;
    const age = (epoch - Atomics.load(words, bucket)) | 0;
    if (age < 0 || age >= buckets) continue;
    total += Atomics.load(words, bucket + 1);
    marked += Atomics.load(words, bucket + 2);
  }
  return { total, marked };
}
