/** The keys of schema/resilience.ts to `ResilienceSettings`. */
import type {
  BreakerSettings,
  ConcurrencySettings,
  EjectionSettings,
  FallbackSettings,
  FixedResponse,
  HedgeSettings,
  ResilienceSettings,
  StickySettings,
  ZoneSettings,
} from '../../../data/contract/snapshot.ts';
import type { FixedResponseOptions } from '../schema/response.ts';
import type { ServiceOptions } from '../schema/service.ts';
import type { Compilation } from './context.ts';

export function compileResilience(
  compilation: Compilation,
  service: string,
  options: ServiceOptions,
): ResilienceSettings {
  return {
    breaker: breaker(options.circuitBreaker),
    ejection: ejection(options.ejection),
    concurrency: concurrency(options.concurrency),
    hedge: hedge(options.hedge),
    slowStartMs: options.slowStart,
    whenAllDown: options.whenAllDown,
    sticky: sticky(compilation, service, options.sticky),
    zone: zone(options.zone),
    fallback: fallback(options.fallback),
  };
}

/** A count, with 0 for no limit. */
function countOf(count: number | 'unlimited'): number {
  return count === 'unlimited' ? 0 : count;
}

function breaker(options: ServiceOptions['circuitBreaker']): BreakerSettings | null {
  if (options === undefined) return null;
  const statuses = options.errorStatuses.flatMap((status) =>
    status === '5xx' ? Array.from({ length: 100 }, (_, index) => 500 + index) : [status],
  );
  return {
    timeoutMs: options.timeout,
    errorThresholdRatio: options.errorThresholdPercentage / 100,
    resetTimeoutMs: options.resetTimeout,
    rollingWindowMs: options.rollingCountTimeout,
    rollingBuckets: options.rollingCountBuckets,
    volumeThreshold: options.volumeThreshold,
    halfOpenProbes: options.halfOpenProbes,
    errorStatuses: [...new Set(statuses)].sort((a, b) => a - b),
    scope: options.scope,
  };
}

/**
 * Of every service that says nothing else: an instance that is gone costs three requests a look, each tried elsewhere.
 */
const LOST_CONNECTIONS: EjectionSettings = {
  counts: 'connections',
  consecutiveFaults: 3,
  deviationFactor: 0,
  minimumRequests: 20,
  intervalMs: 10_000,
  baseEjectionMs: 10_000,
  maxEjectionMs: 60_000,
  maxEjectedRatio: 0.5,
};

function ejection(options: ServiceOptions['ejection']): EjectionSettings | null {
  if (options === undefined) return LOST_CONNECTIONS;
  if (options === 'off') return null;
  return {
    counts: options.counts,
    consecutiveFaults: options.consecutiveFaults,
    deviationFactor: options.deviationFactor,
    minimumRequests: options.minimumRequests,
    intervalMs: options.interval,
    baseEjectionMs: options.baseEjection,
    maxEjectionMs: options.maxEjection,
    maxEjectedRatio: options.maxEjected,
  };
}

function concurrency(options: ServiceOptions['concurrency']): ConcurrencySettings | null {
  if (options === undefined) return null;
  return {
    maxPerService: countOf(options.maxPerService),
    maxPerInstance: countOf(options.maxPerInstance),
    maxQueued: options.maxQueued,
    queueTimeoutMs: options.queueTimeout,
    adaptive: options.adaptive,
  };
}

function hedge(options: ServiceOptions['hedge']): HedgeSettings | null {
  if (options === undefined) return null;
  return { delayMs: options.delay ?? null, percentile: options.percentile ?? null, methods: options.methods };
}

function sticky(compilation: Compilation, service: string, options: ServiceOptions['sticky']): StickySettings | null {
  if (options === undefined) return null;
  const { gateway } = compilation.config.document;
  const secure = options.secure ?? gateway.listeners?.some(({ tls }) => tls !== undefined) ?? false;
  if (options.sameSite === 'None' && !secure) {
    compilation.problem(['services', service, 'sticky', 'sameSite'], 'browsers take None only with secure: true');
  }
  return {
    cookie: options.cookie,
    ttlSeconds: Math.round(options.ttl / 1_000),
    key: compilation.secret(`service/${service}/sticky`, options.key),
    path: options.path,
    secure,
    sameSite: options.sameSite,
  };
}

function zone(options: ServiceOptions['zone']): ZoneSettings | null {
  if (options === undefined) return null;
  return {
    local: options.local,
    minHealthyRatio: options.minHealthy,
    maxInFlightPerInstance: countOf(options.maxInFlightPerInstance),
  };
}

function fallback(options: ServiceOptions['fallback']): FallbackSettings | null {
  if (options === undefined) return null;
  if ('service' in options) return { kind: 'service', service: options.service };
  return { kind: 'respond', response: fixedResponse(options.respond) };
}

export function fixedResponse({ status, headers, body, json }: FixedResponseOptions): FixedResponse {
  const named = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type');
  const text = json === undefined ? (body ?? '') : JSON.stringify(json);
  const type = json === undefined ? 'text/plain; charset=utf-8' : 'application/json';
  return { status, headers: named || text === '' ? headers : { ...headers, 'content-type': type }, body: text };
}
