/**
 * What health and status say of services: shared memory (traffic, breakers, ejections) joined with what the health
 * checks and the sources of discovery know in this thread. Pure: data in, bodies out.
 */
import type { BreakerState, InstanceState, ServiceState } from '../../data/contract/service-state.ts';
import type { SourceStatus } from '../discovery/manager.ts';
import type { InstanceHealth } from '../health/monitor.ts';

/** What the probes of one instance found. Times are ISO 8601. */
export interface ProbeReport {
  readonly status: 'healthy' | 'unhealthy' | 'unknown';
  readonly kind: string;
  /** HTTP status of the last probe; null where there was none. */
  readonly lastStatus: number | null;
  /** Why the last probe failed; null when it was good. */
  readonly reason: string | null;
  readonly latencyMs: number | null;
  readonly consecutiveSuccesses: number;
  readonly consecutiveFailures: number;
  /** When `status` became what it is, and when the last probe ended. */
  readonly since: string;
  readonly checkedAt: string | null;
}

export interface InstanceReport extends InstanceState {
  /** Null without a health check. */
  readonly healthCheck: ProbeReport | null;
}

export interface SourceReport {
  readonly source: string;
  readonly instances: number;
  /** Null while all is well; meanwhile the last good instances are kept. */
  readonly problem: string | null;
  readonly updatedAt: string | null;
}

export interface ServiceReport extends Omit<ServiceState, 'instances'> {
  readonly status: 'running' | 'degraded' | 'unavailable';
  readonly instances: readonly InstanceReport[];
  /** Empty for a service whose instances are all in the configuration. */
  readonly discovery: readonly SourceReport[];
}

export function serviceReports(
  services: readonly ServiceState[],
  health: readonly InstanceHealth[],
  sources: readonly SourceStatus[],
): readonly ServiceReport[] {
  const probed = new Map(health.map((state) => [state.instance, state]));
  return services.map((service) => ({
    ...service,
    status: serviceStatus(service),
    instances: service.instances.map((instance) => ({
      ...instance,
      healthCheck: probeReport(probed.get(instance.id)),
    })),
    discovery: sources.filter((source) => source.service === service.name).map(sourceReport),
  }));
}

/** A service without instances refuses as much as one whose instances are all down. */
export function serviceStatus(service: ServiceState): ServiceReport['status'] {
  const usable = service.instances.filter((instance) => instance.usable).length;
  if (usable === 0 || service.breaker?.state === 'open') return 'unavailable';
  return usable < service.instances.length || service.breaker?.state === 'half-open' ? 'degraded' : 'running';
}

/** The breaker of a service; where only instances have one, it counts as open when theirs all are. */
export function serviceBreaker(
  service: ServiceState,
): BreakerState | { readonly state: 'closed' | 'open'; readonly configured: boolean } {
  if (service.breaker !== null) return service.breaker;
  const own = service.instances.map(({ breaker }) => breaker).filter((breaker) => breaker !== null);
  const allOpen = own.length > 0 && own.every(({ state }) => state === 'open');
  return { state: allOpen ? 'open' : 'closed', configured: own.length > 0 };
}

function probeReport(health: InstanceHealth | undefined): ProbeReport | null {
  if (health === undefined || health.status === 'unchecked' || health.kind === null) return null;
  return {
    status: health.status,
    kind: health.kind,
    lastStatus: health.lastStatus,
    reason: health.lastReason,
    latencyMs: health.latencyMs === null ? null : Math.round(health.latencyMs * 1_000) / 1_000,
    consecutiveSuccesses: health.consecutiveSuccesses,
    consecutiveFailures: health.consecutiveFailures,
    since: new Date(health.sinceMs).toISOString(),
    checkedAt: timeOrNull(health.checkedAtMs),
  };
}

function sourceReport({ source, instances, problem, toldAtMs }: SourceStatus): SourceReport {
  return { source, instances, problem, updatedAt: timeOrNull(toldAtMs) };
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
