/** Opens the leases of `cluster.election`; what is not configured is not loaded. */
import type { Clock } from '../../base/clock.ts';
import type { Timers } from '../../base/system-timers.ts';
import type { ClusterParts } from './cluster.ts';
import type { ClusterPlan } from './options.ts';

export interface LeaseSurroundings {
  readonly secrets: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly timers: Timers;
}

/** Empty: the lease lies in the store of the cluster. */
export async function leaseOpener(
  { leases, name, node }: Pick<ClusterPlan, 'leases' | 'name' | 'node'>,
  { secrets, env, clock, timers }: LeaseSurroundings,
): Promise<Pick<ClusterParts, 'openLeases'>> {
  if (leases === null) return {};
  if (leases.kind === 'nats') {
    const { NatsLeaseStore } = await import('./lease-nats.ts');
    const settings = { urls: leases.urls.map((id) => secrets[id] ?? ''), replicas: leases.replicas };
    return { openLeases: (floor) => new NatsLeaseStore({ settings, name, node, clock, floor }) };
  }
  const { KubernetesLeaseStore } = await import('./lease-kubernetes.ts');
  return { openLeases: (floor) => new KubernetesLeaseStore({ settings: leases, env, clock, timers, floor }) };
}
