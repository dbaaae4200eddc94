/**
 * What a service of the balancer gets from its worker, and what it tells. Tests and the simulation hand in their own.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { BalancerDefinition } from '../contract/balancer.ts';
import type { SharedState } from '../contract/shared.ts';
import type { InstanceSettings, Secrets, ServiceSettings } from '../contract/snapshot.ts';

/** A change that the one worker that made it reports to operators and logs, with the same reason. */
export interface StateChange {
  readonly service: string;
  /** Instance id; null when it is about the whole service. */
  readonly instance: string | null;
  readonly change: 'breaker-open' | 'breaker-half-open' | 'breaker-closed' | 'ejected' | 'returned';
  readonly reason: string;
}

export interface ServiceEnvironment<P> {
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly shared: Pick<SharedState, 'instances'>;
  readonly secrets: Secrets;
  readonly log: Logger;
  makePool(instance: InstanceSettings, service: ServiceSettings): P;
  /** Called when the last request of this worker to the instance has ended, or at `dispose`. */
  disposePool(pool: P): void;
  /** The algorithm of a name; data/balancer/algorithms/custom.ts `balancerFinder` makes one. */
  findBalancer(name: string): BalancerDefinition | undefined;
  /** After a reload: the instance keeps its pool, whose settings may have changed. */
  updatePool?(pool: P, instance: InstanceSettings, service: ServiceSettings): void;
  onStateChange?(change: StateChange): void;
  /**
   * Bank of this worker in shared memory. Default: `index` of the thread's `workerData` (`WorkerStart`), 0 in the main
   * thread.
   */
  readonly workerIndex?: number;
  /** Runs `task` once after `ms` and returns the way to prevent it. Default: an unreferenced `setTimeout`. */
  schedule?(task: () => void, ms: number): () => void;
}
