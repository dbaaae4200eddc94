/** What each instance was asked and how it responded since the start, for those who look at live balance. Pure. */
import type { MetricsReader } from '../../base/metrics-reader.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';
import type { InstanceReport } from '../ops/services.ts';
import type { PickedService } from './pick.ts';

export interface InstanceTraffic {
  /** Attempts that ended. */
  readonly requests: number;
  /** Those of them with 5xx, and those without a response. */
  readonly errors: number;
  /** How long they took, all together. */
  readonly seconds: number;
}

type Moved = Omit<PickedService, 'instances'> & {
  readonly instances: readonly (InstanceReport & { readonly traffic: InstanceTraffic })[];
};

export function withTraffic(
  services: readonly PickedService[],
  snapshot: Snapshot,
  reader: Pick<MetricsReader, 'instance'>,
): Moved[] {
  const shown = new Set(services.map(({ name }) => name));
  const slots = new Map(
    snapshot.services
      .filter(({ name }) => shown.has(name))
      .flatMap(({ instances }) => instances.map(({ id, slot }) => [id, slot] as const)),
  );
  return services.map((service) => ({
    ...service,
    instances: service.instances.map((instance) => ({
      ...instance,
      traffic: trafficOf(slots.get(instance.id), reader),
    })),
  }));
}

function trafficOf(slot: number | undefined, reader: Pick<MetricsReader, 'instance'>): InstanceTraffic {
  if (slot === undefined) return { requests: 0, errors: 0, seconds: 0 };
  const { byStatus, total, faults, sumSeconds } = reader.instance(slot);
  const failed = [...byStatus].filter(([status]) => status.startsWith('5')).reduce((sum, [, count]) => sum + count, 0);
  return { requests: total, errors: failed + faults, seconds: sumSeconds };
}
