/** Counters and gauges of health checks, discovery and registry. Labels are service names and a few fixed words. */
import type { InstanceHealth } from '../health/monitor.ts';
import type { SourceStatus } from './manager.ts';
import type { Lease } from './registry/leases.ts';

export interface ServiceMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

export function serviceMetrics(
  health: readonly InstanceHealth[],
  sources: readonly SourceStatus[],
  leases: ReadonlyMap<string, readonly Lease[]>,
  overdue: readonly (readonly [service: string, count: number])[] = [],
): ServiceMetric[] {
  const checked = health.filter(({ status }) => status !== 'unchecked');
  const services = [...new Set(checked.map(({ service }) => service))];
  const perService = (service: string, value: (state: InstanceHealth) => number): number =>
    checked.filter((state) => state.service === service).reduce((sum, state) => sum + value(state), 0);
  const statuses = ['healthy', 'unhealthy', 'unknown'] as const;
  return [
    {
      name: 'gatehouse_health_instances',
      type: 'gauge',
      help: 'Probed instances by what their health checks say',
      samples: services.flatMap((service) =>
        statuses.map((status) => ({
          labels: { service, status },
          value: perService(service, (state) => (state.status === status ? 1 : 0)),
        })),
      ),
    },
    {
      name: 'gatehouse_discovery_instances',
      type: 'gauge',
      help: 'Instances that a discovery source gives',
      samples: sources.map(({ service, source, instances }) => ({ labels: { service, source }, value: instances })),
    },
    {
      name: 'gatehouse_discovery_problem',
      type: 'gauge',
      help: '1 while a discovery source fails and its last good instances are kept',
      samples: sources.map(({ service, source, problem }) => ({
        labels: { service, source },
        value: problem === null ? 0 : 1,
      })),
    },
    {
      name: 'gatehouse_registry_leases',
      type: 'gauge',
      help: 'Registered instances; held ones came and went too often and get no traffic',
      samples: [...leases].flatMap(([service, all]) =>
        (['active', 'held'] as const).map((state) => ({
          labels: { service, state },
          value: all.filter((lease) => lease.state === state).length,
        })),
      ),
    },
    {
      name: 'gatehouse_registry_leases_overdue',
      type: 'gauge',
      help: 'Registered instances whose lease is over, kept until the store of the cluster says who renewed it',
      samples: overdue.map(([service, value]) => ({ labels: { service }, value })),
    },
  ];
}
