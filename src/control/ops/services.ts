/**
 * What health and status say of services: shared memory (traffic, breakers, ejections) joined with what features
 * know in this thread (probes, sources of instances). Pure: data in, bodies out.
 */
import type { BreakerState, InstanceState, ServiceState } from '../../data/contract/service-state.ts';
import type { SourceReport } from '../discovery/report.ts';
import type { FeatureStatus } from '../feature-status.ts';
import type { ProbeReport } from '../health/report.ts';

export interface InstanceReport extends InstanceState {
  /** Null without a health check. */
  readonly healthCheck: ProbeReport | null;
}

export interface ServiceReport extends Omit<ServiceState, 'instances'> {
  readonly status: 'running' | 'degraded' | 'unavailable';
  readonly instances: readonly InstanceReport[];
  /** Empty for a service whose instances are all in the configuration. */
  readonly discovery: readonly SourceReport[];
}

export function serviceReports(
  services: readonly ServiceState[],
  features: readonly FeatureStatus[],
): readonly ServiceReport[] {
  const found = <Value>(look: (status: FeatureStatus) => Value | undefined): Value | undefined => {
    for (const status of features) {
      const value = look(status);
      if (value !== undefined) return value;
    }
    return undefined;
  };
  return services.map((service) => ({
    ...service,
    status: serviceStatus(service),
    instances: service.instances.map((instance) => ({
      ...instance,
      healthCheck: found(({ probes }) => probes?.get(instance.id)) ?? null,
    })),
    discovery: found(({ sources }) => sources?.get(service.name)) ?? [],
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
